"""The columns of a network's output, by the labels: which of them sum to 1, which stand alone, which are numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NamedTuple

from runner.contract.labels import Labels, Multiclass, Ordinal, Regression, SeveralTargets
from runner.contract.training_practice import Loss, LossKind


class Activation(Enum):
    """How a block of columns becomes predictions."""

    SOFTMAX = "softmax"  # probabilities of classes, which sum to 1
    SIGMOID = "sigmoid"  # a probability a column
    LINEAR = "linear"  # a number a column


class Block(NamedTuple):
    """Columns that belong together."""

    activation: Activation
    size: int


@dataclass(frozen=True)
class Outputs:
    """The blocks of columns, from left to right: one, or one a target."""

    blocks: tuple[Block, ...]

    @property
    def columns(self) -> int:
        """The number of all columns."""
        return sum(block.size for block in self.blocks)

    @property
    def slices(self) -> Iterator[tuple[Activation, slice]]:
        """Each block's activation and its columns."""
        begin = 0
        for block in self.blocks:
            yield block.activation, slice(begin, begin + block.size)
            begin += block.size

    @property
    def only(self) -> Activation | None:
        """The activation, if there is one block; None with several."""
        return self.blocks[0].activation if len(self.blocks) == 1 else None

    @property
    def are_numbers(self) -> bool:
        """Whether the columns are numbers, and not probabilities."""
        return self.only is Activation.LINEAR

    def to_list(self) -> list[list[Any]]:
        """A plain value for JSON."""
        return [[block.activation.value, block.size] for block in self.blocks]

    @classmethod
    def from_list(cls, plain: list[list[Any]]) -> Outputs:
        """The outputs that `to_list` wrote."""
        return cls(tuple(Block(Activation(name), int(size)) for name, size in plain))


def outputs_of(labels: Labels, columns: int) -> Outputs:
    """The outputs for labels with so many columns in all."""
    if isinstance(labels, SeveralTargets):
        return Outputs(tuple(Block(Activation.SOFTMAX, len(target.classes or ())) for target in labels.targets))
    if isinstance(labels, Multiclass | Ordinal):
        return Outputs((Block(Activation.SOFTMAX, columns),))
    if isinstance(labels, Regression):
        return Outputs((Block(Activation.LINEAR, columns),))
    return Outputs((Block(Activation.SIGMOID, columns),))


def loss_error(labels: Labels, loss: Loss) -> str | None:
    """Why this training loss is not one of these labels; None if it is."""
    kinds = {block.activation for block in outputs_of(labels, 1).blocks}
    if loss.kind is LossKind.ASYMMETRIC and kinds != {Activation.SIGMOID}:
        return f"the asymmetric loss is of tags, not of {type(labels).__name__} labels"
    if kinds == {Activation.LINEAR} and replace(loss, gamma=Loss().gamma) != Loss():
        return "numbers are learned by the squared error: focal loss, smoothing and weights are of classes and tags"
    return None

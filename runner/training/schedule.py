"""Stochastic gradient descent with restarts, as pure functions of whole numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from runner.contract import Stage


@dataclass(frozen=True)
class Epoch:
    """One pass over the training rows, and where in the recipe it stands. Everything counts from 0."""

    number: int  # over the whole recipe
    stage: int
    cycle: int  # over the whole recipe: the snapshot's number
    within: int  # in its cycle
    length: int  # epochs in its cycle

    @property
    def ends_cycle(self) -> bool:
        return self.within == self.length - 1


def plan_epochs(stages: Sequence[Stage]) -> tuple[Epoch, ...]:
    """Every epoch of the recipe, in order."""
    cycles = [(stage, length) for stage, one in enumerate(stages) for length in one.cycle_epochs]
    steps = [(stage, cycle, within, length) for cycle, (stage, length) in enumerate(cycles) for within in range(length)]
    return tuple(Epoch(number, *step) for number, step in enumerate(steps))


def cosine(step: int, steps: int) -> float:
    """The share of the top rate at a step of a cycle: 1 at step 0, nearly none at the last."""
    return 0.5 * (1.0 + math.cos(math.pi * step / steps))


def lr_factor(epoch: Epoch, batch: int, batches: int) -> float:
    """The share of the top rate at a mini-batch of an epoch that has `batches` of them."""
    return cosine(epoch.within * batches + batch, epoch.length * batches)

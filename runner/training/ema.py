"""A moving average of the weights (EMA), which is validated and kept instead of the last weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import Tensor, nn


class WeightEMA:
    """The average of a module's weights and BatchNorm statistics over the steps of a stage.

    Early steps count less: after n of them the decay is at most (1 + n) / (10 + n), or a short stage would still
    validate the weights that it began with.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self._module = module
        self.tensors = {name: tensor.clone() for name, tensor in _floats(module).items()}
        self._current: dict[str, Tensor] = {}

    def update(self) -> None:
        """Take the module's weights into the average, after a step of its optimizer."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        # Not before the first step: until then the module may be moved to another device.
        self._current = self._current or _floats(self._module)
        averages = [self.tensors[name] for name in self._current]
        with torch.no_grad():
            torch._foreach_lerp_(averages, list(self._current.values()), 1 - decay)

    def average_buffers(self) -> None:
        """Average the statistics over processes: each has seen other rows."""
        if PartialState().num_processes > 1:
            for name, _ in self._module.named_buffers():
                if name in self.tensors:
                    self.tensors[name].copy_(reduce(self.tensors[name], reduction="mean"))

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module has the averaged weights within the block."""
        current = _floats(self._module)
        kept = {name: tensor.clone() for name, tensor in current.items()}
        try:
            _copy(self.tensors, current)
            yield
        finally:
            _copy(kept, current)

    def load(self, tensors: Mapping[str, Tensor], steps: int) -> None:
        """Go on from an average that was kept."""
        self.steps = steps
        _copy(tensors, self.tensors)


def _floats(module: nn.Module) -> dict[str, Tensor]:
    """The tensors that can be averaged: all but counters."""
    return {name: tensor.detach() for name, tensor in module.state_dict().items() if tensor.is_floating_point()}


def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, tensor in target.items():
            tensor.copy_(source[name])

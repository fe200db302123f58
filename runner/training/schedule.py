"""SGDR (cosine cycles with warm restarts) as pure functions of whole numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from runner.contract import Stage


@dataclass(frozen=True)
class Epoch:
    """One pass over the training rows, and its position in the recipe. Everything counts from 0."""

    number: int  # over the whole recipe
    stage: int
    cycle: int  # over the whole recipe: the snapshot's number
    epoch_in_cycle: int
    cycle_epochs: int  # how many epochs its cycle has
    in_first_cycle: bool = False  # in the first cycle of its stage, the one that warms up

    @property
    def ends_cycle(self) -> bool:
        return self.epoch_in_cycle == self.cycle_epochs - 1


def plan_epochs(stages: Sequence[Stage]) -> tuple[Epoch, ...]:
    """Every epoch of the recipe, in order."""
    epochs: list[Epoch] = []
    cycle = 0
    for number, stage in enumerate(stages):
        for place, cycle_epochs in enumerate(stage.cycle_epochs):
            for epoch in range(cycle_epochs):
                epochs.append(Epoch(len(epochs), number, cycle, epoch, cycle_epochs, in_first_cycle=place == 0))
            cycle += 1
    return tuple(epochs)


def cosine(step: int, steps: int) -> float:
    """The factor of the peak lr at a step of a cycle: 1 at step 0, nearly 0 at the last."""
    return 0.5 * (1.0 + math.cos(math.pi * step / steps))


def lr_factor(epoch: Epoch, batch: int, batches: int, warmup: float = 0.0) -> float:
    """The factor of the peak lr at a mini-batch of an epoch that has `batches` of them.

    `warmup` is the share of a stage's first cycle in which the lr rises linearly, before the cosine.
    """
    step, steps = epoch.epoch_in_cycle * batches + batch, epoch.cycle_epochs * batches
    rising = round(warmup * steps) if epoch.in_first_cycle else 0
    if step < rising:
        return (step + 1) / (rising + 1)
    return cosine(step - rising, steps - rising)

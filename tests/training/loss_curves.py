"""Synthetic learning curves of known kinds: lines as in log.jsonl."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Line = dict[str, Any]
LossOf = Callable[[float], float]  # of the share of the training that is done, 0 to 1


def decay(start: float, end: float, speed: float) -> LossOf:
    """From start to end, exponentially."""
    floor = math.exp(-speed)
    return lambda done: end + (start - end) * (math.exp(-speed * done) - floor) / (1 - floor)


def valley(start: float, lowest: float, end: float, at: float) -> LossOf:
    """Down to the lowest at a share of the training, then up to the end."""
    return lambda done: (
        decay(start, lowest, 4)(done / at) if done < at else lowest + (end - lowest) * (done - at) / (1 - at)
    )


# (training loss, validation loss), in units of the loss of a constant prediction.
KINDS: dict[str, tuple[LossOf, LossOf]] = {
    "underfit, still falling": (decay(1.0, 0.66, 1), decay(0.98, 0.62, 1)),
    "high plateau": (decay(1.0, 0.72, 12), decay(0.98, 0.71, 12)),
    "still improving": (decay(1.0, 0.2, 2), decay(0.98, 0.26, 2)),
    "fine": (decay(0.9, 0.20, 12), decay(0.85, 0.21, 12)),
    "gap at a plateau": (decay(0.9, 0.05, 8), decay(0.8, 0.3, 14)),
    "overfit": (decay(0.9, 0.03, 3), valley(0.9, 0.4, 0.6, 0.4)),
    "learned by heart": (decay(1.0, 0.02, 4), lambda done: 1.02 + 0.5 * done),
    "diverged": (valley(1.0, 0.7, 1.6, 0.3), valley(0.98, 0.7, 1.9, 0.3)),
    "exploded": (lambda done: 1.3 + done, lambda done: 1.5 + done),
    "chance": (lambda done: 1.0 - 0.002 * done, lambda done: 1.0 - 0.001 * done),
}


def make_log(
    kind: str,
    *,
    epochs: int = 12,
    cycles: Sequence[int] = (),
    prior: float = 1.6,
    rows: int = 400,
    noise: float = 0.004,
    seed: int = 0,
    fold: int = 0,
    with_errors: bool = True,
) -> list[Line]:
    """The log of one fold with one stage; `noise` is that of an epoch, as a share of the prior loss."""
    random = np.random.default_rng(seed)
    train_of, valid_of = KINDS[kind]
    lengths = tuple(cycles) or (epochs,)
    ends = {sum(lengths[: number + 1]) - 1 for number in range(len(lengths))}
    total = sum(lengths)
    of_rows = 0.6 * prior / math.sqrt(rows)  # standard error of a mean loss
    sample = random.normal()  # the same rows in every epoch, and in the prior loss
    lines = []
    for epoch in range(total):
        done = (epoch + 1) / total
        train = prior * (train_of(done) + random.normal(0, noise))
        errors = of_rows * math.sqrt(valid_of(done)), of_rows * math.sqrt(abs(1 - valid_of(done)) + 0.001)
        valid = prior * (valid_of(done) + random.normal(0, noise)) + sample * min(errors)
        line = {
            "fold": fold,
            "stage": 0,
            "epoch": epoch,
            "ends_cycle": epoch in ends,
            "train_loss": train,
            "valid_loss": valid,
            "prior_loss": prior,
            "losses": (train + random.normal(0, 0.1 * prior, 40)).tolist(),
        }
        if with_errors:
            line |= {"valid_rows": rows, "valid_error": errors[0], "prior_error": errors[1]}
        lines.append(line)
    return lines

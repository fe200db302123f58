"""Whether a stage over- or underfits, from its losses, in a sentence with what to try."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Underfitting if the training loss is this share above the validation loss, overfitting if this share below it.
# Augmentation and dropout alone make it a little higher.
_APART = 0.15
# Overfitting if the validation loss is this share above its minimum.
_TURNED = 0.05
# The validation loss still falls if it fell by this share since the cycle before, or over half of a single cycle.
_FALLING = 0.05
# A loss less than this share below that of guessing the class frequencies is no better than guessing.
_GUESSING = 0.05
# The training rows are memorised if the training loss is below this share of the loss of guessing.
_MEMORISED = 0.5


def diagnose(log: Sequence[dict[str, Any]], stage: int) -> str:
    """The sentence for one stage, from the lines of one fold's log."""
    lines = [line for line in log if line["stage"] == stage]
    if not lines or lines[-1]["valid_loss"] is None:
        return "no validation rows: over- and underfitting cannot be seen"
    valid = [line["valid_loss"] for line in lines]
    train, last, lowest = lines[-1]["train_loss"], valid[-1], min(valid)
    losses = f"training loss {train:.4f}, validation loss {last:.4f}"
    prior = lines[-1].get("prior_loss")
    if prior is not None and lowest > prior * (1 - _GUESSING) and train > prior * _MEMORISED:
        return (
            f"no better than guessing: {losses}, and the class frequencies alone give {prior:.4f}; "
            "train longer (--epochs-scale 2), or try another lr (--lr find)"
        )
    if last > lowest * (1 + _TURNED):
        epoch = lines[valid.index(lowest)]["epoch"] + 1
        return (
            f"overfitting: validation loss was lowest in epoch {epoch} with {lowest:.4f} ({losses}); "
            "try a shorter cycle, a smaller lr, or more dropout"
        )
    if train > last * (1 + _APART):
        return f"underfitting: {losses}; lengthen the cycle (--epochs-scale 2), or raise the lr"
    if _still_falls(lines):
        return f"still learning when the last cycle ended: {losses}; train longer (--epochs-scale 2)"
    if train < last * (1 - _APART):
        return f"overfitting: {losses}; more epochs will not help, try a larger size or more dropout"
    return f"no over- or underfitting seen: {losses}"


def _still_falls(lines: Sequence[dict[str, Any]]) -> bool:
    """Whether validation loss fell since the previous cycle, or over the second half of the only one."""
    ends = [line["valid_loss"] for line in lines if line["ends_cycle"]]
    before = ends[-2] if len(ends) > 1 else lines[(len(lines) - 1) // 2]["valid_loss"]
    return bool(lines[-1]["valid_loss"] < before * (1 - _FALLING))

"""What the losses of a stage say, in a sentence: underfitting, overfitting, and what to try."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Augmentation and dropout make the training loss a little harder than the validation loss; more than this
# share above it is underfitting, more than this share below it is learning by heart.
_APART = 0.15
# A validation loss that rose by this share since its best has turned.
_TURNED = 0.05
# One that fell by this share over the last cycle was still learning.
_FALLING = 0.05


def diagnose(log: Sequence[dict[str, Any]], stage: int) -> str:
    """The sentence for one stage, from the lines of one fold's log."""
    lines = [line for line in log if line["stage"] == stage]
    if not lines or lines[-1]["valid_loss"] is None:
        return "no rows are held out: nothing tells whether it over- or underfits"
    valid = [line["valid_loss"] for line in lines]
    train, last, best = lines[-1]["train_loss"], valid[-1], min(valid)
    figures = f"training loss {train:.4f}, validation loss {last:.4f}"
    if last > best * (1 + _TURNED):
        epoch = lines[valid.index(best)]["epoch"] + 1
        return (
            f"overfits: validation was best at epoch {epoch} with {best:.4f} ({figures}); "
            "try a shorter cycle, a smaller rate, or more dropout"
        )
    if train > last * (1 + _APART):
        return f"underfits: {figures}; lengthen the cycle (--epochs-scale 2), or raise the rate"
    if _still_falls(lines):
        return f"still learning when the cycle ended: {figures}; --epochs-scale 2 would tell how far it goes"
    if train < last * (1 - _APART):
        return f"begins to learn by heart: {figures}; more epochs here would not help, a larger size may"
    return f"fits: {figures}"


def _still_falls(lines: Sequence[dict[str, Any]]) -> bool:
    """Whether the last cycle ended much lower than the cycle before it."""
    ends = [line["valid_loss"] for line in lines if line["ends_cycle"]]
    return len(ends) > 1 and ends[-1] < ends[-2] * (1 - _FALLING)

"""Loss and probabilities of logits, by the kind of labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from runner.contract import Labels, Multiclass

_BLOCK = 4096  # rows at a time: with many classes the double precision of all would not fit


def label_loss(labels: Labels, logits: Tensor, targets: Tensor) -> Tensor:
    """The mean loss of a batch: cross entropy for multiclass labels, else binary cross entropy per class."""
    if isinstance(labels, Multiclass):
        return F.cross_entropy(logits, targets)
    return F.binary_cross_entropy_with_logits(logits, targets)


def row_losses(labels: Labels, logits: Tensor, targets: Tensor) -> NDArray[Any]:
    """The loss of each row, in double precision; their mean is `label_loss` up to rounding."""
    blocks = [slice(start, start + _BLOCK) for start in range(0, len(logits), _BLOCK)]
    losses = [_losses_of_block(labels, logits[block].double(), targets[block].double()) for block in blocks]
    return torch.cat(losses).cpu().numpy()


def _losses_of_block(labels: Labels, logits: Tensor, targets: Tensor) -> Tensor:
    if isinstance(labels, Multiclass):
        return F.cross_entropy(logits, targets, reduction="none")
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)


def constant_logits(labels: Labels, targets: NDArray[Any]) -> Tensor:
    """Logits, shaped (classes,), of the constant prediction with the lowest loss: the frequencies of the classes."""
    frequencies = torch.from_numpy(targets.mean(axis=0, dtype=np.float64)).clamp(1e-7, 1 - 1e-7)
    return frequencies.log() if isinstance(labels, Multiclass) else frequencies.logit()


def to_probabilities(labels: Labels, logits: Tensor) -> NDArray[Any]:
    """Probabilities shaped (rows, classes), in double precision: a row's sum is then 1 to the last digit."""
    exact = logits.double()
    probabilities = exact.softmax(dim=1) if isinstance(labels, Multiclass) else torch.sigmoid(exact)
    return probabilities.cpu().numpy()

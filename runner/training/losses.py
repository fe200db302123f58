"""Loss and probabilities of logits, by the kind of labels."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from runner.contract import Labels, Multiclass


def label_loss(labels: Labels, logits: Tensor, targets: Tensor) -> Tensor:
    """The mean loss of a batch: cross entropy for multiclass labels, else binary cross entropy per class."""
    if isinstance(labels, Multiclass):
        return F.cross_entropy(logits, targets)
    return F.binary_cross_entropy_with_logits(logits, targets)


def to_probabilities(labels: Labels, logits: Tensor) -> NDArray[Any]:
    """Probabilities shaped (rows, classes), in double precision: a row's sum is then 1 to the last digit."""
    exact = logits.double()
    probabilities = exact.softmax(dim=1) if isinstance(labels, Multiclass) else torch.sigmoid(exact)
    return probabilities.cpu().numpy()

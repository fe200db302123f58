"""What a label format asks of the network's logits: a loss, and probabilities."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from runner.contract import Labels, Multiclass


def loss_of(labels: Labels, logits: Tensor, targets: Tensor) -> Tensor:
    """The mean loss of a batch: one softmax over classes that exclude each other, else a sigmoid each."""
    if isinstance(labels, Multiclass):
        return F.cross_entropy(logits, targets)
    return F.binary_cross_entropy_with_logits(logits, targets)


def to_probabilities(labels: Labels, logits: Tensor) -> NDArray[Any]:
    """Probabilities shaped (rows, classes), in double precision: a row's sum is then 1 to the last digit."""
    exact = logits.double()
    probabilities = exact.softmax(dim=1) if isinstance(labels, Multiclass) else torch.sigmoid(exact)
    return probabilities.cpu().numpy()

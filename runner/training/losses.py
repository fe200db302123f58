"""Loss and predictions of logits, by the kind of outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from runner.contract import Activation, Labels, Outputs, Regression
from runner.contract.targets import Targets, target_means

# Rows and values at a time: with many classes the double precision of all would not fit.
_BLOCK_ROWS, _BLOCK_VALUES = 4096, 1 << 24


@dataclass(frozen=True)
class NumberScale:
    """The mean and deviation of each number in the training rows: a network learns them at about this scale."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def of(cls, targets: NDArray[Any]) -> NumberScale:
        """The scale of these rows; NaN is not known, and a constant column keeps its unit."""
        known = np.ma.masked_invalid(np.asarray(targets, dtype=np.float64))
        std = known.std(axis=0).filled(1.0)
        return cls(known.mean(axis=0).filled(0.0), np.where(std > 0, std, 1.0))

    def standardise(self, targets: NDArray[Any]) -> NDArray[np.float32]:
        """The numbers as they are learned."""
        return ((targets - self.mean) / self.std).astype(np.float32)

    def restore(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Learned numbers in their own unit."""
        return numbers * self.std + self.mean


def label_loss(outputs: Outputs, logits: Tensor, targets: Tensor) -> Tensor:
    """The mean loss of a batch, summed over the targets if there are several."""
    if outputs.only is not None:
        return _block_loss(outputs.only, logits, targets)
    losses = [_block_loss(kind, logits[:, columns], targets[:, columns]) for kind, columns in outputs.slices]
    return torch.stack(losses).sum()


def _block_loss(activation: Activation, logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of class numbers or shares, binary cross entropy of tags, squared error of the known numbers."""
    if activation is Activation.SOFTMAX:
        return F.cross_entropy(logits, targets)
    if activation is Activation.SIGMOID:
        return F.binary_cross_entropy_with_logits(logits, targets)
    known = ~torch.isnan(targets)
    errors = torch.where(known, logits - torch.nan_to_num(targets), 0.0)
    return errors.square().sum() / known.sum().clamp(min=1)


def row_losses(outputs: Outputs, logits: Tensor, targets: Tensor) -> NDArray[Any]:
    """The loss of each row, in double precision; their mean is `label_loss` up to rounding."""
    size = max(1, min(_BLOCK_ROWS, _BLOCK_VALUES // logits.shape[1]))
    blocks = [slice(start, start + size) for start in range(0, len(logits), size)]
    losses = [_losses_of_block(outputs, logits[block].double(), _exact(targets[block])) for block in blocks]
    return torch.cat(losses).cpu().numpy()


def _exact(targets: Tensor) -> Tensor:
    return targets.double() if targets.is_floating_point() else targets


def _losses_of_block(outputs: Outputs, logits: Tensor, targets: Tensor) -> Tensor:
    if outputs.only is not None:
        return _row_losses(outputs.only, logits, targets)
    losses = [_row_losses(kind, logits[:, columns], targets[:, columns]) for kind, columns in outputs.slices]
    return torch.stack(losses).sum(dim=0)


def _row_losses(activation: Activation, logits: Tensor, targets: Tensor) -> Tensor:
    if activation is Activation.SOFTMAX:
        return F.cross_entropy(logits, targets, reduction="none")
    if activation is Activation.SIGMOID:
        return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)
    known = ~torch.isnan(targets)
    errors = torch.where(known, logits - torch.nan_to_num(targets), 0.0)
    # A row with more known numbers has more weight, as in the mean over all of them.
    return errors.square().sum(dim=1) * len(targets) / known.sum().clamp(min=1)


def constant_logits(outputs: Outputs, targets: Targets) -> Tensor:
    """Logits, shaped (columns,), of the constant prediction with the lowest loss: frequencies, or mean numbers."""
    means = torch.from_numpy(target_means(targets, outputs.columns))
    inside = means.clamp(1e-7, 1 - 1e-7)
    logits = {Activation.SOFTMAX: inside.log(), Activation.SIGMOID: inside.logit(), Activation.LINEAR: means}
    return torch.cat([logits[activation][columns] for activation, columns in outputs.slices])


def to_predictions(labels: Labels, outputs: Outputs, logits: Tensor, scale: NumberScale | None) -> NDArray[Any]:
    """Probabilities or numbers shaped (rows, columns), in double precision: a row's sum is then 1 to the last digit."""
    exact = logits.double()
    parts = [_activate(activation, exact[:, columns]) for activation, columns in outputs.slices]
    predictions: NDArray[Any] = (parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)).cpu().numpy()
    if scale is not None:
        predictions = scale.restore(predictions)
    if isinstance(labels, Regression) and (labels.low is not None or labels.high is not None):
        predictions = np.clip(predictions, labels.low, labels.high)
    return predictions


def _activate(activation: Activation, logits: Tensor) -> Tensor:
    if activation is Activation.SOFTMAX:
        return logits.softmax(dim=1)
    return torch.sigmoid(logits) if activation is Activation.SIGMOID else logits

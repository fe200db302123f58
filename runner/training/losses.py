"""Loss and predictions of logits, by the kind of outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from runner.contract import Activation, Labels, Loss, LossKind, Outputs, Regression
from runner.contract.targets import Targets, target_means

# Rows and values at a time: with many classes the double precision of all would not fit.
_BLOCK_ROWS, _BLOCK_VALUES = 4096, 1 << 24
_ASL_MARGIN = 0.05
_TAG_WEIGHTS = (0.01, 100.0)  # a tag of one row in ten thousand would else drown the others


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


@dataclass(frozen=True)
class TrainLoss:
    """The loss that is minimised, of logits and targets: the recipe's, where `label_loss` is the plain one."""

    outputs: Outputs
    recipe: Loss = Loss()  # noqa: RUF009  (frozen)
    weights: Tensor | None = None  # of each column of the logits

    @property
    def is_plain(self) -> bool:
        return self.recipe.kind is LossKind.PLAIN and not self.recipe.label_smoothing and self.weights is None

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean over the rows, summed over several targets."""
        if self.is_plain:
            return label_loss(self.outputs, logits, targets)
        if self.outputs.only is not None:
            return self._of_block(self.outputs.only, slice(None), logits, targets)
        losses = [self._of_block(kind, part, logits[:, part], targets[:, part]) for kind, part in self.outputs.slices]
        return torch.stack(losses).sum()

    def _of_block(self, activation: Activation, part: slice, logits: Tensor, targets: Tensor) -> Tensor:
        weights = None if self.weights is None else self.weights[part].to(logits.device)
        if activation is Activation.SOFTMAX:
            return self._of_classes(logits, targets, weights)
        if activation is Activation.SIGMOID:
            return self._of_tags(logits, targets, weights)
        return _block_loss(activation, logits, targets)

    def _of_classes(self, logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        """Cross entropy, each row with the weight of its class and, in focal loss, of how wrong it is."""
        losses = F.cross_entropy(logits, targets, reduction="none", label_smoothing=self.recipe.label_smoothing)
        probabilities = logits.softmax(dim=1)
        if targets.is_floating_point():
            right = (probabilities * targets).sum(dim=1)
            rows = None if weights is None else targets @ weights
        else:
            right = probabilities.gather(1, targets.unsqueeze(1)).squeeze(1)
            rows = None if weights is None else weights[targets]
        if self.recipe.kind is LossKind.FOCAL:
            losses = losses * (1 - right).clamp(min=0) ** self.recipe.gamma
        return losses.mean() if rows is None else (losses * rows).sum() / rows.sum()

    def _of_tags(self, logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        """Binary cross entropy of each tag; a present one has the tag's weight."""
        smooth = targets + self.recipe.label_smoothing * (0.5 - targets)
        if self.recipe.kind is LossKind.ASYMMETRIC:
            # As published: an absent tag below this probability counts nothing.
            absent = (torch.sigmoid(logits) - _ASL_MARGIN).clamp(min=0)
            terms = -smooth * F.logsigmoid(logits) * (1 if weights is None else weights)
            return (terms - (1 - smooth) * absent**self.recipe.gamma * torch.log1p(-absent)).mean()
        losses = F.binary_cross_entropy_with_logits(logits, smooth, pos_weight=weights, reduction="none")
        if self.recipe.kind is LossKind.FOCAL:
            losses = losses * (torch.sigmoid(logits) - targets).abs() ** self.recipe.gamma
        return losses.mean()


def build_train_loss(outputs: Outputs, loss: Loss, targets: Targets) -> TrainLoss:
    """The recipe's loss; its weights are those of the classes of these training rows."""
    if not loss.class_weights or outputs.are_numbers:
        return TrainLoss(outputs, loss)
    means = np.clip(target_means(targets, outputs.columns), 1 / max(len(targets), 2), 1 - 1e-6)
    weights = np.ones(outputs.columns)
    for activation, part in outputs.slices:
        if activation is Activation.SOFTMAX:
            weights[part] = (1 / (means[part] * len(means[part]))) ** loss.class_weights
        elif activation is Activation.SIGMOID:
            weights[part] = np.clip((1 - means[part]) / means[part], *_TAG_WEIGHTS) ** loss.class_weights
    return TrainLoss(outputs, loss, torch.from_numpy(weights.astype(np.float32)))


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

"""A run as one module: from views of images to predictions, with the means and the calibration of its postprocess."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from runner.contract import Activation, Outputs, Regression
from runner.data.tabular import read_tabular
from runner.prediction.averaging import Mean
from runner.prediction.calibration import Calibration
from runner.prediction.loaded_models import LoadedModel, LoadedRun
from runner.training.fold import FoldRun
from runner.training.model import Network, normalise

_SMALLEST, _EDGE = 1e-15, 1e-7  # as in runner.prediction.averaging


class PlainNetwork(nn.Module):
    """One network of a fold, its backbone as timm has it: no fused layers, whose operators belong to torch alone."""

    mean: Tensor
    std: Tensor
    tabular_mean: Tensor
    tabular_std: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self, fold: FoldRun, network: Network):
        super().__init__()
        self.backbone, self.linear = network.backbone, network.head.linear
        norm = network.head.norm
        self.norm = nn.BatchNorm1d(norm.num_features, norm.eps)
        self.norm.load_state_dict(norm.state_dict())
        self.register_buffer("mean", network.mean.clone())
        self.register_buffer("std", network.std.clone())
        means, deviations = _tabular_scale(fold)
        self.register_buffer("tabular_mean", torch.from_numpy(means))
        self.register_buffer("tabular_std", torch.from_numpy(deviations))
        columns, numbers = fold.outputs.columns, fold.number_scale
        std = np.ones(columns) if numbers is None else numbers.std
        self.register_buffer("scale", torch.tensor(std, dtype=torch.float32))
        mean = np.zeros(columns) if numbers is None else numbers.mean
        self.register_buffer("shift", torch.tensor(mean, dtype=torch.float32))

    def forward(self, images: Tensor, tabular: Tensor | None) -> Tensor:
        """Logits, or numbers in their own unit, of images (rows, bands, height, width) and values (rows, columns)."""
        features = self.norm(self.backbone(normalise(images, self.mean, self.std)).float())
        if tabular is not None:
            # What is not known is the mean here; this package draws a value of the training rows.
            known = torch.nan_to_num((tabular - self.tabular_mean) / self.tabular_std)
            features = torch.cat([features, known], dim=1)
        logits: Tensor = self.linear(features)
        return logits * self.scale + self.shift


def _tabular_scale(fold: FoldRun) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each tabular column in the fold's training rows."""
    values = read_tabular(fold.competition, fold.session.index, "train")[np.flatnonzero(fold.fold_of != fold.number)]
    if not values.shape[1]:
        return np.zeros(0, np.float32), np.ones(0, np.float32)
    deviations = np.nan_to_num(np.nanstd(values, axis=0))
    return np.nan_to_num(np.nanmean(values, axis=0)), np.where(deviations > 0, deviations, 1).astype(np.float32)


class ExportedRun(nn.Module):
    """All networks of a run: predictions (images, columns) of their views, one tensor a size, and of tabular values.

    The last input has the tabular values; without such columns there is none.
    """

    def __init__(self, loaded: LoadedRun):
        super().__init__()
        postprocess, labels = loaded.postprocess, loaded.competition.labels
        self.has_tabular = bool(loaded.competition.tabular)
        self.outputs, self.calibration = postprocess.outputs, postprocess.calibration
        self.mean, self.tta_mean = postprocess.mean, postprocess.tta.mean
        weight_of = dict(zip(postprocess.members, postprocess.weights, strict=True))
        inputs = [(size, views) for size, views in loaded.inputs]
        self.places = [_place(inputs, model) for model in loaded.models]
        self.weights = [weight_of[model.member] for model in loaded.models]
        self.low = labels.low if isinstance(labels, Regression) else None
        self.high = labels.high if isinstance(labels, Regression) else None
        self.models = nn.ModuleList(
            nn.ModuleList(PlainNetwork(fold, network) for fold, network in model.networks) for model in loaded.models
        )
        self.eval()

    @property
    def groups(self) -> list[list[PlainNetwork]]:
        """The networks of each model."""
        return [list(group) for group in self.models]  # type: ignore[call-overload]

    def forward(self, *inputs: Tensor) -> Tensor:
        """The predictions, calibrated."""
        sizes, tabular = (inputs[:-1], inputs[-1]) if self.has_tabular else (inputs, None)
        total: Tensor | None = None
        for networks, (place, columns), weight in zip(self.groups, self.places, self.weights, strict=True):
            every = sizes[place]
            views = every if columns == list(range(every.shape[1])) else every[:, columns]
            pixels = views.flatten(0, 1).movedim(-1, 1)
            values = None if tabular is None else tabular.repeat_interleave(len(columns), dim=0)
            for network in networks:
                predicted = self._activated(network(pixels, values))
                by_view = predicted.reshape(-1, len(columns), predicted.shape[1])
                predictions = by_view[:, 0] if len(columns) == 1 else self._mean(by_view, self.tta_mean)
                term = weight / len(networks) * _transformed(predictions, self.outputs, self.mean)
                total = term if total is None else total + term
        assert total is not None
        averaged = _restored(total / sum(self.weights), self.outputs, self.mean)
        return _calibrated(averaged, self.outputs, self.calibration)

    def _activated(self, logits: Tensor) -> Tensor:
        predictions = _by_block(self.outputs, logits, _activate)
        return predictions if self.low is None and self.high is None else predictions.clamp(self.low, self.high)

    def _mean(self, by_view: Tensor, mean: Mean) -> Tensor:
        return _restored(_transformed(by_view, self.outputs, mean).mean(dim=1), self.outputs, mean)


def _place(inputs: Sequence[tuple[int, Sequence[object]]], model: LoadedModel) -> tuple[int, list[int]]:
    """Which input a model takes, and which of its views."""
    place = [size for size, _ in inputs].index(model.size)
    return place, [list(inputs[place][1]).index(view) for view in model.views]


def _by_block(outputs: Outputs, values: Tensor, change: object) -> Tensor:
    parts = [change(activation, values[..., columns]) for activation, columns in outputs.slices]  # type: ignore[operator]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def _activate(activation: Activation, logits: Tensor) -> Tensor:
    if activation is Activation.SOFTMAX:
        return logits.softmax(dim=-1)
    return logits.sigmoid() if activation is Activation.SIGMOID else logits


def _transformed(predictions: Tensor, outputs: Outputs, mean: Mean) -> Tensor:
    return _by_block(outputs, predictions, _to_logs) if mean is Mean.GEOMETRIC else predictions


def _to_logs(activation: Activation, predictions: Tensor) -> Tensor:
    if activation is Activation.LINEAR:
        return predictions
    if activation is Activation.SOFTMAX:
        return predictions.clamp(min=_SMALLEST).log()
    inside = predictions.clamp(_EDGE, 1 - _EDGE)
    return inside.log() - torch.log1p(-inside)


def _restored(averaged: Tensor, outputs: Outputs, mean: Mean) -> Tensor:
    return _by_block(outputs, averaged, _activate if mean is Mean.GEOMETRIC else _scaled)


def _scaled(activation: Activation, averaged: Tensor) -> Tensor:
    return averaged / averaged.sum(dim=-1, keepdim=True) if activation is Activation.SOFTMAX else averaged


def _calibrated(predictions: Tensor, outputs: Outputs, calibration: Calibration) -> Tensor:
    if (calibration.temperature, calibration.bias) != (1.0, 0.0):
        logs = _by_block(outputs, predictions, _to_logs) / calibration.temperature + calibration.bias
        predictions = _by_block(outputs, logs, _activate)
    if calibration.clip == 0:
        return predictions
    inside = predictions.clamp(calibration.clip, 1 - calibration.clip)
    return _by_block(outputs, inside, _scaled)

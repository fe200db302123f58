"""Regularised regression on features, solved to convergence: the head's linear layer without a learning rate.

Multinomial for classes, logistic for each tag, ridge for numbers, one after another for several targets; always the
loss of the labels plus half the strength times the squared weights, on standardised inputs. The strength has the
lowest loss in cross-validation within the training rows.

L-BFGS works on weights that are rotated to the principal axes of the inputs, and scaled there by the curvature of the
loss: features are so correlated that it would else need hundreds of steps. The optimum is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runner.contract import Activation, Outputs
from runner.training.losses import constant_logits, label_loss, row_losses

# Of the penalty, from strong to weak, in halves of a power of ten.
STRENGTHS = tuple(float(f"{10 ** (exponent / 2):.3g}") for exponent in range(4, -11, -1))
DEFAULT_STRENGTH = 0.1  # where no rows can be left out
FOLDS = 5
_PATIENCE = 2  # strengths in a row without a lower loss
_SEARCH_STEPS, _FINAL_STEPS = 50, 200
_SEARCH_TOLERANCE, _FINAL_TOLERANCE = 1e-5, 1e-7  # of the loss, from step to step
_MAX_LOGITS = 1 << 26  # of regressions that are solved together: 256 MB
_BLOCK = 4096  # rows that are worked on at a time
_AXES_ROWS = 8192  # for the principal axes, which need not be exact


@dataclass(frozen=True)
class Samples:
    """Standardised inputs of each row in each view, shaped (rows, views, width), and the rows' targets."""

    inputs: Tensor
    targets: Tensor
    outputs: Outputs

    def __len__(self) -> int:
        return len(self.inputs)

    def of(self, rows: Tensor) -> Samples:
        """These rows alone."""
        return Samples(self.inputs[rows], self.targets[rows], self.outputs)


@dataclass(frozen=True)
class Solution:
    """The weights, shaped (columns, width), and biases of a regression; its loss, penalty included, step by step."""

    weight: Tensor
    bias: Tensor
    strength: float
    losses: tuple[float, ...]


@dataclass(frozen=True)
class StrengthSearch:
    """The strength with the lowest loss on rows that were left out, and that loss with its standard error."""

    strength: float
    loss: float | None = None  # None if there was no search
    error: float | None = None
    tried: tuple[tuple[float, float], ...] = ()  # strengths and losses
    is_given: bool = False


class Regression:
    """Solves regressions on the same inputs, and searches their strength on rows that are left out."""

    def __init__(self, samples: Samples):
        """Takes the samples over: their inputs are rotated in place, for they may be gigabytes."""
        self._axes, self._spread = _principal_axes(samples.inputs)
        _rotate(samples.inputs, self._axes)
        self._samples = samples
        constant = constant_logits(samples.outputs, samples.targets.cpu().numpy())
        self._intercepts = torch.nan_to_num(constant).to(samples.inputs)  # of a number that no row knows
        self._shares = _penalty_shares(samples.outputs).to(samples.inputs)
        self._curvature = _curvature(samples.outputs, self._intercepts)
        self._near: Solution | None = None  # to the solution with the strength that was found

    def solve(self, strength: float) -> Solution:
        """The regression of all samples."""
        near = self._near if self._near and self._near.strength == strength else None
        (solution,) = self._solve(strength, [None], [near], final=True)
        return solution

    def _solve(
        self, strength: float, rows: Sequence[Tensor | None], starts: Sequence[Solution | None], *, final: bool
    ) -> list[Solution]:
        """The regressions of these sets of rows, or of all for None, each from a solution near by if there is one.

        They are one problem for the optimizer: a product with the weights of many costs little more than one of a few.
        """
        penalty = strength * self._shares
        scale = torch.rsqrt(self._spread[:, None] * self._curvature + penalty)
        bias = torch.stack([self._intercepts if start is None else start.bias for start in starts]).requires_grad_()
        rotated = torch.stack(
            [torch.zeros_like(scale) if start is None else self._axes.T @ start.weight.T / scale for start in starts]
        ).requires_grad_()
        views = self._samples.inputs.shape[1]
        inputs = self._samples.inputs.flatten(0, 1)
        targets = self._samples.targets.repeat_interleave(views, dim=0)
        chosen = [None if each is None else each.repeat_interleave(views) for each in rows]
        wanted = [targets if each is None else targets[each] for each in chosen]
        optimizer = torch.optim.LBFGS(
            [rotated, bias],
            max_iter=_FINAL_STEPS if final else _SEARCH_STEPS,
            tolerance_grad=0.0,
            tolerance_change=_FINAL_TOLERANCE if final else _SEARCH_TOLERANCE,
            line_search_fn="strong_wolfe",
        )
        losses: list[float] = []

        def closure() -> Tensor:
            optimizer.zero_grad()
            scaled = scale * rotated
            logits = (inputs @ scaled.movedim(0, 1).flatten(1)).reshape(len(inputs), len(rows), -1)
            loss = 0.5 * (penalty * scaled.square()).sum()
            for number, (each, target) in enumerate(zip(chosen, wanted, strict=True)):
                own = logits[:, number] if each is None else logits[each, number]
                loss = loss + label_loss(self._samples.outputs, own + bias[number], target)
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(float(loss.detach()))
            return loss

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            weights = [(self._axes @ (scale * each)).T.contiguous() for each in rotated]
        return [
            Solution(weight, each, strength, tuple(losses)) for weight, each in zip(weights, bias.detach(), strict=True)
        ]

    def find_strength(self, fold_of: NDArray[np.int64]) -> StrengthSearch:
        """Try the strengths from strong to weak, each from the solution before, until the loss only rises.

        `fold_of` is the fold of each row; with one fold there is nothing to compare.
        """
        device = self._samples.inputs.device
        left_out = [torch.from_numpy(fold_of == fold).to(device) for fold in np.unique(fold_of)]
        if len(left_out) < 2:
            return StrengthSearch(DEFAULT_STRENGTH)
        starts: list[Solution | None] = [None] * len(left_out)
        together = max(1, _MAX_LOGITS // (len(self._samples) * self._samples.inputs.shape[1] * len(self._intercepts)))
        tried: list[tuple[float, float, float]] = []
        means: dict[float, Solution] = {}
        for strength in STRENGTHS:
            solved: list[Solution] = []
            for first in range(0, len(left_out), together):
                some = slice(first, first + together)
                solved += self._solve(strength, [~each for each in left_out[some]], starts[some], final=False)
            starts = list(solved)
            means[strength] = _mean(solved)
            pairs = zip(left_out, solved, strict=True)
            losses = np.concatenate([self._losses(solution, self._samples.of(rows)) for rows, solution in pairs])
            tried.append((float(losses.mean()), strength, float(losses.std(ddof=1) / np.sqrt(len(losses)))))
            if len(tried) - 1 - tried.index(min(tried)) == _PATIENCE:
                break
        loss, strength, error = min(tried)
        self._near = means[strength]
        return StrengthSearch(strength, loss, error, tuple((each, loss) for loss, each, _ in tried))

    @torch.no_grad()
    def training_loss(self, solution: Solution) -> float:
        """The mean loss of all views of all samples, without the penalty."""
        targets = self._samples.targets.repeat_interleave(self._samples.inputs.shape[1], dim=0)
        return float(label_loss(self._samples.outputs, self._logits(solution, self._samples).flatten(0, 1), targets))

    def _losses(self, solution: Solution, samples: Samples) -> NDArray[np.float64]:
        """The loss of each row by the mean of its views."""
        return row_losses(samples.outputs, self._logits(solution, samples).mean(dim=1), samples.targets)

    def _logits(self, solution: Solution, samples: Samples) -> Tensor:
        return samples.inputs @ (self._axes.T @ solution.weight.T) + solution.bias


def _mean(solutions: Sequence[Solution]) -> Solution:
    """The mean of solutions with one strength: near the solution of all their rows."""
    weight = torch.stack([each.weight for each in solutions]).mean(dim=0)
    bias = torch.stack([each.bias for each in solutions]).mean(dim=0)
    return Solution(weight, bias, solutions[0].strength, ())


def _principal_axes(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal axes of the inputs, as columns, and the mean square along each."""
    rows = inputs[:: max(1, len(inputs) * inputs.shape[1] // _AXES_ROWS)].flatten(0, 1)
    products = (rows.T @ rows / len(rows)).cpu().double()
    spread, axes = torch.linalg.eigh(products)
    return axes.to(inputs), spread.clamp(min=0).to(inputs)


def _rotate(inputs: Tensor, axes: Tensor) -> None:
    """Turn contiguous inputs (rows, views, width) to these axes, in place."""
    for block in inputs.flatten(0, 1).split(_BLOCK):  # type: ignore[no-untyped-call]
        block.copy_(block @ axes)


def _penalty_shares(outputs: Outputs) -> Tensor:
    """The share of each column in the loss: tags and numbers have a mean over the columns, classes do not."""
    shares = [
        torch.full((size,), 1.0 if activation is Activation.SOFTMAX else 1.0 / size)
        for activation, size in outputs.blocks
    ]
    return torch.cat(shares)


def _curvature(outputs: Outputs, logits: Tensor) -> Tensor:
    """The second derivative of the loss by each column's logit, at the best constant logits."""
    of_column: dict[Activation, Tensor] = {}
    curvatures = []
    for activation, columns in outputs.slices:
        of_column = {Activation.SOFTMAX: logits[columns].softmax(dim=0), Activation.SIGMOID: logits[columns].sigmoid()}
        if activation is Activation.LINEAR:
            curvatures.append(torch.full_like(logits[columns], 2.0 / len(logits[columns])))
            continue
        frequency = of_column[activation]
        share = 1.0 if activation is Activation.SOFTMAX else 1.0 / len(frequency)
        curvatures.append(share * frequency * (1 - frequency))
    return torch.cat(curvatures)


def standardised(
    features: NDArray[np.float32], rows: Sequence[int] | NDArray[np.int64], eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """These rows of features (rows, views, width) as z-scores, with the mean and variance that made them."""
    values = torch.from_numpy(np.ascontiguousarray(features[rows]))
    flat = values.flatten(0, 1)
    mean = flat.mean(dim=0, dtype=torch.float64)
    variance = torch.zeros_like(mean)
    for block in flat.split(_BLOCK):  # type: ignore[no-untyped-call]
        variance += (block - mean).square().sum(dim=0)
    variance /= len(flat)
    scale = torch.rsqrt(variance + eps)
    values.sub_(mean.float()).mul_(scale.float())
    return values, mean.float(), variance.float()

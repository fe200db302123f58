"""The learning-rate finder: raise the rate batch by batch until the loss breaks away, and look where it was best.

With differential rates all groups rise together; the rates told are those of the last group, the head.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from runner.console import log, progress, sparkline
from runner.contract import Stage
from runner.training.distributed import broadcast_from_main
from runner.training.learner import Learner, read_shares, set_rates
from runner.training.loaders import Loader, shuffled_batches
from runner.training.optimizer import group_lrs_for, lrs_of_groups
from runner.workspace import read_json, write_json

if TYPE_CHECKING:
    from runner.training.fold import FoldRun

_LOWEST, _HIGHEST, _STEPS = 1e-6, 1.0, 100
_SMOOTHING = 0.9
# The sweep ends where the smoothed loss is this many times its best.
_DIVERGED = 3.0
# A minimum that lies less than this share below the start is none.
_DEPTH = 0.05
# The minimum is where it begins to break; a factor of ten below, it learns steadily.
_BELOW_MINIMUM = 10.0


@dataclass(frozen=True)
class Curve:
    """The rate of the last group and the smoothed loss, mini-batch by mini-batch."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True)
class LRFindResult:
    """What the curve says. `suggested` is None where it has no minimum to go by."""

    curve: Curve
    suggested: float | None
    minimum: float | None
    steepest: float | None
    reason: str


def stage_rate(
    fold: FoldRun, stage: Stage, number: int, learner: Learner, feed: Loader, batch_size: int
) -> float | None:
    """The rate found for a stage, where the recipe asks for one; found once, and kept with the fold."""
    if not fold.recipe.find_lr:
        return None
    path = finding_file(fold.folder, number)
    if not broadcast_from_main(learner.accelerator, path.exists):
        finding = find_lr(fold, stage, learner, feed, batch_size)
        if learner.accelerator.is_main_process:
            write_json(path, asdict(finding))
            log.info(tell(finding))
        learner.accelerator.wait_for_everyone()
    found: float | None = read_json(path)["suggested"]
    return found


def finding_file(folder: Path, stage: int) -> Path:
    """Where a fold keeps what the finder found for a stage."""
    return folder / f"find-lr-{stage}.json"


def find_lr(fold: FoldRun, stage: Stage, learner: Learner, feed: Loader, batch_size: int) -> LRFindResult:
    """Sweep, and put weights, optimizer and random state back exactly."""
    with _put_back(learner):
        curve = _sweep(fold, stage, learner, feed, batch_size)
    return read_curve(curve)


def read_curve(curve: Curve) -> LRFindResult:
    """The suggestion a curve bears, or the reason why it bears none."""
    losses, rates = curve.losses, curve.rates
    if len(losses) < 5:
        return LRFindResult(curve, None, None, None, "too few mini-batches before the loss broke away")
    lowest = min(range(len(losses)), key=losses.__getitem__)
    steepest = _steepest(curve, lowest)
    if losses[lowest] > losses[0] * (1 - _DEPTH):
        return LRFindResult(curve, None, None, None, "the loss never fell: there is no minimum to go by")
    if lowest == len(losses) - 1:
        return LRFindResult(curve, None, None, steepest, "the loss was still falling at the highest rate: no minimum")
    suggested = rates[lowest] / _BELOW_MINIMUM
    return LRFindResult(curve, suggested, rates[lowest], steepest, "a factor of ten below the minimum")


def tell(finding: LRFindResult) -> str:
    """The finding in a sentence, and the curve as a line."""
    steepest = f"; steepest at {finding.steepest:.2g}" if finding.steepest else ""
    if finding.suggested is None:
        told = f"no rate found: {finding.reason}{steepest}; the recipe's own rate is kept"
    else:
        told = f"rate {finding.suggested:.2g}: {finding.reason} at {finding.minimum:.2g}{steepest}"
    return f"{told}\n  {sparkline(finding.curve.losses)}  {finding.curve.rates[0]:.0e} to {finding.curve.rates[-1]:.0e}"


def _sweep(fold: FoldRun, stage: Stage, learner: Learner, feed: Loader, batch_size: int) -> Curve:
    shape = group_lrs_for(fold.recipe, stage, 1.0)
    head = shape[-1]
    torch.manual_seed(fold.seed("find-lr"))
    learner.module.train()
    rates: list[float] = []
    losses: list[float] = []
    average = 0.0
    with progress("finding the rate", _STEPS) as advance:
        for step, (batch, share) in enumerate(islice(_endless(fold, learner, feed, batch_size), _STEPS)):
            rate = _LOWEST * (_HIGHEST / _LOWEST) ** (step / (_STEPS - 1))
            set_rates(learner.optimizer, lrs_of_groups(learner.optimizer, shape, rate / head))
            loss = float(learner.accelerator.reduce(learner.step(batch, share), reduction="mean"))
            average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
            smooth = average / (1 - _SMOOTHING ** (step + 1))
            if not math.isfinite(loss) or (losses and smooth > _DIVERGED * min(losses)):
                break
            rates.append(rate)
            losses.append(smooth)
            advance(1, f"rate {rate:.1e}  loss {smooth:.4f}")
    return Curve(tuple(rates), tuple(losses))


def _endless(fold: FoldRun, learner: Learner, feed: Loader, batch_size: int) -> Iterator[tuple[Any, float]]:
    """Batches of the training rows, epoch after epoch."""
    epoch = 0
    while True:
        batches = shuffled_batches(fold.train_rows, batch_size, fold.seed("find-lr", "order", epoch))
        yield from read_shares(learner.accelerator, feed, batches, fold.seed("find-lr", "augment", epoch))
        epoch += 1


@contextmanager
def _put_back(learner: Learner) -> Iterator[None]:
    """Weights, optimizer and random state, after the block as before it."""
    weights = {name: tensor.clone() for name, tensor in learner.module.state_dict().items()}
    optimizer = copy.deepcopy(learner.optimizer.state_dict())
    random = torch.get_rng_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        learner.module.load_state_dict(weights)
        learner.optimizer.load_state_dict(optimizer)
        learner.optimizer.zero_grad(set_to_none=True)
        torch.set_rng_state(random)


def _steepest(curve: Curve, lowest: int) -> float | None:
    """The rate at which the loss fell fastest, over the logarithm of the rate, on the way to its minimum."""
    falls = [curve.losses[step] - curve.losses[step - 1] for step in range(1, lowest + 1)]
    return curve.rates[1 + min(range(len(falls)), key=falls.__getitem__)] if falls and min(falls) < 0 else None

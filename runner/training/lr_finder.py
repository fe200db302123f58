"""The LR finder (Smith 2017): raise the lr batch by batch until the loss diverges, and read the curve.

With an lr per group all of them rise together; the lrs reported are those of the last group, the head.
"""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from runner.console import log, progress, sparkline
from runner.contract import Stage
from runner.options import TrainOptions
from runner.training.distributed import broadcast_from_main, get_accelerator, set_scaler
from runner.training.fold import FoldRun, initial_network, stage_loaders
from runner.training.learner import Learner, build_learner, prepared, read_shards, set_lrs
from runner.training.loaders import Batch, Loader, shuffled_batches
from runner.training.optimizer import apply_freezing, group_lrs_for, scaled_lrs
from runner.training.rounding import keep_precise
from runner.workspace import read_record, write_json

FORMAT = 1  # of find-lr-N.json

_LOWEST, _HIGHEST, _STEPS = 1e-6, 1.0, 100
_SMOOTHING = 0.9
# The sweep ends when the smoothed loss is this many times its lowest.
_DIVERGED = 3.0
# A minimum that is less than this share below the loss at the start is none, nor is one within this many standard
# errors of the smoothed loss: of a hundred noisy values some are low by chance.
_DEPTH, _ERRORS = 0.05, 3.0
# In this share of the sweep the lr is too low to change the loss: it shows level and noise, not a minimum.
_START = 0.2
# At the minimum the loss is about to diverge; at a tenth of that lr training is stable.
_BELOW_MINIMUM = 10.0


@dataclass(frozen=True)
class Curve:
    """The lr of the last group and the smoothed loss, mini-batch by mini-batch."""

    lrs: tuple[float, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True)
class LRFindResult:
    """Suggestions by fastai's names; each is None if the curve has no such point."""

    curve: Curve
    minimum: float | None  # a tenth of the lr with the lowest loss: the one that is used
    lowest_loss_lr: float | None
    steep: float | None  # where the loss falls fastest
    valley: float | None  # half-way down the longest descent
    reason: str


@dataclass(frozen=True)
class StageLR:
    """The LR finder's result for one stage."""

    stage: Stage
    result: LRFindResult


def find_stage_lr(fold: FoldRun, stage: Stage, options: TrainOptions) -> StageLR:
    """Sweep the lr for one stage, from the recipe's initial network; nothing is trained."""
    network = initial_network(fold, options)
    network.set_size(stage.size)
    apply_freezing(network, fold.recipe, stage)
    network.to(get_accelerator(fold.session.compute).device)
    keep_precise(fold, network, stage.size)
    learner = build_learner(fold, network, stage)
    loader, _ = stage_loaders(fold, network, stage, fold.recipe.batch_size)
    result = find_lr(fold, stage, prepared(learner), loader, fold.recipe.batch_size)
    learner.accelerator.free_memory()
    return StageLR(stage, result)


def load_or_find_lr(fold: FoldRun, number: int, learner: Learner, loader: Loader, batch_size: int) -> float | None:
    """The suggested lr for a stage of the recipe, or None if the recipe does not use the finder.

    Searched once, and kept in the fold's folder.
    """
    if not fold.recipe.find_lr:
        return None
    path = lr_file(fold.folder, number)
    if not broadcast_from_main(path.exists):
        result = find_lr(fold, fold.recipe.stages[number], learner, loader, batch_size)
        if learner.accelerator.is_main_process:
            write_json(path, asdict(result), format=FORMAT)
            log.info(describe(result))
        learner.accelerator.wait_for_everyone()
    return read_lr_file(path).minimum


def read_lr_file(path: Path) -> LRFindResult:
    """What the finder found for a stage."""
    return read_record(path, LRFindResult, format=FORMAT, fix="delete the file: the finder then runs again")


def lr_file(folder: Path, stage: int) -> Path:
    """The file of the finder's result for a stage, in a fold's folder."""
    return folder / f"find-lr-{stage}.json"


def find_lr(fold: FoldRun, stage: Stage, learner: Learner, loader: Loader, batch_size: int) -> LRFindResult:
    """Sweep, and restore weights, optimizer and random state exactly."""
    with _restored(learner):
        curve = _sweep(fold, stage, replace(learner, ema=None), loader, batch_size)
    return read_curve(curve)


def read_curve(curve: Curve) -> LRFindResult:
    """The suggestions of a curve, or the reason why it has none."""
    losses, lrs = curve.losses, curve.lrs
    if len(losses) < 5:
        return LRFindResult(curve, None, None, None, None, "too few mini-batches before the loss diverged")
    start = int(_START * len(losses))
    lowest = min(range(start, len(losses)), key=losses.__getitem__)
    steep = _steep(curve, lowest)
    if not _fell(_unsmoothed(losses)[:start], losses[lowest]):
        return LRFindResult(curve, None, None, None, None, "the loss never fell")
    if lowest == len(losses) - 1:
        return LRFindResult(curve, None, None, steep, None, "the loss was still falling at the highest lr")
    return LRFindResult(
        curve,
        lrs[lowest] / _BELOW_MINIMUM,
        lrs[lowest],
        steep,
        _valley(curve),
        "a tenth of the lr with the lowest loss",
    )


def _fell(first: Sequence[float], lowest: float) -> bool:
    """Whether the lowest smoothed loss is below the level of the first losses by more than their noise."""
    level = statistics.fmean(first)
    noise = statistics.pstdev(first) * math.sqrt((1 - _SMOOTHING) / (1 + _SMOOTHING))
    return level - lowest >= max(_DEPTH * level, _ERRORS * noise)


def _unsmoothed(losses: Sequence[float]) -> list[float]:
    """The loss of each mini-batch, from the smoothed losses."""
    averages = [loss * (1 - _SMOOTHING ** (step + 1)) for step, loss in enumerate(losses)]
    before = [0.0, *averages]
    return [(now - _SMOOTHING * then) / (1 - _SMOOTHING) for then, now in zip(before, averages, strict=False)]


def describe(result: LRFindResult) -> str:
    """The result in a sentence, and the curve as a line of blocks."""
    steep = f"; steep {result.steep:.2g}" if result.steep else ""
    if result.minimum is None:
        text = f"no lr suggested: {result.reason}{steep}; the recipe's lr is used"
    else:
        valley = f", valley {result.valley:.2g}" if result.valley else ""
        text = f"suggested lr {result.minimum:.2g}: {result.reason}, {result.lowest_loss_lr:.2g}{steep}{valley}"
    lrs = result.curve.lrs
    return f"{text}\n  {sparkline(result.curve.losses)}  lr {lrs[0]:.0e} to {lrs[-1]:.0e}" if lrs else text


def _sweep(fold: FoldRun, stage: Stage, learner: Learner, loader: Loader, batch_size: int) -> Curve:
    ratios = group_lrs_for(fold.recipe, stage, 1.0)
    torch.manual_seed(fold.seed("find-lr"))
    learner.module.train()
    lrs: list[float] = []
    losses: list[float] = []
    average = 0.0
    with progress("finding the lr", _STEPS) as advance:
        batches = _endless_batches(fold, loader, batch_size)
        for step in range(_STEPS):
            lr = _LOWEST * (_HIGHEST / _LOWEST) ** (step / (_STEPS - 1))
            set_lrs(learner.optimizer, scaled_lrs(learner.optimizer, ratios, lr / ratios[-1]))
            loss = _step(fold, learner, list(islice(batches, fold.recipe.optimizer.accumulate)), step)
            average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
            smooth = average / (1 - _SMOOTHING ** (step + 1))
            if not math.isfinite(loss) or (losses and smooth > _DIVERGED * min(losses)):
                break
            lrs.append(lr)
            losses.append(smooth)
            advance(1, f"lr {lr:.1e}  loss {smooth:.4f}")
    return Curve(tuple(lrs), tuple(losses))


def _step(fold: FoldRun, learner: Learner, shards: Sequence[tuple[Batch, float]], number: int) -> float:
    """One optimizer step as in training, of as many mini-batches; the mean of their losses."""
    losses = []
    for place, (batch, weight) in enumerate(shards):
        seed, last = fold.seed("find-lr", "mix", number, place), place == len(shards) - 1
        losses.append(learner.step(batch, weight, seed=seed, share=1 / len(shards), last=last))
    return float(learner.accelerator.reduce(torch.stack(losses).mean(), reduction="mean"))


def _endless_batches(fold: FoldRun, loader: Loader, batch_size: int) -> Iterator[tuple[Batch, float]]:
    """Batches of the training rows, epoch after epoch."""
    epoch = 0
    while True:
        batches = shuffled_batches(fold.train.rows, batch_size, fold.seed("find-lr", "order", epoch))
        yield from read_shards(loader, batches, fold.seed("find-lr", "augment", epoch))
        epoch += 1


@contextmanager
def _restored(learner: Learner) -> Iterator[None]:
    """Weights, optimizer, gradient scaler and random state are the same after the block as before it."""
    weights = {name: tensor.clone() for name, tensor in learner.module.state_dict().items()}
    optimizer = copy.deepcopy(learner.optimizer.state_dict())
    scaler, random = learner.accelerator.scaler, torch.get_rng_state()
    scaling = scaler.state_dict() if scaler else None
    try:
        with torch.random.fork_rng():
            yield
    finally:
        learner.module.load_state_dict(weights)
        learner.optimizer.load_state_dict(optimizer)
        learner.optimizer.zero_grad(set_to_none=True)
        set_scaler(learner.accelerator, scaling)
        torch.set_rng_state(random)


def _steep(curve: Curve, lowest: int) -> float | None:
    """The lr at which the loss falls fastest per decade of lr, before its minimum."""
    falls = [curve.losses[step] - curve.losses[step - 1] for step in range(1, lowest + 1)]
    return curve.lrs[1 + min(range(len(falls)), key=falls.__getitem__)] if falls and min(falls) < 0 else None


def _valley(curve: Curve) -> float:
    """fastai's default: half-way in the middle third of the longest descending subsequence of losses."""
    losses, lengths = curve.losses, [1] * len(curve.losses)
    for end in range(1, len(losses)):
        lengths[end] = 1 + max((lengths[start] for start in range(end) if losses[end] < losses[start]), default=0)
    last = max(range(len(losses)), key=lengths.__getitem__)
    first = max(0, last - lengths[last])
    third = (last - first) / 3
    return curve.lrs[first + int(third) + int(third / 2)]

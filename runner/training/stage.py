"""Train what is left of one stage: from the state on the disk, epoch by epoch, back to the disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from runner.console import log
from runner.contract import Metric, Stage, TrainMode
from runner.contract.thresholds import apply_thresholds
from runner.training.batch_size import dry_run_batch
from runner.training.diagnosis import diagnose
from runner.training.distributed import main_process_first
from runner.training.feeds import build_feeds, oversampled
from runner.training.fold import FoldRun, Machine, initial_network, load_snapshot, training_error
from runner.training.learner import EpochStats, Learner, NonFiniteLoss, predict_logits, train_epoch
from runner.training.loaders import Loader, shuffled_batches
from runner.training.log import append_line, read_log
from runner.training.losses import loss_of, to_probabilities
from runner.training.lr_finder import LRFindResult, find_lr, stage_rate
from runner.training.model import Network
from runner.training.optimizer import apply_freezing, build_optimizer, group_lrs_for, lrs_of_groups
from runner.training.schedule import Epoch, lr_factor
from runner.training.snapshots import (
    Snapshot,
    load_network_checkpoint,
    load_optimizer_checkpoint,
    read_checkpoint_meta,
    read_snapshots,
    write_checkpoint,
    write_snapshot,
)
from runner.training.tracking import track_line

# The share of an epoch that may go into waiting for images before it is worth a word.
_LONG_WAIT = 0.1


@dataclass(frozen=True)
class StageTrainer:
    """What one stage trains with."""

    fold: FoldRun
    stage: Stage
    network: Network
    learner: Learner
    train_feed: Loader
    valid_feed: Loader
    batch_size: int
    rates: tuple[float, float, float]  # the top rates of early, late and head


def train_stage(
    fold: FoldRun, machine: Machine, accelerator: Accelerator, epochs: Sequence[Epoch], batch_size: int
) -> None:
    """Train these epochs of one stage, and say what to make of them."""
    stage = fold.recipe.stages[epochs[0].stage]
    network = main_process_first(accelerator, lambda: _network_at(fold, machine, stage)).to(accelerator.device)
    train_feed, valid_feed = build_feeds(fold, machine, accelerator, network, stage, batch_size)
    learner = _learner(fold, machine, accelerator, network, epochs[0])
    if fold.recipe.auto_batch and accelerator.num_processes > 1:
        dry_run_batch(learner, train_feed, shuffled_batches(fold.train_rows, batch_size, 0)[0])
    found = stage_rate(fold, stage, epochs[0].stage, learner, train_feed, batch_size)
    rates = group_lrs_for(fold.recipe, stage, found)
    tools = StageTrainer(fold, stage, network, learner, train_feed, valid_feed, batch_size, rates)
    _say_header(tools)
    for epoch in epochs:
        _fit_epoch(tools, epoch)
    _remark_on_waiting(tools, epochs[-1])
    accelerator.free_memory()
    if accelerator.is_main_process:
        log.info(diagnose([line for line in read_log(fold.log_file) if line["fold"] == fold.number], epochs[0].stage))


def _network_at(fold: FoldRun, machine: Machine, stage: Stage) -> Network:
    """The network as the last finished epoch left it, at the stage's size and with its parts frozen."""
    snapshots, state = read_snapshots(fold.folder), fold.checkpoint_file
    if snapshots:
        network = load_snapshot(fold, snapshots[-1])
    else:
        network = initial_network(fold, machine)
        network.set_size(fold.recipe.stages[0].size)
    if state.exists():
        load_network_checkpoint(state, network)
    network.set_size(stage.size)
    apply_freezing(network, fold.recipe, stage)
    return network


def _learner(fold: FoldRun, machine: Machine, accelerator: Accelerator, network: Network, first: Epoch) -> Learner:
    optimizer = build_optimizer(network, fold.recipe.weight_decay)
    # A new stage begins with a fresh optimizer, whether or not the run was broken off between the two.
    if fold.checkpoint_file.exists() and read_checkpoint_meta(fold.checkpoint_file)["stage"] == first.stage:
        load_optimizer_checkpoint(fold.checkpoint_file, optimizer)
    module: torch.nn.Module = network.head if fold.recipe.stages[first.stage].mode is TrainMode.FEATURES else network
    if machine.compiles:
        network.fold()  # a compiler that meets the folding follows that too, and again at every step
        module = torch.compile(module)  # type: ignore[assignment]
    prepared, optimizer = accelerator.prepare(module, optimizer)
    return Learner(accelerator, prepared, optimizer, fold.competition.labels)


@dataclass(frozen=True)
class Found:
    """What the finder says of one stage."""

    stage: Stage
    finding: LRFindResult


def find_stage_rate(fold: FoldRun, machine: Machine, accelerator: Accelerator, stage: Stage) -> Found:
    """Sweep the rate for one stage, from the recipe's start."""
    network = initial_network(fold, machine)
    network.set_size(stage.size)
    apply_freezing(network, fold.recipe, stage)
    network.to(accelerator.device)
    feed, _ = build_feeds(fold, machine, accelerator, network, stage, fold.recipe.batch_size)
    optimizer = build_optimizer(network, fold.recipe.weight_decay)
    module: torch.nn.Module = network.head if stage.mode is TrainMode.FEATURES else network
    prepared, optimizer = accelerator.prepare(module, optimizer)
    learner = Learner(accelerator, prepared, optimizer, fold.competition.labels)
    finding = find_lr(fold, stage, learner, feed, fold.recipe.batch_size)
    accelerator.free_memory()
    return Found(stage, finding)


def _fit_epoch(tools: StageTrainer, epoch: Epoch) -> None:
    """One epoch, its line in the log, a snapshot where a cycle ends, and the state to go on from."""
    fold = tools.fold
    trained = _train_one(tools, epoch)
    valid_loss, scores = _validate(tools)
    if tools.learner.accelerator.is_main_process:
        _say_epoch(epoch, trained, valid_loss, scores)
        line = _log_line(tools, epoch, trained, valid_loss, scores)
        append_line(fold.log_file, line)
        track_line(tools.learner.accelerator, line)
        if epoch.ends_cycle:
            snapshot = Snapshot(epoch.cycle, epoch.stage, tools.stage.size, valid_loss, scores)
            write_snapshot(fold.folder, snapshot, tools.network)
        facts = {"epoch": epoch.number, "stage": epoch.stage, "batch_size": tools.batch_size}
        write_checkpoint(fold.checkpoint_file, tools.network, tools.learner.optimizer, facts)
    tools.learner.accelerator.wait_for_everyone()


def _train_one(tools: StageTrainer, epoch: Epoch) -> EpochStats:
    fold, learner = tools.fold, tools.learner
    batches = shuffled_batches(oversampled(fold), tools.batch_size, fold.seed("order", epoch.number))

    def rates(batch: int) -> list[float]:
        return lrs_of_groups(learner.optimizer, tools.rates, lr_factor(epoch, batch, len(batches)))

    torch.manual_seed(fold.seed("dropout", epoch.number, learner.accelerator.process_index))
    try:
        return train_epoch(
            learner,
            tools.train_feed,
            batches,
            seed=fold.seed("augment", epoch.number),
            rates=rates,
            title=f"epoch {epoch.number + 1}/{fold.recipe.epochs}",
        )
    except NonFiniteLoss as error:
        raise _lost(fold, epoch, error) from error


def _lost(fold: FoldRun, epoch: Epoch, error: NonFiniteLoss) -> Exception:
    """The loss became no number: what was finished stays, and which rate did it is said."""
    snapshots = read_snapshots(fold.folder)
    back = f"the weights are back at {snapshots[-1].name}" if snapshots else "nothing of it is kept"
    start = f" --from-run {fold.folder.parent.name}:{snapshots[-1].name}" if snapshots else ""
    found = f"the loss became NaN in epoch {epoch.number + 1}, mini-batch {error.batch + 1}, at rate {error.rate:.3g}"
    fix = f"runner {fold.competition.name} train --lr {error.rate / 10:.2g}{start}"
    return training_error(fold, f"{found}; {back}", fix)


def _validate(tools: StageTrainer) -> tuple[float | None, dict[str, float]]:
    """The loss and every metric on the held-out rows."""
    fold = tools.fold
    if len(fold.valid_rows) == 0:
        return None, {}
    logits = predict_logits(
        tools.learner.accelerator,
        tools.learner.module,
        tools.valid_feed,
        fold.valid_rows,
        tools.batch_size,
        title="validating",
    )
    labels, targets = fold.competition.labels, fold.answers.targets[fold.valid_rows]
    loss = float(loss_of(labels, logits, torch.from_numpy(targets)))
    probabilities = to_probabilities(labels, logits)
    return loss, {metric.key: metric.score(targets, _seen_by(metric, probabilities)) for metric in fold.metrics}


def _seen_by(metric: Metric, probabilities: NDArray[Any]) -> NDArray[Any]:
    return apply_thresholds(probabilities) if metric.takes_decisions else probabilities


def _log_line(
    tools: StageTrainer, epoch: Epoch, trained: EpochStats, valid_loss: float | None, scores: dict[str, float]
) -> dict[str, Any]:
    rows = len(tools.fold.train_rows)
    return {
        "fold": tools.fold.number,
        "epoch": epoch.number,
        "stage": epoch.stage,
        "size": tools.stage.size,
        "mode": tools.stage.mode.value,
        "cycle": epoch.cycle,
        "ends_cycle": epoch.ends_cycle,
        "batch_size": tools.batch_size,
        "train_loss": trained.loss,
        "valid_loss": valid_loss,
        "scores": scores,
        "seconds": round(trained.seconds, 3),
        "waited_seconds": round(trained.waited, 3),
        "images_per_second": round(rows / trained.seconds, 1),
        "losses": [round(loss, 5) for loss in trained.losses],
        "rates": [float(f"{rate:.4g}") for rate in trained.rates],
    }


def _remark_on_waiting(tools: StageTrainer, last: Epoch) -> None:
    """Say it where the network had to wait for its images, when all of them had been read before."""
    line = read_log(tools.fold.log_file)[-1]
    share = line["waited_seconds"] / max(line["seconds"], 1e-9)
    if tools.stage.mode is TrainMode.FEATURES or share < _LONG_WAIT or line["waited_seconds"] < 1:
        return
    if tools.learner.accelerator.is_main_process:
        log.info(f"epoch {last.number + 1}: {share:.0%} of the time went into waiting for images; try more --workers")


def _say_header(tools: StageTrainer) -> None:
    fold, stage = tools.fold, tools.stage
    if not tools.learner.accelerator.is_main_process:
        return
    rows = f"{len(fold.train_rows):,} images to learn from, {len(fold.valid_rows):,} held out"
    log.info(f"\nfold {fold.number}, {stage.size} px, {stage.mode.value}, rate {tools.rates[-1]:.2g}: {rows}")
    log.info(f"{'epoch':>7}{'training':>10}{'valid':>10}" + "".join(f"{metric.title:>10}" for metric in fold.metrics))


def _say_epoch(epoch: Epoch, trained: EpochStats, valid_loss: float | None, scores: dict[str, float]) -> None:
    valid = f"{valid_loss:10.4f}" if valid_loss is not None else f"{'-':>10}"
    end = "  snapshot" if epoch.ends_cycle else ""
    log.info(f"{epoch.number + 1:>7}{trained.loss:10.4f}{valid}" + "".join(f"{s:10.4f}" for s in scores.values()) + end)

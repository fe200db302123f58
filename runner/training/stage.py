"""Train what is left of one stage: from the state on the disk, epoch by epoch, back to the disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from runner.console import say
from runner.contract import Metric, Stage, TrainMode
from runner.contract.thresholds import apply_thresholds
from runner.training.batch_size import try_batch
from runner.training.diagnosis import diagnose
from runner.training.distributed import main_first
from runner.training.feeds import build_feeds, oversampled
from runner.training.fold import Fold, Machine, broken_by, build_start, load_snapshot
from runner.training.learner import Learner, NotANumber, Trained, predict_logits, train_epoch
from runner.training.loaders import Feed, order_batches
from runner.training.log import append_line, read_log
from runner.training.losses import loss_of, probabilities_of
from runner.training.lr_finder import Finding, find_rate, stage_rate
from runner.training.model import Network
from runner.training.optimizer import build_optimizer, freeze_for, rates_by_depth, rates_of_groups
from runner.training.schedule import Epoch, rate_share
from runner.training.snapshots import (
    Snapshot,
    load_network_state,
    load_optimizer_state,
    read_facts,
    read_snapshots,
    write_snapshot,
    write_state,
)
from runner.training.tracking import track_line

# The share of an epoch that may go into waiting for pictures before it is worth a word.
_LONG_WAIT = 0.1


@dataclass(frozen=True)
class _Tools:
    """What one stage trains with."""

    fold: Fold
    stage: Stage
    network: Network
    learner: Learner
    train_feed: Feed
    valid_feed: Feed
    batch_size: int
    rates: tuple[float, float, float]  # the top rates of early, late and head


def train_stage(
    fold: Fold, machine: Machine, accelerator: Accelerator, epochs: Sequence[Epoch], batch_size: int
) -> None:
    """Train these epochs of one stage, and say what to make of them."""
    stage = fold.recipe.stages[epochs[0].stage]
    network = main_first(accelerator, lambda: _network_at(fold, machine, stage)).to(accelerator.device)
    train_feed, valid_feed = build_feeds(fold, machine, accelerator, network, stage, batch_size)
    learner = _learner(fold, machine, accelerator, network, epochs[0])
    if fold.recipe.auto_batch and accelerator.num_processes > 1:
        try_batch(learner, train_feed, order_batches(fold.train_rows, batch_size, 0)[0])
    found = stage_rate(fold, stage, epochs[0].stage, learner, train_feed, batch_size)
    rates = rates_by_depth(fold.recipe, stage, found)
    tools = _Tools(fold, stage, network, learner, train_feed, valid_feed, batch_size, rates)
    _say_header(tools)
    for epoch in epochs:
        _train_and_keep(tools, epoch)
    _remark_on_waiting(tools, epochs[-1])
    accelerator.free_memory()
    if accelerator.is_main_process:
        say(diagnose([line for line in read_log(fold.log) if line["fold"] == fold.number], epochs[0].stage))


def _network_at(fold: Fold, machine: Machine, stage: Stage) -> Network:
    """The network as the last finished epoch left it, at the stage's size and with its parts frozen."""
    snapshots, state = read_snapshots(fold.folder), fold.state_file
    if snapshots:
        network = load_snapshot(fold, snapshots[-1])
    else:
        network = build_start(fold, machine)
        network.set_size(fold.recipe.stages[0].size)
    if state.exists():
        load_network_state(state, network)
    network.set_size(stage.size)
    freeze_for(network, fold.recipe, stage)
    return network


def _learner(fold: Fold, machine: Machine, accelerator: Accelerator, network: Network, first: Epoch) -> Learner:
    optimizer = build_optimizer(network, fold.recipe.weight_decay)
    # A new stage begins with a fresh optimizer, whether or not the run was broken off between the two.
    if fold.state_file.exists() and read_facts(fold.state_file)["stage"] == first.stage:
        load_optimizer_state(fold.state_file, optimizer)
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
    finding: Finding


def find_stage_rate(fold: Fold, machine: Machine, accelerator: Accelerator, stage: Stage) -> Found:
    """Sweep the rate for one stage, from the recipe's start."""
    network = build_start(fold, machine)
    network.set_size(stage.size)
    freeze_for(network, fold.recipe, stage)
    network.to(accelerator.device)
    feed, _ = build_feeds(fold, machine, accelerator, network, stage, fold.recipe.batch_size)
    optimizer = build_optimizer(network, fold.recipe.weight_decay)
    module: torch.nn.Module = network.head if stage.mode is TrainMode.FEATURES else network
    prepared, optimizer = accelerator.prepare(module, optimizer)
    learner = Learner(accelerator, prepared, optimizer, fold.competition.labels)
    finding = find_rate(fold, stage, learner, feed, fold.recipe.batch_size)
    accelerator.free_memory()
    return Found(stage, finding)


def _train_and_keep(tools: _Tools, epoch: Epoch) -> None:
    """One epoch, its line in the log, a snapshot where a cycle ends, and the state to go on from."""
    fold = tools.fold
    trained = _train_one(tools, epoch)
    valid_loss, scores = _validate(tools)
    if tools.learner.accelerator.is_main_process:
        _say_epoch(epoch, trained, valid_loss, scores)
        line = _log_line(tools, epoch, trained, valid_loss, scores)
        append_line(fold.log, line)
        track_line(tools.learner.accelerator, line)
        if epoch.ends_cycle:
            snapshot = Snapshot(epoch.cycle, epoch.stage, tools.stage.size, valid_loss, scores)
            write_snapshot(fold.folder, snapshot, tools.network)
        facts = {"epoch": epoch.number, "stage": epoch.stage, "batch_size": tools.batch_size}
        write_state(fold.state_file, tools.network, tools.learner.optimizer, facts)
    tools.learner.accelerator.wait_for_everyone()


def _train_one(tools: _Tools, epoch: Epoch) -> Trained:
    fold, learner = tools.fold, tools.learner
    batches = order_batches(oversampled(fold), tools.batch_size, fold.seed("order", epoch.number))

    def rates(batch: int) -> list[float]:
        return rates_of_groups(learner.optimizer, tools.rates, rate_share(epoch, batch, len(batches)))

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
    except NotANumber as error:
        raise _lost(fold, epoch, error) from error


def _lost(fold: Fold, epoch: Epoch, error: NotANumber) -> Exception:
    """The loss became no number: what was finished stays, and which rate did it is said."""
    snapshots = read_snapshots(fold.folder)
    back = f"the weights are back at {snapshots[-1].name}" if snapshots else "nothing of it is kept"
    start = f" --from-run {fold.folder.parent.name}:{snapshots[-1].name}" if snapshots else ""
    found = f"the loss became NaN in epoch {epoch.number + 1}, mini-batch {error.batch + 1}, at rate {error.rate:.3g}"
    cure = f"runner {fold.competition.name} train --lr {error.rate / 10:.2g}{start}"
    return broken_by(fold, f"{found}; {back}", cure)


def _validate(tools: _Tools) -> tuple[float | None, dict[str, float]]:
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
    probabilities = probabilities_of(labels, logits)
    return loss, {metric.key: metric.score(targets, _seen_by(metric, probabilities)) for metric in fold.metrics}


def _seen_by(metric: Metric, probabilities: NDArray[Any]) -> NDArray[Any]:
    return apply_thresholds(probabilities) if metric.takes_decisions else probabilities


def _log_line(
    tools: _Tools, epoch: Epoch, trained: Trained, valid_loss: float | None, scores: dict[str, float]
) -> dict[str, Any]:
    rows = len(tools.fold.train_rows)
    return {
        "fold": tools.fold.number,
        "epoch": epoch.number,
        "stage": epoch.stage,
        "size": tools.stage.size,
        "state": tools.stage.mode.value,
        "cycle": epoch.cycle,
        "ends_cycle": epoch.ends_cycle,
        "batch_size": tools.batch_size,
        "train_loss": trained.loss,
        "valid_loss": valid_loss,
        "scores": scores,
        "seconds": round(trained.seconds, 3),
        "waited_seconds": round(trained.waited, 3),
        "pictures_per_second": round(rows / trained.seconds, 1),
        "losses": [round(loss, 5) for loss in trained.losses],
        "rates": [float(f"{rate:.4g}") for rate in trained.rates],
    }


def _remark_on_waiting(tools: _Tools, last: Epoch) -> None:
    """Say it where the network had to wait for its pictures, when all of them had been read before."""
    line = read_log(tools.fold.log)[-1]
    share = line["waited_seconds"] / max(line["seconds"], 1e-9)
    if tools.stage.mode is TrainMode.FEATURES or share < _LONG_WAIT or line["waited_seconds"] < 1:
        return
    if tools.learner.accelerator.is_main_process:
        say(f"epoch {last.number + 1}: {share:.0%} of the time went into waiting for pictures; try more --workers")


def _say_header(tools: _Tools) -> None:
    fold, stage = tools.fold, tools.stage
    if not tools.learner.accelerator.is_main_process:
        return
    rows = f"{len(fold.train_rows):,} pictures to learn from, {len(fold.valid_rows):,} held out"
    say(f"\nfold {fold.number}, {stage.size} px, {stage.mode.value}, rate {tools.rates[-1]:.2g}: {rows}")
    say(f"{'epoch':>7}{'training':>10}{'valid':>10}" + "".join(f"{metric.title:>10}" for metric in fold.metrics))


def _say_epoch(epoch: Epoch, trained: Trained, valid_loss: float | None, scores: dict[str, float]) -> None:
    valid = f"{valid_loss:10.4f}" if valid_loss is not None else f"{'-':>10}"
    end = "  snapshot" if epoch.ends_cycle else ""
    say(f"{epoch.number + 1:>7}{trained.loss:10.4f}{valid}" + "".join(f"{s:10.4f}" for s in scores.values()) + end)

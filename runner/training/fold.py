"""Train one fold by the recipe: stages, then cycles; a snapshot a cycle; each finished epoch is kept."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import nn

from runner.console import say
from runner.contract import Competition, Metric, Recipe, Stage
from runner.data.index import Index
from runner.data.pictures import PictureReader, open_pictures
from runner.data.transforms import build_augmentation, build_plain
from runner.training.batches import Feed, order_batches
from runner.training.groups import build_optimizer, rates_by_depth
from runner.training.log import append_line, keep_lines
from runner.training.loop import Trained, build_accelerator, predict_logits, train_epoch
from runner.training.model import Network, build_network
from runner.training.outputs import decide, loss_of, probabilities_of
from runner.training.schedule import Epoch, plan_epochs, rate_share
from runner.training.seeds import seed_for
from runner.training.snapshots import (
    Snapshot,
    load_state,
    load_weights,
    read_facts,
    read_snapshots,
    write_snapshot,
    write_state,
)


@dataclass(frozen=True)
class Fold:
    """What one fold trains on, and where it keeps what comes of it."""

    competition: Competition
    recipe: Recipe
    index: Index
    number: int
    train_rows: NDArray[np.int64]  # rows of index.train
    valid_rows: NDArray[np.int64]
    folder: Path
    log: Path

    def seed(self, *place: object) -> int:
        return seed_for(self.recipe.seed, "fold", self.number, *place)


@dataclass(frozen=True)
class Machine:
    """What the person at the keyboard has: nothing here changes what is learned."""

    device: str = "auto"
    workers: int = 0
    weights: Path | None = None


def default_workers() -> int:
    """Processes that read pictures: beside a GPU as many as help, beside a busy processor two."""
    cores = os.cpu_count() or 1
    return min(cores, 8 if torch.cuda.is_available() else 2)


def train_fold(fold: Fold, machine: Machine) -> tuple[Snapshot, ...]:
    """Every snapshot of the fold. What an earlier, broken-off call finished is not done again."""
    epochs = plan_epochs(fold.recipe.stages)
    finished = read_snapshots(fold.folder)
    if len(finished) == epochs[-1].cycle + 1:
        return finished
    accelerator = build_accelerator(machine.device)
    network = build_fold_network(fold, machine)
    first = _first_epoch(fold)
    for number in range(len(fold.recipe.stages)):
        left = [epoch for epoch in epochs if epoch.stage == number and epoch.number >= first]
        if left:
            _train_stage(fold, machine, accelerator, network, left, resumes=left[0].number == first > 0)
    if accelerator.is_main_process:
        _state_file(fold).unlink(missing_ok=True)
    accelerator.wait_for_everyone()
    return read_snapshots(fold.folder)


def build_fold_network(fold: Fold, machine: Machine) -> Network:
    """The network before its first step: the same for the same seed."""
    reader = open_pictures(fold.index.raw, fold.index.train["path"].tolist())
    torch.manual_seed(fold.seed("network"))
    return build_network(
        fold.recipe.backbone,
        classes=len(fold.index.classes),
        channels=reader.channels,
        pretrained=fold.recipe.pretrained,
        weights=machine.weights,
        dropout=fold.recipe.dropout,
        normalisation=_measure_bands(reader, fold.train_rows) if reader.channels != 3 else None,
    )


def load_fold_network(fold: Fold, snapshot: Snapshot) -> Network:
    """The network as a snapshot has it; nothing else is fetched or measured for it."""
    channels = open_pictures(fold.index.raw, fold.index.train["path"].tolist()).channels
    network = build_network(
        fold.recipe.backbone,
        classes=len(fold.index.classes),
        channels=channels,
        pretrained=False,
        weights=None,
        dropout=fold.recipe.dropout,
        normalisation=([0.0] * channels, [1.0] * channels),
    )
    load_weights(fold.folder, snapshot, network)
    return network


def _measure_bands(reader: PictureReader, rows: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Mean and spread of each band over this fold's training rows, and no others."""
    pixels = np.stack([reader[int(row)] for row in rows]).reshape(-1, reader.channels).astype(np.float64)
    return pixels.mean(axis=0).tolist(), pixels.std(axis=0).tolist()


def _first_epoch(fold: Fold) -> int:
    """The epoch to begin with: 0, or the one after the last that finished."""
    state = _state_file(fold)
    first = int(read_facts(state)["epoch"]) + 1 if state.exists() else 0
    keep_lines(fold.log, lambda line: line["fold"] != fold.number or line["epoch"] < first)
    if first:
        say(f"fold {fold.number}: going on after epoch {first}")
    return first


def _state_file(fold: Fold) -> Path:
    return fold.folder / "state.safetensors"


@dataclass(frozen=True)
class _StageTools:
    """What one stage trains with."""

    accelerator: Accelerator
    network: Network
    prepared: nn.Module  # the network as accelerate wraps it: one process or several
    optimizer: torch.optim.Optimizer
    train_feed: Feed
    valid_feed: Feed


def _train_stage(
    fold: Fold,
    machine: Machine,
    accelerator: Accelerator,
    network: Network,
    epochs: Sequence[Epoch],
    resumes: bool,
) -> None:
    stage = fold.recipe.stages[epochs[0].stage]
    network.to(accelerator.device).freeze(stage.state)
    optimizer = build_optimizer(network, fold.recipe.weight_decay)
    if resumes:
        # A new stage begins with a fresh optimizer, whether or not the run was broken off between them.
        same_stage = read_facts(_state_file(fold))["stage"] == epochs[0].stage
        load_state(_state_file(fold), network, optimizer if same_stage else None)
    prepared, optimizer = accelerator.prepare(network, optimizer)
    tools = _StageTools(accelerator, network, prepared, optimizer, *_build_feeds(fold, machine, stage))
    _say_header(fold, stage)
    for epoch in epochs:
        _train_and_keep(fold, tools, epoch)
    accelerator.unwrap_model(prepared, keep_fp32_wrapper=False)
    accelerator.free_memory()


def _build_feeds(fold: Fold, machine: Machine, stage: Stage) -> tuple[Feed, Feed]:
    preset = fold.competition.preset
    reader = open_pictures(fold.index.raw, fold.index.train["path"].tolist())
    targets = fold.index.targets()
    augment = build_augmentation(preset, stage.size, channels_are_light=reader.channels == 3)
    plain = build_plain(preset, stage.size)
    return Feed(reader, targets, augment, machine.workers), Feed(reader, targets, plain, machine.workers)


def _train_and_keep(fold: Fold, tools: _StageTools, epoch: Epoch) -> None:
    """One epoch, its line in the log, a snapshot where a cycle ends, and the state to go on from."""
    trained = _train_one(fold, tools, epoch)
    valid_loss, scores = _validate(fold, tools)
    if not tools.accelerator.is_main_process:
        return
    _say_epoch(epoch, trained, valid_loss, scores)
    append_line(fold.log, _log_line(fold, epoch, trained, valid_loss, scores))
    if epoch.ends_cycle:
        size = fold.recipe.stages[epoch.stage].size
        write_snapshot(fold.folder, Snapshot(epoch.cycle, epoch.stage, size, valid_loss, scores), tools.network)
    facts = {"epoch": epoch.number, "stage": epoch.stage}
    write_state(_state_file(fold), tools.network, tools.optimizer, facts)


def _train_one(fold: Fold, tools: _StageTools, epoch: Epoch) -> Trained:
    recipe, state = fold.recipe, fold.recipe.stages[epoch.stage].state
    batches = order_batches(fold.train_rows, recipe.batch_size, fold.seed("order", epoch.number))
    depths = rates_by_depth(recipe.lr, recipe.lr_divisor, state)
    groups = [group["depth"] for group in tools.optimizer.param_groups]

    def rates(batch: int) -> list[float]:
        share = rate_share(epoch, batch, len(batches))
        return [share * depths[depth] for depth in groups]

    torch.manual_seed(fold.seed("dropout", epoch.number, tools.accelerator.process_index))
    return train_epoch(
        tools.accelerator,
        tools.prepared,
        tools.optimizer,
        fold.competition.labels,
        tools.train_feed,
        batches,
        seed=fold.seed("augment", epoch.number),
        rates=rates,
        title=f"epoch {epoch.number + 1}/{recipe.epochs}",
    )


def _validate(fold: Fold, tools: _StageTools) -> tuple[float | None, dict[str, float]]:
    """The loss and every metric on the held-out rows."""
    if len(fold.valid_rows) == 0:
        return None, {}
    logits = predict_logits(
        tools.accelerator,
        tools.prepared,
        tools.valid_feed,
        fold.valid_rows,
        fold.recipe.batch_size,
        title="validating",
    )
    labels, targets = fold.competition.labels, fold.index.targets()[fold.valid_rows]
    loss = float(loss_of(labels, logits, torch.from_numpy(targets)))
    probabilities = probabilities_of(labels, logits)
    return loss, {metric.key: metric.score(targets, _seen_by(metric, probabilities)) for metric in _metrics(fold)}


def _seen_by(metric: Metric, probabilities: NDArray[Any]) -> NDArray[Any]:
    return decide(probabilities) if metric.decides else probabilities


def _metrics(fold: Fold) -> tuple[Metric, ...]:
    return (fold.competition.metric, *fold.competition.also_report)


def _log_line(
    fold: Fold, epoch: Epoch, trained: Trained, valid_loss: float | None, scores: dict[str, float]
) -> dict[str, Any]:
    stage = fold.recipe.stages[epoch.stage]
    return {
        "fold": fold.number,
        "epoch": epoch.number,
        "stage": epoch.stage,
        "size": stage.size,
        "state": stage.state.value,
        "cycle": epoch.cycle,
        "ends_cycle": epoch.ends_cycle,
        "train_loss": trained.loss,
        "valid_loss": valid_loss,
        "scores": scores,
        "seconds": round(trained.seconds, 3),
        "pictures_per_second": round(len(fold.train_rows) / trained.seconds, 1),
        "losses": [round(loss, 5) for loss in trained.losses],
        "rates": [float(f"{rate:.4g}") for rate in trained.rates],
    }


def _say_header(fold: Fold, stage: Stage) -> None:
    rows = f"{len(fold.train_rows):,} pictures to learn from, {len(fold.valid_rows):,} held out"
    say(f"\nfold {fold.number}, {stage.size} px, {stage.state.value}: {rows}")
    say(f"{'epoch':>7}{'training':>10}{'valid':>10}" + "".join(f"{metric.title:>10}" for metric in _metrics(fold)))


def _say_epoch(epoch: Epoch, trained: Trained, valid_loss: float | None, scores: dict[str, float]) -> None:
    valid = f"{valid_loss:10.4f}" if valid_loss is not None else f"{'-':>10}"
    end = "  snapshot" if epoch.ends_cycle else ""
    say(f"{epoch.number + 1:>7}{trained.loss:10.4f}{valid}" + "".join(f"{s:10.4f}" for s in scores.values()) + end)

"""Train one fold by the recipe: stages, then cycles; a snapshot a cycle, a checkpoint an epoch.

Every stage starts from the files that the stage before left. So resuming an interrupted run is not a special case:
it is how any stage starts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from runner.commands import again
from runner.console import log
from runner.contract import Stage, TrainMode
from runner.contract.default_decisions import scored_values
from runner.contract.recipe import linear_probe
from runner.contract.targets import are_class_numbers
from runner.errors import TrainingError
from runner.options import TrainOptions
from runner.training.batch_size import (
    check_shards,
    dry_run_batch,
    halve_batch_size,
    remember_batch_size,
    starting_batch_size,
)
from runner.training.deadline import require_time
from runner.training.diagnosis import diagnose
from runner.training.distributed import broadcast_from_main, get_accelerator, main_process_first, set_scaler
from runner.training.fit_head import HeadFit, fit_head
from runner.training.fold import FoldRun, initial_network, load_snapshot, oversampled_rows, stage_loaders, worker_count
from runner.training.learner import (
    EpochStats,
    Learner,
    NonFiniteLoss,
    build_learner,
    predict_logits,
    prepared,
    train_epoch,
)
from runner.training.loaders import FeatureLoader, Loader, Rows, shuffled_batches
from runner.training.log import Line, append_line, keep_lines, read_log, track_line
from runner.training.losses import constant_logits, label_loss, row_losses
from runner.training.lr_finder import load_or_find_lr
from runner.training.model import Network
from runner.training.optimizer import apply_freezing, group_lrs_for, scaled_lrs
from runner.training.recipe_flags import train_words
from runner.training.rounding import keep_precise
from runner.training.schedule import Epoch, lr_factor, plan_epochs
from runner.training.snapshots import (
    CheckpointMeta,
    Snapshot,
    drop_snapshot,
    load_ema_checkpoint,
    load_network_checkpoint,
    load_optimizer_checkpoint,
    write_checkpoint,
    write_snapshot,
)
from runner.training.strengths import read_strength

# The share of an epoch that data loading may take before there is a warning.
_HUGE = 1e4  # a loss beyond it is told with an exponent
_WHOLE = 1 << 26  # values that are scored at once; of thousands of classes some rows at a time
_SLOW_DATA = 0.1
# Standard errors of the validation loss: two stages are scored on the same rows, so a larger difference is no chance.
_CERTAINLY = 1.0


def train_fold(fold: FoldRun, options: TrainOptions = TrainOptions()) -> tuple[Snapshot, ...]:
    """Every snapshot of the fold; what an earlier, interrupted call finished is not trained again."""
    accelerator = get_accelerator(fold.session.compute)
    epochs = plan_epochs(fold.recipe.stages)
    broadcast_from_main(lambda: _drop_unfinished(fold))
    batch_size = broadcast_from_main(lambda: _batch_size(fold))
    while left := _epochs_left(fold, epochs):
        try:
            check_shards(len(fold.train), batch_size, fold.folder)
            train_stage(fold, options, left, batch_size)
        except torch.OutOfMemoryError as error:
            batch_size = halve_batch_size(batch_size, fold, error)
            accelerator.free_memory()
            continue
        if accelerator.is_main_process:
            remember_batch_size(batch_size, fold.recipe, fold.session.cache_dir)
    if accelerator.is_main_process:
        fold.checkpoint_file.unlink(missing_ok=True)
    accelerator.wait_for_everyone()
    return fold.read_snapshots()


def train_stage(fold: FoldRun, options: TrainOptions, epochs: Sequence[Epoch], batch_size: int) -> None:
    """Train these epochs of one stage, and report whether it over- or underfits."""
    trainer = StageTrainer.build(fold, options, epochs[0], batch_size)
    trainer.report_start()
    longest = 0.0
    for epoch in epochs:
        require_time(options.deadline, epoch, longest)
        start = time.monotonic()
        trainer.fit_epoch(epoch)
        longest = max(longest, time.monotonic() - start)
        if options.deadline is not None:
            options.deadline.epochs += 1
    trainer.report_end(epochs[-1])
    trainer.learner.accelerator.free_memory()


@dataclass(frozen=True)
class Validation:
    """Loss and scores on the validation rows; all empty without such rows."""

    loss: float | None = None
    error: float | None = None  # standard error of the loss
    prior_loss: float | None = None  # of the best constant prediction, on the same rows
    prior_error: float | None = None  # standard error of the difference of the two losses
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StageTrainer:
    """One stage in training: its network, loaders and peak lrs."""

    fold: FoldRun
    stage: Stage
    network: Network
    learner: Learner
    train_loader: Loader
    valid_loader: Loader
    batch_size: int
    lrs: tuple[float, float, float]  # peak lr of early, late and head

    @classmethod
    def build(cls, fold: FoldRun, options: TrainOptions, first: Epoch, batch_size: int) -> StageTrainer:
        """The trainer of the stage of its first epoch, from the files of the epochs before."""
        stage = fold.recipe.stages[first.stage]
        device = get_accelerator(fold.session.compute).device
        network = main_process_first(lambda: _resumed_network(fold, options, first.stage)).to(device)
        checkpoint = _checkpoint_of(fold, first.stage)
        if network.frozen or checkpoint is None:  # else it is in the checkpoint
            keep_precise(fold, network, stage.size)
        train_loader, valid_loader = stage_loaders(fold, network, stage, batch_size)
        learner = _resumed_learner(fold, network, stage, checkpoint)
        if fold.recipe.auto_batch and not stage.is_regression and learner.accelerator.num_processes > 1:
            dry_run_batch(learner, train_loader, shuffled_batches(fold.train.rows, batch_size, 0)[0])
        found = None
        if not stage.is_regression:
            found = load_or_find_lr(fold, first.stage, learner, train_loader, batch_size)
        lrs = group_lrs_for(fold.recipe, stage, found)
        return cls(fold, stage, network, learner, train_loader, valid_loader, batch_size, lrs)

    def fit_epoch(self, epoch: Epoch) -> None:
        """Train one epoch; write its log line, a snapshot if it ends a cycle, and the checkpoint."""
        fit = self._fit_regression(epoch.stage) if self.stage.is_regression else None
        stats = self._train(epoch) if fit is None else fit.stats
        with self.learner.averaged():
            valid = self._validate()
        if self.learner.accelerator.is_main_process:
            _report_epoch(epoch, stats, valid.loss, valid.scores, [metric.key for metric in self.fold.metrics])
            line = self._log_line(epoch, stats, valid)
            if fit is not None:
                search = fit.search
                line |= {"strength": search.strength, "inner_loss": search.loss, "inner_error": search.error}
            append_line(self.fold.run.log_file, line)
            track_line(self.learner.accelerator, line)
            if epoch.ends_cycle:
                folds = self.fold.folds_digest
                snapshot = Snapshot(epoch.cycle, epoch.stage, self.stage.size, valid.loss, valid.scores, folds)
                with self.learner.averaged():
                    write_snapshot(self.fold.folder, snapshot, self.network)
            self._write_checkpoint(epoch)
        self.learner.accelerator.wait_for_everyone()

    def _write_checkpoint(self, epoch: Epoch) -> None:
        meta = {
            "epoch": epoch.number,
            "stage": epoch.stage,
            "batch_size": self.batch_size,
            "folds": self.fold.folds_digest,
        }
        learner = self.learner
        write_checkpoint(
            self.fold.checkpoint_file, self.network, learner.optimizer, meta, learner.accelerator.scaler, learner.ema
        )

    @property
    def _rows(self) -> Rows:
        """The training rows of an epoch, those of rare classes repeated."""
        fold = self.fold
        limit = 1.0 if fold.outputs.are_numbers else fold.recipe.oversample  # a number has no rare class
        return oversampled_rows(fold.train.rows, fold.train.targets.targets, limit)

    def _fit_regression(self, number: int) -> HeadFit:
        """Fit the head of the stage of this number in the main process, and load it in all of them."""
        loader, head = self.train_loader, self.network.head
        assert isinstance(loader, FeatureLoader)

        def fit_features() -> HeadFit:
            return fit_head(self.fold, head, loader.features, self._rows, read_strength(self.fold, number))

        fit = broadcast_from_main(fit_features)
        head.load_state_dict(fit.state)
        return fit

    def _batches(self, epoch: Epoch) -> list[Rows]:
        """The mini-batches of an epoch; on features with few rows, of several passes over them."""
        fold, rows = self.fold, self._rows
        batches = shuffled_batches(rows, self.batch_size, fold.seed("order", epoch.number))
        if self.stage.mode is TrainMode.FEATURES:
            passes = math.ceil(self.stage.min_steps / (len(batches) * self.stage.epochs))
            for number in range(1, passes):
                batches += shuffled_batches(rows, self.batch_size, fold.seed("order", epoch.number, number))
        return batches

    def _train(self, epoch: Epoch) -> EpochStats:
        fold, optimizer, batches = self.fold, self.learner.optimizer, self._batches(epoch)
        accumulate = fold.recipe.optimizer.accumulate
        steps = -(-len(batches) // accumulate)

        def lrs(step: int) -> list[float]:
            return scaled_lrs(optimizer, self.lrs, lr_factor(epoch, step, steps, fold.recipe.warmup))

        torch.manual_seed(fold.seed("dropout", epoch.number, self.learner.accelerator.process_index))
        try:
            return train_epoch(
                self.learner,
                self.train_loader,
                batches,
                seed=fold.seed("augment", epoch.number),
                lrs=lrs,
                title=f"epoch {epoch.number + 1}/{fold.recipe.epochs}",
                accumulate=accumulate,
            )
        except NonFiniteLoss as error:
            raise divergence_error(fold, epoch, error) from error

    def _validate(self) -> Validation:
        """The loss and every metric on the validation rows."""
        fold, rows = self.fold, self.fold.valid.rows
        if len(rows) == 0:
            return Validation()
        logits = predict_logits(self.learner.module, self.valid_loader, rows, self.batch_size, title="validating")
        learned = torch.from_numpy(fold.valid.targets.targets[rows])
        loss = float(label_loss(fold.outputs, logits, learned))
        if not math.isfinite(loss):
            raise TrainingError(
                f"the validation loss is {loss}: the network predicts no numbers",
                where=fold.folder,
                fix=_with_smaller_lr(fold, self.stage, self.lrs[-1] / 10),
            )
        of_rows, of_prior = row_losses(fold.outputs, logits, learned), self._prior_row_losses
        scores = self._scores_in_blocks(logits) if logits.numel() > _WHOLE else None
        if scores is None:
            targets = fold.valid.mean_by_id(fold.index_targets[rows])
            predictions = fold.valid.mean_by_id(fold.to_predictions(logits))
            scores = {metric.key: metric.score(targets, scored_values(metric, predictions)) for metric in fold.metrics}
        # A metric may be undefined on these rows, as the ROC AUC of one class is.
        scores = {key: score for key, score in scores.items() if math.isfinite(score)}
        prior_loss = float(of_prior.mean())
        return Validation(loss, _error_of_mean(of_rows), prior_loss, _error_of_mean(of_rows - of_prior), scores)

    def _scores_in_blocks(self, logits: torch.Tensor) -> dict[str, float] | None:
        """Every metric that can be scored some rows at a time; None if they are not rows of one class and one image."""
        fold, targets = self.fold, self.fold.index_targets[self.fold.valid.rows]
        if not are_class_numbers(targets) or len(fold.valid.ids) != len(targets):
            return None
        size = max(1, _WHOLE // logits.shape[1])
        blocks = [slice(begin, begin + size) for begin in range(0, len(targets), size)]
        parts: dict[str, list[NDArray[Any]]] = {metric.key: [] for metric in fold.metrics}
        for block in blocks:
            predictions = fold.to_predictions(logits[block])
            for metric in fold.metrics:
                if (part := metric.scored_part(targets[block], predictions)) is not None:
                    parts[metric.key].append(part)
        scored = [metric for metric in fold.metrics if parts[metric.key]]
        return {metric.key: metric.total(targets, np.concatenate(parts[metric.key])) for metric in scored}

    @cached_property
    def _prior_row_losses(self) -> NDArray[Any]:
        return prior_row_losses(self.fold)

    def _log_line(self, epoch: Epoch, stats: EpochStats, valid: Validation) -> Line:
        return {
            "fold": self.fold.number,
            "epoch": epoch.number,
            "stage": epoch.stage,
            "size": self.stage.size,
            "mode": self.stage.mode.value,
            "cycle": epoch.cycle,
            "ends_cycle": epoch.ends_cycle,
            "batch_size": self.batch_size,
            "train_loss": stats.loss,
            **({"mixed": True} if self.stage.augment.mixes else {}),
            "valid_rows": len(self.fold.valid),
            "valid_loss": valid.loss,
            "valid_error": valid.error,
            "prior_loss": valid.prior_loss,
            "prior_error": valid.prior_error,
            "scores": valid.scores,
            "seconds": round(stats.seconds, 3),
            "data_seconds": round(stats.data_seconds, 3),
            "images_per_second": round(len(self.fold.train) / stats.seconds, 1),
            "losses": [round(loss, 5) for loss in stats.losses],
            "lrs": [float(f"{lr:.4g}") for lr in stats.lrs],
        }

    def report_start(self) -> None:
        """Log the stage's settings, and the header of its table of epochs."""
        fold, stage = self.fold, self.stage
        if not self.learner.accelerator.is_main_process:
            return
        rows = f"{len(fold.train):,} training images, {len(fold.valid):,} validation images"
        how = "L-BFGS" if stage.is_regression else f"lr {self.lrs[-1]:.2g}"
        log.info(f"\nfold {fold.number}, {stage.size} px, {stage.mode.value}, {how}: {rows}")
        log.info(
            f"{'epoch':>7}{'training':>10}{'valid':>10}" + "".join(f"{metric.title:>10}" for metric in fold.metrics)
        )

    def report_end(self, last: Epoch) -> None:
        """Log the stage's diagnosis, and a warning if its last epoch waited for images."""
        if not self.learner.accelerator.is_main_process:
            return
        lines = [line for line in read_log(self.fold.run.log_file) if line["fold"] == self.fold.number]
        # The last epoch: all its images had been read, and perhaps cached, before.
        seconds, waited = lines[-1]["seconds"], lines[-1]["data_seconds"]
        if self.stage.mode is not TrainMode.FEATURES and waited >= max(1, _SLOW_DATA * seconds):
            share = waited / max(seconds, 1e-9)
            more = 2 * max(1, worker_count(self.fold.session.compute))
            log.warning(
                f"epoch {last.number + 1}: data loading took {share:.0%} of the epoch\n"
                f"  fix: {again('--workers', more)}"
            )
        log.info(str(diagnose(lines, last.stage)))
        self._warn_if_worse()

    def _warn_if_worse(self) -> None:
        """Warn if the stage ends with a higher validation loss than the one before, by more than chance explains."""
        snapshots = self.fold.read_snapshots()
        before = [snapshot for snapshot in snapshots if snapshot.stage < snapshots[-1].stage]
        if not before or before[-1].valid_loss is None or snapshots[-1].valid_loss is None:
            return
        valid = read_log(self.fold.run.log_file)[-1].get("valid_error") or 0.0
        worse = snapshots[-1].valid_loss - before[-1].valid_loss
        if worse <= _CERTAINLY * valid:
            return
        number, recipe = snapshots[-1].stage, self.fold.recipe
        fix = _with_smaller_lr(self.fold, self.stage, self.lrs[-1] / 10, from_last=False)
        words = train_words(self.fold.session, self.fold.run, linear_probe(recipe))
        if words and all(stage.is_regression for stage in recipe.stages[:number]):
            probe = self.fold.session.command(*words)
            fix = f"`{probe}`, which leaves it out; or a smaller lr: `{fix}`"
        log.warning(
            f"stage {number + 1} made the network worse: validation loss {snapshots[-1].valid_loss:.4f}, and "
            f"{before[-1].valid_loss:.4f} before it\n  fix: {fix}"
        )


def divergence_error(fold: FoldRun, epoch: Epoch, error: NonFiniteLoss) -> TrainingError:
    """The loss became NaN: the error names the lr, and the command that trains with a smaller one."""
    snapshots = fold.read_snapshots()
    kept = f"the weights of {snapshots[-1].name} are kept" if snapshots else "no weights are kept"
    return TrainingError(
        f"the loss became NaN in epoch {epoch.number + 1}, mini-batch {error.batch + 1}, at lr {error.lr:.3g}; {kept}",
        where=fold.folder,
        fix=_with_smaller_lr(fold, fold.recipe.stages[epoch.stage], error.lr / 10),
    )


def _with_smaller_lr(fold: FoldRun, stage: Stage, lr: float, *, from_last: bool = True) -> str:
    """The command whose stage has this lr; it starts from the last snapshot, if there is one and it is wanted."""
    snapshots = fold.read_snapshots() if from_last else ()
    recipe = replace(fold.recipe, lr=float(f"{lr / stage.lr_scale:.2g}"), group_lrs=None, find_lr=False)
    if snapshots:
        recipe = replace(recipe, from_run=f"{fold.run.name}:{snapshots[-1].name}", weights=None)
    words = train_words(fold.session, fold.run, recipe)
    return fold.session.command(*words) if words else again("--lr", f"{recipe.lr:g}")


def prior_row_losses(fold: FoldRun) -> NDArray[Any]:
    """The loss of each validation row by the constant prediction that fits the training rows best."""
    targets = fold.train.targets.targets
    valid = torch.from_numpy(targets[fold.valid.rows])
    logits = constant_logits(fold.outputs, targets[fold.train.rows])
    return row_losses(fold.outputs, logits.expand(len(valid), -1), valid)


def _error_of_mean(values: NDArray[Any]) -> float | None:
    """Standard error of the mean of these rows; None for one row."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def _epochs_left(fold: FoldRun, epochs: Sequence[Epoch]) -> list[Epoch]:
    """The epochs left of the first unfinished stage."""
    if len(fold.read_snapshots()) == epochs[-1].cycle + 1:
        return []
    first = _first_epoch(fold)
    left = [epoch for epoch in epochs if epoch.number >= first]
    return [epoch for epoch in left if epoch.stage == left[0].stage]


def _first_epoch(fold: FoldRun) -> int:
    """The epoch to start with: 0, or the one after the last that finished."""
    checkpoint = fold.read_checkpoint()
    return checkpoint.epoch + 1 if checkpoint else 0


def _batch_size(fold: FoldRun) -> int:
    """The interrupted call's batch size if there was one, else the one to try first."""
    if checkpoint := fold.read_checkpoint():
        return checkpoint.batch_size
    return starting_batch_size(fold.recipe, fold.session.cache_dir)


def _drop_unfinished(fold: FoldRun) -> None:
    """Delete log lines and snapshots of epochs that did not finish, and will be trained again."""
    ends = {epoch.cycle: epoch.number for epoch in plan_epochs(fold.recipe.stages) if epoch.ends_cycle}
    snapshots = fold.read_snapshots()
    if len(snapshots) == len(ends):
        return
    first = _first_epoch(fold)
    keep_lines(fold.run.log_file, lambda line: line["fold"] != fold.number or line["epoch"] < first)
    # A snapshot is written before the checkpoint that finishes its epoch. Killed between the two, the epoch is
    # trained again, and must not start from its own end.
    for snapshot in snapshots:
        if ends[snapshot.cycle] >= first:
            drop_snapshot(fold.folder, snapshot)
    if first:
        log.info(f"fold {fold.number}: resuming after epoch {first}")


def _resumed_network(fold: FoldRun, options: TrainOptions, number: int) -> Network:
    """The network after the last finished epoch, at the size and freezing of the stage of this number."""
    stage = fold.recipe.stages[number]
    snapshots, checkpoint = fold.read_snapshots(), fold.checkpoint_file
    if snapshots:
        network = load_snapshot(fold, snapshots[-1])
    else:
        network = initial_network(fold, options)
        network.set_size(fold.recipe.stages[0].size)
    if meta := fold.read_checkpoint():
        # A stage begins with what the one before has kept.
        ended = meta.ema_steps is not None and meta.stage != number
        load_network_checkpoint(checkpoint, network, averaged=ended)
    network.set_size(stage.size)
    apply_freezing(network, fold.recipe, stage)
    return network


def _checkpoint_of(fold: FoldRun, number: int) -> CheckpointMeta | None:
    """What is known of the checkpoint; None if there is none, or if it is of another stage than this one."""
    checkpoint = fold.read_checkpoint()
    return checkpoint if checkpoint is not None and checkpoint.stage == number else None


def _resumed_learner(fold: FoldRun, network: Network, stage: Stage, checkpoint: CheckpointMeta | None) -> Learner:
    """The learner after the stage's last finished epoch; without a checkpoint of it, with a fresh optimizer."""
    learner = build_learner(fold, network, stage)
    set_scaler(learner.accelerator, checkpoint.scaler if checkpoint else None)
    if checkpoint:
        load_optimizer_checkpoint(fold.checkpoint_file, learner.optimizer)
        if learner.ema is not None:
            load_ema_checkpoint(fold.checkpoint_file, learner.ema)
    if fold.session.compute.compile:
        network.fused_backbone()  # a compiler that meets the fusing would follow it, again at every step
        learner = replace(learner, module=torch.compile(learner.module))  # type: ignore[arg-type]
    return prepared(learner)


def _report_epoch(
    epoch: Epoch, stats: EpochStats, valid_loss: float | None, scores: dict[str, float], metrics: Sequence[str]
) -> None:
    valid = _cell(valid_loss)
    end = "  snapshot" if epoch.ends_cycle else ""
    values = "".join(_cell(scores.get(key)) for key in metrics)
    log.info(f"{epoch.number + 1:>7}{_cell(stats.loss)}{valid}{values}{end}")


def _cell(value: float | None) -> str:
    """A number in a column of ten; a huge one with an exponent, so that two never touch."""
    if value is None:
        return f"{'-':>10}"
    return f"{value:10.4f}" if abs(value) < _HUGE else f"{value:10.2e}"

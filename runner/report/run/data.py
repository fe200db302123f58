"""The files of one run, read for its report. Any of them may be missing, and none is recomputed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from runner.console import log
from runner.contract import (
    LOG_LOSS,
    Binary,
    Competition,
    Labels,
    Metric,
    Multiclass,
    Multilabel,
    Ordinal,
    Recipe,
    Regression,
    SeveralTargets,
)
from runner.contract.default_decisions import scored_values
from runner.contract.metric_functions.arrays import class_numbers
from runner.contract.outputs import outputs_of
from runner.contract.targets import Targets
from runner.data.folds import read_folds
from runner.data.image_names import is_array_path
from runner.data.index import Index
from runner.errors import DamagedFileError, RunnerError
from runner.hosts.leaderboards import SavedLeaderboard, latest_leaderboards
from runner.hosts.ledger import Entry, readable_entries
from runner.images.readers import open_encoded
from runner.images.view_size import size_in
from runner.prediction.averaging import Mean, blocks
from runner.prediction.blend import postprocess_file, read_blend
from runner.prediction.decisions import FittedDecision, fit_decision, rule_without_fit
from runner.prediction.fit_postprocess import max_fitted_rows
from runner.prediction.out_of_fold import Member, OofTargets, oof_targets, read_out_of_fold, validation_rows
from runner.prediction.postprocess import Postprocess, read_postprocess, read_scored_views, task_of
from runner.prediction.postprocess_folds import sample_rows
from runner.prediction.predictions import read_view_predictions
from runner.report.run.confusion import Confusion
from runner.session import Session
from runner.training.log import read_log
from runner.training.progress import Progress, read_progress
from runner.training.run import Run, find_run
from runner.workspace import read_json

if TYPE_CHECKING:
    from runner.training.lr_finder import LRFindResult

Matrix = NDArray[Any]
ClassIndices = NDArray[np.int64]

_HEADERS_READ = 60  # image headers, to find the typical size
_SAME = 1e-3  # relative; a metric this close to the validation loss is that loss


@dataclass(frozen=True)
class LrFinderCurve:
    """The LR finder's curve for one stage of one fold, and the lrs that it suggests."""

    fold: int
    stage: int
    lrs: Sequence[float]
    losses: Sequence[float]  # training loss, smoothed
    suggested: float | None
    steep: float | None
    reason: str

    @classmethod
    def of(cls, result: LRFindResult, *, fold: int = 0, stage: int = 0) -> LrFinderCurve:
        """The curve of a result that was not read from a file."""
        return cls(fold, stage, result.curve.lrs, result.curve.losses, result.minimum, result.steep, result.reason)


@dataclass(frozen=True)
class ViewScore:
    """The score of one test-time view, and what averaging all views gains by it."""

    name: str
    solo_score: float
    gain: float


@dataclass(frozen=True)
class OofPredictions:
    """Out-of-fold rows with their targets, and their predictions shaped (rows, classes).

    The postprocess that made `probabilities` and `values` was fitted on these rows: scores computed from them
    are in-sample.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    targets: Targets
    probabilities: Matrix
    values: Matrix  # what is scored: 0 or 1 if the metric takes decisions, else the probabilities or numbers
    labels: Labels = field(default_factory=Multiclass)
    decision: FittedDecision | None = None
    metric: Metric = LOG_LOSS

    @property
    def is_binary(self) -> bool:
        """Whether one column has 0 or 1."""
        return self.probabilities.shape[1] == 1 and not self.is_multilabel and not self.is_numbers

    @property
    def is_multilabel(self) -> bool:
        """Whether an image may have several of the labels, or none."""
        return isinstance(self.labels, Multilabel) or (
            isinstance(self.labels, Binary) and self.probabilities.shape[1] > 1
        )

    @property
    def is_numbers(self) -> bool:
        """Whether numbers are predicted."""
        return isinstance(self.labels, Regression)

    @cached_property
    def by_target(self) -> list[tuple[str, OofPredictions]]:
        """The predictions of each of several targets, as those of its classes alone; empty for one target."""
        if not isinstance(self.labels, SeveralTargets):
            return []
        slices = [columns for _, columns in outputs_of(self.labels, self.targets.shape[1]).slices]
        return [
            (
                target.label,
                replace(
                    self,
                    classes=target.classes or (),
                    targets=self.targets[:, columns],
                    probabilities=self.probabilities[:, columns],
                    values=self.values[:, columns],
                    labels=target,
                ),
            )
            for target, columns in zip(self.labels.targets, slices, strict=True)
        ]

    @property
    def one_class_each(self) -> list[OofPredictions]:
        """The predictions in which each image has one class: these, those of each target, or none."""
        if self.is_multilabel or self.is_numbers:
            return []
        return [oof for _, oof in self.by_target] or [self]

    @cached_property
    def labels_and_predictions(self) -> tuple[ClassIndices, ClassIndices]:
        """Class indices of the targets and of the predicted classes, row by row; as the metric's decision has them."""
        if self.is_binary:
            return (self.targets[:, 0] > 0.5).astype(np.int64), (self.values[:, 0] >= 0.5).astype(np.int64)
        return class_numbers(self.targets), self.values.argmax(axis=1)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the class indices in `labels_and_predictions`; a binary label has two."""
        return (f"{self.classes[0]}: 0", f"{self.classes[0]}: 1") if self.is_binary else self.classes

    @cached_property
    def confusion(self) -> Confusion:
        """The confusion matrix of a multiclass or binary competition; grades stay in their order."""
        keep_order = isinstance(self.labels, Ordinal)
        return Confusion.of(self.class_names, *self.labels_and_predictions, keep_order=keep_order)

    @cached_property
    def losses(self) -> Matrix:
        """Each row's log loss, whatever the metric; of numbers the squared error in variances of their column."""
        if self.by_target:
            of_targets: Matrix = np.sum([oof.losses for _, oof in self.by_target], axis=0)
            return of_targets
        if self.is_numbers:
            return squared_errors(self.targets, self.values)
        is_soft = isinstance(self.labels, Multiclass) and self.labels.soft
        if not (self.is_binary or self.is_multilabel or is_soft):
            of_target = self.probabilities[np.arange(len(self.probabilities)), class_numbers(self.targets)]
            return np.asarray(-np.log(np.clip(of_target, 1e-15, 1 - 1e-15)))
        inside = np.clip(self.probabilities, 1e-15, 1 - 1e-15)
        if is_soft:
            of_shares: Matrix = -(self.targets * np.log(inside)).sum(axis=1)
            return of_shares
        loss: Matrix = -(self.targets * np.log(inside) + (1 - self.targets) * np.log1p(-inside)).mean(axis=1)
        return loss

    @cached_property
    def entropies(self) -> Matrix:
        """Each row's predictive entropy: high where the model is uncertain. Numbers have none."""
        if self.by_target:
            of_targets: Matrix = np.sum([oof.entropies for _, oof in self.by_target], axis=0)
            return of_targets
        return np.concatenate([self._entropies(rows) for rows in blocks(self.probabilities)])

    def _entropies(self, rows: slice) -> Matrix:
        inside = np.clip(self.probabilities[rows], 1e-9, 1 - 1e-9)
        if self.is_binary or self.is_multilabel:
            entropy: Matrix = -(inside * np.log(inside) + (1 - inside) * np.log1p(-inside)).mean(axis=1)
            return entropy
        over_classes: Matrix = -(inside * np.log(inside)).sum(axis=1)
        return over_classes


@dataclass(frozen=True)
class RunData:
    """One run of a session. Each file is read when it is first needed."""

    session: Session
    run: Run

    @property
    def competition(self) -> Competition:
        return self.session.competition

    @cached_property
    def recipe(self) -> Recipe:
        return self.run.read_recipe()

    @cached_property
    def members(self) -> tuple[str, ...]:
        """Names of the runs in this ensemble; empty for a trained run."""
        return self.run.read_members()

    @property
    def all_data(self) -> bool:
        """Whether the run was trained without validation rows."""
        return self.refit_of is not None or (not self.members and self.recipe.all_data)

    @cached_property
    def refit_of(self) -> str | None:
        """The run or ensemble that this one is a refit of on all data, which has the score; None if of none."""
        return self.run.read_refit_of()

    def command(self, *words: str) -> str:
        """A command about this competition, in the backticks that a page shows as code."""
        return f"`{self.session.command(*words)}`"

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        """A dictionary an epoch, all folds."""
        return read_log(self.run.log_file)

    @cached_property
    def score(self) -> dict[str, Any] | None:
        """score.json; None before `predict`."""
        return cast("dict[str, Any] | None", self.run.read_score())

    @cached_property
    def environment(self) -> dict[str, Any]:
        return _read_json_or(self.run.folder / "environment.json", {})  # type: ignore[no-any-return]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The competition's metric, then its extra metrics."""
        return (self.competition.metric, *self.competition.extra_metrics)

    @cached_property
    def metrics_except_loss(self) -> tuple[Metric, ...]:
        """The metrics without one that equals the validation loss: no table needs both."""
        return tuple(metric for metric in self.metrics if not self._is_valid_loss(metric))

    def _is_valid_loss(self, metric: Metric) -> bool:
        pairs = [
            (line["valid_loss"], line["scores"][metric.key])
            for line in self.log
            if line["valid_loss"] is not None and metric.key in line["scores"]
        ]
        return bool(pairs) and all(abs(loss - score) <= _SAME * abs(loss) for loss, score in pairs)

    @cached_property
    def progress(self) -> Progress:
        """The epochs that are trained: by the log, or by the snapshots if it lacks some; none of an ensemble."""
        if self.members:
            return Progress(0, 0)
        logged = Progress(len(self.log), self.recipe.epochs * (1 if self.all_data else self.recipe.folds or 1))
        if logged.is_finished:
            return logged
        try:
            return read_progress(self.run)
        except RunnerError:  # a damaged snapshot is not needed for a page
            return logged

    @cached_property
    def row_counts(self) -> tuple[int, int] | None:
        """Training and validation rows; with several folds, every row counts as both. None without folds.csv."""
        try:
            fold_of = read_folds(self.run.folds_file, competition=self.run.competition).fold_of
        except RunnerError:
            return None
        valid = sum(fold >= 0 for fold in fold_of.values())
        return (len(fold_of) if not self.members and self.recipe.folds else len(fold_of) - valid), valid

    @cached_property
    def class_count(self) -> int | None:
        """The number of classes; None if neither predictions nor data are here."""
        if self.oof is not None:
            return len(self.oof.classes)
        return len(self.index.classes) if self.index is not None else None

    @cached_property
    def short_side(self) -> int | None:
        """Median short side of the images in pixels, from a few headers; None for arrays or without data."""
        if self.index is None or not len(self.index.train) or is_array_path(self.index.train["path"].iloc[0]):
            return None
        paths = self.index.train["path"].tolist()[:: max(1, len(self.index.train) // _HEADERS_READ)]
        try:
            images = open_encoded(self.index.data_dir, paths)
            return int(np.median([min(images.size(row)) for row in range(len(paths))]))
        except RunnerError:
            return None

    @cached_property
    def member_runs(self) -> dict[str, Run | None]:
        """The runs in this ensemble by name; None if a run's files are gone."""
        return {name: self._find_run(name) for name in self.members}

    def _find_run(self, name: str) -> Run | None:
        try:
            return find_run(self.session.workspace, self.session.name, name)
        except RunnerError:
            return None

    @cached_property
    def folds(self) -> list[int]:
        """The folds in the log, in order."""
        return sorted({line["fold"] for line in self.log})

    @cached_property
    def lr_curves(self) -> list[LrFinderCurve]:
        """The LR finder's curves, by fold and stage."""
        return [
            LrFinderCurve(
                _number(path.parent),
                _number(path),
                result["curve"]["lrs"],
                result["curve"]["losses"],
                result["minimum"],
                result["steep"],
                result["reason"],
            )
            for path, result in self._fold_files("find-lr-*.json")
        ]

    @cached_property
    def snapshots(self) -> list[tuple[int, dict[str, Any]]]:
        """Fold and metadata of every snapshot, by fold and cycle."""
        return [(_number(path.parent), meta) for path, meta in self._fold_files("snapshot-*.json")]

    def _fold_files(self, pattern: str) -> Iterator[tuple[Path, dict[str, Any]]]:
        paths = self.run.folder.glob(f"fold-*/{pattern}")
        for path in sorted(paths, key=lambda path: (_number(path.parent), _number(path))):
            content = _read_json_or(path, None)
            if content:
                yield path, content

    @cached_property
    def entries(self) -> list[Entry]:
        """The run's submissions, oldest first."""
        return [
            entry
            for entry in readable_entries(
                self.session.workspace.ledger_file,
                self.competition.name,
                refresh=self.session.command("standings", "--refresh"),
            )
            if entry.run == self.run.name
        ]

    @cached_property
    def leaderboards(self) -> list[SavedLeaderboard]:
        """The latest saved public and private leaderboard."""
        return [
            saved
            for private in (False, True)
            for saved in latest_leaderboards(self.session.leaderboards_dir, private=private, count=1)
        ]

    @cached_property
    def index(self) -> Index | None:
        """The table of all images; None if the data is not here or has errors."""
        try:
            return self.session.index
        except (RunnerError, OSError, ValueError) as error:
            log.info(f"the report shows no images: {error}")
            return None

    @cached_property
    def oof(self) -> OofPredictions | None:
        """The out-of-fold predictions; None before `predict` and for a run on all data."""
        if self.all_data:
            return None
        try:
            return self.read_oof()
        except DamagedFileError as error:
            log.warning(f"the report shows no predictions: {error}")
            return None
        except (RunnerError, OSError, KeyError, ValueError) as error:
            log.info(f"the report shows no predictions: {str(error).splitlines()[0]}")
            return None

    @cached_property
    def view_scores(self) -> list[ViewScore]:
        """The scores of each view of the last snapshot; empty if it has only one."""
        if self.all_data or self.members:
            return []
        try:
            blend = read_blend([self.run], self._read_targets)
            return score_views(self.competition.metric, blend.members[-1], blend.targets)
        except (RunnerError, OSError, KeyError, ValueError):
            return []  # `oof` has logged the reason

    @cached_property
    def input_sizes(self) -> dict[str, int]:
        """The size of `predict --size` by model; empty if all were predicted at the size that they were trained at."""
        try:
            views = read_scored_views(postprocess_file(self.run))
        except (RunnerError, OSError):
            return {}
        return {model: size for model, names in views.items() if (size := size_in(names)) is not None}

    def read_oof(self) -> OofPredictions:
        """The out-of-fold predictions; a RunnerError says why there are none."""
        runs = [find_run(self.session.workspace, self.session.name, name) for name in self.members] or [self.run]
        blend = read_blend(runs, self._read_targets)
        fitted = self._read_postprocess(tuple(member.name for member in blend.members))
        labels = self.competition.labels
        fold_of = read_folds(runs[0].folds_file, competition=runs[0].competition).fold_of
        known = validation_rows(blend.members, blend.targets, fold_of)
        count = max_fitted_rows(len(blend.members), len(blend.targets.classes))
        if len(known.ids) > count:
            known = sample_rows(known, count)
            log.info(f"the report shows {len(known.ids):,} of the validation rows: more do not fit in memory")
        rows = read_out_of_fold(blend.members, known, blend.targets.classes, fitted.tta, outputs=fitted.outputs)
        predicted = fitted.apply(lambda name: (rows.members[rows.names.index(name)],))
        return OofPredictions(
            rows.ids,
            (labels.label,) if isinstance(labels, Binary) and not labels.columns else tuple(blend.targets.classes),
            rows.targets,
            predicted.probabilities,
            predicted.values,
            labels,
            fitted.decision,
            self.competition.metric,
        )

    def _read_targets(self) -> OofTargets:
        if self.index is None:
            raise RunnerError("the targets of the validation rows are unknown", where=self.run.folder)
        return oof_targets(self.index)

    def _read_postprocess(self, names: tuple[str, ...]) -> Postprocess:
        path = postprocess_file(self.run)
        if path.exists():
            return read_postprocess(path)
        # The run was killed between predicting and scoring: use the last snapshot without postprocess.
        task = task_of(self.competition, self.session.index.classes)
        rule = rule_without_fit(task.metric.decision)
        decision = None if rule is None else fit_decision(rule, task.metric, task.outputs, _no_rows)
        weights = tuple(float(position == len(names) - 1) for position in range(len(names)))
        return Postprocess(names, weights, Mean.ARITHMETIC, task.outputs, decision=decision)


def squared_errors(targets: Matrix, predictions: Matrix) -> Matrix:
    """Each row's mean squared error in variances of the column; a gap has no error, a row of gaps NaN."""
    scale = np.maximum(np.nanvar(targets, axis=0), np.finfo(np.float32).tiny)
    errors = (predictions - targets) ** 2 / scale
    known = np.isfinite(errors)
    sums: Matrix = np.where(known, errors, 0.0).sum(axis=1)
    means: Matrix = np.divide(sums, known.sum(axis=1), out=np.full(len(errors), np.nan), where=known.any(axis=1))
    return means


def _no_rows() -> tuple[Any, Any]:
    raise ValueError("a rule without a fit needs no rows")


def read_run_data(session: Session, run: Run) -> RunData:
    """The data of a run; its files are read when they are first needed."""
    return RunData(session, run)


def score_views(metric: Metric, member: Member, targets: OofTargets) -> list[ViewScore]:
    """The score of each of a member's views, and what averaging gains by it; empty if there is only one view."""
    if len(member.views) < 2:
        return []
    folds = [read_view_predictions(path) for path in member.valid]
    views = np.concatenate([fold.take(member.views) for fold in folds])
    matrix, _ = targets.take([name for fold in folds for name in fold.ids], folds[0].classes)

    def score(chosen: list[int]) -> float:
        mean = views[:, chosen].mean(axis=1)
        return metric.score(matrix, scored_values(metric, mean))

    every = list(range(len(member.views)))
    mean_of_all = score(every)
    return [
        ViewScore(name, score([view]), metric.gain(mean_of_all, score([other for other in every if other != view])))
        for view, name in enumerate(member.views)
    ]


def _read_json_or(path: Path, default: Any) -> Any:
    """The file's content; the default if it is missing or damaged."""
    try:
        return read_json(path)
    except (OSError, RunnerError):
        return default


def _number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])

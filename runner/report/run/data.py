"""What a run left on the disk, read for its report: every part may be missing, none is made anew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.console import log
from runner.contract import Binary, Competition, Multiclass, Multilabel, Recipe
from runner.contract.thresholds import apply_thresholds
from runner.data.download import data_folder
from runner.data.folds import read_folds
from runner.data.image_arrays import is_array_path
from runner.data.index import Index, build_index
from runner.errors import RunnerError
from runner.hosts.leaderboards import SavedLeaderboard, latest_leaderboards
from runner.hosts.ledger import Entry, read_ledger
from runner.images.decode import read_size
from runner.prediction.averaging import Mean, TTAMode
from runner.prediction.blend import postprocess_file, read_blend
from runner.prediction.oof_targets import OofTargets, oof_targets
from runner.prediction.out_of_fold import Member
from runner.prediction.postprocess import Postprocess, task_of
from runner.prediction.predictions import read_view_predictions
from runner.prediction.results import FittedPostprocess, read_rows
from runner.prediction.thresholds import Decision, DecisionRule
from runner.report.run.confusion import Confusion
from runner.training.log import read_log
from runner.training.run import Run, find_run
from runner.workspace import Workspace, read_json

Matrix = NDArray[Any]

_HEADERS = 60  # how many images' sizes are read to know the typical one


@dataclass(frozen=True)
class Found:
    """What the finder wrote for one stage of one fold."""

    fold: int
    stage: int
    rates: Sequence[float]
    losses: Sequence[float]
    suggested: float | None
    steepest: float | None
    reason: str


@dataclass(frozen=True)
class OofPredictions:
    """The rows that are predicted by networks that never saw them: what is so, and what was said."""

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    targets: Matrix
    probabilities: Matrix
    values: Matrix  # what is scored: decisions for tags, else the probabilities
    decision: Decision | None

    @cached_property
    def true_and_said(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The numbers of the true and the likeliest class, row by row."""
        if self.targets.shape[1] == 1:
            return (self.targets[:, 0] > 0.5).astype(np.int64), (self.probabilities[:, 0] >= 0.5).astype(np.int64)
        return self.targets.argmax(axis=1), self.probabilities.argmax(axis=1)

    @cached_property
    def confusion(self) -> Confusion:
        """The confusion matrix of one of many, or of a thing that is there or not."""
        classes = self.classes if len(self.classes) > 1 else (f"{self.classes[0]}: 0", f"{self.classes[0]}: 1")
        return Confusion.of(classes, *self.true_and_said)

    @cached_property
    def losses(self) -> Matrix:
        """Each row's log loss: how far off it was, whatever the metric."""
        inside = np.clip(self.probabilities, 1e-15, 1 - 1e-15)
        if self.targets.shape[1] > 1 and self.decision is None:
            given: Matrix = -np.log(inside[np.arange(len(inside)), self.targets.argmax(axis=1)])
            return given
        loss: Matrix = -(self.targets * np.log(inside) + (1 - self.targets) * np.log1p(-inside)).mean(axis=1)
        return loss


@dataclass(frozen=True)
class RunData:
    """One run and all that is known of it."""

    competition: Competition
    workspace: Workspace
    run: Run

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
        return not self.members and self.recipe.all_data

    def command_line(self, *words: str) -> str:
        """A command about this competition, in quotes that a page shows as code."""
        return f"`{self.workspace.command_line(self.competition.name, *words)}`"

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        return read_log(self.run.log_file)

    @cached_property
    def score(self) -> dict[str, Any] | None:
        return self.run.read_score()

    @cached_property
    def environment(self) -> dict[str, Any]:
        return _json_or(self.run.folder / "environment.json", {})  # type: ignore[no-any-return]

    @property
    def epochs_done(self) -> int:
        return len(self.log)

    @property
    def epochs_wanted(self) -> int:
        """How many epochs the whole run has, over all its folds."""
        if self.members:
            return 0
        folds = 1 if self.recipe.all_data else self.recipe.folds or 1
        return self.recipe.epochs * folds

    @cached_property
    def rows(self) -> tuple[int, int] | None:
        """How many rows were learned from and held out; of several folds all rows, each held out once."""
        try:
            fold_of = read_folds(self.run.folds_file).fold_of
        except RunnerError:
            return None
        held = sum(fold >= 0 for fold in fold_of.values())
        return (len(fold_of) if not self.members and self.recipe.folds else len(fold_of) - held), held

    @cached_property
    def class_count(self) -> int | None:
        """How many classes or tags there are, where anything tells."""
        if self.held_out is not None:
            return len(self.held_out.classes)
        return len(self.index.classes) if self.index is not None else None

    @cached_property
    def short_side(self) -> int | None:
        """The typical short side of the images in pixels, from a few headers; None for bands or without data."""
        if self.index is None or not len(self.index.train) or is_array_path(self.index.train["path"].iloc[0]):
            return None
        paths = self.index.train["path"].tolist()
        try:
            sides = [min(read_size(self.index.data_dir / path)) for path in paths[:: max(1, len(paths) // _HEADERS)]]
        except RunnerError:
            return None
        return int(np.median(sides))

    @cached_property
    def blended(self) -> dict[str, Run | None]:
        """The runs that an ensemble is made of, by name; None where the files are gone."""
        found: dict[str, Run | None] = {}
        for name in self.members:
            try:
                found[name] = find_run(self.workspace, self.competition.name, name)
            except RunnerError:
                found[name] = None
        return found

    @cached_property
    def folds(self) -> list[int]:
        """The folds that were begun, by the log."""
        return sorted({line["fold"] for line in self.log})

    @cached_property
    def found(self) -> list[Found]:
        """The finder's curves, fold by fold and stage by stage."""
        paths = sorted(
            self.run.folder.glob("fold-*/find-lr-*.json"), key=lambda path: (_number(path.parent), _number(path))
        )
        told = [(path, one) for path in paths if (one := _json_or(path, None))]
        return [
            Found(
                _number(path.parent),
                _number(path),
                one["curve"]["lrs"],
                one["curve"]["losses"],
                one["minimum"],
                one["steep"],
                one["reason"],
            )
            for path, one in told
        ]

    @cached_property
    def snapshots(self) -> list[tuple[int, dict[str, Any]]]:
        """The facts of every finished snapshot, with its fold."""
        paths = self.run.folder.glob("fold-*/snapshot-*.json")
        ordered = sorted(paths, key=lambda path: (_number(path.parent), _number(path)))
        return [(_number(path.parent), one) for path in ordered if (one := _json_or(path, None))]

    @cached_property
    def entries(self) -> list[Entry]:
        """The run's submissions, oldest first."""
        return [
            entry
            for entry in read_ledger(self.workspace.ledger_file)
            if (entry.competition, entry.run) == (self.competition.name, self.run.name)
        ]

    @cached_property
    def boards(self) -> list[SavedLeaderboard]:
        """The last public and the last private leaderboard that were kept."""
        folder = self.workspace.leaderboards_dir(self.competition.name)
        return [one for private in (False, True) for one in latest_leaderboards(folder, private=private, count=1)]

    @cached_property
    def index(self) -> Index | None:
        """The table of images, where the data is here."""
        try:
            return build_index(self.competition, data_folder(self.competition, self.workspace))
        except (RunnerError, OSError, ValueError) as error:
            log.info(f"the report shows no images: {error}")
            return None

    @cached_property
    def held_out(self) -> OofPredictions | None:
        """The held-out rows with the run's answer to them; None before there are predictions."""
        if self.all_data:
            return None
        try:
            return self._held_out()
        except (RunnerError, OSError, KeyError, ValueError) as error:
            log.info(f"the report shows no predictions: {str(error).splitlines()[0]}")
            return None

    @cached_property
    def views(self) -> list[list[str | float]]:
        """Each view's name, its score alone, and what the mean of all gains by it; of the last snapshot."""
        if self.all_data or self.members:
            return []
        try:
            blend = read_blend([self.run], self._truth)
            return _views_told(self.competition, blend.members[-1], blend.truth)
        except (RunnerError, OSError, KeyError, ValueError):
            return []  # `held_out` tells why

    def _held_out(self) -> OofPredictions:
        runs = [find_run(self.workspace, self.competition.name, name) for name in self.members] or [self.run]
        blend = read_blend(runs, self._truth)
        final = self._final(tuple(member.name for member in blend.members))
        multiclass = isinstance(self.competition.labels, Multiclass)
        rows = read_rows(
            blend.members, blend.truth, read_folds(runs[0].folds_file).fold_of, final.look, multiclass=multiclass
        )
        answer = final.step.apply(lambda name: (rows.members[rows.names.index(name)],))
        names = class_names(self.competition, blend.truth.classes)
        return OofPredictions(rows.ids, names, rows.targets, answer.probabilities, answer.values, final.step.decision)

    def _truth(self) -> OofTargets:

        if self.index is None:
            raise RunnerError("what the held-out rows show is not known", where=self.run.folder)
        return oof_targets(self.index)

    def _final(self, names: tuple[str, ...]) -> FittedPostprocess:
        path = postprocess_file(self.run)
        if path.exists():
            return FittedPostprocess.read(path)
        # A run that was killed between predicting and scoring: the last snapshot as it is.

        task = task_of(self.competition, ())
        decision = Decision(DecisionRule.FIXED) if task.metric.takes_decisions else None
        weights = tuple(float(place == len(names) - 1) for place in range(len(names)))
        return FittedPostprocess(
            Postprocess(names, weights, Mean.ARITHMETIC, task.multiclass, decision=decision), TTAMode.NONE
        )


def _views_told(competition: Competition, member: Member, truth: OofTargets) -> list[list[str | float]]:
    said = [read_view_predictions(path) for path in member.valid]
    if len(member.views) < 2:
        return []
    matrix = np.concatenate([one.take(member.views) for one in said])
    targets, _ = truth.of([name for one in said for name in one.ids], said[0].classes)
    metric = competition.metric

    def score(places: list[int]) -> float:
        mean = matrix[:, places].mean(axis=1)
        return metric.score(targets, apply_thresholds(mean) if metric.takes_decisions else mean)

    everything, sign = list(range(len(member.views))), 1 if metric.higher_is_better else -1
    whole = score(everything)
    return [
        [name, score([place]), sign * (whole - score([one for one in everything if one != place]))]
        for place, name in enumerate(member.views)
    ]


def class_names(competition: Competition, classes: Sequence[str]) -> tuple[str, ...]:
    """The classes as they are called on a page."""
    labels = competition.labels
    return (labels.label,) if isinstance(labels, Binary) else tuple(classes)


def is_tags(competition: Competition) -> bool:
    """Whether an image bears a set of tags."""
    return isinstance(competition.labels, Multilabel)


def _json_or(path: Path, otherwise: Any) -> Any:
    """What a file holds; `otherwise` where it is missing or was cut."""
    try:
        return read_json(path)
    except (OSError, json.JSONDecodeError):
        return otherwise


def _number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])

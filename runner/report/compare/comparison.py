"""Runs beside each other: their scores on the same rows, their recipes and times, and what only one gets right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from runner.contract import Binary, Competition
from runner.contract.recipe import EnsembleRecipe
from runner.errors import DamagedFileError, RunnerError, UsageError
from runner.field_paths import FieldDifference, field_differences
from runner.prediction.blend import postprocess_file, read_blend
from runner.prediction.fit_postprocess import max_fitted_rows
from runner.prediction.nested_predictions import (
    CommonRows,
    NestedPredictions,
    PairedDifference,
    common_rows,
    paired_difference,
    predict_nested,
)
from runner.prediction.out_of_fold import oof_targets
from runner.prediction.sources import predict_again, read_sources, stale_reason
from runner.report.compare.classes import ClassChanges, class_changes, rows_right
from runner.report.run.data import Matrix, OofPredictions, RunData
from runner.session import Session
from runner.training.request import read_request
from runner.training.run import Run, find_run


@dataclass(frozen=True)
class ComparedRun:
    """One of the runs, with the nested predictions that its score is of; without them the reason."""

    data: RunData
    scored: Run  # whose validation rows these are: its own, or those of the run that it refits
    nested: NestedPredictions | None
    problem: str = ""  # why there are no predictions, and the command that mends it

    @property
    def name(self) -> str:
        return self.data.run.name

    @property
    def minutes(self) -> float | None:
        """Minutes of training; None for an ensemble."""
        seconds = [line["seconds"] for line in self.data.log]
        return round(sum(seconds) / 60, 2) if seconds else None

    @property
    def seconds_per_epoch(self) -> float | None:
        """Seconds of its longest epoch: those of a stage on features say nothing of the others."""
        seconds = [line["seconds"] for line in self.data.log]
        return round(max(seconds), 2) if seconds else None

    @property
    def cv(self) -> Mapping[str, Any] | None:
        """The CV score as score.json has it."""
        try:
            return self.data.score["cv"] if self.data.score else None
        except RunnerError:
            return None


@dataclass(frozen=True)
class Pair:
    """Two runs on the rows that both have predicted."""

    competition: Competition
    first: ComparedRun
    second: ComparedRun
    rows: CommonRows
    difference: PairedDifference

    @cached_property
    def oofs(self) -> tuple[OofPredictions, OofPredictions]:
        """The nested predictions of both, for the tables and figures of a report."""
        return _oof(self.competition, self.rows.first), _oof(self.competition, self.rows.second)

    @cached_property
    def classes(self) -> ClassChanges:
        """The change of each class."""
        return class_changes(*self.oofs)

    @cached_property
    def only_right(self) -> tuple[list[int], list[int]] | None:
        """The rows that the first alone gets right, and the second alone, the clearest first; None for numbers."""
        first, second = self.oofs
        right = rows_right(first), rows_right(second)
        if right[0] is None or right[1] is None:
            return None
        return self._clearest(right[0] & ~right[1]), self._clearest(right[1] & ~right[0])

    @cached_property
    def nearer(self) -> tuple[list[int], list[int]]:
        """The rows that the first predicts better, and the second, the largest difference of losses first."""
        gains = self._loss_gains()
        return self._clearest(gains < 0), self._clearest(gains > 0)

    def _clearest(self, chosen: Matrix) -> list[int]:
        gains = np.abs(self._loss_gains())
        rows = np.flatnonzero(chosen)
        return rows[np.argsort(-gains[rows], kind="stable")].tolist()  # type: ignore[no-any-return]

    def _loss_gains(self) -> Matrix:
        first, second = self.oofs
        return np.asarray(np.nan_to_num(first.losses - second.losses))

    @property
    def notes(self) -> Iterator[str]:
        """What must be known of these rows: those that are left out, and other folds."""
        rows, names = self.rows, (self.first.name, self.second.name)
        for count, name, other in ((rows.only_first, *names), (rows.only_second, *reversed(names))):
            if count:
                yield f"{count:,} rows that only {name} has predicted, and {other} has not, are left out"
        if rows.other_labels:
            yield f"{rows.other_labels:,} rows have other labels in the two runs and are left out"
        if rows.other_folds:
            yield (
                f"{names[0]} and {names[1]} have other folds: the rows are the same, but their networks were not "
                "trained on the same other rows, which is in the difference, too"
            )
        if self.first.scored == self.second.scored:
            yield f"{names[0]} and {names[1]} have one score: a refit has no validation rows of its own"


@dataclass(frozen=True)
class Comparison:
    """The runs, the first of which the others are compared with, and every pair that has rows in common."""

    session: Session
    runs: tuple[ComparedRun, ...]
    recipes: tuple[FieldDifference, ...]
    circumstances: tuple[FieldDifference, ...]  # data, options of predict, folds, versions
    pairs: tuple[Pair, ...]
    problems: tuple[str, ...]  # why a run or a pair is not compared

    @property
    def with_first(self) -> tuple[Pair, ...]:
        """The pairs of the first run."""
        return tuple(pair for pair in self.pairs if pair.first is self.runs[0])


def compare(session: Session, runs: Sequence[Run]) -> Comparison:
    """The runs compared; a UsageError for fewer than two different ones."""
    _check_names(session, runs)
    datas = [RunData(session, run) for run in runs]
    most_rows = min(filter(None, (_most_rows(data) for data in datas)), default=None)
    compared = tuple(_compared_run(data, most_rows) for data in datas)
    pairs, problems = _pairs(session.competition, compared)
    return Comparison(
        session,
        compared,
        field_differences([_recipe(data) for data in datas]),
        field_differences([_Circumstances.of(each) for each in compared]),
        tuple(pairs),
        (*(run.problem for run in compared if run.problem), *problems),
    )


def _check_names(session: Session, runs: Sequence[Run]) -> None:
    names = [run.name for run in runs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if len(set(names)) > 1 and not twice:
        return
    message = f"{', '.join(twice)} is named twice" if twice else "a comparison needs two runs"
    others = list(dict.fromkeys(names))
    if len(others) > 1:
        raise UsageError(message, fix=session.command("compare", *others))
    fix = f"name another run beside it; all runs: `{session.command('runs')}`"
    raise UsageError(message, fix=fix)


def _recipe(data: RunData) -> Any:
    """The recipe; the names of the runs in an ensemble."""
    try:
        return EnsembleRecipe(data.members) if data.members else data.recipe
    except RunnerError:
        return None  # its damage is told where its predictions are read


def _scored_run(data: RunData) -> Run:
    """The run whose validation rows the score is of."""
    if not data.all_data:
        return data.run
    if data.refit_of is None:
        raise RunnerError(f"{data.run.name} was trained on all rows: it has no validation rows", where=data.run.folder)
    return find_run(data.session.workspace, data.session.name, data.refit_of)


def _member_runs(data: RunData, scored: Run) -> list[Run]:
    names = scored.read_members()
    return [find_run(data.session.workspace, data.session.name, name) for name in names] or [scored]


def _most_rows(data: RunData) -> int | None:
    """Of how many rows the run's predictions fit in memory; None if it has none."""
    try:
        blend = read_blend(_member_runs(data, _scored_run(data)), lambda: oof_targets(data.session.index))
    except (RunnerError, OSError, KeyError, ValueError):
        return None
    return max_fitted_rows(len(blend.members), len(blend.targets.classes))


def _compared_run(data: RunData, most_rows: int | None) -> ComparedRun:
    try:
        scored = _scored_run(data)
        if not postprocess_file(scored).exists():
            raise RunnerError(
                f"{scored.name} is not predicted yet", fix=data.session.command("predict", "--run", scored.name)
            )
        blend = read_blend(_member_runs(data, scored), lambda: oof_targets(data.session.index))
        nested = predict_nested(data.competition, blend, most_rows)
        return ComparedRun(data, scored, nested, _staleness(data, scored))
    except (RunnerError, OSError) as error:
        return ComparedRun(data, data.run, None, _told(data, error))


def _staleness(data: RunData, scored: Run) -> str:
    """Why the score in score.json may not be that of the predictions."""
    workspace = data.session.workspace
    if reason := stale_reason(workspace, scored):
        return f"{data.run.name}: its score is stale, {reason}. To predict again: `{predict_again(workspace, scored)}`"
    return ""


def _told(data: RunData, error: RunnerError | OSError) -> str:
    """Why a run has no predictions to compare, and the command that mends it."""
    name = data.run.name
    if not isinstance(error, RunnerError):
        return f"{name} is not compared by its score: {error}"
    what = "a damaged file" if isinstance(error, DamagedFileError) else error.message
    where = f" ({error.where})" if error.where else ""
    fix = f": {error.fix}" if error.fix and "`" in error.fix else f": `{error.fix}`" if error.fix else ""
    told = f"{what}{where}{fix}"
    return f"{name} is not compared by its score: {told}"


def _pairs(competition: Competition, runs: Sequence[ComparedRun]) -> tuple[list[Pair], list[str]]:
    pairs, problems = [], []
    for first, second in combinations(runs, 2):
        if first.nested is None or second.nested is None:
            continue
        try:
            rows = common_rows(first.nested, second.nested)
        except RunnerError as error:
            problems.append(f"{first.name} and {second.name} are not compared by their scores: {error.message}")
            continue
        pairs.append(Pair(competition, first, second, rows, paired_difference(competition, rows)))
    return pairs, problems


@dataclass(frozen=True)
class _Circumstances:
    """What may differ beside the recipe."""

    data: str
    time_budget: float | None
    skip_unreadable: bool | None
    folds: str
    tta: str
    snapshots: int | None
    size: int | None
    versions: dict[str, Any]

    @classmethod
    def of(cls, run: ComparedRun) -> _Circumstances:
        """Those of a run; what cannot be read is left empty."""
        request = _or_none(lambda: read_request(run.data.run))
        sources = _or_none(lambda: read_sources(run.scored))
        rows = run.data.row_counts
        versions = {name: value for name, value in run.data.environment.items() if name != "threads"}
        return cls(
            data=request.data[:8] if request else "",
            time_budget=request.time_budget if request else None,
            skip_unreadable=request.skip_unreadable if request else None,
            folds="" if rows is None else f"{rows[1]:,} validation rows",
            tta=sources.tta if sources else "",
            snapshots=sources.snapshots if sources else None,
            size=sources.options.size if sources else None,
            versions=versions,
        )


def _or_none(read: Any) -> Any:
    try:
        return read()
    except (RunnerError, OSError):
        return None


def _oof(competition: Competition, rows: NestedPredictions) -> OofPredictions:
    labels = competition.labels
    return OofPredictions(
        rows.ids,
        (labels.label,) if isinstance(labels, Binary) and not labels.columns else rows.classes,
        rows.targets,
        rows.probabilities,
        rows.values,
        labels,
        None,
        competition.metric,
    )

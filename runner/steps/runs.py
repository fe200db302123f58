"""Every run: how far it is trained, whether its score is of today's files, what its submission scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from runner.contract import EnsembleRecipe, Recipe
from runner.errors import RunnerError
from runner.field_paths import field_differences, flat_fields
from runner.hosts.ledger import Entry, readable_entries
from runner.prediction.sources import predict_again, stale_reason
from runner.session import Session
from runner.steps.download import is_downloaded
from runner.training.log import read_log
from runner.training.progress import read_progress
from runner.training.recipe_flags import compute_flags
from runner.training.run import Run, find_runs, read_annotation


@dataclass(frozen=True)
class RunRow:
    """One run: a row of `runner COMPETITION runs`."""

    run: str
    status: str  # empty, unfinished, trained, predicted, stale or damaged
    note: str  # how far it is, or what is stale or damaged
    cv: float | None
    cv_error: float | None
    public: float | None
    private: float | None
    rank: str | None
    date: str  # of the last change, local time
    minutes: float  # of training
    megabytes: float
    recipe: str  # the whole, in a line
    changes: tuple[str, ...] = ()  # what differs from the competition's recipe
    annotation: str | None = None  # what the user said of it
    fields: dict[str, Any] = field(default_factory=dict)  # of its recipe, by their paths


def list_runs(session: Session) -> list[RunRow]:
    """Every run, the best score first; those without a score follow, the newest first."""
    refresh = session.command("standings", "--refresh")
    read = readable_entries(session.workspace.ledger_file, session.name, refresh=refresh)
    entries = {entry.run: entry for entry in read}
    rows = [_row(session, run, entries) for run in reversed(find_runs(session.workspace, session.name))]
    sort_key = session.competition.metric.sort_key
    return sorted(rows, key=lambda row: (row.cv is None, 0.0 if row.cv is None else sort_key(row.cv)))


def run_status(session: Session, run: Run) -> tuple[str, str]:
    """The status of a run in one word, and a note about it; nothing raises."""
    try:
        is_ensemble = bool(run.read_members())
        if run.is_empty and not is_ensemble:
            return "empty", "no epoch is finished"
        if run.read_score() is not None and (reason := stale_reason(session.workspace, run)):
            return "stale", reason
        if not is_ensemble and not (progress := read_progress(run)).is_finished:
            return "unfinished", str(progress)
        return ("trained", "not predicted yet") if run.read_score() is None else ("predicted", "")
    except (RunnerError, OSError) as error:
        return "damaged", str(error).partition("\n")[0] + f" ({_where(error)})"


def next_command(session: Session, run: Run) -> str:
    """What the run needs next: the rest of its training, predictions, or a look at them and a submission."""
    status, _ = run_status(session, run)
    machine = compute_flags(session.compute)
    if status in ("empty", "unfinished"):
        return session.command("train", "--run", run.name, "--resume", *machine)
    if status == "trained":
        return session.command("predict", "--run", run.name, *machine)
    if status == "stale":
        return " ".join([predict_again(session.workspace, run), *machine])
    return f"{session.command('report', run.name)}; to submit it: {session.command('submit', run.name)}"


def next_without_runs(session: Session) -> str:
    """What a competition without runs needs next: its data, or a training."""
    return session.command("train" if is_downloaded(session) else "download")


def _row(session: Session, run: Run, entries: Mapping[str, Entry]) -> RunRow:
    status, note = run_status(session, run)
    entry, (cv, cv_error) = entries.get(run.name), _score(run)
    recipe = _whole_recipe(run)
    return RunRow(
        run=run.name,
        status=status,
        note=note,
        cv=cv,
        cv_error=cv_error,
        public=float(entry.public) if entry and entry.public else None,
        private=float(entry.private) if entry and entry.private else None,
        rank=entry.rank or None if entry else None,
        date=_last_change(run),
        minutes=_minutes(run),
        megabytes=_megabytes(run.folder),
        recipe=_recipe(run),
        changes=recipe_changes(recipe, session.competition.recipe) if recipe else (),
        annotation=read_annotation(run),
        fields=flat_fields(recipe) if recipe else {},
    )


def recipe_changes(recipe: Recipe | EnsembleRecipe, declared: Recipe) -> tuple[str, ...]:
    """What a run's recipe has otherwise than the competition's, a few words each; its stages, if they differ, whole."""
    if isinstance(recipe, EnsembleRecipe):
        return (recipe.summary,)
    changed = [each for each in field_differences([declared, recipe]) if not each.path.startswith("stages")]
    words = [f"{each.path} {_shown(each.values[1])}" for each in changed]
    if recipe.stages != declared.stages:
        words.append(recipe.summary.partition(": ")[2])
    return tuple(words)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _whole_recipe(run: Run) -> Recipe | EnsembleRecipe | None:
    """The recipe; None if it cannot be read, which `_recipe` shows."""
    try:
        members = run.read_members()
        return EnsembleRecipe(members, run.read_refit_of()) if members else run.read_recipe()
    except (RunnerError, OSError):
        return None


def _score(run: Run) -> tuple[float | None, float | None]:
    try:
        score = run.read_score()
    except RunnerError:
        return None, None
    return (score["cv"]["value"], score["cv"]["error"]) if score else (None, None)


def _recipe(run: Run) -> str:
    try:
        return run.summary
    except (RunnerError, OSError):
        return "?"


def _minutes(run: Run) -> float:
    try:
        seconds = sum(float(line["seconds"]) for line in read_log(run.log_file))
        return round(seconds / 60, 1)
    except (RunnerError, OSError, ValueError, KeyError, TypeError):
        return 0.0


def _last_change(run: Run) -> str:
    files = [file for file in (run.recipe_file, run.log_file, run.score_file) if file.exists()]
    newest = max((file.stat().st_mtime for file in files), default=0.0)
    return datetime.fromtimestamp(newest).strftime("%Y-%m-%d %H:%M")


def _megabytes(folder: Path) -> float:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return round(size / 1e6, 1)


def _where(error: RunnerError | OSError) -> str:
    where = error.where if isinstance(error, RunnerError) else error.filename
    return Path(str(where)).name

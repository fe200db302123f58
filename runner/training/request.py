"""What a training was asked for. A command that is repeated asks for the same, and so finds its run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from runner.contract import Recipe
from runner.contract.recipe import recipe_fields
from runner.data.folds import read_folds
from runner.data.image_names import files_of
from runner.data.index import COLUMNS, Index
from runner.data.splits import SplitPlan
from runner.errors import RunnerError, UsageError
from runner.fields import checked
from runner.options import TrainOptions
from runner.session import Session
from runner.training.progress import read_progress
from runner.training.run import REQUEST_FORMAT, Run, find_runs
from runner.workspace import explain_damage, read_json


@dataclass(frozen=True)
class Request:
    """The recipe before a time budget changed it, the data, and the options that decide what is trained."""

    recipe: Recipe
    data: str
    time_budget: float | None = None
    skip_unreadable: bool = False

    @classmethod
    def of(cls, session: Session, recipe: Recipe, options: TrainOptions) -> Request:
        """The request of a command; `recipe` has its weights and its starting snapshot resolved."""
        return cls(recipe, data_digest(session.index), options.time_budget, options.skip_unreadable)

    def to_dict(self) -> dict[str, Any]:
        """A plain value for request.json."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**plain, "recipe": self.recipe.to_dict()}

    def differences(self, other: Request) -> Iterator[str]:
        """What the other one asks for that this one does not, in words."""
        for field in fields(Recipe):
            mine, others = getattr(self.recipe, field.name), getattr(other.recipe, field.name)
            if mine != others:
                yield field.name if field.name == "stages" else f"{field.name} {others!r} instead of {mine!r}"
        if self.data != other.data:
            yield "other data"
        if self.time_budget != other.time_budget:
            yield "another time budget"
        if self.skip_unreadable != other.skip_unreadable:
            yield "--skip-unreadable in one of them only"


def read_request(run: Run) -> Request | None:
    """What the run was asked for; None for a run of an earlier version."""
    if not run.request_file.exists():
        return None
    fix = f"runner {run.competition} train --run {run.name} --resume"
    plain = read_json(run.request_file, format=REQUEST_FORMAT, fix=fix)
    with explain_damage(run.request_file, fix, "the request"):
        return checked(Request, {**plain, "recipe": recipe_fields(plain["recipe"])}, "request")


def find_requested(session: Session, request: Request) -> Run | None:
    """The newest run that was asked for the same, with today's folds; unfinished ones go before finished ones."""
    found: Run | None = None
    for run in reversed(find_runs(session.workspace, session.name)):
        try:
            if run.read_members() or read_request(run) != request or not has_current_folds(session, run):
                continue
            if not read_progress(run).is_finished:
                return run
        except RunnerError:
            continue  # a damaged run is nothing to go on with; `runs` shows it
        found = found or run
    return found


def check_same_request(session: Session, run: Run, request: Request) -> None:
    """Raise a UsageError that says what differs if a run of this name was asked for something else."""
    written = read_request(run)
    if written is None:
        written = Request(run.read_recipe(), request.data, request.time_budget, request.skip_unreadable)
    differences = list(written.differences(request))
    if differences:
        raise UsageError(
            f"run {run.name!r} exists already, and was asked for something else: {', '.join(differences)}",
            where=run.recipe_file,
            fix="give this run another name with --run, or go on with that one as it is: "
            f"`{session.command('train', '--run', run.name, '--resume')}`",
        )


def check_same_data(session: Session, run: Run) -> None:
    """Raise a UsageError if an unfinished run has trained on other data than there is now."""
    written = read_request(run)
    if written is not None and written.data != data_digest(session.index):
        raise UsageError(
            f"the data has changed since {run.name} began",
            where=session.index.data_dir,
            fix=f"bring the old data back, or train a new run: `{session.command('train', '--new')}`",
        )


def has_current_folds(session: Session, run: Run) -> bool:
    """Whether the run's folds are those that a new run of its recipe would get."""
    recipe = run.read_recipe()
    if recipe.all_data or not run.folds_file.exists():
        return True
    own, shared = read_folds(run.folds_file, competition=run.competition), session.folds_file
    if shared.exists():
        current = read_folds(shared, competition=run.competition)
        if recipe.folds in (None, current.count):
            return own.fold_of == current.fold_of
    return own.was_made_by(asdict(SplitPlan(folds=recipe.folds)))


def data_digest(index: Index) -> str:
    """A digest of every row of the index and of the size of every image file."""
    table = hashlib.sha256()
    for row in index.table[list(COLUMNS)].itertuples(index=False, name=None):
        table.update("\t".join(map(str, row)).encode() + b"\n")
    for path in sorted({file for name in index.table["path"] for file in files_of(name)}):
        table.update(f"{path}\t{_size(index.data_dir / path)}\n".encode())
    table.update("\t".join(index.classes).encode())
    return table.hexdigest()[:32]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else -1

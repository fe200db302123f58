"""Rename, annotate and delete runs; nothing that another run needs, or that another process writes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from runner.errors import RunnerError, UsageError
from runner.hosts.ledger import rename_run as rename_in_ledger
from runner.locks import wait_for
from runner.prediction.sources import Sources, read_sources, write_sources
from runner.session import Session
from runner.training.run import Run, check_run_name, find_runs, hold_run
from runner.workspace import flush_to_disk, remove_file, write_text

_LONGEST = 500  # letters of an annotation
_DELETED = ".deleted-"  # what the folder of a run is called while it is removed


@dataclass(frozen=True)
class RunUse:
    """Another run that has something from a run."""

    run: str
    how: str  # "is an ensemble with it", …

    def __str__(self) -> str:
        return f"{self.run} {self.how}"


def uses_of(session: Session, run: Run) -> tuple[RunUse, ...]:
    """The other runs that name this one in their recipes."""
    return tuple(use for other in find_runs(session.workspace, session.name) for use in _uses(other, run))


def _uses(other: Run, run: Run) -> Iterator[RunUse]:
    try:
        members, refit_of = other.read_members(), other.read_refit_of()
        recipe = None if members else other.read_recipe()
    except (RunnerError, OSError):
        return  # a damaged recipe names nothing
    if run.name in members:
        yield RunUse(other.name, "is an ensemble with it")
    if refit_of == run.name:
        yield RunUse(other.name, "is its refit on all data")
    elif recipe is not None and recipe.from_run is not None and recipe.from_run.partition(":")[0] == run.name:
        yield RunUse(other.name, "starts from its weights")


def annotate_run(run: Run, text: str) -> None:
    """Write what the user says of a run; an empty text, or "-", removes it."""
    words = " ".join(text.split())
    if len(words) > _LONGEST:
        raise UsageError(
            f"the annotation has {len(words):,} letters", where=run.folder, fix=f"at most {_LONGEST} letters"
        )
    if words in ("", "-"):
        remove_file(run.annotation_file)
    else:
        write_text(run.annotation_file, words + "\n")


def rename_run(session: Session, run: Run, name: str) -> Run:
    """Give a run another name, its submission and its lines in the ledger, too.

    A UsageError if the name is taken, or if another run or a host's machine knows the run by its name.
    """
    check_run_name(name)
    renamed = Run(run.competition, name, session.workspace.run_dir(session.name, name))
    command = session.command("runs", "--rename", run.name, name)
    with ExitStack() as locks:
        locks.enter_context(wait_for(session.workspace.runs_dir(session.name) / ".start.lock"))
        _check_free(session, run, renamed)
        _check_unused(session, run)
        for each in (run, renamed):
            locks.enter_context(hold_run(each, command, fix="then rename it"))
        sources = _readable_sources(run)
        run.folder.rename(renamed.folder)
        flush_to_disk(renamed.folder.parent)
        for file_of in (session.submission_file, session.notebook_file):
            if file_of(run.name).exists():
                file_of(run.name).replace(file_of(name))
        if sources is not None:
            weights = {_renamed_model(model, run.name, name): digest for model, digest in sources.weights.items()}
            write_sources(session.workspace, renamed, replace(sources, weights=weights))
        rename_in_ledger(session.workspace.ledger_file, session.name, run.name, name)
    return renamed


def _readable_sources(run: Run) -> Sources | None:
    try:
        return read_sources(run)
    except (RunnerError, OSError):
        return None


def _renamed_model(model: str, old: str, new: str) -> str:
    return f"{new}/{model.removeprefix(f'{old}/')}" if model.startswith(f"{old}/") else model


def _check_free(session: Session, run: Run, renamed: Run) -> None:
    """Refuse a name that a run has, or the submission of a run that was deleted."""
    file = session.submission_file(renamed.name)
    taken = renamed.folder if renamed.folder.exists() else file if file.exists() else None
    if run.name == renamed.name:
        raise UsageError(f"{run.name} has this name already", where=run.folder, fix="another name")
    if taken is not None:
        raise UsageError(f"the name {renamed.name!r} is taken", where=taken, fix="another name")


def _check_unused(session: Session, run: Run) -> None:
    """Refuse to rename a run that others know by its name."""
    note = f"say something of it instead: `{session.command('runs', '--annotate', run.name, 'TEXT')}`"
    if uses := uses_of(session, run):
        raise UsageError(
            f"{run.name} cannot be renamed, others have it by its name: {'; '.join(map(str, uses))}",
            where=run.folder,
            fix=note,
        )
    remote = list(session.workspace.remote_dir(session.name).glob(f"{run.name}.*.json"))
    if remote:
        raise UsageError(f"{run.name} cannot be renamed: the host has it by its name", where=remote[0], fix=note)


def describe_deletion(session: Session, run: Run) -> str:
    """What is deleted with a run, what stays, and which runs have something from it."""
    size = sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file())
    text = f"{run.name}: {size / 1e6:.1f} MB"
    try:
        score = run.read_score()
        text += f", CV {score['cv']['value']:.5f}" if score else ", without a score"
    except RunnerError:
        text += ", with a damaged score"
    if session.submission_file(run.name).exists():
        text += "; its submission file and its lines in the ledger stay"
    for use in uses_of(session, run):
        lost = "cannot be fitted or predicted again" if "starts from" not in use.how else "keeps its own weights"
        text += f"\n  warning: {use}: it {lost}"
    return text


def delete_run(session: Session, run: Run) -> Path:
    """Delete a run's folder; an InUseError if another process writes it. Returns the folder that is gone."""
    command = session.command("runs", "--delete", run.name)
    with hold_run(run, command, fix="then delete it"):
        # Whatever ends this: either the run is whole, or there is none.
        removed = run.folder.with_name(f"{_DELETED}{run.name}")
        remove_deleted(run.folder.parent)
        run.folder.rename(removed)
        flush_to_disk(run.folder.parent)
        shutil.rmtree(removed, ignore_errors=True)
    return run.folder


def remove_deleted(folder: Path) -> None:
    """Remove what killed commands left of runs that they deleted."""
    for left in folder.glob(f"{_DELETED}*"):
        shutil.rmtree(left, ignore_errors=True)

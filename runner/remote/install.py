"""Put what a host's machine has trained where the runs are: from then on it is as if it had been trained here."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from pathlib import Path
from zipfile import ZipFile

from runner.commands import TYPED
from runner.errors import HostError, UsageError
from runner.remote.job import RemoteJob, job_file
from runner.remote.train_manifest import TrainingResult, files_of_run
from runner.session import Session
from runner.training.log import append_line, keep_lines, read_log
from runner.training.run import Run, hold_run
from runner.workspace import atomic_path, remove_file

_NAME = re.compile(r"(?P<kind>runs|submissions)/(?P<run>[A-Za-z0-9][A-Za-z0-9._-]*?)(?P<rest>/[A-Za-z0-9._/-]+|\.csv)")
_LOG, _RECIPE = "log.jsonl", "recipe.json"


def run_of(session: Session, job: RemoteJob) -> Run:
    """The run that the job trains, whether it is here or not."""
    return Run(session.name, job.run, session.workspace.run_dir(session.name, job.run))


def state_of(run: Run, fold: int | None = None) -> str:
    """A digest of what the run has trained, or one fold of it; empty if nothing is here."""
    if not run.recipe_file.exists():
        return ""
    lines = [line for line in read_log(run.log_file) if fold in (None, line["fold"])]
    if fold is not None and not lines:
        return ""  # others of the run may have come back since
    content = json.dumps([run.recipe_file.read_text(encoding="utf-8") if fold is None else "", lines], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def require_unchanged(session: Session, job: RemoteJob) -> None:
    """UsageError if the run is not what it was when it was sent: trained on, renamed or deleted."""
    run = run_of(session, job)
    now = state_of(run, job.fold)
    if job.is_arriving or now == job.base:
        return
    if job.base and not now:
        raise UsageError(
            f"{run.name} is no longer here, and the host sends only what it has trained since",
            where=run.folder,
            fix=f"put it back there, then: `{TYPED}`; or give it up, and delete {job_file(session, job.kind, job.run)}",
        )
    raise UsageError(
        f"{run.name} has been trained on here since it was sent: what the host has trained is not put over it",
        where=run.folder,
        fix=(f"move that folder away, then: `{TYPED}`" if not job.base else "")
        or f"go on with it here; to give up what is on the host, delete {job_file(session, job.kind, job.run)}",
    )


def install(session: Session, job: RemoteJob, archive: Path, result: TrainingResult) -> Run:
    """The run, with the files of the archive. Called again after a kill, it ends the same."""
    run = run_of(session, job)
    with ZipFile(archive) as opened, hold_run(run, session.command("remote", "fetch", job.name), fold=job.fold):
        members = {member.filename: member for member in opened.infolist()}
        for name in sorted(members, key=lambda name: (name.endswith(_RECIPE), name)):
            _install(session, job, opened, members[name])
        _remove_others(session, run, job, result)
    return run


def _install(session: Session, job: RemoteJob, archive: ZipFile, member: zipfile.ZipInfo) -> None:
    """Write one file; what all folds of a run share is left as it is, if another fold has brought it."""
    target = _target(session, job, member.filename)
    of_fold = job.fold is None or f"/fold-{job.fold}/" in member.filename
    if not of_fold and target.name == _LOG:
        _merge_log(archive.read(member), target, job.fold)
    elif of_fold or not target.exists():
        with archive.open(member) as source, atomic_path(target, size=member.file_size) as part, part.open("wb") as to:
            shutil.copyfileobj(source, to, 1 << 20)


def _target(session: Session, job: RemoteJob, name: str) -> Path:
    """Where a file of the archive belongs; HostError if it belongs nowhere."""
    match = _NAME.fullmatch(name)
    parts = Path(match["rest"]).parts if match else ()
    if match is None or ".." in parts or match["run"] not in (job.run, f"{job.run}-all"):
        raise HostError(f"the output of {job.kernel} has the file {name!r}, which is of no run", where=job.url)
    if match["kind"] == "submissions":
        return session.submission_file(match["run"])
    return session.workspace.run_dir(session.name, match["run"]) / match["rest"].lstrip("/")


def _merge_log(content: bytes, log_file: Path, fold: int | None) -> None:
    """Put a fold's lines in the place of those that the log has of it."""
    new = log_file.with_name(f".{log_file.name}.new")
    with atomic_path(new, size=len(content)) as part:
        part.write_bytes(content)
    lines = [line for line in read_log(new) if line["fold"] == fold]
    keep_lines(log_file, lambda line: line["fold"] != fold)
    for line in lines:
        append_line(log_file, line)
    remove_file(new)


def _remove_others(session: Session, run: Run, job: RemoteJob, result: TrainingResult) -> None:
    """Remove what the run no longer has: the checkpoint of a fold that is finished."""
    kept = {_target(session, job, name) for name in result.files}
    for path in list(files_of_run(run, job.fold)):
        if path not in kept and (job.fold is None or path.parent.name == f"fold-{job.fold}"):
            remove_file(path)

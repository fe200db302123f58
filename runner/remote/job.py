"""The note of what a run has on the host: enough for the next command to go on, whatever ended this one."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from runner.session import Session
from runner.workspace import read_record, write_json

_FORMAT = 1
_LONGEST = 50  # characters of a dataset's and a kernel's name on Kaggle


@dataclass(frozen=True)
class RemoteJob:
    """The kernel of a run on the host; nothing that the host itself tells is needed from here, but the addresses."""

    kind: str  # predict
    run: str
    digest: str  # of the package
    dataset: str  # owner/slug
    kernel: str  # owner/slug
    version: int = 0  # that was pushed last; 0 before
    url: str = ""
    failed: int = 0  # the version whose failure the user was told: the next command pushes another


def job_file(session: Session, kind: str, run: str) -> Path:
    """Where the note is."""
    return session.workspace.remote_dir(session.name) / f"{run}.{kind}.json"


def write_job(session: Session, job: RemoteJob) -> None:
    """Write the note."""
    write_json(job_file(session, job.kind, job.run), asdict(job), format=_FORMAT)


def read_job(session: Session, kind: str, run: str) -> RemoteJob | None:
    """The note; None if there is none."""
    path = job_file(session, kind, run)
    if not path.is_file():
        return None
    fix = f"delete the file, then: `{session.command('submit', run)}`"
    return read_record(path, RemoteJob, format=_FORMAT, fix=fix, name="the note")


def remote_name(*words: str) -> str:
    """A name on Kaggle for these words; one that is too long ends with a digest of them."""
    name = re.sub(r"[^a-z0-9]+", "-", "-".join(["runner", *words]).lower()).strip("-")
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256("\0".join(words).encode()).hexdigest()[:8]
    return f"{name[: _LONGEST - 9].rstrip('-')}-{digest}"

"""The note of what a run has on the host: enough for the next command to go on, whatever ended this one."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from runner.console import log
from runner.errors import RunnerError
from runner.session import Session
from runner.workspace import read_record, write_json

PREDICT, TRAIN = "predict", "train"

_FORMAT = 1
_LONGEST = 50  # characters of a dataset's and a kernel's name on Kaggle


@dataclass(frozen=True)
class RemoteJob:
    """The kernel of a run on the host; nothing that the host itself tells is needed from here, but the addresses."""

    kind: str  # predict, train, or train-K for one fold
    run: str
    digest: str  # of the package
    dataset: str  # owner/slug
    kernel: str  # owner/slug
    version: int = 0  # that was pushed last; 0 before
    url: str = ""
    failed: int = 0  # the version whose failure the user was told: the next command pushes another
    fold: int | None = None  # the one that is trained; None: all
    request: str = ""  # a digest of what was asked for
    base: str = ""  # a digest of what the run had trained when it was sent
    accelerator: str = ""
    hours: float = 0.0
    is_arriving: bool = False  # its output is being put where the runs are
    is_done: bool = False  # its output is here

    @property
    def name(self) -> str:
        """What `remote` calls it."""
        return f"{self.run}.{self.kind}"

    @property
    def is_training(self) -> bool:
        """Whether a run comes back."""
        return self.kind.startswith(TRAIN)


def train_kind(fold: int | None) -> str:
    """The kind of a training, of one fold or of all."""
    return TRAIN if fold is None else f"{TRAIN}-{fold}"


def job_file(session: Session, kind: str, run: str) -> Path:
    """Where the note is."""
    return session.workspace.remote_dir(session.name) / f"{run}.{kind}.json"


def write_job(session: Session, job: RemoteJob) -> None:
    """Write the note."""
    write_json(job_file(session, job.kind, job.run), asdict(job), format=_FORMAT)


def read_job(session: Session, kind: str, run: str) -> RemoteJob | None:
    """The note; None if there is none."""
    path = job_file(session, kind, run)
    return _read(session, path) if path.is_file() else None


def read_jobs(session: Session) -> list[RemoteJob]:
    """Every note, the newest last; one that cannot be read is told and left out."""
    jobs = []
    notes = session.workspace.remote_dir(session.name).glob("*.json")
    for path in sorted(notes, key=lambda note: (note.stat().st_mtime_ns, note)):
        try:
            jobs.append(_read(session, path))
        except RunnerError as error:
            log.warning(f"{error.message}: {error.where}; fix: {error.fix}")
    return jobs


def _read(session: Session, path: Path) -> RemoteJob:
    # What was sent is found again by the digests on the host, so nothing is lost with the note.
    fix = f"delete the file, then: `{session.command('remote')}`"
    return read_record(path, RemoteJob, format=_FORMAT, fix=fix, name="the note")


def remote_name(*words: str) -> str:
    """A name on Kaggle for these words; one that is too long ends with a digest of them."""
    name = re.sub(r"[^a-z0-9]+", "-", "-".join(["runner", *words]).lower()).strip("-")
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256("\0".join(words).encode()).hexdigest()[:8]
    return f"{name[: _LONGEST - 9].rstrip('-')}-{digest}"

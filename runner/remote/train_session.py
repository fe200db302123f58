"""A training's session on a host's machine: it lays the data out, starts the training, and saves what came of it.

The training is a process of its own, so that it can be ended in time: what a session has that the host cuts off is
lost. Whatever ends it, the run's files are complete, because each is written whole, and go into one archive.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import psutil

from competitions import load
from runner.console import log
from runner.errors import DataError, RunnerError
from runner.hosts.ledger import file_sha256
from runner.remote.archive import pack_files
from runner.remote.mounted_data import find_competition, link_data
from runner.remote.result import MANIFEST, RESULT, RESULT_FORMAT
from runner.remote.train_manifest import (
    ENDED_FILE,
    ERROR_FILE,
    FAILED,
    KIND,
    OUT_OF_TIME,
    OUTPUT,
    TRAIN_FORMAT,
    TrainingResult,
    TrainManifest,
    files_of_run,
    restore_runs,
)
from runner.training.run import Run, find_runs
from runner.workspace import Workspace, read_record, write_json

_SAVING = 0.05  # of the session, for an epoch that takes longer than those before it; then the training is killed


@dataclass(frozen=True)
class Ending:
    """How the training of a session ended: done, time or error, and then with which."""

    how: str
    error: str = ""


@dataclass(frozen=True)
class SessionFacts:
    """What a session says of itself in its result."""

    digest: str
    start: float  # on the monotonic clock
    gpus: tuple[str, ...]
    ending: Ending


def main(scratch: Path, root: Path, digest: str, options: dict[str, Any]) -> int:
    """Train in a kernel's session; `options` are the script's."""
    start = time.monotonic()
    try:
        manifest = read_manifest(scratch)
        site = install_missing(manifest.packages, scratch / "site")
        workspace = lay_out(scratch, root, manifest)
    except RunnerError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1
    gpus, seconds = find_gpus(), float(options["seconds"])
    log.info(f"training on {', '.join(gpus) or 'the CPU'}")
    ending = _run_worker(scratch, site, len(gpus), start + seconds, start + seconds * (1 - _SAVING))
    save(root, workspace, manifest, SessionFacts(digest, start, gpus, ending))
    return 0


def read_manifest(scratch: Path) -> TrainManifest:
    """What the unpacked package says."""
    return read_record(scratch / "package" / MANIFEST, TrainManifest, format=TRAIN_FORMAT)


def install_missing(requirements: Sequence[str], target: Path) -> Path:
    """Install what this image lacks into a folder behind its own packages; a DataError if that cannot be done."""
    missing = [each for each in requirements if not _is_installed(each)]
    if missing:
        log.info(f"this machine's image lacks {', '.join(missing)}: installing")
        words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), *missing]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["pip gives no reason"])[-1]
            raise DataError(
                f"this machine's image lacks {', '.join(missing)}, and they could not be installed: {reason}",
                fix="allow the kernel the internet, for which Kaggle wants a verified phone number",
            )
    return target


def _is_installed(requirement: str) -> bool:
    name = requirement
    for sign in "<>=!~ [;":
        name = name.partition(sign)[0]
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def lay_out(scratch: Path, root: Path, manifest: TrainManifest) -> Workspace:
    """The workspace of the session: the data by links, and what was packed of the runs."""
    package_dir, workspace = scratch / "package", Workspace(scratch / "workspace")
    competition = load(manifest.competition, package_dir / "competitions")
    data_dir = link_data(competition, find_competition(root, manifest.slug), workspace, trains=True)
    if (package_dir / "data").is_dir():
        for path in (package_dir / "data").iterdir():
            (data_dir / path.name).unlink(missing_ok=True)
            shutil.copyfile(path, data_dir / path.name)
    restore_runs(package_dir, workspace.runs_dir(manifest.competition))
    return workspace


def find_gpus() -> tuple[str, ...]:
    """The names of the GPUs, as their driver tells them; torch is loaded by the training alone."""
    driver = shutil.which("nvidia-smi")
    if driver is None:
        return ()
    words = [driver, "--query-gpu=name", "--format=csv,noheader"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip()) if done.returncode == 0 else ()


def worker_command(scratch: Path, seconds: float, gpus: int) -> list[str]:
    """The command that trains: with accelerate on each of several GPUs."""
    worker = ["runner.remote.worker", str(scratch), f"{seconds:.0f}"]
    if gpus < 2:
        return [sys.executable, "-m", *worker]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(gpus)]
    return [*launch, "--num_machines", "1", "--dynamo_backend", "no", "--mixed_precision", "no", "-m", *worker]


def _run_worker(scratch: Path, site: Path, gpus: int, end: float, soft_end: float) -> Ending:
    """How the training ended; it is killed at the end of the time."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(_search_path(scratch, site))}
    process = subprocess.Popen(worker_command(scratch, soft_end - time.monotonic(), gpus), env=environment)
    try:
        code = process.wait(max(end - time.monotonic(), 1.0))
    except subprocess.TimeoutExpired:
        log.warning("the session's time is over, and the training is ended: what is finished is saved")
        _kill(process)
        return Ending(OUT_OF_TIME)
    return read_ending(scratch, code)


def read_ending(scratch: Path, code: int) -> Ending:
    """How a training ended that was not killed here."""
    ended, error = scratch / ENDED_FILE, scratch / ERROR_FILE
    if ended.exists():
        return Ending(ended.read_text(encoding="utf-8"))
    return Ending(FAILED, error.read_text(encoding="utf-8") if error.exists() else _of_code(code))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and those that it has started: each file is written whole, so none is left half written."""
    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                child.kill()
    process.kill()
    process.wait()


def _search_path(scratch: Path, site: Path) -> Iterator[str]:
    yield str(scratch / "package")
    yield from filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    yield str(site)


def save(root: Path, workspace: Workspace, manifest: TrainManifest, session: SessionFacts) -> TrainingResult:
    """Write the archive of what is new, and runner.json last."""
    files = dict(_files(workspace, manifest))
    package_dir = workspace.root.parent / "package"
    archive = root / "working" / OUTPUT
    pack_files({name: path for name, path in files.items() if not _is_as_sent(package_dir / name, path)}, archive)
    result = TrainingResult(
        session.digest,
        KIND,
        manifest.run,
        session.ending.how,
        tuple(files),
        file_sha256(archive),
        round(time.monotonic() - session.start, 1),
        session.gpus,
        session.ending.error,
    )
    write_json(root / "working" / RESULT, asdict(result), format=RESULT_FORMAT)
    return result


def _files(workspace: Workspace, manifest: TrainManifest) -> Iterator[tuple[str, Path]]:
    """The files of the run, of its refit, and of their submissions, by their names in the archive."""
    names = (manifest.run, f"{manifest.run}-all") if manifest.refit else (manifest.run,)
    for run in find_runs(workspace, manifest.competition):
        if run.name in names:
            yield from _files_of(run, workspace, manifest)


def _files_of(run: Run, workspace: Workspace, manifest: TrainManifest) -> Iterator[tuple[str, Path]]:
    only_fold = manifest.only_fold if run.name == manifest.run else None
    for path in files_of_run(run, only_fold):
        yield f"runs/{run.name}/{path.relative_to(run.folder).as_posix()}", path
    submission = workspace.submissions_dir(manifest.competition) / f"{run.name}.csv"
    if submission.exists():
        yield f"submissions/{submission.name}", submission


def _is_as_sent(sent: Path, path: Path) -> bool:
    return sent.is_file() and filecmp.cmp(sent, path, shallow=False)


def _of_code(code: int) -> str:
    """Why a process ended that could not say it."""
    if code == -signal.SIGKILL:
        return "the training was killed: its machine has run out of memory"
    return f"the training ended with exit code {code}" if code >= 0 else f"the training ended by signal {-code}"

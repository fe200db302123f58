"""The practice host's notebooks: datasets, kernels and code submissions in a folder, run by this machine.

Its folder contains `datasets/SLUG/` (dataset.json, files/), `kernels/SLUG/` (kernel.json, and for each version its
script, log and output) and `reruns/REF.json`, a code submission whose kernel is still to be run on the hidden test set.
A session runs when its state or log is asked for, unless somebody runs it before: a killed one begins again.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from runner.console import Advance
from runner.errors import HostError
from runner.hosts.notebooks import (
    Dataset,
    DatasetStatus,
    Kernel,
    KernelState,
    KernelStatus,
    LogLine,
    OutputFile,
    PushedKernel,
    Quota,
    QuotaError,
)
from runner.hosts.practice import PracticeHost
from runner.hosts.sandbox import Sandbox, end_session, lay_out_files
from runner.workspace import atomic_path, locked, read_json, write_json, write_text

OWNER = "practice"
_WEEK = timedelta(hours=30)


@dataclass
class SessionLimits:
    """What the machines of the practice host allow; tests change it."""

    quota: Quota = field(default_factory=lambda: Quota(timedelta(0), _WEEK))
    limit: float = 600.0  # seconds of a session
    missing: tuple[str, ...] = ()  # packages that its image lacks

    def spend(self, time: timedelta) -> None:
        """Count accelerator time that a session has used."""
        self.quota = replace(self.quota, used=self.quota.used + time)


@dataclass(frozen=True)
class _Version:
    """One version of a kernel, in its folder."""

    slug: str
    number: int
    folder: Path

    @property
    def script(self) -> Path:
        return self.folder / "script.py"

    @property
    def log_file(self) -> Path:
        return self.folder / "log.jsonl"

    @property
    def output_dir(self) -> Path:
        return self.folder / "output"

    @property
    def state_file(self) -> Path:
        return self.folder / "state.json"

    @property
    def process_file(self) -> Path:
        return self.folder / "process"

    @property
    def cancel_file(self) -> Path:
        """There once somebody has cancelled it, even before its process was."""
        return self.folder / "cancelled"


@dataclass
class PracticeNotebooks:
    """The notebooks of one practice host folder, whose kernels may read the competitions of these hosts."""

    folder: Path
    hosts: Mapping[str, PracticeHost] = field(default_factory=dict)
    limits: SessionLimits = field(default_factory=SessionLimits)
    runs_on_demand: bool = True  # False: somebody else calls `run` and `run_reruns`

    def fetch_username(self) -> str:
        """The owner of everything here."""
        return OWNER

    def fetch_quota(self) -> Quota | None:
        """The GPU time of this week; there is no GPU here, but its quota is counted."""
        return self.limits.quota

    # --- datasets --------------------------------------------------------------------------------

    def fetch_dataset(self, ref: str) -> Dataset | None:
        """The dataset; it is ready at once."""
        record = self._dataset_dir(ref) / "dataset.json"
        if not record.is_file():
            return None
        return Dataset(ref, DatasetStatus.READY, tuple(read_json(record)["files"]))

    def create_dataset(self, ref: str, title: str, files: Sequence[Path]) -> None:
        """Copy the files; HostError if there is a dataset of this name."""
        if self.fetch_dataset(ref) is not None:
            raise HostError(f"the dataset {ref} exists already", where=self._dataset_dir(ref))
        self._write_dataset(ref, title, files, 1)

    def update_dataset(self, ref: str, note: str, files: Sequence[Path]) -> None:
        """Copy the files in the place of those of before."""
        record = read_json(self._dataset_dir(ref) / "dataset.json")
        self._write_dataset(ref, record["title"], files, record["version"] + 1)

    def dataset_version(self, ref: str) -> int:
        """How many versions it has had."""
        return int(read_json(self._dataset_dir(ref) / "dataset.json")["version"])

    def _write_dataset(self, ref: str, title: str, files: Sequence[Path], version: int) -> None:
        folder = self._dataset_dir(ref)
        target = folder / f"v{version}"
        for path in files:
            with atomic_path(target / path.name) as temporary:
                shutil.copyfile(path, temporary)
        names = [path.name for path in files]
        write_json(folder / "dataset.json", {"title": title, "version": version, "files": names})

    def dataset_files(self, ref: str) -> Path:
        """The folder with the files of the newest version."""
        return self._dataset_dir(ref) / f"v{self.dataset_version(ref)}"

    def _dataset_dir(self, ref: str) -> Path:
        return self.folder / "datasets" / ref.rpartition("/")[2]

    # --- kernels ---------------------------------------------------------------------------------

    def push_kernel(self, kernel: Kernel) -> PushedKernel:
        """Save a version, which runs when it is asked for."""
        if kernel.accelerator and not self.limits.quota.left:
            hours = self.limits.quota.allowed.total_seconds() / 3600
            raise QuotaError(f"the weekly GPU quota of {hours:.2f} hours is used up", fix="use no accelerator")
        slug = kernel.ref.rpartition("/")[2]
        with locked(self._kernel_dir(slug) / ".lock"):
            number = self._newest(slug) + 1
            version = self._version(slug, number)
            version.folder.mkdir(parents=True, exist_ok=True)  # a killed push may have made it
            version.script.write_text(kernel.source, encoding="utf-8")
            write_json(version.folder / "kernel.json", asdict(kernel))
            _write_state(version, KernelState(KernelStatus.QUEUED))
            write_json(self._kernel_dir(slug) / "kernel.json", {"version": number})
        return PushedKernel(kernel.ref, number, str(version.folder), kernel.source)

    def find_kernel(self, ref: str) -> PushedKernel | None:
        """The newest version with its script."""
        slug = ref.rpartition("/")[2]
        number = self._newest(slug)
        if not number:
            return None
        version = self._version(slug, number)
        return PushedKernel(ref, number, str(version.folder), version.script.read_text(encoding="utf-8"))

    def fetch_kernel_state(self, ref: str) -> KernelState:
        """How far the newest version is; on demand it is run first."""
        version = self._require_kernel(ref)
        if self.runs_on_demand:
            self.run(version.slug, version.number)
        return _read_state(version)

    def follow_log(self, ref: str) -> Iterator[LogLine]:
        """The log of the newest version; on demand it is run meanwhile."""
        version = self._require_kernel(ref)
        if self.runs_on_demand:
            thread = threading.Thread(target=self.run, args=(version.slug, version.number), daemon=True)
            thread.start()
            yield from _follow(version, thread)
        else:
            yield from read_log(version.log_file)

    def list_outputs(self, ref: str) -> tuple[OutputFile, ...]:
        """The files of the newest version's working folder; none before it has ended well."""
        version = self._require_kernel(ref)
        return tuple(OutputFile(name) for name in sorted(self.output_files(version.slug, version.number)))

    def output_files(self, slug: str, number: int) -> dict[str, Path]:
        """The files that a version has written, by their names; none before its end."""
        version = self._version(slug, number)
        if not _read_state(version).status.is_over:
            return {}
        root = version.output_dir
        return {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}

    def download_output(self, ref: str, file: OutputFile, path: Path, advance: Advance) -> None:
        """Copy one of them."""
        version = self._require_kernel(ref)
        with atomic_path(path) as temporary:
            shutil.copyfile(version.output_dir / file.name, temporary)
        advance(path.stat().st_size)

    def cancel_kernel(self, pushed: PushedKernel) -> None:
        """End the session of this version, or keep it from beginning."""
        version = self._version(pushed.ref.rpartition("/")[2], pushed.version)
        write_text(version.cancel_file, "")
        if _read_state(version).status is KernelStatus.QUEUED:
            _write_state(version, KernelState(KernelStatus.CANCELLED))
        with suppress(FileNotFoundError, ValueError):  # it has not begun, or has ended
            end_session(int(version.process_file.read_text()))

    def submit_kernel(self, slug: str, pushed: PushedKernel, file_name: str, message: str) -> str:
        """Note a rerun; its submission is pending until it has ended."""
        version = self._version(pushed.ref.rpartition("/")[2], pushed.version)
        if _read_state(version).status is not KernelStatus.COMPLETE:
            raise HostError(f"version {pushed.version} of {pushed.ref} has not ended well", where=version.folder)
        if not (version.output_dir / file_name).is_file():
            raise HostError(f"the kernel has no output file {file_name}", where=version.output_dir)
        rerun = {"slug": slug, "kernel": version.slug, "version": version.number, "file": file_name}

        def note(ref: str) -> None:
            write_json(self.folder / "reruns" / f"{slug}-{ref}.json", {**rerun, "ref": ref})

        return self.hosts[slug].open_submission(slug, file_name, message, note)

    # --- running ---------------------------------------------------------------------------------

    def run(self, slug: str, number: int) -> None:
        """Run a version, unless it has ended or another process runs it: then that is waited for."""
        version = self._version(slug, number)
        with locked(version.folder / ".running.lock"):
            if version.cancel_file.exists() and not _read_state(version).status.is_over:
                _write_state(version, KernelState(KernelStatus.CANCELLED))
            if _read_state(version).status.is_over:
                return
            if version.output_dir.exists():
                shutil.rmtree(version.output_dir)  # a killed session's
            version.log_file.unlink(missing_ok=True)
            _write_state(version, KernelState(KernelStatus.RUNNING))
            state = self._run_session(version, version.output_dir, version.log_file, hidden=False)
            if state.status is not KernelStatus.COMPLETE and "limit" in state.failure:
                shutil.rmtree(version.output_dir)  # what a session has that was cut off is not saved
            _write_state(version, state)

    def run_reruns(self) -> None:
        """Rerun the kernels of all code submissions that are pending, on the hidden test set."""
        if not any((self.folder / "reruns").glob("*.json")):
            return
        with locked(self.folder / "reruns" / ".lock"):
            for note in sorted((self.folder / "reruns").glob("*.json")):
                rerun = read_json(note)
                # Without its submission the note is of a command that was killed between the two.
                if self.hosts[rerun["slug"]].waits_for_file(rerun["ref"]):
                    self._rerun(self._version(rerun["kernel"], rerun["version"]), rerun)
                note.unlink()

    def end_sessions(self) -> None:
        """End every session that is running."""
        for process in self.folder.glob("kernels/*/v*/process"):
            with suppress(FileNotFoundError, ValueError):
                end_session(int(process.read_text()))

    def _rerun(self, version: _Version, rerun: Mapping[str, Any]) -> None:
        host = self.hosts[rerun["slug"]]
        with tempfile.TemporaryDirectory() as folder:
            output_dir = Path(folder) / "working"
            log_file = self.folder / "reruns" / f"{rerun['slug']}-{rerun['ref']}.log"
            state = self._run_session(version, output_dir, log_file, hidden=True)
            file = output_dir / rerun["file"]
            if state.status is not KernelStatus.COMPLETE:
                host.close_submission(rerun["ref"], None, f"Notebook Threw Exception: {state.failure}")
            elif not file.is_file():
                host.close_submission(rerun["ref"], None, "Submission CSV Not Found")
            else:
                host.close_submission(rerun["ref"], file)

    def _run_session(self, version: _Version, output_dir: Path, log_file: Path, *, hidden: bool) -> KernelState:
        kernel = Kernel(**read_json(version.folder / "kernel.json"))
        with tempfile.TemporaryDirectory() as root, log_file.open("w", encoding="utf-8") as log:

            def tell(line: LogLine) -> None:
                log.write(json.dumps(asdict(line)) + "\n")
                log.flush()

            sandbox = Sandbox(
                version.script,
                dict(self._inputs(kernel, Path(root), hidden=hidden)),
                output_dir,
                Path(root) / "kaggle",
                min(self.limits.limit, kernel.timeout),
                internet=kernel.internet,
                environment={"KAGGLE_IS_COMPETITION_RERUN": "1"} if hidden else {},
                missing=self.limits.missing,
            )

            def began(process: int) -> None:
                write_text(version.process_file, str(process))
                if version.cancel_file.exists() and not hidden:
                    end_session(process)

            start = time.monotonic()
            try:
                return sandbox.run(tell, began)
            finally:
                version.process_file.unlink(missing_ok=True)
                if kernel.accelerator:
                    self.limits.spend(timedelta(seconds=time.monotonic() - start))

    def _inputs(self, kernel: Kernel, scratch: Path, *, hidden: bool) -> Iterator[tuple[str, Path]]:
        """The folders under `input`: the competition's files and the datasets."""
        if kernel.competition:
            host = self.hosts[kernel.competition]
            lay_out_files(host.rerun_files() if hidden else host.public_files(), scratch / "competition")
            yield kernel.competition, scratch / "competition"
        for ref in kernel.datasets:
            copied = scratch / "datasets" / ref.rpartition("/")[2]
            shutil.copytree(self.dataset_files(ref), copied)
            yield copied.name, copied

    def _kernel_dir(self, slug: str) -> Path:
        return self.folder / "kernels" / slug

    def _version(self, slug: str, number: int) -> _Version:
        return _Version(slug, number, self._kernel_dir(slug) / f"v{number}")

    def _newest(self, slug: str) -> int:
        """The number of the newest version; 0 if there is none."""
        record = self._kernel_dir(slug) / "kernel.json"
        return int(read_json(record)["version"]) if record.is_file() else 0

    def _require_kernel(self, ref: str) -> _Version:
        slug = ref.rpartition("/")[2]
        if number := self._newest(slug):
            return self._version(slug, number)
        raise HostError(f"there is no kernel {ref}", where=self.folder)


def read_log(path: Path) -> Iterator[LogLine]:
    """The lines that a session has printed so far; none before it begins."""
    if path.is_file():
        whole = path.read_text(encoding="utf-8").rpartition("\n")[0]  # the last line may still be written
        for line in whole.splitlines():
            yield LogLine(**json.loads(line))


def _follow(version: _Version, thread: threading.Thread) -> Iterator[LogLine]:
    """The lines of a log that a thread has written or is still writing."""
    told = 0
    while True:
        is_over = not thread.is_alive()
        lines = list(read_log(version.log_file))
        yield from lines[told:]
        told = len(lines)
        if is_over:
            return
        thread.join(0.1)


def _write_state(version: _Version, state: KernelState) -> None:
    write_json(version.state_file, {"status": state.status.value, "failure": state.failure})


def _read_state(version: _Version) -> KernelState:
    record = read_json(version.state_file)
    return KernelState(KernelStatus(record["status"]), record["failure"])

"""Run a notebook script as Kaggle would: in a process of its own, its inputs read-only, without a network.

Where a script expects `/kaggle`, it takes the folder that the variable RUNNER_KAGGLE_ROOT names; on Kaggle there is no
such variable.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from zipfile import ZipFile, is_zipfile

from runner.hosts.notebooks import KernelState, KernelStatus, LogLine

ROOT_VARIABLE = "RUNNER_KAGGLE_ROOT"

# What the process gets of this one's environment: neither credentials nor proxies.
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "SYSTEMROOT")

# Read by Python before the script begins, and by each of its child processes.
_GUARD = '''"""No network, and no package that a test has taken away."""
import os, signal, socket, sys, threading

def _refused(self, address, *more):
    if self.family in (socket.AF_INET, socket.AF_INET6):
        raise OSError(101, "Network is unreachable")
    return _connect(self, address, *more)

_connect = socket.socket.connect
if os.environ.get("RUNNER_SANDBOX_INTERNET") != "1":
    socket.socket.connect = socket.socket.connect_ex = _refused

    def _unresolved(*_, **__):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    socket.getaddrinfo = socket.gethostbyname = _unresolved

class _Missing:
    def find_spec(self, name, path=None, target=None):
        if name in os.environ.get("RUNNER_SANDBOX_MISSING", "").split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, _Missing())

def _end_with_parent():
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)

threading.Thread(target=_end_with_parent, daemon=True).start()
'''


@dataclass(frozen=True)
class Sandbox:
    """One session: a script, what lies under `input`, and what the machine allows."""

    script: Path
    inputs: Mapping[str, Path]  # name under `input`: a folder
    output_dir: Path  # becomes `working`
    root: Path  # an empty folder for the layout
    seconds: float
    internet: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    missing: Sequence[str] = ()  # packages that cannot be imported

    def run(self, tell: Callable[[LogLine], object], on_start: Callable[[int], object]) -> KernelState:
        """The session's end; every line that it prints is told, and its process group as it starts."""
        self._lay_out()
        before = _fingerprint(self.inputs)
        process = subprocess.Popen(
            [sys.executable, str(self.script)],
            cwd=self.output_dir,
            env=self._environment(),
            stdin=subprocess.PIPE,  # its end tells the session that nobody waits for it any more
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # one signal ends its children, too
        )
        on_start(process.pid)
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            _kill(process.pid)

        timer = threading.Timer(self.seconds, end)
        timer.daemon = True
        timer.start()
        try:
            _tell_lines(process, tell)
            code = process.wait()
        finally:
            timer.cancel()
            _kill(process.pid)
            if process.stdin is not None:
                process.stdin.close()
        if is_late.is_set():
            return KernelState(KernelStatus.ERROR, f"the session was ended at its limit of {self.seconds:.0f} s")
        if _fingerprint(self.inputs) != before:
            return KernelState(KernelStatus.ERROR, "[Errno 30] Read-only file system: the script wrote into its input")
        if code == 0:
            return KernelState(KernelStatus.COMPLETE)
        if code == -signal.SIGTERM:
            return KernelState(KernelStatus.CANCELLED)
        return KernelState(KernelStatus.ERROR, f"the script ended with exit code {code}")

    def _lay_out(self) -> None:
        self.output_dir.mkdir(parents=True, exist_ok=True)
        for part in ("input", "guard", "home", "tmp"):
            (self.root / part).mkdir(parents=True)
        (self.root / "working").symlink_to(self.output_dir)
        (self.root / "guard" / "sitecustomize.py").write_text(_GUARD, encoding="utf-8")
        for name, folder in self.inputs.items():
            link = self.root / "input" / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(folder)

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        return {
            **kept,
            "HOME": str(self.root / "home"),
            "PYTHONPATH": str(self.root / "guard"),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "KAGGLE_KERNEL_RUN_TYPE": "Batch",
            "RUNNER_SANDBOX_INTERNET": "1" if self.internet else "0",
            "RUNNER_SANDBOX_MISSING": ",".join(self.missing),
            ROOT_VARIABLE: str(self.root),
            **self.environment,
        }


def end_session(process_group: int) -> None:
    """Ask a session to end, as a cancelled one does."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process_group, signal.SIGTERM)


def _kill(process_group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process_group, signal.SIGKILL)


def _tell_lines(process: subprocess.Popen[bytes], tell: Callable[[LogLine], object]) -> None:
    start, lock = time.monotonic(), threading.Lock()

    def read(stream: IO[bytes], is_error: bool) -> None:
        with stream:
            for line in stream:
                text = line.decode("utf-8", "replace").rstrip("\n")
                with lock:
                    tell(LogLine(round(time.monotonic() - start, 3), text, is_error))

    threads = [
        threading.Thread(target=read, args=(stream, stream is process.stderr), daemon=True)
        for stream in (process.stdout, process.stderr)
        if stream is not None
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _fingerprint(inputs: Mapping[str, Path]) -> dict[str, tuple[int, int]]:
    """Size and time of every input file: root may write where a mode forbids it."""
    found = {}
    for folder in inputs.values():
        for path in folder.rglob("*"):
            status = path.stat()
            if path.is_file():
                found[str(path)] = (status.st_size, status.st_mtime_ns)
    return found


def lay_out_files(files: Mapping[str, Path], folder: Path) -> None:
    """Copy a competition's files into a new folder as a notebook finds them: what is in a zip is unpacked."""
    for name, path in files.items():
        if is_zipfile(path) and name.endswith(".zip"):
            _unpack(path, folder / name.removesuffix(".zip"))
            continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(0o444)


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip into the folder of its name; what is in a folder or file of that name already, beside it."""
    with ZipFile(archive) as opened:
        names = opened.namelist()
        is_wrapped = all(name.split("/", 1)[0] == folder.name for name in names)
        opened.extractall(folder.parent if is_wrapped else folder)

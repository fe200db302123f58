"""Datasets and kernels on the host: what is there already is used, what is not is sent, once, and waited for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from runner.commands import TYPED
from runner.console import log, progress
from runner.errors import HostError, Interrupted
from runner.hosts.notebooks import (
    BusyDatasetError,
    Dataset,
    DatasetStatus,
    Kernel,
    KernelState,
    KernelStatus,
    NotebookHost,
    PushedKernel,
    is_same_script,
)
from runner.remote.package import Package

_DATASET_SECONDS = 3600.0  # a gigabyte is processed in minutes
_QUEUE_SECONDS = 3600.0  # beyond the session's own limit
_FIRST_DELAY, _LONGEST_DELAY = 2.0, 30.0
_TAIL = 12  # lines of a failed session's log in its error


@dataclass
class Remote:
    """The host's notebooks, and a clock that tests replace."""

    notebooks: NotebookHost
    sleep: Callable[[float], None] = time.sleep
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL))  # the last lines of the last log

    def upload(self, ref: str, package: Package) -> None:
        """See to it that the dataset's newest version is this package, and can be mounted."""
        known = self._wait_while_processing(ref)
        if known is not None and package.path.name in known.files:
            log.info(f"the dataset {ref} has the package already")
            return
        megabytes = package.size / 1e6
        log.info(f"uploading {megabytes:.1f} MB as the private dataset {ref}")
        if known is None:
            self.notebooks.create_dataset(ref, ref.partition("/")[2], [package.path])
        else:
            self._update(ref, package)
        self._wait_for_package(ref, package)

    def _update(self, ref: str, package: Package) -> None:
        for delay in _delays(_DATASET_SECONDS):
            try:
                self.notebooks.update_dataset(ref, f"package {package.digest[:16]}", [package.path])
                return
            except BusyDatasetError as error:
                log.info(f"{error.message}; trying again in {delay:.0f} s")
                self.sleep(delay)
        raise self._too_long(ref)

    def _wait_for_package(self, ref: str, package: Package) -> None:
        for delay in _delays(_DATASET_SECONDS):
            known = self._wait_while_processing(ref)
            if known is not None and package.path.name in known.files:
                return
            self.sleep(delay)  # the host still shows the version of before
        raise self._too_long(ref)

    def _wait_while_processing(self, ref: str) -> Dataset | None:
        with progress(f"waiting for the dataset {ref}", None):
            for delay in _delays(_DATASET_SECONDS):
                known = self.notebooks.fetch_dataset(ref)
                if known is None or known.status is DatasetStatus.READY:
                    return known
                if known.status is DatasetStatus.FAILED:
                    raise HostError(
                        f"the host could not process the dataset {ref}",
                        fix=f"delete that dataset on the host, then: `{TYPED}`",
                    )
                self.sleep(delay)
        raise self._too_long(ref)

    def _too_long(self, ref: str) -> HostError:
        return HostError(
            f"the dataset {ref} is still processed after {_DATASET_SECONDS / 60:.0f} minutes",
            fix=f"nothing is uploaded again: later, `{TYPED}`",
        )

    def push(self, kernel: Kernel, *, failed: int = 0, url: str = "") -> PushedKernel:
        """The version that runs this script: the newest if it does, unless it is the one that failed; else a new one.

        `url` is what the push of before had answered.
        """
        known = self.notebooks.find_kernel(kernel.ref)
        if known is not None and known.version != failed and is_same_script(known.source, kernel.source):
            log.info(f"version {known.version} of {kernel.ref} runs this already")
            return PushedKernel(known.ref, known.version, known.url or url, known.source)
        pushed = self.notebooks.push_kernel(kernel)
        log.info(f"pushed version {pushed.version} of {kernel.ref}" + (f": {pushed.url}" if pushed.url else ""))
        told = self.notebooks.find_kernel(kernel.ref)
        if told and kernel.accelerator and told.accelerator not in ("", kernel.accelerator):
            log.warning(f"{kernel.accelerator} was asked for, and the host names {told.accelerator}")
        return pushed

    def follow(self, kernel: Kernel, pushed: PushedKernel, tell: Callable[[str], None] = log.info) -> KernelState:
        """The session's end. Its log is told as it comes; Ctrl-C leaves the session running."""
        try:
            return self._follow(kernel, pushed, tell)
        except KeyboardInterrupt:
            raise Interrupted(f"{pushed.ref} goes on on the host, and the same command comes back to it") from None

    def _follow(self, kernel: Kernel, pushed: PushedKernel, tell: Callable[[str], None]) -> KernelState:
        is_told = False
        for delay in _delays(kernel.timeout + _QUEUE_SECONDS):
            if not is_told:
                self.tail.clear()
                for line in self.notebooks.follow_log(pushed.ref):
                    is_told = True
                    self.tail.append(line.text)
                    tell(f"  {line.text}")
            state = self.notebooks.fetch_kernel_state(pushed.ref)
            if state.status.is_over:
                return state
            self.sleep(delay)
        hours = (kernel.timeout + _QUEUE_SECONDS) / 3600
        raise HostError(
            f"{pushed.ref} has not ended after {hours:.0f} hours", where=pushed.url, fix=f"later: `{TYPED}`"
        )

    def require_complete(self, pushed: PushedKernel, state: KernelState) -> None:
        """HostError with the session's own error if it has not ended well."""
        if state.status is KernelStatus.COMPLETE:
            return
        if state.status is KernelStatus.CANCELLED:
            raise HostError(f"{pushed.ref} was cancelled", where=pushed.url, fix=f"to run it again: `{TYPED}`")
        reason = state.failure or "the host gives no reason"
        lines = "".join(f"\n    {line}" for line in self.tail)
        raise HostError(
            f"{pushed.ref} failed: {reason}" + (f"\n  its log ends with:{lines}" if lines else ""),
            where=pushed.url,
            fix=f"to run it again, as a new version: `{TYPED}`",
        )

    def fetch(self, ref: str, names: tuple[str, ...], folder: Path) -> dict[str, Path]:
        """Download these output files of the newest version; HostError if one is not there."""
        outputs = {file.name: file for file in self.notebooks.list_outputs(ref)}
        if missing := [name for name in names if name not in outputs]:
            raise HostError(
                f"{ref} has written no {' and no '.join(missing)}",
                where=f"it has {', '.join(sorted(outputs)[:5]) or 'no output'}",
                fix=f"to run it again: `{TYPED}`",
            )
        paths = {name: folder / name for name in names}
        for name, path in paths.items():
            path.unlink(missing_ok=True)
            with progress(f"fetching {name}", None, "B") as advance:
                self.notebooks.download_output(ref, outputs[name], path, advance)
        return paths


def _delays(seconds: float) -> list[float]:
    """Waits that grow, and take this long together."""
    delays: list[float] = []
    delay = _FIRST_DELAY
    while sum(delays) < seconds:
        delays.append(delay)
        delay = min(delay * 1.5, _LONGEST_DELAY)
    return delays

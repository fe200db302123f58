"""`runner doctor`: check this machine, the account and a competition's data; every problem has its fix."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import psutil
from rich.filesize import decimal

from competitions import EXAMPLE, load, summaries
from runner.archives.disk_space import free_bytes
from runner.contract import Competition
from runner.data.manifest import is_complete, verify_manifest
from runner.data.source import redownload_words
from runner.errors import HostError, PluginError, RunnerError
from runner.hosts.credentials import SETTINGS_PAGE, find_credentials, search_locations
from runner.hosts.open_host import open_host
from runner.hosts.protocol import Host
from runner.hosts.submit import needs_notebook
from runner.workspace import Workspace

_PACKAGES = ("competition-runner", "kaggle", "kagglesdk", "torch", "timm", "albumentations")
_LEAST_PYTHON = (3, 11)
_LEAST_DISK, _COMFORTABLE_DISK = 2 * 10**9, 20 * 10**9  # bytes
_LEAST_MEMORY = 3 * 10**9  # bytes
_MOST_CLOCK_SECONDS = 300


class Status(Enum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"  # worth knowing; commands work
    ERROR = "error"  # a command will fail


@dataclass(frozen=True)
class CheckResult:
    """One row of the doctor's table; `fix` is a command or an action, empty if there is nothing to fix."""

    check: str
    status: Status
    detail: str
    fix: str = ""


def run_checks(workspace: Workspace, host_name: str, competition: Competition | None = None) -> list[CheckResult]:
    """Every check in the order to fix them; without a competition, those of host and data are left out or general."""
    credentials = list(_check_credentials()) if host_name == "kaggle" else []
    results = list(credentials)
    if not any(result.status is Status.ERROR for result in credentials):
        if competition is not None:
            results += _check_host(open_host(host_name, competition, workspace), competition)
        elif host_name == "kaggle":
            results += _check_account(workspace)
    if competition is not None:
        if host_name == "kaggle":
            results += (CheckResult("competition", Status.WARNING, caution) for caution in competition.cautions)
        results.append(_check_data(competition, workspace))
    else:
        results += _check_plugins(workspace)
    name = competition.name if competition else EXAMPLE
    return [
        *results,
        *_check_gpus(workspace.command_line(name, "train", "--linear-probe")),
        _check_memory(),
        _check_disk(workspace.root),
        _check_python(),
        _check_versions(),
    ]


# --- account and host ---------------------------------------------------------------------------


def _check_credentials() -> Iterator[CheckResult]:
    search = find_credentials()
    if search.used is None:
        fix = f"save a token from {SETTINGS_PAGE} as ~/.kaggle/access_token"
        yield CheckResult("credentials", Status.ERROR, f"none in {search_locations()}", fix)
    else:
        yield CheckResult("credentials", Status.OK, str(search.used))
    for credentials in search.shadowed:
        assert search.used
        detail = f"{credentials} is not used: the {search.used.kind.value} goes first"
        yield CheckResult("credentials", Status.WARNING, detail, f"to use it: {search.used.command_to_disable}")
    for credentials in search.all:
        if credentials.is_readable_by_others:
            detail = f"other users can read {credentials.path}"
            yield CheckResult("credentials", Status.WARNING, detail, f"chmod 600 {credentials.path}")
    for file in search.unreadable:
        yield CheckResult("credentials", Status.WARNING, f"cannot be read: {file}", "repair or remove that file")


def _check_account(workspace: Workspace) -> Iterator[CheckResult]:
    """Whether Kaggle accepts the credentials, tested with a competition that the runner ships."""
    competition = load(EXAMPLE)
    host = open_host("kaggle", competition, workspace)
    try:
        host.fetch_info(competition.slug)
    except HostError as error:
        yield _error("host", error)
        return
    yield CheckResult("host", Status.OK, f"{host.name} accepts the credentials")
    yield from _check_clock(host)


def _check_host(host: Host, competition: Competition) -> Iterator[CheckResult]:
    try:
        info = host.fetch_info(competition.slug)
    except HostError as error:
        yield _error("host", error)
        return
    yield CheckResult("host", Status.OK, f"{host.name} has {info.title}")
    yield from _check_clock(host)
    if not info.rules_accepted:
        yield CheckResult("rules", Status.ERROR, "not accepted", f"accept them at {info.page}/rules")
        return
    yield CheckResult("rules", Status.OK, "accepted")
    if info.submissions_disabled:
        fix = f"runner {competition.name} run --no-submit"
        yield CheckResult("submissions", Status.ERROR, "the competition takes none", fix)
        return
    if needs_notebook(host, competition, info):
        yield CheckResult("notebooks", Status.OK, "it takes no files: submit RUN uploads a notebook")
    yield _check_limits(host, competition)


def _check_limits(host: Host, competition: Competition) -> CheckResult:
    try:
        limits = host.fetch_limits(competition.slug)
    except HostError as error:
        return _error("submissions", error)
    detail = f"{limits.left_today} of {limits.per_day} left today"
    if limits.left_today:
        return CheckResult("submissions", Status.OK, detail)
    return CheckResult("submissions", Status.WARNING, detail, f"wait until {limits.resets_at:%Y-%m-%d %H:%M} UTC")


def _check_clock(host: Host) -> Iterator[CheckResult]:
    """Nothing if this machine's clock is right: logins and download addresses expire by it."""
    ahead = (datetime.now(UTC) - host.now()).total_seconds()
    if abs(ahead) >= _MOST_CLOCK_SECONDS:
        detail = f"{abs(ahead) / 60:.0f} min {'ahead of' if ahead > 0 else 'behind'} {host.name}'s clock"
        yield CheckResult("clock", Status.WARNING, detail, "set this machine's clock: logins expire by it")


def _error(check: str, error: HostError) -> CheckResult:
    return CheckResult(check, Status.ERROR, error.message, error.fix or "")


def _check_plugins(workspace: Workspace) -> Iterator[CheckResult]:
    """A warning for each competition file that cannot be used; none of them is executed."""
    for found in summaries(workspace.plugins_dir):
        if isinstance(found, PluginError):
            detail = f"{found.message}: {found.where}"
            yield CheckResult("competitions", Status.WARNING, detail, found.fix or "")


# --- data ---------------------------------------------------------------------------------------


def _check_data(competition: Competition, workspace: Workspace) -> CheckResult:
    folder = workspace.data_dir(competition.name)
    download = workspace.command_line(competition.name, "download")
    redownload = workspace.command_line(competition.name, *redownload_words(folder))
    if not folder.exists():
        return CheckResult("data", Status.WARNING, "not downloaded", download)
    if not is_complete(folder):
        return CheckResult("data", Status.ERROR, f"incomplete: {folder}", download)
    try:
        differences = verify_manifest(folder)
    except RunnerError as error:
        return CheckResult("data", Status.ERROR, f"{error.message}: {error.where}", redownload)
    for name, difference in differences.items():
        if difference < 0:
            detail = f"{-difference:,} files missing in {folder / name}"
            return CheckResult("data", Status.ERROR, detail, redownload)
    return CheckResult("data", Status.OK, f"complete: {folder}")


# --- machine ------------------------------------------------------------------------------------


def _check_gpus(fix: str) -> Iterator[CheckResult]:
    try:
        import torch  # here: the doctor also runs if it is broken

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        for index in range(count):
            with torch.cuda.device(index):
                yield CheckResult("GPU", Status.OK, _describe_gpu(torch, index))
    except Exception as error:  # a broken installation fails in many ways
        detail = f"torch cannot be imported: {type(error).__name__}: {error}".splitlines()[0]
        yield CheckResult("GPU", Status.ERROR, detail, f"{sys.executable} -m pip install --force-reinstall torch")
        return
    if count == 0:
        yield CheckResult("GPU", Status.WARNING, "none that torch can use: training runs on the CPU", fix)


def _describe_gpu(torch: Any, index: int) -> str:
    properties = torch.cuda.get_device_properties(index)
    native_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    precision = "native bf16" if native_bf16 else "no native bf16: float32 is used"
    return f"{properties.name}, {decimal(properties.total_memory)}, {precision}"


def _check_memory() -> CheckResult:
    free = psutil.virtual_memory().available
    if free < _LEAST_MEMORY:
        return CheckResult(
            "memory", Status.WARNING, f"{decimal(free)} free", "close programs, or train with --workers 0"
        )
    return CheckResult("memory", Status.OK, f"{decimal(free)} free")


def _check_disk(folder: Path) -> CheckResult:
    free = free_bytes(folder)
    detail = f"{decimal(free)} free in {folder}"
    if free >= _COMFORTABLE_DISK:
        return CheckResult("disk", Status.OK, detail)
    status = Status.ERROR if free < _LEAST_DISK else Status.WARNING
    return CheckResult("disk", status, detail, "free some space, or choose another disk with --workspace DIR")


def _check_python() -> CheckResult:
    detail = f"{platform.python_version()}, {sys.executable}"
    if sys.version_info < _LEAST_PYTHON:
        least = ".".join(map(str, _LEAST_PYTHON))
        return CheckResult("Python", Status.ERROR, detail, f"install Python {least} or newer")
    return CheckResult("Python", Status.OK, detail)


def _check_versions() -> CheckResult:
    installed, missing = [], []
    for package in _PACKAGES:
        try:
            installed.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    if missing:
        fix = f"{sys.executable} -m pip install --editable ."
        return CheckResult("versions", Status.ERROR, f"not installed: {', '.join(missing)}", fix)
    return CheckResult("versions", Status.OK, ", ".join(installed))

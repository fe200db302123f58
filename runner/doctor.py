"""What is wrong with this machine, this account or this competition's data, each with its fix."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from runner.archives.disk_space import format_bytes, free_bytes
from runner.contract import Competition
from runner.data.download import MANIFEST, MARKER
from runner.errors import HostError
from runner.hosts.credentials import SETTINGS_PAGE, find_credentials, places
from runner.hosts.protocol import Host
from runner.workspace import Workspace, read_json

_PACKAGES = ("competition-runner", "kaggle", "kagglesdk", "torch", "timm", "albumentations")
_LEAST_DISK, _GOOD_DISK = 2 * 10**9, 20 * 10**9
_LEAST_MEMORY = 3 * 10**9


class Severity(Enum):
    """How one line of the table is."""

    OK = "ok"
    WARNING = "warning"  # no obstacle, and worth knowing
    ERROR = "error"  # something that is needed


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, what was found, and what mends it."""

    check: str
    severity: Severity
    detail: str
    fix: str = ""


Opener = Callable[[Competition], Host]


def examine(workspace: Workspace, host_name: str, competition: Competition | None, open_host: Opener) -> list[Finding]:
    """Every finding, in the order in which one would mend them."""
    findings: list[Finding] = []
    if host_name == "kaggle":
        findings += _credentials()
    usable = not any(one.severity is Severity.ERROR for one in findings)
    if competition is not None and usable:
        findings += _host(open_host(competition), competition)
    elif host_name == "kaggle" and usable:
        findings += _account(open_host)
    if competition is not None:
        findings.append(_data(competition, workspace))
    return [*findings, _gpu(), _memory(), _disk(workspace.root), _versions()]


def _credentials() -> Iterator[Finding]:
    found = find_credentials()
    if found.used is None:
        fix = f"make a token at {SETTINGS_PAGE} and save it as ~/.kaggle/access_token"
        yield Finding("credentials", Severity.ERROR, f"none; looked for {places()}", fix)
    else:
        yield Finding("credentials", Severity.OK, str(found.used))
    for other in found.shadowed:
        assert found.used
        yield Finding(
            "credentials",
            Severity.WARNING,
            f"{other} never count, because the {found.used.kind.value} does",
            f"if that is the wrong one: {found.used.cure_to_drop}",
        )
    for one in found.all:
        if one.is_open_to_others:
            yield Finding("credentials", Severity.WARNING, f"{one.path} can be read by others", f"chmod 600 {one.path}")
    for text in found.unreadable:
        yield Finding("credentials", Severity.WARNING, f"not readable: {text}", "mend or remove that file")


def _account(open_host: Opener) -> Iterator[Finding]:
    """Without a competition of one's own: whether the host answers, asked about a shipped one."""
    from competitions import load, names

    shipped = load(names()[0])
    host = open_host(shipped)
    try:
        host.fetch_about(shipped.slug)
    except HostError as error:
        yield Finding("host", Severity.ERROR, error.message, error.fix or "")
        return
    yield Finding("host", Severity.OK, f"{host.name} answers, and knows you")
    yield from _clock(host)


def _host(host: Host, competition: Competition) -> Iterator[Finding]:
    try:
        about = host.fetch_about(competition.slug)
    except HostError as error:
        yield Finding("host", Severity.ERROR, error.message, error.fix or "")
        return
    yield Finding("host", Severity.OK, f"{host.name} answers, and knows {about.title}")
    yield from _clock(host)
    if not about.entered:
        page = f"{about.page}/rules"
        yield Finding("rules", Severity.ERROR, f"not accepted for {about.title}", f"open {page} and accept them")
        return
    yield Finding("rules", Severity.OK, f"accepted for {about.title}")
    if about.notebooks_only or about.disabled:
        what = "takes notebooks only" if about.notebooks_only else "takes no submissions"
        yield Finding("submissions", Severity.ERROR, f"{about.title} {what}", "train and predict without submitting")
        return
    yield _limits(host, competition)


def _limits(host: Host, competition: Competition) -> Finding:
    try:
        limits = host.fetch_limits(competition.slug)
    except HostError as error:
        return Finding("submissions", Severity.ERROR, error.message, error.fix or "")
    found = f"{limits.left_today} of {limits.per_day} left today"
    if limits.left_today:
        return Finding("submissions", Severity.OK, found)
    return Finding("submissions", Severity.WARNING, found, f"the next opens at {limits.resets_at:%Y-%m-%d %H:%M} UTC")


def _clock(host: Host) -> Iterator[Finding]:
    from datetime import UTC, datetime

    ahead = (datetime.now(UTC) - host.now()).total_seconds()
    if abs(ahead) >= 300:
        side = "ahead" if ahead > 0 else "behind"
        found = f"this machine's is {abs(ahead) / 60:.0f} min {side} of {host.name}'s"
        yield Finding("clock", Severity.WARNING, found, "set it right: logins and addresses of files expire by it")


def _data(competition: Competition, workspace: Workspace) -> Finding:
    folder = workspace.data_dir(competition.name)
    again = f"runner {competition.name} download"
    if not folder.exists():
        return Finding("data", Severity.WARNING, f"not here: {folder}", again)
    if not (folder / MARKER).is_file():
        return Finding("data", Severity.ERROR, f"not complete: {folder}", f"{again}, or {again} --from {folder}")
    try:
        told: dict[str, int] = read_json(folder / MANIFEST)["files"]
    except (OSError, ValueError, KeyError):
        return Finding("data", Severity.ERROR, f"its manifest cannot be read: {folder / MANIFEST}", f"{again} --force")
    for name, count in told.items():
        have = _count(folder / name, skip=name == "./")
        if have < count:
            return Finding(
                "data", Severity.ERROR, f"{count - have:,} files are gone from {folder / name}", f"{again} --force"
            )
    return Finding("data", Severity.OK, f"whole: {sum(told.values()):,} files in {folder}")


def _count(folder: Path, *, skip: bool) -> int:
    if not folder.is_dir():
        return 0
    ours = {MARKER, MANIFEST} if skip else set()
    return sum(path.is_file() and path.name not in ours for path in folder.iterdir())


def _gpu() -> Finding:
    import torch

    if not torch.cuda.is_available():
        return Finding("GPU", Severity.WARNING, "none that torch can use", "small networks and sizes train on the CPU")
    about = torch.cuda.get_device_properties(0)
    return Finding("GPU", Severity.OK, f"{about.name}, {format_bytes(about.total_memory)}")


def _memory() -> Finding:
    import psutil

    free = psutil.virtual_memory().available
    if free < _LEAST_MEMORY:
        return Finding(
            "memory", Severity.WARNING, f"{format_bytes(free)} free", "close something, or train with --workers 0"
        )
    return Finding("memory", Severity.OK, f"{format_bytes(free)} free")


def _disk(folder: Path) -> Finding:
    free = free_bytes(folder)
    fix = "make room, or choose another disk with --workspace DIR"
    if free < _LEAST_DISK:
        return Finding("disk", Severity.ERROR, f"{format_bytes(free)} free at {folder}", fix)
    severity = Severity.WARNING if free < _GOOD_DISK else Severity.OK
    return Finding(
        "disk", severity, f"{format_bytes(free)} free at {folder}", fix if severity is Severity.WARNING else ""
    )


def _versions() -> Finding:
    found, missing = [f"Python {platform.python_version()}"], []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    if missing:
        fix = "install the project again: pip install --editable ."
        return Finding("versions", Severity.ERROR, f"not installed: {', '.join(missing)}", fix)
    return Finding("versions", Severity.OK, ", ".join(found))

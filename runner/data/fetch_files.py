"""The files that a competition needs, chosen by name from those of a host, and downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.archives.disk_space import require_free
from runner.archives.names import safe_path, without_suffixes
from runner.console import progress
from runner.data.find_files import RequiredItem, find, listed, missing_error
from runner.errors import HostError
from runner.hosts.http.download import PART, PART_NOTE
from runner.hosts.protocol import FileSource, RemoteFile

# A host that lists images one by one mostly has one archive of them too.
_MANY_FILES = 50
# That archive is still the faster way if it is this many times larger than the files.
_MAX_BUNDLE_RATIO = 3


def fetch_files(
    host: FileSource, slug: str, required: Sequence[RequiredItem], folder: Path, retry_command: str
) -> None:
    """Download the required files into the folder, except those that an earlier call downloaded; delete others."""
    wanted = {folder / _checked_name(file, host): file for file in choose_files(host, slug, required, retry_command)}
    unfinished = {path.with_name(path.name + suffix) for path in wanted for suffix in (PART, PART_NOTE)}
    for path in folder.rglob("*"):
        if path.is_file() and path not in wanted and path not in unfinished:
            path.unlink()
    missing = {path: file for path, file in wanted.items() if not _is_downloaded(path, file)}
    size = sum(file.size for file in missing.values())
    started = sum(path.stat().st_size for path in unfinished if path.is_file())
    # An archive needs at least its own size again when it is extracted.
    needed = max(size - started, 0) + sum(file.size for file in wanted.values())
    require_free(folder, needed, "download and extract the files", retry_command)
    with progress(f"downloading from {host.name}", size, "B") as advance:
        for path, file in missing.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            host.download_file(slug, file, path, advance)


def choose_files(host: FileSource, slug: str, required: Sequence[RequiredItem], retry_command: str) -> list[RemoteFile]:
    """The files named after the required items; else the one archive of everything; else all archives."""
    files = host.list_files(slug)
    bundles = [file for file in files if file.bundle]
    by_name = {file.name: file for file in files if not file.bundle}
    if bundles and not by_name:
        return bundles
    location = listed(list(by_name))
    found = find(required, [location])
    missing = found.missing(required)
    matches = {**found.items, **found.packed}.values()
    names = list(dict.fromkeys(name for match in matches for name in match.files))
    everything = [name for name in location.archives if without_suffixes(name) == slug]
    if everything and (missing or len(names) > _MANY_FILES):
        names = everything[:1]
    elif missing and not names and location.archives:
        names = list(location.archives)
    elif missing:
        raise missing_error(missing, [location], f"the files of {host.name}", f"{retry_command} --from DIR")
    chosen = [by_name[part] for name in names for part in location.parts.get(name, (name,))]
    if len(chosen) > _MANY_FILES and bundles and bundles[0].size <= _MAX_BUNDLE_RATIO * sum(f.size for f in chosen):
        return bundles
    return chosen


def _checked_name(file: RemoteFile, host: FileSource) -> Path:
    try:
        return Path(safe_path(file.name))
    except ValueError as error:
        raise HostError(f"{host.name} lists a file with an unsafe name: {error}", where=host.name) from error


def _is_downloaded(path: Path, file: RemoteFile) -> bool:
    # The size of a bundle is an estimate, and some hosts list none; the file has its name only because it is complete.
    return path.is_file() and (file.bundle or not file.size_listed or path.stat().st_size == file.size)

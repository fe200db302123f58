"""The files of a host that a competition needs: chosen by name, fetched once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.archives.disk_space import require_free
from runner.archives.names import safe_path, without_suffixes
from runner.console import progress
from runner.data.collect_files import missing_error
from runner.data.find_files import RequiredItem, find, listed
from runner.errors import HostError
from runner.hosts.http.download import PART, PART_NOTE
from runner.hosts.protocol import FileSource, RemoteFile

# A host that lists images one by one mostly offers them as one archive too.
_MANY = 50
# ... and that one archive may bring as many times what is needed, and be the faster way still.
_WORTH = 3


def fetch_files(host: FileSource, slug: str, things: Sequence[RequiredItem], folder: Path, again: str) -> None:
    """Bring what is needed into the folder, less what an earlier call brought; anything else in it goes."""
    wanted = {folder / _trusted(file, host): file for file in choose_files(host, slug, things, again)}
    begun = {path.with_name(path.name + suffix) for path in wanted for suffix in (PART, PART_NOTE)}
    for path in folder.rglob("*"):
        if path.is_file() and path not in wanted and path not in begun:
            path.unlink()
    absent = {path: file for path, file in wanted.items() if not _is_here(path, file)}
    size = sum(file.size for file in absent.values())
    here = sum(path.stat().st_size for path in begun if path.is_file())
    # What is packed unpacks to its own size at the very least.
    require_free(
        folder, max(size - here, 0) + sum(file.size for file in wanted.values()), "fetch and unpack the files", again
    )
    with progress(f"fetching from {host.name}", size, "B") as advance:
        for path, file in absent.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            host.download_file(slug, file, path, advance)


def choose_files(host: FileSource, slug: str, things: Sequence[RequiredItem], again: str) -> list[RemoteFile]:
    """The files that bear the things' names, packed or not; else the one archive of everything; else all archives."""
    told = host.list_files(slug)
    offered = {file.name: file for file in told if not file.bundle}
    bundles = [file for file in told if file.bundle]
    if bundles and not offered:
        return bundles
    place = listed(list(offered))
    found = find(things, [place])
    missing = found.missing(things)
    matches = {**found.things, **found.packed}.values()
    names = list(dict.fromkeys(name for match in matches for name in match.files))
    everything = [name for name in place.archives if without_suffixes(name) == slug]
    if everything and (missing or len(names) > _MANY):
        names = everything[:1]
    elif missing and not names and place.archives:
        names = list(place.archives)
    elif missing:
        raise missing_error(missing, [place], f"the files that {host.name} offers", again + " --from DIR")
    chosen = [offered[name] for name in names]
    if len(chosen) > _MANY and bundles and bundles[0].size <= _WORTH * sum(file.size for file in chosen):
        return bundles
    return chosen


def _trusted(file: RemoteFile, host: FileSource) -> Path:
    try:
        return Path(safe_path(file.name))
    except ValueError as reason:
        raise HostError(f"{host.name} offers a file that is refused: {reason}", where=host.name) from reason


def _is_here(path: Path, file: RemoteFile) -> bool:
    # A bundle's size is an estimate; its name it has only because it is whole.
    return path.is_file() and (file.bundle or path.stat().st_size == file.size)

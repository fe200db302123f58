"""A competition's data folder: filled from a host or from this disk, and there whole or not at all."""

from __future__ import annotations

import os
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.archives.disk_space import require_free
from runner.console import log
from runner.contract import Competition
from runner.data.collect_files import Source, collect_files
from runner.data.fetch_files import fetch_files
from runner.data.find_files import things_of
from runner.errors import DataError, PluginError, RunnerError
from runner.hosts.protocol import FileSource
from runner.workspace import Workspace, locked, read_json, write_json, write_text

MARKER = ".complete"
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class DataPaths:
    """The data folder, and the hidden folders beside it, on the same disk, in which it is made."""

    folder: Path

    def _beside(self, suffix: str) -> Path:
        return self.folder.with_name(f".{self.folder.name}.{suffix}")

    @property
    def lock(self) -> Path:
        return self._beside("lock")

    @property
    def staging(self) -> Path:
        return self._beside("staging")

    @property
    def fetched(self) -> Path:
        """What a host gave; kept until all is done, so that nothing is fetched twice."""
        return self.staging / "fetched"

    @property
    def unpacked(self) -> Path:
        return self.staging / "unpacked"

    @property
    def whole(self) -> Path:
        """The data folder to be; complete once its marker is in it."""
        return self.staging / "whole"

    @property
    def old(self) -> Path:
        """The folder that the new one takes the place of."""
        return self._beside("old")

    @property
    def trash(self) -> Path:
        return self._beside("trash")


def download(
    competition: Competition,
    workspace: Workspace,
    source: Path | FileSource,
    *,
    force: bool = False,
    verify: Callable[[Path], None] | None = None,
) -> Path:
    """Fill the competition's data folder from a host, or from a folder or archive on this disk.

    `verify` looks at the folder before it counts, and raises where it must not.

    Where it is complete nothing is done, but with `force`. Broken off at any moment and called again, it
    ends the same: the folder takes its name by one rename, after its marker is written.
    """
    site = DataPaths(workspace.data_dir(competition.name))
    with locked(site.lock):
        _recover(site)
        if _is_complete(site.folder) and not force:
            log.info(f"{site.folder} is complete already (--force fills it anew)")
            return site.folder
        _check_nothing_is_lost(site.folder, competition, source)
        _make(competition, site, source, force, verify)
        _swap(site)
    log.info(f"{site.folder} is complete")
    return site.folder


def is_downloaded(competition: Competition, workspace: Workspace) -> bool:
    """Whether the competition's data folder is complete."""
    return _is_complete(workspace.data_dir(competition.name))


def data_folder(competition: Competition, workspace: Workspace) -> Path:
    """The complete data folder, or an error that says how to come by one."""
    folder = workspace.data_dir(competition.name)
    if _is_complete(folder):
        return folder
    name = competition.name
    raise DataError(
        f"the data of {name} is not {'complete' if folder.exists() else 'here'}",
        where=folder,
        fix=f"runner {name} download, or from what you have: runner {name} download --from DIR",
    )


def _is_complete(folder: Path) -> bool:
    return (folder / MARKER).is_file()


def _check_nothing_is_lost(folder: Path, competition: Competition, source: Path | FileSource) -> None:
    """What somebody put into the data folder by hand is not replaced unasked."""
    if not folder.exists() or _is_complete(folder) or not any(folder.iterdir()):
        return
    if isinstance(source, Path) and source.resolve().is_relative_to(folder.resolve()):
        return
    raise DataError(
        "the data folder holds files that the runner did not put there",
        where=folder,
        fix=f"to use them: runner {competition.name} download --from {shlex.quote(str(folder))}; "
        "else move the folder away",
    )


def _make(
    competition: Competition,
    site: DataPaths,
    source: Path | FileSource,
    force: bool,
    verify: Callable[[Path], None] | None,
) -> None:
    """Everything up to the complete folder, in staging."""
    _remove(site.unpacked)
    _remove(site.whole)
    things = things_of(competition)
    again = f"runner {competition.name} download"
    flags = " --force" * force
    if isinstance(source, Path):
        if not source.exists():
            raise DataError("there is no such file or folder", where=source, fix=f"{again} --from DIR")
        kind, origin = "disk", Source(source, competition.slug, f"{again} --from {shlex.quote(str(source))}{flags}")
    else:
        site.fetched.mkdir(parents=True, exist_ok=True)
        fetch_files(source, competition.slug, things, site.fetched, again)
        kind, origin = source.name, Source(site.fetched, competition.slug, again + flags, is_ours=True)
    taken = collect_files(origin, things, site.unpacked, site.whole)
    with _explaining(competition, site, origin):
        _unpack_raw_files(competition, site.whole, origin.again)
    if verify:
        verify(site.whole)
    _write_manifest(competition, site.whole, kind, taken)


def _unpack_raw_files(competition: Competition, whole: Path, again: str) -> None:
    if competition.prepare is None:
        return
    # The arrays take less room than the text that they come from.
    size = sum((whole / name).stat().st_size for name in competition.raw_files)
    require_free(whole, size, "unpack the raw files", again)
    competition.prepare(whole)


@contextmanager
def _explaining(competition: Competition, site: DataPaths, origin: Source) -> Iterator[None]:
    """Errors of a plugin's `prepare`, with the command that mends them."""
    try:
        yield
    except DataError as error:
        if origin.is_ours:
            _remove(site.fetched)  # or the next try would take the same broken files
        fix = error.fix if "--workspace" in (error.fix or "") else f"get a fresh copy, then: {origin.again}"
        raise DataError(error.message, where=error.where, fix=fix) from error
    except RunnerError:
        raise
    except Exception as error:  # a plugin may fail in any way
        raise PluginError(
            f"prepare of the competition {competition.name} failed: {type(error).__name__}: {error}",
            where=site.whole,
            fix=f"mend unpack in its file, then: {origin.again}",
        ) from error


def _write_manifest(competition: Competition, whole: Path, source: str, taken: list[dict[str, Any]]) -> None:
    """Write the manifest, and last the marker."""
    manifest = {
        "competition": competition.slug,
        "source": source,
        "taken": taken,
        "files": _count_files(whole),
    }
    write_json(whole / MANIFEST, manifest)
    if hasattr(os, "sync"):
        os.sync()  # a power cut must not leave the marker beside images that never reached the disk
    write_text(whole / MARKER, "")


def _count_files(folder: Path) -> dict[str, int]:
    """How many files each folder holds, by its path; the runner's own two are not counted."""
    counts: Counter[str] = Counter()
    for path in folder.rglob("*"):
        if path.is_file() and path not in (folder / MANIFEST, folder / MARKER):
            counts[f"{path.parent.relative_to(folder).as_posix()}/"] += 1
    return dict(sorted(counts.items()))


def _swap(site: DataPaths) -> None:
    """Put the complete folder in its place; what was there goes only then."""
    if site.folder.exists():
        site.folder.rename(site.old)
    site.whole.rename(site.folder)
    if site.old.exists():
        _remove_old(site)
    _remove(site.staging)


def _remove_old(site: DataPaths) -> None:
    """Remove the folder that was replaced; if anything in it is not the runner's, only move it aside."""
    if _is_as_written(site.old):
        # Renamed first, so that a half removed one is never taken for one that a user changed.
        site.old.rename(site.trash)
        _remove(site.trash)
        return
    aside = _free_name(site.folder)
    site.old.rename(aside)
    log.info(f"{aside} holds what was in the data folder before, with files that are not the runner's")


def _is_as_written(folder: Path) -> bool:
    counts = _count_files(folder)
    if not counts:
        return True
    return _is_complete(folder) and read_json(folder / MANIFEST)["files"] == counts


def _free_name(folder: Path) -> Path:
    number = 1
    while (aside := folder.with_name(f"{folder.name}.kept-{number}")).exists():
        number += 1
    return aside


def _recover(site: DataPaths) -> None:
    """Finish, or undo, the swap that an earlier call was broken off in."""
    _remove(site.trash)
    if _is_complete(site.whole):
        _swap(site)
    elif site.old.exists() and not site.folder.exists():
        site.old.rename(site.folder)
    elif site.old.exists():
        _remove_old(site)
    if _is_complete(site.folder):
        _remove(site.staging)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)

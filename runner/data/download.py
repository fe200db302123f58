"""Fill a competition's data folder from a host or from this disk: completely, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.archives.disk_space import require_free
from runner.commands import command
from runner.console import log
from runner.contract import Competition
from runner.data.check_content import check_content
from runner.data.collect_files import Source, collect_files
from runner.data.fetch_files import fetch_files
from runner.data.find_files import required_items
from runner.data.look_alike import find_look_alike
from runner.data.manifest import is_complete, verify_manifest, write_manifest
from runner.data.packages import require_packages
from runner.data.pixels import extract_pixels
from runner.data.source import as_remembered, read_source, write_source
from runner.errors import DataError, PluginError, RunnerError, WrongDataError
from runner.full_disk import telling_full_disk
from runner.hosts.protocol import FileSource
from runner.workspace import Workspace, locked


@dataclass(frozen=True)
class DataPaths:
    """The data folder, and the hidden folders beside it, on the same disk, in which it is made."""

    data_dir: Path

    def _beside(self, suffix: str) -> Path:
        return self.data_dir.with_name(f".{self.data_dir.name}.{suffix}")

    @property
    def lock(self) -> Path:
        return self._beside("lock")

    @property
    def work_dir(self) -> Path:
        return self._beside("work")

    @property
    def fetched_dir(self) -> Path:
        """The downloaded files; kept until the data folder is complete, so that nothing is downloaded twice."""
        return self.work_dir / "fetched"

    @property
    def unpack_dir(self) -> Path:
        return self.work_dir / "unpacked"

    @property
    def staging_dir(self) -> Path:
        """The new data folder; complete once its marker is in it."""
        return self.work_dir / "staging"

    @property
    def old_dir(self) -> Path:
        """The data folder that the new one replaces."""
        return self._beside("old")

    @property
    def trash_dir(self) -> Path:
        return self._beside("trash")


def download(
    competition: Competition,
    workspace: Workspace,
    source: Path | FileSource,
    *,
    force: bool = False,
    is_mirror: bool = False,
) -> Path:
    """Fill the data folder from a host, or from a folder or archive on this disk; the folder.

    A complete folder is left as it is, except with `force`. Data is complete if the tables have the columns of the
    competition, and each of their ids an image. Interrupted at any moment and called again, it ends the same: the
    folder gets its name by one rename, after its marker is written.
    """
    paths = DataPaths(workspace.data_dir(competition.name))
    with locked(paths.lock):
        _recover(paths)
        _require_existing(competition, source)
        if is_complete(paths.data_dir) and not force:
            _refuse_another_source(competition, paths, source, is_mirror=is_mirror)
            log.info(f"already downloaded; --force replaces it: {paths.data_dir}")
            return paths.data_dir
        _refuse_unknown_files(paths.data_dir, competition, source)
        require_packages(competition)
        _stage(competition, paths, source, force=force, is_mirror=is_mirror)
        _publish(paths)
    log.info(f"complete: {paths.data_dir}")
    return paths.data_dir


def is_downloaded(competition: Competition, workspace: Workspace) -> bool:
    """Whether the competition's data folder is complete."""
    return is_complete(workspace.data_dir(competition.name))


def data_folder(competition: Competition, workspace: Workspace) -> Path:
    """The complete data folder; a DataError with the command that fills it if it is not complete."""
    folder = workspace.data_dir(competition.name)
    if is_complete(folder):
        return folder
    name = competition.name
    raise DataError(
        f"the data of {name} is {'incomplete' if folder.exists() else 'not downloaded'}",
        where=folder,
        fix=f"`{command(name, 'download')}`, or with files you have: `{command(name, 'download', '--from', 'DIR')}`",
    )


def _require_existing(competition: Competition, source: Path | FileSource) -> None:
    if isinstance(source, Path) and not source.exists():
        fix = f"runner {competition.name} download --from DIR"
        raise DataError("there is no such file or folder", where=source, fix=fix)


def _refuse_another_source(
    competition: Competition, paths: DataPaths, source: Path | FileSource, *, is_mirror: bool
) -> None:
    """Raise a DataError if the complete data is not from the source that was named: nothing is read from it."""
    flags, remembered = _flags(paths, source, is_mirror=is_mirror), read_source(paths.data_dir)
    if not flags or flags == remembered:
        return
    again = command(competition.name, "download", *flags, "--force")
    raise DataError(
        f"the data of {competition.name} is here already, from {_describe(remembered)}; "
        f"nothing was read from {_describe(flags)}",
        where=paths.data_dir,
        fix=f"to replace it: `{again}`",
    )


def _describe(flags: Sequence[str]) -> str:
    """Where `download` with these flags takes the data from."""
    return {"--from": flags[-1], "--mirror": "the mirror"}.get(flags[0], "") if flags else "elsewhere"


def _flags(paths: DataPaths, source: Path | FileSource, *, is_mirror: bool) -> tuple[str, ...]:
    """The flags of `download` that name the source."""
    if not isinstance(source, Path):
        return ("--mirror",) if is_mirror else ()
    if not source.resolve().is_relative_to(paths.data_dir.resolve()):
        return ("--from", as_remembered(source))
    if is_complete(paths.data_dir):
        return read_source(paths.data_dir)  # the data was made of itself
    # The files that a user has put in the data folder are renamed when the new data takes its place.
    return ("--from", as_remembered(_backup_name(paths.data_dir) / source.resolve().relative_to(paths.data_dir)))


def _refuse_unknown_files(folder: Path, competition: Competition, source: Path | FileSource) -> None:
    """Raise a DataError if the data folder has files of the user's, unless they are the source."""
    if not folder.exists() or is_complete(folder) or not any(folder.iterdir()):
        return
    if isinstance(source, Path) and source.resolve().is_relative_to(folder.resolve()):
        return
    raise DataError(
        "the data folder has files that the runner did not write",
        where=folder,
        fix=f"move the folder away, or use them: `{command(competition.name, 'download', '--from', folder)}`",
    )


# --- staging ------------------------------------------------------------------------------------


def _stage(
    competition: Competition, paths: DataPaths, source: Path | FileSource, *, force: bool, is_mirror: bool
) -> None:
    """Make the complete data folder in the staging folder."""
    _remove(paths.unpack_dir)
    _remove(paths.staging_dir)
    files = _local_files(competition, paths, source, " --mirror" * is_mirror + " --force" * force)
    with _look_alike_named(competition, files):
        sources = collect_files(files, competition, paths.unpack_dir, paths.staging_dir)
        with _plugin_errors(competition, paths, files):
            _prepare(competition, paths.staging_dir, files.retry_command)
        extract_pixels(competition, paths.staging_dir)
        write_source(paths.staging_dir, _flags(paths, source, is_mirror=is_mirror))
        # What the competition's own host has, no other copy can better: the user corrects it here.
        check_content(competition, paths.staging_dir, files, must_be_right=not files.is_download or is_mirror)
    write_manifest(paths.staging_dir, competition.slug, _name(source), sources)


@contextmanager
def _look_alike_named(competition: Competition, files: Source) -> Iterator[None]:
    """Name the competition that the files belong to in the error about files that are not the right ones."""
    try:
        yield
    except WrongDataError as error:
        other = None if files.is_download else find_look_alike(files.path, competition)
        if other is None:
            raise
        raise WrongDataError(
            f"{files.path} looks like the data of {other}, not of {competition.name}\n{error.message}",
            where=error.where,
            fix=f"`{command(other, 'download', '--from', files.path)}`; "
            f"for {competition.name}: `{command(competition.name, 'download', '--from', 'DIR')}`",
        ) from error


def _name(source: Path | FileSource) -> str:
    return "disk" if isinstance(source, Path) else source.name


def _local_files(
    competition: Competition,
    paths: DataPaths,
    source: Path | FileSource,
    flags: str,
) -> Source:
    """The source on this disk; the files of a host are downloaded first."""
    download_command = command(competition.name, "download")
    if not isinstance(source, Path):
        paths.fetched_dir.mkdir(parents=True, exist_ok=True)
        fetch_files(source, competition.slug, required_items(competition), paths.fetched_dir, download_command)
        return Source(paths.fetched_dir, competition.slug, download_command + flags, is_download=True)
    return Source(source, competition.slug, command(competition.name, "download", "--from", source) + flags)


def _prepare(competition: Competition, folder: Path, retry_command: str) -> None:
    if competition.prepare is None:
        return
    # The arrays are smaller than the text that they come from.
    size = sum((folder / name).stat().st_size for name in competition.raw_files)
    require_free(folder, size, "prepare the raw files", retry_command)
    with telling_full_disk(folder, retry_command=retry_command):
        competition.prepare(folder)


@contextmanager
def _plugin_errors(competition: Competition, paths: DataPaths, files: Source) -> Iterator[None]:
    """Errors of the competition's `prepare`, with the command that fixes them."""
    try:
        yield
    except DataError as error:
        if files.is_download:
            _remove(paths.fetched_dir)  # or the next try would use the same damaged files
        fix = error.fix if "--workspace" in (error.fix or "") else f"get a new copy, then: `{files.retry_command}`"
        raise DataError(error.message, where=error.where, fix=fix) from error
    except RunnerError:
        raise
    except Exception as error:  # a plugin may fail in any way
        raise PluginError(
            f"`prepare` of the competition {competition.name} failed: {type(error).__name__}: {error}",
            where=paths.staging_dir,
            fix=f"correct `prepare` in the competition file, then: `{files.retry_command}`",
        ) from error


# --- publishing ---------------------------------------------------------------------------------


def _publish(paths: DataPaths) -> None:
    """Rename the staging folder to the data folder; the old one is removed only then."""
    if paths.data_dir.exists():
        paths.data_dir.rename(paths.old_dir)
    paths.staging_dir.rename(paths.data_dir)
    if paths.old_dir.exists():
        _remove_old(paths)
    _remove(paths.work_dir)


def _remove_old(paths: DataPaths) -> None:
    """Remove the old data folder; if it has files of the user's, rename it to a backup."""
    if _is_as_downloaded(paths.old_dir):
        # Renamed first, so that a half removed folder is never taken for one that a user changed.
        paths.old_dir.rename(paths.trash_dir)
        _remove(paths.trash_dir)
        return
    backup = _backup_name(paths.data_dir)
    paths.old_dir.rename(backup)
    log.warning(f"the old data folder had files that the runner did not write: it is now {backup}")


def _is_as_downloaded(folder: Path) -> bool:
    if not any(path.is_file() for path in folder.rglob("*")):
        return True
    try:
        return is_complete(folder) and not verify_manifest(folder)
    except RunnerError:
        return False


def _backup_name(folder: Path) -> Path:
    number = 1
    while (backup := folder.with_name(f"{folder.name}.kept-{number}")).exists():
        number += 1
    return backup


def _recover(paths: DataPaths) -> None:
    """Finish, or undo, the publishing that an earlier call was interrupted in."""
    _remove(paths.trash_dir)
    if is_complete(paths.staging_dir):
        _publish(paths)
    elif paths.old_dir.exists() and not paths.data_dir.exists():
        paths.old_dir.rename(paths.data_dir)
    elif paths.old_dir.exists():
        _remove_old(paths)
    if is_complete(paths.data_dir):
        _remove(paths.work_dir)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)

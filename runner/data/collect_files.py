"""The required files of a folder or an archive, copied or extracted into one new folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from runner.archives.disk_space import require_free
from runner.archives.extract import ExtractionLimit, declared_size, extract_archive
from runner.archives.names import whole_name, without_suffixes
from runner.console import Advance, log, progress
from runner.contract import Competition
from runner.data.find_files import (
    Location,
    Match,
    RequiredItem,
    SearchResult,
    find,
    missing_error,
    required_items,
    scan,
)
from runner.data.place_images import place_images, read_table_images
from runner.errors import ArchiveError
from runner.full_disk import telling_full_disk

# A zip of 7z of tar has three; no real data has more than this.
_MAX_DEPTH = 5
_CHUNK = 2**20


@dataclass(frozen=True)
class Source:
    """The folder or archive with the files."""

    path: Path
    slug: str
    retry_command: str  # that a fix ends with
    is_download: bool = False  # from a host: a damaged archive is deleted, to be downloaded again


@dataclass(frozen=True)
class _Archive:
    """An archive that is not extracted yet."""

    location: Location
    name: str  # its path in the location
    outermost: Path  # the archive of the source that it is in

    @property
    def path(self) -> Path:
        return self.location.folder / self.name

    @property
    def parts(self) -> tuple[Path, ...]:
        """The parts of an archive in parts; none of a whole one."""
        return tuple(self.location.folder / part for part in self.location.parts.get(self.name, ()))


def collect_files(
    source: Source, competition: Competition, unpack_dir: Path, staging_dir: Path
) -> list[dict[str, Any]]:
    """Bring each required item under its own name into `staging_dir`; the entries of the manifest's `sources`.

    The source is not changed. Archives are extracted in `unpack_dir`: first those named after a missing item, or
    after a folder that lacks images; all others only if something is missing still.
    """
    required = required_items(competition)
    unpacker = _Unpacker(source, competition, unpack_dir)
    found = unpacker.run()
    if missing := found.missing(required):
        raise missing_error(missing, unpacker.locations, source.path, source.retry_command)
    for item in required:
        if item.is_test_folder and item not in found.items:
            log.warning(f"{item.name} does not exist; images that the sample submission needs may be missing")
    entries = [_describe_archive(path, source) for path in sorted(unpacker.used)]
    return entries + _move_or_copy(found, staging_dir, source)


class _Unpacker:
    """The locations searched so far, and the archives that are not extracted yet."""

    def __init__(self, source: Source, competition: Competition, unpack_dir: Path):
        self._source, self._competition, self._unpack_dir = source, competition, unpack_dir
        self._required = required_items(competition)
        self._pending: list[_Archive] = []
        self._limits: dict[Path, ExtractionLimit] = {}
        self._folders = 0
        self.locations: list[Location] = []
        self.used: list[Path] = []

    def run(self) -> SearchResult:
        """Extract what is needed, and find the required items."""
        path = self._source.path
        if path.is_dir():
            self._add(scan(path, self._required), None)
        else:
            self._extract_all([_Archive(Location(path.parent, (), (path.name,)), path.name, path)], SearchResult())
        while batch := self._next_batch(found := find(self._required, self.locations)):
            self._extract_all(batch, found)
        return found

    def _add(self, location: Location, outermost: Path | None) -> None:
        self.locations.append(location)
        for name in location.archives:
            self._pending.append(_Archive(location, name, outermost or location.folder / name))

    def _next_batch(self, found: SearchResult) -> list[_Archive]:
        """The archives named after missing items, or after folders without some id's image; else all if one is missing.

        If nothing is missing, each folder item is placed where its images are.
        """
        if named := self._pending_of(found.packed.values()):
            return named
        if not SearchResult(found.items).missing(self._required):
            is_complete = place_images(found, read_table_images(self._competition, found))
            return [] if is_complete else self._pending_of(found.spare)
        after_slug = [archive for archive in self._pending if without_suffixes(archive.name) == self._source.slug]
        return after_slug or list(self._pending)

    def _pending_of(self, matches: Iterable[Match]) -> list[_Archive]:
        wanted = {(match.location.folder, match.path) for match in matches}
        return [archive for archive in self._pending if (archive.location.folder, archive.name) in wanted]

    def _extract_all(self, archives: Sequence[_Archive], found: SearchResult) -> None:
        size = _copied_size(found)
        archives = [self._whole(archive) for archive in archives]
        for archive in archives:
            with self._deleting_damaged(archive):
                size += declared_size(archive.path, retry_command=self._source.retry_command)
        require_free(self._unpack_dir, size, "extract the archives", self._source.retry_command)
        for archive in archives:
            with self._deleting_damaged(archive):
                self._extract(archive)

    def _whole(self, archive: _Archive) -> _Archive:
        """The archive; one in parts is joined first, and takes the place of its parts."""
        if not archive.parts:
            return archive
        folder = self._unpack_dir / f"{self._folders}-joined"
        self._folders += 1
        name = whole_name(archive.name) or archive.name
        target = folder / name
        target.parent.mkdir(parents=True)
        size = sum(part.stat().st_size for part in archive.parts)
        require_free(self._unpack_dir, size, "join the parts of archives", self._source.retry_command)
        with progress(f"joining {name}", size, "B") as advance, target.open("xb") as whole:
            for part in archive.parts:
                _hash_file(part, advance, whole.write)
        if not archive.location.archive:
            self.used += archive.parts
        self._limits[archive.outermost] = self._limits.get(archive.outermost, ExtractionLimit.of(size))
        self._pending = [pending for pending in self._pending if pending is not archive]
        self.locations = [_without(location, archive) for location in self.locations]
        return _Archive(
            Location(folder, (), (name,), archive.location.archive, archive.location.depth), name, archive.outermost
        )

    @contextmanager
    def _deleting_damaged(self, archive: _Archive) -> Iterator[None]:
        """Delete a downloaded archive that is damaged, so that the next try downloads it again."""
        try:
            yield
        except ArchiveError:
            if self._source.is_download:
                for path in _with_other_parts(archive.outermost):
                    path.unlink()
            raise

    def _extract(self, archive: _Archive) -> None:
        retry_command = self._source.retry_command
        if archive.location.depth >= _MAX_DEPTH:
            raise ArchiveError(
                f"{archive.name} is inside {_MAX_DEPTH} archives, more than any real data",
                where=archive.outermost,
                fix=f"take the archive from the competition's own page, then: `{retry_command}`",
            )
        folder = self._unpack_dir / str(self._folders)
        self._folders += 1
        # Named and placed like the archive: bare images in train.zip are then in train/.
        target = folder / PurePosixPath(archive.name).with_name(without_suffixes(archive.name))
        limit = self._limits.setdefault(archive.outermost, ExtractionLimit.of(archive.outermost.stat().st_size))
        extract_archive(archive.path, target, limit=limit, retry_command=retry_command)
        self._replace_by_content(archive, folder)

    def _replace_by_content(self, archive: _Archive, folder: Path) -> None:
        self._pending = [pending for pending in self._pending if pending is not archive]
        self.locations = [_without(location, archive) for location in self.locations]
        if archive.path == archive.outermost:
            self.used.append(archive.path)
        else:
            archive.path.unlink()  # it was extracted here, and so is its content now
        label = archive.location.describe(archive.name) if archive.location.archive else archive.name
        depth = archive.location.depth + 1
        self._add(scan(folder, self._required, archive=label, depth=depth), archive.outermost)


def _with_other_parts(path: Path) -> list[Path]:
    """The file, and if it is one part of an archive all of them."""
    whole = whole_name(path.name)
    return [path] if whole is None else [part for part in path.parent.iterdir() if whole_name(part.name) == whole]


def _without(location: Location, archive: _Archive) -> Location:
    """The location without an archive that is extracted: it must not be found again."""
    if location.folder != archive.location.folder:
        return location
    return replace(location, archives=tuple(name for name in location.archives if name != archive.name))


def _move_or_copy(found: SearchResult, staging_dir: Path, source: Source) -> list[dict[str, Any]]:
    """Move what was extracted, copy the source's own files; the manifest's entries of those."""
    items = {item: match for item, match in found.items.items() if not _comes_with_a_folder(item, match, found)}
    copied = {item: match for item, match in items.items() if not match.location.archive}
    size = _copied_size(found)
    require_free(staging_dir, size, "copy the files", source.retry_command)
    staging_dir.mkdir(parents=True)
    # The deepest first: a CSV file may be in a folder that is an item itself.
    for item, match in sorted(items.items(), key=lambda pair: -pair[1].path.count("/")):
        if item not in copied:
            target = staging_dir / item.names[0]
            target.parent.mkdir(parents=True, exist_ok=True)
            (match.location.folder / match.path).rename(target)
    by_name = sorted(copied.items(), key=lambda pair: pair[0].name)
    with progress("copying", size, "B") as advance:
        return [_copy(item, match, staging_dir, advance) for item, match in by_name]


def _comes_with_a_folder(item: RequiredItem, match: Match, found: SearchResult) -> bool:
    """Whether a file is in a folder that is an item itself, and has the same place in it here and there."""
    return not item.is_folder and any(
        folder.is_folder
        and folder_match.location is match.location
        and match.path == f"{folder_match.path}/{item.name.removeprefix(folder.name)}"
        and item.name.startswith(folder.name)
        for folder, folder_match in found.items.items()
    )


def _copied_size(found: SearchResult) -> int:
    """The bytes of the source's own files, which are copied."""
    own = [match for match in found.items.values() if not match.location.archive]
    return sum((match.location.folder / file).stat().st_size for match in own for file in match.files)


def _copy(item: RequiredItem, match: Match, staging_dir: Path, advance: Advance) -> dict[str, Any]:
    """Copy a file or a folder. Not linked: the user may later edit the source."""
    if not item.is_folder:
        target = staging_dir / item.names[0]
        digest, size = _copy_file(match.location.folder / match.path, target, advance)
        return {"name": match.path, "size": size, "sha256": digest}
    total, sha256 = 0, hashlib.sha256()
    for file in match.files:
        name = file.removeprefix(match.path + "/")
        digest, size = _copy_file(match.location.folder / file, staging_dir / item.names[0] / name, advance)
        total += size
        sha256.update(f"{digest}  {name}\n".encode())
    # One entry per folder, not per image: the hash of the list that `sha256sum` would print.
    return {"name": f"{match.path}/", "size": total, "sha256": sha256.hexdigest(), "files": len(match.files)}


def _copy_file(source: Path, target: Path, advance: Advance) -> tuple[str, int]:
    # Not by shutil: the content has to be read for its hash in any case.
    target.parent.mkdir(parents=True, exist_ok=True)
    with telling_full_disk(target, size=source.stat().st_size), target.open("xb") as copy:
        return _hash_file(source, advance, copy.write)


def _describe_archive(path: Path, source: Source) -> dict[str, Any]:
    name = path.relative_to(source.path).as_posix() if source.path.is_dir() else path.name
    with progress(f"hashing {path.name}", path.stat().st_size, "B") as advance:
        digest, size = _hash_file(path, advance)
    return {"name": name, "size": size, "sha256": digest}


def _hash_file(path: Path, advance: Advance, write: Callable[[bytes], object] | None = None) -> tuple[str, int]:
    """The SHA-256 and the size of a file, whose chunks are written on the way."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            if write:
                write(chunk)
            advance(len(chunk))
    return digest.hexdigest(), size

"""Everything that a competition needs, gathered from a folder or an archive: copied, or unpacked and moved."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from runner.archives.disk_space import require_free
from runner.archives.extract import ExtractionLimit, declared_size, unpack
from runner.archives.names import without_suffixes
from runner.console import Advance, log, progress
from runner.data.find_files import Location, Match, RequiredItem, SearchResult, find, scan
from runner.errors import ArchiveError, DataError

# A zip of 7z of tar is three; whoever packs deeper than this packs a trap.
_DEEPEST = 5
_CHUNK = 2**20


@dataclass(frozen=True)
class Source:
    """What things are gathered from, and the words to speak of it."""

    path: Path  # a folder, or one archive
    slug: str
    again: str  # the command that a fix ends in
    is_ours: bool = False  # fetched from a host: a broken archive may go, to be fetched anew


@dataclass(frozen=True)
class _Archive:
    """An archive that is still to be unpacked."""

    place: Location
    name: str  # its path in the place
    outermost: Path  # the one of the source's own archives that it came in

    @property
    def path(self) -> Path:
        return self.place.folder / self.name


def collect_files(source: Source, things: Sequence[RequiredItem], ground: Path, whole: Path) -> list[dict[str, Any]]:
    """Bring each thing under its own name into the folder `whole`; what was taken, for the manifest.

    The source stays as it is. Archives are unpacked in `ground`, and only those that are needed: first
    the ones named after something that is not there yet, and all others only if that was not enough.
    """
    unpacking = _Unpacking(source, things, ground)
    found = unpacking.run()
    if missing := found.missing(things):
        raise missing_error(missing, unpacking.places, source.path, source.again)
    for thing in things:
        if thing.is_test_folder and thing not in found.things:
            log.info(f"{thing.name} is not there: the sample submission will tell whether images are missing")
    taken = [_describe_archive(path, source) for path in sorted(unpacking.used)]
    return taken + _move_or_copy(found, whole, source)


class _Unpacking:
    """The places searched so far, and the archives not unpacked yet."""

    def __init__(self, source: Source, things: Sequence[RequiredItem], ground: Path):
        self._source, self._things, self._ground = source, things, ground
        self._pending: list[_Archive] = []
        self._allowances: dict[Path, ExtractionLimit] = {}
        self._rooms = 0
        self.places: list[Location] = []
        self.used: list[Path] = []

    def run(self) -> SearchResult:
        """Unpack what is needed, and find the things."""
        path = self._source.path
        if path.is_dir():
            self._add(scan(path, self._things), None)
        else:
            only = _Archive(Location(path.parent, (), (path.name,)), path.name, path)
            self._unpack_all([only], SearchResult())
        while batch := self._next(found := find(self._things, self.places)):
            self._unpack_all(batch, found)
        return found

    def _add(self, place: Location, outermost: Path | None) -> None:
        self.places.append(place)
        for name in place.archives:
            self._pending.append(_Archive(place, name, outermost or place.folder / name))

    def _next(self, found: SearchResult) -> list[_Archive]:
        """The archives named after what is not there yet; if none is, and something is missing, the others."""
        wanted = {(match.place.folder, match.path) for match in found.packed.values()}
        named = [archive for archive in self._pending if (archive.place.folder, archive.name) in wanted]
        if named or not SearchResult(found.things).missing(self._things):
            return named
        after_slug = [other for other in self._pending if without_suffixes(other.name) == self._source.slug]
        return after_slug or list(self._pending)

    def _unpack_all(self, archives: Sequence[_Archive], found: SearchResult) -> None:
        size = _copied_size(found)
        for archive in archives:
            with self._discarding(archive):
                size += declared_size(archive.path, again=self._source.again)
        require_free(self._ground, size, "unpack the archives", self._source.again)
        for archive in archives:
            with self._discarding(archive):
                self._unpack(archive)

    @contextmanager
    def _discarding(self, archive: _Archive) -> Iterator[None]:
        """A fetched archive that turns out broken is not kept: the next try fetches it anew."""
        try:
            yield
        except ArchiveError:
            if self._source.is_ours:
                archive.outermost.unlink()
            raise

    def _unpack(self, archive: _Archive) -> None:
        if archive.place.depth >= _DEEPEST:
            raise ArchiveError(
                f"{archive.name} lies {_DEEPEST} archives deep, as only a trap does",
                where=archive.outermost,
                fix=f"take the archive from the competition's own page, then: {self._source.again}",
            )
        room = self._ground / str(self._rooms)
        self._rooms += 1
        # Named after the archive, and where the archive was: bare images in train.zip are then in train/.
        inside = PurePosixPath(archive.name).with_name(without_suffixes(archive.name))
        allowance = self._allowances.setdefault(archive.outermost, ExtractionLimit.of(archive.outermost.stat().st_size))
        unpack(archive.path, room / inside, allowance=allowance, again=self._source.again)
        self._finish(archive, room)

    def _finish(self, archive: _Archive, room: Path) -> None:
        self._pending = [other for other in self._pending if other is not archive]
        self.places = [_without(place, archive) for place in self.places]
        if archive.path == archive.outermost:
            self.used.append(archive.path)
        else:
            archive.path.unlink()  # unpacked here by us, and what was in it lies open now
        label = archive.place.describe(archive.name) if archive.place.archive else archive.name
        depth = archive.place.depth + 1
        self._add(scan(room, self._things, archive=label, depth=depth), archive.outermost)


def _without(place: Location, archive: _Archive) -> Location:
    """The place, once one of its archives is unpacked: it must not be found again."""
    if place.folder != archive.place.folder:
        return place
    return replace(place, archives=tuple(name for name in place.archives if name != archive.name))


def _move_or_copy(found: SearchResult, whole: Path, source: Source) -> list[dict[str, Any]]:
    """Move what was unpacked, copy what is the source's own."""
    copied = {thing: match for thing, match in found.things.items() if not match.place.archive}
    size = _copied_size(found)
    require_free(whole, size, "copy the files", source.again)
    whole.mkdir(parents=True)
    # The deepest first: a table may lie in a folder that is a thing itself.
    for thing, match in sorted(found.things.items(), key=lambda pair: -pair[1].path.count("/")):
        if thing not in copied:
            target = whole / thing.names[0]
            target.parent.mkdir(parents=True, exist_ok=True)
            (match.place.folder / match.path).rename(target)
    with progress("copying", size, "B") as advance:
        return [_copy(thing, match, whole, advance) for thing, match in sorted(copied.items(), key=_by_name)]


def _by_name(pair: tuple[RequiredItem, Match]) -> str:
    return pair[0].name


def _copied_size(found: SearchResult) -> int:
    """The bytes of what lies open in the source, and will be copied."""
    open_ones = [match for match in found.things.values() if not match.place.archive]
    return sum((match.place.folder / file).stat().st_size for match in open_ones for file in match.files)


def _copy(thing: RequiredItem, match: Match, whole: Path, advance: Advance) -> dict[str, Any]:
    """Copy a file or a folder. Not linked: a user who later edits theirs would change ours unseen."""
    if not thing.is_folder:
        target = whole / thing.names[0]
        digest, size = _copy_file(match.place.folder / match.path, target, advance)
        return {"name": match.path, "size": size, "sha256": digest}
    total, together = 0, hashlib.sha256()
    for file in match.files:
        below = file.removeprefix(match.path + "/")
        digest, size = _copy_file(match.place.folder / file, whole / thing.names[0] / below, advance)
        total += size
        together.update(f"{digest}  {below}\n".encode())
    # A line a folder and not an image: the hash is that of the list that `sha256sum` would print.
    return {
        "name": f"{match.path}/",
        "size": total,
        "sha256": together.hexdigest(),
        "files": len(match.files),
    }


def _copy_file(source: Path, target: Path, advance: Advance) -> tuple[str, int]:
    # By hand and not with shutil: the content has to be read for its hash in any case.
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as theirs, target.open("xb") as ours:
        while chunk := theirs.read(_CHUNK):
            ours.write(chunk)
            digest.update(chunk)
            size += len(chunk)
            advance(len(chunk))
    return digest.hexdigest(), size


def _describe_archive(path: Path, source: Source) -> dict[str, Any]:
    name = path.relative_to(source.path).as_posix() if source.path.is_dir() else path.name
    with path.open("rb") as handle, progress(f"hashing {path.name}", path.stat().st_size, "B") as advance:
        digest = hashlib.sha256()
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
            advance(len(chunk))
    return {"name": name, "size": path.stat().st_size, "sha256": digest.hexdigest()}


def missing_error(
    missing: Iterable[RequiredItem], places: Sequence[Location], where: Path | str, again: str
) -> DataError:
    """Everything that is missing, and what was found instead."""
    names = [" or ".join(name + "/" * thing.is_folder for name in thing.names) for thing in missing]
    return DataError(
        f"missing: {', '.join(names)}\n  found instead: {_overview(places) or 'nothing'}",
        where=where,
        fix=f"put what is missing, packed or not, beside the rest, then: {again}",
    )


def _overview(places: Sequence[Location], most: int = 12) -> str:
    """What was found: each file at the top, and of each folder how many files it holds."""
    counts: Counter[str] = Counter()
    for place in places:
        for file in (*place.files, *place.archives):
            parent = file.rpartition("/")[0]
            shown = f"{parent}/" if parent else file
            counts[f"{shown} in {place.archive}" if place.archive else shown] += 1
    tops = [top if count == 1 else f"{top} ({count} files)" for top, count in counts.items()]
    more = [f"and {len(tops) - most} more"] if len(tops) > most else []
    return ", ".join([*tops[:most], *more])

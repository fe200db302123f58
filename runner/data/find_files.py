"""Where the things that a competition needs lie, in whatever folders a user or a host brings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from runner.archives.names import has_archive_name, is_junk, without_suffixes
from runner.archives.readers import kind_of
from runner.contract import Competition, ImageArray
from runner.contract.labels import aliases
from runner.errors import DataError


@dataclass(frozen=True)
class RequiredItem:
    """A file or folder that a download brings: its name here, then its names in other vintages."""

    names: tuple[str, ...]
    is_folder: bool
    is_optional: bool = False
    is_test_folder: bool = False

    @property
    def name(self) -> str:
        """Its name here; a folder's ends in a slash."""
        return self.names[0] + "/" * self.is_folder


@dataclass(frozen=True)
class Location:
    """A folder that things are looked for in: the source itself, or what one archive held."""

    folder: Path
    files: tuple[str, ...]  # paths below it, but for the archives
    archives: tuple[str, ...] = ()
    archive: str | None = None  # the archive that was unpacked here
    depth: int = 0  # how many archives lie around it

    def describe(self, path: str) -> str:
        """A path in this place, as its owner knows it."""
        return f"{path} in {self.archive}" if self.archive else str(self.folder / path)

    def below(self, path: str) -> Iterator[str]:
        """The files in one of the folders."""
        return (file for file in self.files if file.startswith(path + "/"))


@dataclass(frozen=True)
class Match:
    """A thing, or an archive that is named after it, where it was found."""

    place: Location
    path: str
    rank: int  # which of the thing's names it has

    @property
    def order(self) -> tuple[int, bool, int]:
        """Better is less: the canonical name, then what lies open, then what lies less deep."""
        return self.rank, self.place.archive is not None, self.path.count("/")

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it is made of, as paths in its place."""
        return tuple(self.place.below(self.path)) or (self.path,)


@dataclass
class SearchResult:
    """What lies where: the things themselves, and archives that are named after things."""

    things: dict[RequiredItem, Match] = field(default_factory=dict)
    packed: dict[RequiredItem, Match] = field(default_factory=dict)

    def missing(self, things: Iterable[RequiredItem]) -> list[RequiredItem]:
        """The things that must be there, and are not. One of several test folders is enough."""
        have = {**self.things, **self.packed}
        has_test = any(thing.is_test_folder for thing in have)
        absent = [thing for thing in things if thing not in have and not thing.is_optional]
        return [thing for thing in absent if not (thing.is_test_folder and has_test)]


def things_of(competition: Competition) -> tuple[RequiredItem, ...]:
    """What the competition needs, and what it takes along if it is there."""
    things = [_needed(names, _test_folders(competition)) for names in competition.required_files]
    if competition.valid_images:
        valid = competition.valid_images.split("{", 1)[0].rstrip("/")
        things.append(RequiredItem((valid,), is_folder=True, is_optional=True))
    return tuple(things)


def _needed(names: tuple[str, ...], test_folders: Sequence[str]) -> RequiredItem:
    bare = tuple(name.rstrip("/") for name in names)
    return RequiredItem(bare, is_folder=names[0].endswith("/"), is_test_folder=names[0] in test_folders)


def _test_folders(competition: Competition) -> tuple[str, ...]:
    if isinstance(competition.test_images, ImageArray):
        return ()
    return tuple(template.split("{", 1)[0] for template in aliases(competition.test_images))


def scan(folder: Path, things: Iterable[RequiredItem], *, archive: str | None = None, depth: int = 0) -> Location:
    """The place as it is on the disk. Hidden files and folders are not looked at."""
    tables = {PurePosixPath(name).name for thing in things if not thing.is_folder for name in thing.names}
    is_archive = {file: _is_archive(folder, file, tables) for file in _walk(folder, "", frozenset())}
    return _place(folder, is_archive, archive, depth)


def listed(names: Sequence[str]) -> Location:
    """A place of which only the names are known, as a host lists them."""
    return _place(Path(), {name: has_archive_name(name) for name in names}, None, 0)


def _place(folder: Path, is_archive: Mapping[str, bool], archive: str | None, depth: int) -> Location:
    files = tuple(file for file, packed in is_archive.items() if not packed)
    return Location(folder, files, tuple(file for file, packed in is_archive.items() if packed), archive, depth)


def find(things: Iterable[RequiredItem], places: Sequence[Location]) -> SearchResult:
    """Each thing where it lies best, and each archive that would bring a thing that lies nowhere as well."""
    found = SearchResult()
    for thing in things:
        if match := _best(thing, list(_matches(thing, places))):
            found.things[thing] = match
        packed = _best(thing, list(_packed(thing, places)))
        if packed and (match is None or packed.rank < match.rank):
            found.packed[thing] = packed
    return found


def _walk(folder: Path, below: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    # A user's folder may hold links, and a link may lead back up.
    about = folder.stat()
    identity = (about.st_dev, about.st_ino)
    if identity in above:
        return
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith(".") or is_junk(entry.name):
                continue
            if entry.is_dir():
                yield from _walk(Path(entry.path), f"{below}{entry.name}/", above | {identity})
            elif entry.is_file():
                yield below + entry.name


def _is_archive(folder: Path, file: str, tables: set[str]) -> bool:
    """By its name; by its content where the name says nothing, or where a zip bears its table's name."""
    name = file.rsplit("/", 1)[-1]
    if has_archive_name(name):
        return True
    return (name in tables or "." not in name) and kind_of(folder / file) is not None


def _matches(thing: RequiredItem, places: Sequence[Location]) -> Iterator[Match]:
    for place in places:
        for rank, name in enumerate(thing.names):
            paths = _folders_named(place, name) if thing.is_folder else _files_named(place, name)
            yield from (Match(place, path, rank) for path in paths)


def _packed(thing: RequiredItem, places: Sequence[Location]) -> Iterator[Match]:
    for place in places:
        for path in place.archives:
            for rank, name in enumerate(thing.names):
                if without_suffixes(path) == PurePosixPath(name).name:
                    yield Match(place, path, rank)


def _files_named(place: Location, name: str) -> list[str]:
    return [file for file in place.files if f"/{file}".endswith(f"/{name}")]


def _folders_named(place: Location, name: str) -> list[str]:
    """The folders of that name with files in them, less those that only wrap another of that name."""
    paths = {file[: at + len(name)] for file in place.files if (at := f"/{file}".find(f"/{name}/")) >= 0}
    return sorted({_unwrapped(place, path, name) for path in paths})


def _unwrapped(place: Location, path: str, name: str) -> str:
    """`train` may hold nothing but `train`, or `all/train`: then that one is meant."""
    inner = path
    while len(names := {file[len(inner) + 1 :].split("/", 1)[0] for file in place.below(inner)}) == 1:
        inner = f"{inner}/{names.pop()}"
        if inner in place.files:
            break
        if f"/{inner}".endswith(f"/{name}"):
            path = inner
    return path


def _best(thing: RequiredItem, matches: list[Match]) -> Match | None:
    """The one that comes first; two that are as good are a question only the user can answer."""
    ordered = sorted(matches, key=lambda match: match.order)
    if len(ordered) > 1 and ordered[0].order == ordered[1].order:
        both = [match.place.describe(match.path) for match in ordered[:2]]
        raise DataError(
            f"{thing.name} is there twice: {both[0]} and {both[1]}",
            fix="move one of them away, or name the folder of the right one with --from DIR",
        )
    return ordered[0] if ordered else None

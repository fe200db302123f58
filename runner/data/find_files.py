"""The files that a competition needs, found in whatever folders and archives a user or a host has."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path, PurePosixPath

from runner.archives.names import group_parts, has_archive_name, is_junk, join_fix, whole_name, without_suffixes
from runner.archives.readers import kind_of
from runner.contract import Competition
from runner.contract.images import folder_of, templates_of
from runner.data.image_names import is_image
from runner.errors import DataError, WrongDataError


@dataclass(frozen=True)
class RequiredItem:
    """A file or folder of the data folder: its name there, then its names in other copies of the data."""

    names: tuple[str, ...]
    is_folder: bool
    is_optional: bool = False
    is_test_folder: bool = False
    templates: tuple[str, ...] = ()  # of the images in the folder
    pattern: str = ""  # the name with a `*` that it is one of the files of

    @property
    def name(self) -> str:
        """Its name in the data folder; a folder's ends in a slash."""
        return self.names[0] + "/" * self.is_folder


@dataclass(frozen=True)
class Location:
    """A folder to search: the source itself, or the content of one archive."""

    folder: Path
    files: tuple[str, ...]  # paths below it, without the archives
    archives: tuple[str, ...] = ()  # of those in parts the first part
    archive: str | None = None  # the archive that was extracted here
    depth: int = 0  # the number of archives around it
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of an archive in parts, by the first of them

    def describe(self, path: str) -> str:
        """A path in this location, as the user knows it."""
        return f"{path} in {self.archive}" if self.archive else str(self.folder / path)

    def below(self, path: str) -> Iterator[str]:
        """The files in one of the folders."""
        return (file for file in self.files if file.startswith(path + "/"))


@dataclass(frozen=True)
class Match:
    """A required item, or an archive named after it, in a location."""

    location: Location
    path: str
    rank: int  # the index of its name among the item's names
    other_case: bool = False  # named `Train` or `LABELS.CSV`
    without_images: bool = False  # a folder with nothing but other files

    @property
    def order(self) -> tuple[int, bool, bool, bool, int]:
        """Sort key, lowest first: position of the name, images in it, case, files outside archives, shallowest."""
        in_archive = self.location.archive is not None
        return self.rank, self.without_images, self.other_case, in_archive, self.path.count("/")

    @property
    def files(self) -> tuple[str, ...]:
        """Its files, as paths in the location."""
        if self.path in self.location.parts:
            return self.location.parts[self.path]
        return tuple(self.location.below(self.path)) or (self.path,)


@dataclass
class SearchResult:
    """The required items that were found, and archives named after required items."""

    items: dict[RequiredItem, Match] = field(default_factory=dict)
    packed: dict[RequiredItem, Match] = field(default_factory=dict)
    folders: dict[RequiredItem, list[Match]] = field(default_factory=dict)  # every folder of an item's name
    spare: list[Match] = field(default_factory=list)  # archives named after folders that were found

    def missing(self, required: Iterable[RequiredItem]) -> list[RequiredItem]:
        """The items that are neither found nor optional. One of several test folders is enough."""
        found = {**self.items, **self.packed}
        has_test = any(item.is_test_folder for item in found)
        names = {item.pattern for item in found}
        missing = [item for item in required if not (item in found or item.is_optional or item.names[0] in names)]
        return [item for item in missing if not (item.is_test_folder and has_test)]


def required_items(competition: Competition) -> tuple[RequiredItem, ...]:
    """The files and folders that the competition needs, then the optional ones."""
    train, test = templates_of(competition.train_images), templates_of(competition.test_images)
    items = []
    for names in competition.required_files:
        bare, is_folder = tuple(name.rstrip("/") for name in names), names[0].endswith("/")
        templates = tuple(template for template in (*train, *test) if f"{folder_of(template)}/" == names[0])
        is_test_folder = any(template in test for template in templates)
        items.append(RequiredItem(bare, is_folder, is_test_folder=is_test_folder, templates=templates))
    if at_top := tuple(template for template in train if not folder_of(template)):
        items.append(RequiredItem(("*",), is_folder=True, templates=at_top, pattern="*"))
    if competition.valid_images:
        valid = folder_of(competition.valid_images)
        items.append(RequiredItem((valid,), is_folder=True, is_optional=True, templates=(competition.valid_images,)))
    return tuple(items)


def scan(folder: Path, required: Iterable[RequiredItem], *, archive: str | None = None, depth: int = 0) -> Location:
    """The location of a folder on the disk, without hidden files and folders."""
    csv_names = {PurePosixPath(name).name for item in required if not item.is_folder for name in item.names}
    is_archive = {file: _is_archive(folder, file, csv_names) for file in _walk(folder, "", frozenset())}
    return _location(folder, is_archive, archive, depth)


def listed(names: Sequence[str]) -> Location:
    """The location of files of which only the names are known, as a host lists them."""
    return _location(Path(), {name: has_archive_name(name) for name in names}, None, 0)


def _location(folder: Path, is_archive: Mapping[str, bool], archive: str | None, depth: int) -> Location:
    parts = group_parts(is_archive)
    other_parts = {part for of_archive in parts.values() for part in of_archive}
    files = tuple(file for file, packed in is_archive.items() if not packed and file not in other_parts)
    archives = tuple(
        file for file, packed in is_archive.items() if file in parts or (packed and file not in other_parts)
    )
    return Location(folder, files, archives, archive, depth, parts)


def find(required: Iterable[RequiredItem], locations: Sequence[Location]) -> SearchResult:
    """The best match of each item, and the archive named after it if no match is as good."""
    found = SearchResult()
    folders = {name for item in required if item.is_folder for name in item.names}
    for item in chain.from_iterable(_expand(item, locations, folders) for item in required):
        matches = sorted(_matches(item, locations), key=lambda match: match.order)
        if item.is_folder:
            found.folders[item] = matches  # which of several is meant, the ids decide
        else:
            require_one(item, matches)
        match = matches[0] if matches else None
        if match:
            found.items[item] = match
        packed = sorted(_packed_matches(item, locations), key=lambda match: match.order)
        if packed and (match is None or match.without_images or packed[0].rank < match.rank):
            require_one(item, packed)
            found.packed[item] = packed[0]
        elif item.is_folder:
            found.spare += packed
    return found


def _expand(item: RequiredItem, locations: Sequence[Location], folders: Collection[str]) -> list[RequiredItem]:
    """An item for each of the files or folders that a name with a `*` stands for; the item itself if there is none."""
    if "*" not in item.names[0]:
        return [item]
    if item.is_folder:
        return [replace(item, names=(name,)) for name in _class_folders(locations, folders)] or [item]
    parent, pattern = PurePosixPath(item.names[0]).parent, _ignoring_case(PurePosixPath(item.names[0]).name)
    bare = [PurePosixPath(file).name for location in locations for file in location.files]
    packed = [PurePosixPath(without_suffixes(file)).name for location in locations for file in location.archives]
    names = sorted({name for name in (*bare, *packed) if fnmatchcase(_ignoring_case(name), pattern)})
    return [replace(item, names=((parent / name).as_posix(),), pattern=item.names[0]) for name in names] or [item]


def _class_folders(locations: Sequence[Location], others: Collection[str]) -> list[str]:
    """The folders of images that lie side by side, without the other ones of the competition."""
    beside: dict[tuple[Path, str], set[str]] = {}
    known = set(map(_ignoring_case, others))
    for location in locations:
        for file in location.files:
            *above, folder, _ = ("", *file.split("/")) if "/" in file else ("", "", "")
            if folder and is_image(file) and _ignoring_case(folder) not in known:
                beside.setdefault((location.folder, "/".join(above)), set()).add(folder)
    return max(((len(names), sorted(names)) for names in beside.values()), default=(0, list[str]()))[1]


def _walk(folder: Path, prefix: str, ancestors: frozenset[tuple[int, int]]) -> Iterator[str]:
    # A user's folder may have links, and a link may lead back up.
    stat = folder.stat()
    identity = (stat.st_dev, stat.st_ino)
    if identity in ancestors:
        return
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith(".") or is_junk(entry.name):
                continue
            if entry.is_dir():
                yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", ancestors | {identity})
            elif entry.is_file():
                yield prefix + entry.name


def _is_archive(folder: Path, file: str, csv_names: set[str]) -> bool:
    """By its name; by its content if the name has no suffix, or is that of a CSV file which may be zipped."""
    name = file.rsplit("/", 1)[-1]
    if has_archive_name(name):
        return True
    return (name in csv_names or "." not in name) and kind_of(folder / file) is not None


def _matches(item: RequiredItem, locations: Sequence[Location]) -> Iterator[Match]:
    for location in locations:
        for rank, name in enumerate(item.names):
            yield from (_folders_named if item.is_folder else _files_named)(location, name, rank)


def _packed_matches(item: RequiredItem, locations: Sequence[Location]) -> Iterator[Match]:
    for location in locations:
        for path in location.archives:
            for rank, name in enumerate(item.names):
                content, wanted = without_suffixes(path), PurePosixPath(name).name
                if _ignoring_case(content) == _ignoring_case(wanted):
                    yield Match(location, path, rank, other_case=content != wanted)


def _files_named(location: Location, name: str, rank: int) -> Iterator[Match]:
    for file in location.files:
        if _ignoring_case(f"/{file}").endswith(_ignoring_case(f"/{name}")):
            yield Match(location, file, rank, other_case=not f"/{file}".endswith(f"/{name}"))


def _folders_named(location: Location, name: str, rank: int) -> Iterator[Match]:
    """The folders of that name with files in them, without those that only wrap another of that name."""
    wanted, folders = _ignoring_case(f"/{name}/"), dict[str, bool]()
    for file in location.files:
        at = _ignoring_case(f"/{file}").find(wanted)
        if at >= 0:
            folder = file[: at + len(name)]
            folders[folder] = folders.get(folder, False) or is_image(file)
    unwrapped = {_unwrapped(location, folder, name): has_images for folder, has_images in folders.items()}
    for folder, has_images in sorted(unwrapped.items()):
        yield Match(location, folder, rank, not f"/{folder}".endswith(f"/{name}"), without_images=not has_images)


def _ignoring_case(path: str) -> str:
    # Of the same length, as other letters' lower case is not.
    return path.lower() if path.isascii() else "".join(c.lower() if c.isascii() else c for c in path)


def _unwrapped(location: Location, path: str, name: str) -> str:
    """The innermost folder of that name, if `train` has nothing but `train` or `all/train` in it."""
    inner = path
    while len(names := {file[len(inner) + 1 :].split("/", 1)[0] for file in location.below(inner)}) == 1:
        inner = f"{inner}/{names.pop()}"
        if inner in location.files:
            break
        if _ignoring_case(f"/{inner}").endswith(_ignoring_case(f"/{name}")):
            path = inner
    return path


def require_one(item: RequiredItem, ordered: Sequence[Match]) -> None:
    """Raise a DataError if the first two matches are equally good: only the user can choose."""
    if len(ordered) > 1 and ordered[0].order == ordered[1].order:
        first, second = (match.location.describe(match.path) for match in ordered[:2])
        raise DataError(
            f"there are two {item.name}: {first} and {second}",
            fix="move one of them away, or name the folder of the right one with --from DIR",
        )


def missing_error(
    missing: Iterable[RequiredItem], locations: Sequence[Location], where: Path | str, retry_command: str
) -> WrongDataError:
    """The error that names every missing item, and what was found instead."""
    names = [" or ".join(name + "/" * item.is_folder for name in item.names) for item in missing]
    parts = sorted({whole for location in locations for whole in _in_parts(location)})
    fix = f"put the missing files, or archives of them, beside the others, then: `{retry_command}`"
    return WrongDataError(
        f"missing: {', '.join(names)}\n  found instead: {_overview(locations) or 'nothing'}",
        where=where,
        fix=join_fix(parts[0], retry_command) if parts else fix,
    )


def _in_parts(location: Location) -> Iterator[str]:
    """The paths of the archives that lie here in parts, as the parts of `train.zip` in `train.zip.001`."""
    for file in location.files:
        if whole := whole_name(file):
            yield str(location.folder / whole) if location.archive is None else whole


def _overview(locations: Sequence[Location], max_entries: int = 12) -> str:
    """Each file at the top of a location, and each folder with the number of its files."""
    counts: Counter[str] = Counter()
    for location in locations:
        for file in (*location.files, *location.archives):
            parent = file.rpartition("/")[0]
            entry = f"{parent}/" if parent else file
            counts[f"{entry} in {location.archive}" if location.archive else entry] += 1
    entries = [entry if count == 1 else f"{entry} ({count} files)" for entry, count in counts.items()]
    more = [f"and {len(entries) - max_entries} more"] if len(entries) > max_entries else []
    return ", ".join([*entries[:max_entries], *more])

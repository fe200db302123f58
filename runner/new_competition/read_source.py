"""Read the evidence of a folder or an archive: archives are listed, only tables and a few images are extracted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import splitext

from runner.archives.extract import extract_archive, list_archive
from runner.archives.names import has_archive_name, without_suffixes
from runner.commands import TYPED
from runner.console import log
from runner.contract.labels import Coco
from runner.csv_file import CsvError, TableFile
from runner.data.find_files import Location, listed, scan
from runner.data.tables import read_table
from runner.errors import DataError
from runner.images.decode import open_header
from runner.new_competition.evidence import READ_SUFFIXES, ImageHeader, ImageNames, Source, SourceTable

TABLES = (".csv", ".tsv", ".json", ".parquet")
_ARRAYS = (".h5", ".hdf5")  # an HDF5 file's names are in it
# A folder with more of them has one an image: annotations, and no tables of images.
MOST_TABLES = 20
_HEADERS = 12  # images whose headers are read
_MAX_DEPTH = 5  # of archives in archives


@dataclass(frozen=True)
class _Found:
    """A file of a location, by the path that a competition file would say."""

    location: Location
    file: str
    path: str

    @property
    def disk_path(self) -> Path:
        return self.location.folder / self.file


def read_source(
    path: Path, scratch_dir: Path, *, listed_names: Sequence[str] = (), retry_command: str = TYPED
) -> Source:
    """The evidence in a folder or an archive, and in files of which a host has told the names.

    What must be extracted for it goes below `scratch_dir`.
    """
    locations = _locations(path, scratch_dir, retry_command)
    if listed_names:
        locations.append(listed(listed_names))
    found = _files(locations)
    is_table = _tables_among(found)
    tables, unread = _read_tables([each for each in found if each.path in is_table])
    images = [each for each in found if _suffix(each.path) in READ_SUFFIXES]
    others = [each.path for each in found if each.path not in is_table and _suffix(each.path) not in READ_SUFFIXES]
    names = ImageNames(each.path for each in images)
    arrays = {each.path: each.disk_path for each in found if _suffix(each.path) in _ARRAYS and each.disk_path.is_file()}
    headers = _read_headers(images)
    return Source(tuple(locations), tuple(tables), names, headers, tuple(unread), tuple(others), arrays)


def _locations(path: Path, scratch_dir: Path, retry_command: str) -> list[Location]:
    """Every location that extracting all archives would make, most of their files only listed."""
    if path.is_dir():
        first = scan(path, ())
        pending = [(first, name, 1) for name in first.archives]
        locations = [first]
    else:
        pending, locations = [(Location(path.parent, (), (path.name,)), path.name, 1)], []
    while pending:
        outer, name, depth = pending.pop(0)
        folder = scratch_dir / str(len(locations))
        location = _list(outer, name, folder, depth, retry_command)
        locations.append(location)
        if depth < _MAX_DEPTH:
            pending += [(location, inner, depth + 1) for inner in location.archives]
    return locations


def _list(outer: Location, name: str, folder: Path, depth: int, retry_command: str) -> Location:
    """The location of an archive's content, placed as the download places it; its tables and archives are extracted."""
    archive = outer.folder / name
    start = PurePosixPath(name).with_name(without_suffixes(name))
    log.info(f"listing {name}")
    names = list_archive(archive, retry_command=retry_command)
    if chosen := _chosen(names):
        extract_archive(archive, folder / start, names=chosen, retry_command=retry_command)
    paths = [str(start / PurePosixPath(each)) for each in names]
    files = tuple(each for each in paths if not has_archive_name(each) and not _is_hidden(each))
    archives = tuple(each for each in paths if has_archive_name(each) and not _is_hidden(each))
    return Location(folder, files, archives, archive=name, depth=depth)


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _chosen(names: Sequence[str]) -> frozenset[str]:
    """The files of an archive that must be read: tables, arrays, archives, and a few images."""
    counts = Counter(name.rpartition("/")[0] for name in names if _suffix(name) in TABLES)
    chosen = [name for name in names if _suffix(name) in TABLES and counts[name.rpartition("/")[0]] <= MOST_TABLES]
    chosen += [name for name in names if _suffix(name) in _ARRAYS or has_archive_name(name)]
    return frozenset([*chosen, *_spread([name for name in names if _suffix(name) in READ_SUFFIXES], _HEADERS)])


def _spread(items: Sequence[str], most: int) -> list[str]:
    """Up to so many of the items, from everywhere in them."""
    return [items[number * len(items) // most] for number in range(most)] if len(items) > most else list(items)


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _suffix(name: str) -> str:
    return splitext(name)[1].lower()  # a path object for each of 100,000 names takes seconds


# --- paths --------------------------------------------------------------------------------------


def _files(locations: Iterable[Location]) -> list[_Found]:
    """Every file with its path: without the folders around everything, and `train/` for `train/train/`."""
    files = [(location, file) for location in locations for file in location.files]
    folder_of = _collapsed_folders({file.rpartition("/")[0] for _, file in files})
    paths = [[*folder_of[file.rpartition("/")[0]], file.rpartition("/")[2]] for _, file in files]
    # An archive of one table is extracted into a folder of the table's name, with its suffix or without.
    paths = [path[:-2] + path[-1:] if path[-2:-1] in (path[-1:], [_stem(path[-1])]) else path for path in paths]
    around = _around_all(paths)
    found = [_Found(*file, "/".join(path[around:])) for file, path in zip(files, paths, strict=True)]
    return sorted(found, key=lambda each: each.path)


def _collapsed_folders(folders: set[str]) -> dict[str, list[str]]:
    """The parts of each folder's path, without a folder that has nothing but one of its own name in it."""
    inside: dict[tuple[str, ...], set[str]] = {}
    for folder in folders:
        parts = tuple(folder.split("/"))
        for depth in range(1, len(parts)):
            inside.setdefault(parts[:depth], set()).add(parts[depth].lower())
    collapsed = {}
    for folder in folders:
        parts = tuple(folder.split("/")) if folder else ()
        collapsed[folder] = [
            part
            for depth, part in enumerate(parts, start=1)
            # Folders of one or two letters are named after the ids in them.
            if len(part) < 3 or inside.get(parts[:depth]) != {part.lower()}
        ]
    return collapsed


def _around_all(paths: Sequence[list[str]]) -> int:
    """How many folders lie around all files and are no part of a name: those above tables and image folders."""
    around = 0
    while paths and all(len(path) > around + 1 and path[around] == paths[0][around] for path in paths):
        is_bare = any(len(path) == around + 2 and _suffix(path[-1]) in READ_SUFFIXES for path in paths)
        if is_bare:
            break
        around += 1
    return around


# --- tables and headers -------------------------------------------------------------------------


def _tables_among(found: Sequence[_Found]) -> frozenset[str]:
    """The paths of the tables: not those of folders with a table an image."""
    tables = [each for each in found if _suffix(each.path) in TABLES and each.disk_path.is_file()]
    counts = Counter(each.path.rpartition("/")[0] for each in tables)
    return frozenset(each.path for each in tables if counts[each.path.rpartition("/")[0]] <= MOST_TABLES)


def _read_tables(files: Sequence[_Found]) -> tuple[list[SourceTable], list[str]]:
    tables, unread = [], []
    for each in files:
        try:
            tables.append(_read_table(each.disk_path, each.path))
        except CsvError as error:
            if error.problem.kind != "not a table":  # a JSON of settings, or the names of classes
                unread.append(f"{each.path}: {error.problem.message}")
    return tables, unread


def _read_table(path: Path, name: str) -> SourceTable:
    if path.suffix.lower() == ".json":
        try:
            file: TableFile = read_table(path, Coco(name), name)
            return SourceTable(name, file, is_coco=True)
        except CsvError as error:
            if error.problem.kind != "not a table":
                raise
    return SourceTable(name, read_table(path, name, name))


def _read_headers(images: Sequence[_Found]) -> tuple[ImageHeader, ...]:
    """The headers of a few images that are on this disk."""
    here = [each for each in images if each.location.archive is None or each.disk_path.is_file()]
    headers = []
    chosen = {each.path: each for each in here}
    for path in _spread(list(chosen), _HEADERS):
        if _suffix(path) in (".npy", ".dcm", ".dicom"):
            continue
        try:
            with open_header(chosen[path].disk_path) as image:
                headers.append(ImageHeader(path, *image.size, image.mode))
        except DataError:  # the download names every broken image
            continue
    return tuple(headers)

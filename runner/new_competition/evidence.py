"""The evidence: tables with their columns, and images by their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath

from runner.contract.labels import Coco
from runner.csv_file import CsvError, TableFile
from runner.data.find_files import Location
from runner.data.image_names import IMAGE_SUFFIXES

# More columns than this are pixels or features: only the columns that are asked for are kept.
_MAX_KEPT_COLUMNS = 64
_FIRST_ROWS = 300


class SourceTable:
    """A table of the source. Its rows are read when they are needed."""

    def __init__(self, name: str, file: TableFile, *, is_coco: bool = False) -> None:
        self.name = name  # its path, as a competition file would say it
        self.file = file
        self.is_coco = is_coco
        self._columns: dict[str, list[str]] = {}

    @property
    def table(self) -> str | Coco:
        """The table as a competition file says it."""
        return Coco(self.name) if self.is_coco else self.name

    @property
    def stem(self) -> str:
        """The file's name without its suffix, in small letters."""
        return PurePosixPath(self.name).stem.lower()

    @property
    def header(self) -> tuple[str, ...]:
        return self.file.header

    @cached_property
    def first_rows(self) -> tuple[tuple[str, ...], ...]:
        """The first complete rows; none if the file cannot be read."""
        try:
            rows = list(islice(self.file, _FIRST_ROWS))
        except CsvError:
            return ()
        return tuple(tuple(cell.strip() for cell in row) for _, row in rows if len(row) == len(self.header))

    def first(self, column: str) -> list[str]:
        """A column of the first rows."""
        position = self.header.index(column)
        return [row[position] for row in self.first_rows]

    def column(self, name: str) -> list[str]:
        """A column of every complete row, stripped."""
        if name not in self._columns:
            is_wide = len(self.header) > _MAX_KEPT_COLUMNS
            self._read([name] if is_wide else list(dict.fromkeys(self.header)))
        return self._columns[name]

    def columns(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """These columns of every complete row."""
        if missing := [name for name in names if name not in self._columns]:
            self._read(missing)
        return list(zip(*(self._columns[name] for name in names), strict=True))

    def __len__(self) -> int:
        return len(self.column(self.header[0]))

    def _read(self, names: Sequence[str]) -> None:
        positions = [self.header.index(name) for name in names]
        values: list[list[str]] = [[] for _ in names]
        width = len(self.header)
        try:
            for _, row in self.file:
                if len(row) >= width:
                    for position, column in zip(positions, values, strict=True):
                        column.append(row[position].strip())
        except CsvError:  # the index tells it, with its line
            pass
        self._columns.update(zip(names, values, strict=True))


class ImageNames:
    """The images of the source, found by their names."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = tuple(paths)

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def all(self) -> frozenset[str]:
        """Every path."""
        return frozenset(self.paths)

    @cached_property
    def by_stem(self) -> dict[str, list[str]]:
        """The paths of each name without folder and suffix."""
        found: dict[str, list[str]] = {}
        for path in self.paths:
            found.setdefault(without_suffix(path.rpartition("/")[2]), []).append(path)
        return found

    @cached_property
    def stems(self) -> tuple[str, ...]:
        """The names without folder and suffix, sorted."""
        return tuple(sorted(self.by_stem))

    @cached_property
    def folders(self) -> Counter[str]:
        """How many images each folder has, without those in its folders."""
        return Counter(path.rpartition("/")[0] for path in self.paths)

    @cached_property
    def folders_by_name(self) -> dict[str, list[str]]:
        """The folders with images that have each name in their path, up to and with that name."""
        found: dict[str, dict[str, None]] = {}
        for folder in self.folders:
            parts = folder.split("/")
            for depth, part in enumerate(parts, start=1):
                found.setdefault(part, {})["/".join(parts[:depth])] = None
        return {name: list(folders) for name, folders in found.items()}

    def named(self, id: str) -> list[tuple[str, str]]:
        """Each image that an id names: its folder, and the suffix that the id lacks."""
        start, own_suffix = without_suffix(id), suffix_of(id)
        found = []
        for path in self.by_stem.get(start.rpartition("/")[2], ()):
            suffix = suffix_of(path)
            folder, matches = _before(path.removesuffix(suffix), start)
            # A suffix may be written in other letters.
            if matches and own_suffix.lower() in ("", suffix.lower()):
                found.append((folder, "" if own_suffix else suffix))
        return found


@dataclass(frozen=True)
class ImageHeader:
    """What the header of one image says."""

    path: str
    width: int
    height: int
    mode: str  # Pillow's


@dataclass(frozen=True)
class Source:
    """All evidence of a source."""

    locations: tuple[Location, ...]  # as the download will search them
    tables: tuple[SourceTable, ...]
    images: ImageNames
    headers: tuple[ImageHeader, ...] = ()
    unread: tuple[str, ...] = ()  # tables that cannot be read, and why
    other_files: tuple[str, ...] = ()  # neither tables nor images
    arrays: Mapping[str, Path] = field(default_factory=dict)  # HDF5 files, and where they are on this disk

    def table(self, name: str) -> SourceTable | None:
        """The table with this path, or with this name at its end."""
        wanted = name.lower()
        return next((t for t in self.tables if f"/{t.name.lower()}".endswith(f"/{wanted}")), None)


def without_suffix(name: str) -> str:
    """A name without the suffix of an image."""
    suffix = suffix_of(name)
    return name.removesuffix(suffix) if suffix else name


def suffix_of(path: str) -> str:
    """The suffix of an image; "" for another one, which is a part of the name."""
    dot = path.rfind(".")
    suffix = path[dot:] if dot > path.rfind("/") + 1 else ""
    return suffix if suffix.lower() in READ_SUFFIXES else ""


READ_SUFFIXES = IMAGE_SUFFIXES | {".npy", ".dcm", ".dicom"}


def _before(path: str, id: str) -> tuple[str, bool]:
    """The folder in which a path is the id; whether it is."""
    if path == id:
        return "", True
    return path[: -len(id) - 1], path.endswith(f"/{id}")

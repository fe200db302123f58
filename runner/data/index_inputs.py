"""What an index is built from: the competition's tables and image folders, each read once."""

from __future__ import annotations

import bisect
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from runner.commands import command
from runner.contract.competition import Competition
from runner.contract.images import ImageArray, folder_of
from runner.contract.labels import Table, aliases
from runner.csv_file import Columns, CsvError, CsvFile, TableFile, add_csv_error, read_columns, read_csv
from runner.data.checksums import CHECKSUMS, changed_files
from runner.data.image_names import DICOM_SUFFIXES, IMAGE_SUFFIXES
from runner.data.label_texts import label_columns
from runner.data.source import redownload_command
from runner.data.tables import read_table
from runner.problems import ProblemList

# Suffixes of one format: cameras and disks write them as they like.
_SAME_FORMAT = ((".jpg", ".jpeg", ".jpe"), (".tif", ".tiff"), (".dcm", ".dicom"))


class Tables:
    """The tables of a data folder; each is opened, and its problems are added, once."""

    def __init__(self, data_dir: Path, problems: ProblemList, labels: Table | None, sample: Table) -> None:
        self._data_dir, self._problems = data_dir, problems
        self._labels, self._sample = labels, sample
        self._files: dict[str, TableFile | None] = {}
        self._columns: list[Columns] = []

    def open(self, table: Table) -> TableFile | None:
        """The file under the first of its names that exists; None if it is not a table."""
        name = existing_name(self._data_dir, table)
        if name not in self._files:
            self._files[name] = self._open(table, name)
        return self._files[name]

    def _open(self, table: Table, name: str) -> TableFile | None:
        try:
            file = read_table(self._data_dir / name, table, name)
            self._check_encoding(file)
        except CsvError as error:
            add_csv_error(error, name, self._problems)
            return None
        if changed_files(self._data_dir, [name]):
            accept = command(self._data_dir.name, "download", "--accept-changes")
            message = f"the file is not the one in {CHECKSUMS}: it has changed; if that is wanted: `{accept}`"
            self._problems.warn("changed file", message, file=name)
        if file.has_bom:
            self._problems.warn("byte order mark", "the file begins with a byte order mark", file=name, line=1)
        return file

    def _check_encoding(self, file: TableFile) -> None:
        """A CsvError for text in latin-1, but a warning if labels and sample submission both are in it."""
        if not isinstance(file, CsvFile) or file.not_utf8 is None:
            return
        if not self._are_latin1:
            raise CsvError(file.not_utf8)
        message = f"{file.not_utf8.message}; it is read as latin-1, and the submission will be UTF-8"
        self._problems.warn("not UTF-8", message, file=file.name, line=file.not_utf8.line)

    @cached_property
    def _are_latin1(self) -> bool:
        """Whether the labels and the sample submission are both in latin-1."""
        if self._labels is None:
            return False
        names = [existing_name(self._data_dir, table) for table in (self._labels, self._sample)]
        try:
            files = [read_csv(self._data_dir / name, may_be_latin1=True, lenient=True) for name in names]
        except CsvError:
            return False
        return all(file.not_utf8 for file in files)

    def read(self, table: Table, columns: Sequence[str]) -> Columns | None:
        """These columns, stripped; None if they cannot be read."""
        file = self.open(table)
        if file is None:
            return None
        # One file may name both the labels and the rows of an array: it is parsed once.
        for known in self._columns:
            if known.file == file.name and set(columns) <= set(known.values):
                return known
        read = read_columns(file, columns, self._problems)
        if read:
            self._columns.append(read)
        return read


class FileListing:
    """The files of the image folders, as paths relative to the data folder. Each folder is listed once."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._folders: dict[str, frozenset[str]] = {}
        self._sorted: dict[str, list[str]] = {}

    def has_folder(self, template: str) -> bool:
        """Whether the folder of the template's images exists."""
        return (self._data_dir / folder_of(template)).is_dir()

    def files(self, folder: str) -> frozenset[str]:
        """Every file below a folder, at any depth, without the hidden ones."""
        if folder not in self._folders:
            self._folders[folder] = frozenset(_walk(self._data_dir / folder, f"{folder}/" if folder else ""))
        return self._folders[folder]

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder, sorted."""
        with os.scandir(self._data_dir / folder) as entries:
            return sorted(entry.name for entry in entries if _is_folder(entry))

    def find(self, folder: str, path: str) -> tuple[str, ...]:
        """The image at a path below a folder; if the suffix differs, one of the same format. A `*` may be several."""
        if "*" in path:
            return self._find_all(folder, path)
        files = self.files(folder)
        if path in files:
            return (path,)
        suffix = PurePosixPath(path).suffix
        stem = path.removesuffix(suffix)
        return next(((stem + other,) for other in _same_format(suffix) if stem + other in files), ())

    def _find_all(self, folder: str, pattern: str) -> tuple[str, ...]:
        """The files of a pattern, sorted; a `*` is any text without a slash."""
        if folder not in self._sorted:
            self._sorted[folder] = sorted(self.files(folder))
        files, prefix = self._sorted[folder], pattern.split("*", 1)[0]
        is_one = re.compile("[^/]*".join(map(re.escape, pattern.split("*")))).fullmatch
        found = []
        for number in range(bisect.bisect_left(files, prefix), len(files)):
            if not files[number].startswith(prefix):
                break
            if is_one(files[number]):
                found.append(files[number])
        return tuple(found)


def existing_name(folder: Path, table: Table) -> str:
    """The first of a table's names that is a file in the folder; the first of all if none is."""
    names = aliases(table)
    return next((name for name in names if (folder / name).is_file()), names[0])


def _walk(folder: Path, prefix: str) -> list[str]:
    """Relative paths of the files below; links to folders are not followed, so that no circle is walked."""
    if not folder.is_dir():
        return []
    paths: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_folder(entry):
                paths += _walk(Path(entry.path), f"{prefix}{entry.name}/")
            elif not entry.name.startswith("."):
                paths.append(prefix + entry.name)
    return paths


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)


def _same_format(suffix: str) -> list[str]:
    lower = suffix.lower()
    if lower not in IMAGE_SUFFIXES and lower not in DICOM_SUFFIXES:
        return []
    suffixes = next((suffixes for suffixes in _SAME_FORMAT if lower in suffixes), (lower,))
    return [spelling for name in suffixes for spelling in (name, name.upper(), name.title())]


@dataclass(frozen=True)
class IndexInputs:
    """The competition, its tables and images, and the problems found in them."""

    competition: Competition
    tables: Tables
    listing: FileListing
    problems: ProblemList
    data_dir: Path
    # Of each array the row of every id, once it was read; None if it is not readable.
    array_rows: dict[ImageArray, dict[str, int] | None] = field(default_factory=dict)
    # Of each HDF5 file the names of its datasets; None if it is not readable.
    datasets: dict[str, frozenset[str] | None] = field(default_factory=dict)

    @classmethod
    def of(cls, competition: Competition, data_dir: Path, listing: FileListing | None = None) -> IndexInputs:
        """The inputs in a data folder, none of them read yet."""
        problems = ProblemList(redownload_command(data_dir, competition.name or competition.slug))
        tables = Tables(data_dir, problems, competition.labels.csv, competition.sample_submission)
        return cls(competition, tables, listing or FileListing(data_dir), problems, data_dir)

    def label_columns(self) -> tuple[str, ...]:
        """The columns of the labels, by the header of their table."""
        labels = self.competition.labels
        file = self.tables.open(labels.csv) if labels.csv else None
        return label_columns(labels, file.header if file else ())

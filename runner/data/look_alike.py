"""Which other competition a folder or an archive belongs to, for the error about wrong data."""

from __future__ import annotations

from pathlib import Path

import competitions
from runner.archives.readers import kind_of, open_archive
from runner.contract import Competition
from runner.contract.labels import aliases
from runner.csv_file import CsvError
from runner.data.find_files import Location, RequiredItem, SearchResult, find, listed, required_items, scan
from runner.data.table_rows import label_table_columns
from runner.data.tables import read_table
from runner.errors import RunnerError


def find_look_alike(source: Path, competition: Competition) -> str | None:
    """The name of the one shipped competition that finds all of its files there, with its columns; None if none does.

    Only shipped ones are asked: a competition file of the workspace is code, and runs when its own command is called.
    """
    names = [name for name in competitions.names() if name != competition.name]
    fitting = [name for name in names if _fits(source, competitions.load(name))]
    return fitting[0] if len(fitting) == 1 else None


def _fits(source: Path, other: Competition) -> bool:
    required = required_items(other)
    if any(item.names[0] == "*" for item in required):
        return False  # any folders of images are class folders
    try:
        found = find(required, [_location(source, required)])
    except (RunnerError, OSError):
        return False
    return not found.missing(required) and _has_columns(found, other)


def _location(source: Path, required: tuple[RequiredItem, ...]) -> Location:
    if source.is_dir():
        return scan(source, required)
    kind = kind_of(source)
    if kind is None:
        return Location(source.parent, ())
    try:
        with open_archive(source, kind) as reader:
            return listed([member.name for member in reader.members if not member.is_folder])
    except Exception:  # the libraries raise anything at all on unexpected bytes
        return Location(source.parent, ())


def _has_columns(found: SearchResult, other: Competition) -> bool:
    """Whether the label table has the competition's columns; True if it is packed, or there is none."""
    labels = other.labels
    match = next(
        (match for item, match in found.items.items() if labels.csv and item.names == aliases(labels.csv)), None
    )
    if labels.csv is None or match is None or match.location.folder == Path():
        return True
    try:
        header = read_table(match.location.folder / match.path, labels.csv, match.path).header
    except CsvError:
        return False
    return set(label_table_columns(other, header)) <= set(header)

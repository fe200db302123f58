"""Which other competition a folder or an archive belongs to, for the error about wrong data."""

from __future__ import annotations

from pathlib import Path

import competitions
from runner.archives.names import without_suffixes
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
    others = [competitions.load(name) for name in competitions.names() if name != competition.name]
    try:
        location = _location(source, tuple(item for other in others for item in required_items(other)))
    except (RunnerError, OSError):
        return None
    words = _words(location)
    fitting = [other.name for other in others if _fits(location, words, other)]
    return fitting[0] if len(fitting) == 1 else None


def _words(location: Location) -> frozenset[str]:
    """The names of all files and folders, those of archives without their suffixes too; in small letters."""
    folders, _, names = zip(*(path.rpartition("/") for path in (*location.files, *location.archives, "")), strict=True)
    parts = {part for folder in set(folders) for part in folder.split("/")}
    return frozenset(
        word.lower()
        for word in {*names, *parts, *(without_suffixes(name).rpartition("/")[2] for name in location.archives)}
    )


def _fits(location: Location, words: frozenset[str], other: Competition) -> bool:
    required = required_items(other)
    if any(item.names[0] == "*" for item in required):
        return False  # any folders of images are class folders
    # Of sixty competitions few have their names there: the others are not searched for in a million paths.
    if not all(_may_be_there(item, words) for item in required):
        return False
    try:
        found = find(required, [location])
    except (RunnerError, OSError):
        return False
    return not found.missing(required) and _has_columns(found, other)


def _may_be_there(item: RequiredItem, words: frozenset[str]) -> bool:
    names = (name.split("/")[-1].lower() for name in item.names)
    return item.is_optional or item.is_test_folder or any("*" in name or name in words for name in names)


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

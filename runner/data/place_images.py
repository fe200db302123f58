"""Which of the folders with a fitting name holds the images: the one with a file for most of the tables' ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from runner.contract import Competition
from runner.contract.images import Images, templates_of
from runner.contract.labels import FileNames, aliases
from runner.csv_file import CsvError, read_columns, read_csv
from runner.data.find_files import Match, RequiredItem, SearchResult, require_one
from runner.data.image_arrays import IMAGE_SUFFIXES
from runner.problems import ProblemList


@dataclass(frozen=True)
class TableIds:
    """The ids of a table, and the templates of their images: each id has one image, of any of them."""

    templates: tuple[str, ...]
    ids: tuple[str, ...]


def read_table_ids(competition: Competition, found: SearchResult) -> tuple[TableIds, ...]:
    """The ids of the labels and of the sample submission, as far as these tables are found and readable."""
    labels = competition.labels
    tables: list[tuple[FileNames, Images]] = [(competition.sample_submission, competition.test_images)]
    if labels.csv:
        tables.append((aliases(labels.csv), competition.train_images))
    return tuple(
        TableIds(templates_of(images), tuple(_ids_of(names, labels.id, found)))
        for names, images in tables
        if templates_of(images)
    )


def place_images(found: SearchResult, tables: Sequence[TableIds]) -> bool:
    """Give each image folder the place where its images are; whether there is one for every id."""
    images = dict[str, frozenset[str]]()
    for item, matches in found.folders.items():
        if not matches:
            continue
        wanted = _wanted(item, tables)
        places = [_best_place(item, match, wanted) for match in matches]
        most = max(count for _, count in places)
        best = [match for match, count in places if count == most]
        require_one(item, best)
        found.items[item] = best[0]
        images.update(dict.fromkeys(item.templates, frozenset(_names_in(best[0]))))
    return all(_has_image(id, table.templates, images) for table in tables for id in table.ids)


def _ids_of(names: FileNames, id_column: str, found: SearchResult) -> list[str]:
    match = next((match for item, match in found.items.items() if item.names == aliases(names)), None)
    if match is None:
        return []
    try:
        file = read_csv(match.location.folder / match.path, lenient=True)
    except CsvError:
        return []  # told when the index is built
    column = id_column if id_column in file.header else file.header[0]
    columns = read_columns(file, [column], ProblemList())
    return columns.values[column] if columns else []


def _wanted(item: RequiredItem, tables: Sequence[TableIds]) -> frozenset[str]:
    """The images of the ids, as paths in the item's folder without suffixes."""
    return frozenset(
        _name(template, id)
        for table in tables
        for template in table.templates
        if template in item.templates
        for id in table.ids
    )


def _best_place(item: RequiredItem, match: Match, wanted: frozenset[str]) -> tuple[Match, int]:
    """The folder in the match with most of the wanted images, the outermost of equals, and their number."""
    # Without a table of ids, the images lie in class folders: one folder deep, or as the template says.
    depths = {template.count("/") - item.names[0].count("/") for template in item.templates if "{label}" in template}
    counts = Counter[str]({match.path: 0})
    for name in _names_in(match):
        for folder, rest in _splits(name):
            if rest in wanted or rest.count("/") + 1 in depths:
                counts[f"{match.path}/{folder}".rstrip("/")] += 1
    place, count = max(counts.items(), key=lambda pair: (pair[1], -pair[0].count("/")))
    return replace(match, path=place), count


def _has_image(id: str, templates: Sequence[str], images: dict[str, frozenset[str]]) -> bool:
    return any(_name(template, id) in images.get(template, ()) for template in templates)


def _names_in(match: Match) -> Iterator[str]:
    """The files of a folder as paths in it, without the suffixes of images."""
    start = len(match.path) + 1
    return (_without_suffix(file[start:]) for file in match.location.below(match.path))


def _name(template: str, id: str) -> str:
    """An id's image as a path in the template's folder, without its suffix."""
    return _without_suffix(template[template.index("{") :].replace("{id}", id))


def _without_suffix(path: str) -> str:
    suffix = PurePosixPath(path).suffix
    return path.removesuffix(suffix) if suffix.lower() in IMAGE_SUFFIXES else path


def _splits(path: str) -> Iterator[tuple[str, str]]:
    """Each way to part a path into a folder and a path in that folder, the empty folder first."""
    yield "", path
    for at, letter in enumerate(path):
        if letter == "/":
            yield path[:at], path[at + 1 :]

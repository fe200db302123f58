"""Which of the folders with a fitting name holds the images: the one with a file for most of the tables' ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from posixpath import splitext

from runner.contract import Competition, Lookup
from runner.contract.images import Images, Stack, fill_template, folder_of, templates_of
from runner.contract.labels import Table, aliases
from runner.contract.patterns import row_pattern
from runner.csv_file import CsvError, read_columns
from runner.data.find_files import Match, RequiredItem, SearchResult, require_one
from runner.data.image_names import is_image
from runner.data.table_rows import id_columns, read_fields, read_ids, template_columns
from runner.data.tables import read_table
from runner.problems import ProblemList


@dataclass(frozen=True)
class TableImages:
    """The images of a table's rows: of each row the paths by the templates; the image is at one of them, or at all."""

    templates: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_stack: bool = False


def read_table_images(competition: Competition, found: SearchResult) -> tuple[TableImages, ...]:
    """The images that the labels and the sample submission name, as far as these tables are found and readable."""
    labels, train, test = competition.labels, competition.train_images, competition.test_images
    rows = competition.submission_rows
    tables: list[tuple[Table, str, str, Images]] = []
    if isinstance(rows, Lookup):
        tables.append((rows.csv, rows.id, "", test))
    elif competition.test_csv and template_columns(test):
        tables.append((competition.test_csv, labels.id, labels.rows, test))
    else:
        tables.append((competition.sample_submission, labels.id, rows, test))
    if labels.csv:
        tables.append((labels.csv, labels.id, labels.rows, train))
    return tuple(
        TableImages(
            templates_of(images), tuple(_images_of(table, id, pattern, images, found)), isinstance(images, Stack)
        )
        for table, id, pattern, images in tables
        if templates_of(images)
    )


def place_images(found: SearchResult, tables: Sequence[TableImages]) -> bool:
    """Give each image folder the place where its images are; whether there is one for every row."""
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
    return all(_has_image(paths, table, images) for table in tables for paths in table.rows)


def _images_of(table: Table, id: str, rows: str, images: Images, found: SearchResult) -> Iterator[tuple[str, ...]]:
    """The paths of each row's image by the templates; none if the table cannot be read: the index will tell it."""
    match = next((match for item, match in found.items.items() if item.names == aliases(table)), None)
    if match is None:
        return
    try:
        file = read_table(match.location.folder / match.path, table, match.path)
    except CsvError:
        return
    id = id if set(id_columns(id)) <= set(file.header) else file.header[0]
    fields = template_columns(images)
    columns = read_columns(file, list(dict.fromkeys((*id_columns(id), *fields))), ProblemList())
    if columns is None:
        return
    of_row = row_pattern(rows, ()) if rows else None
    for text, values in zip(read_ids(id, columns), read_fields(columns, fields), strict=True):
        row = of_row.fullmatch(text) if of_row else None
        name = {**values, "id": row["id"] if row else text}
        yield tuple(fill_template(template, name) for template in templates_of(images))


def _wanted(item: RequiredItem, tables: Sequence[TableImages]) -> frozenset[str]:
    """The images of the rows, as paths in the item's folder without suffixes."""
    return frozenset(
        _name(template, path)
        for table in tables
        for number, template in enumerate(table.templates)
        if template in item.templates
        for path in (paths[number] for paths in table.rows)
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


def _has_image(paths: Sequence[str], table: TableImages, images: dict[str, frozenset[str]]) -> bool:
    # What a `*` stands for is not known.
    are_there = (
        "*" in path or _name(template, path) in images.get(template, ())
        for template, path in zip(table.templates, paths, strict=True)
    )
    return all(are_there) if table.is_stack else any(are_there)


def _names_in(match: Match) -> Iterator[str]:
    """The files of a folder as paths in it, without the suffixes of images."""
    start = len(match.path) + 1
    return (_without_suffix(file[start:]) for file in match.location.below(match.path))


def _name(template: str, path: str) -> str:
    """An image as a path in the template's folder, without its suffix."""
    return _without_suffix(path.removeprefix(f"{folder_of(template)}/"))


def _without_suffix(path: str) -> str:
    return splitext(path)[0] if is_image(path) else path


def _splits(path: str) -> Iterator[tuple[str, str]]:
    """Each way to part a path into a folder and a path in that folder, the empty folder first."""
    yield "", path
    for at, letter in enumerate(path):
        if letter == "/":
            yield path[:at], path[at + 1 :]

"""The training rows, from a table or from one folder a class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from runner.contract.competition import ImageArray
from runner.contract.labels import aliases
from runner.data.classes import IndexRow, alone, normalise_label
from runner.data.image_paths import IndexInputs
from runner.data.listing import folder_of, is_image
from runner.data.problems import Problems


def training_rows(sources: IndexInputs) -> list[IndexRow]:
    """Every labelled row; those from folders have their paths already."""
    return _rows_of_table(sources) if sources.competition.labels.csv else _rows_of_folders(sources)


def _rows_of_table(sources: IndexInputs) -> list[IndexRow]:
    labels = sources.competition.labels
    assert labels.csv
    columns = [labels.id, labels.label, *([labels.group] if labels.group else [])]
    rows = sources.tables.read(labels.csv, columns)
    if rows is None:
        return []
    groups = rows.columns[labels.group] if labels.group else [""] * len(rows)
    # A few labels in very many rows: each is tidied, and kept, once.
    tidied = {label: normalise_label(labels, label) for label in set(rows.columns[labels.label])}
    found = [
        IndexRow(rows.file, line, id, tidied[label], group or alone(id))
        for id, label, group, line in zip(
            rows.columns[labels.id], rows.columns[labels.label], groups, rows.lines, strict=True
        )
    ]
    return _without_repeats(_filled(found, sources.problems), sources.problems)


def _filled(rows: Iterable[IndexRow], problems: Problems) -> list[IndexRow]:
    filled = []
    for row in rows:
        if not row.id:
            problems.error("empty id", row.file, row.line, "the row has no id", "fill it in, or delete the row")
        elif not row.label:
            fix = "fill it in, or delete the row"
            problems.error("empty label", row.file, row.line, f"{row.id!r} has no label", fix)
        else:
            filled.append(row)
    return filled


def _without_repeats(rows: Iterable[IndexRow], problems: Problems) -> list[IndexRow]:
    """Each id once. A row written twice is said and left out; two labels for one id are a fault."""
    first: dict[str, IndexRow] = {}
    for row in rows:
        earlier = first.setdefault(row.id, row)
        if earlier is row:
            continue
        found = f"the id {row.id!r} is on line {earlier.line} already"
        if earlier.label == row.label:
            problems.warn("id twice", row.file, row.line, found, "nothing to do: one row is used")
        else:
            found += f", with another label: {earlier.label!r} there, {row.label!r} here"
            fix = "delete the row that is wrong"
            problems.error("the same id with two labels", row.file, row.line, found, fix)
    return list(first.values())


def _rows_of_folders(sources: IndexInputs) -> list[IndexRow]:
    competition = sources.competition
    assert not isinstance(competition.train_images, ImageArray)
    train = [row for template in aliases(competition.train_images) for row in _rows_below(template, "train", sources)]
    valid = []
    if competition.valid_images and sources.listing.has_folder(competition.valid_images):
        valid = _rows_below(competition.valid_images, "valid", sources)
    elif competition.valid_images:
        found = "the folder of held-out images is not there"
        fix = "nothing to do: `split` holds out training rows"
        folder = folder_of(competition.valid_images)
        sources.problems.warn("missing folder", folder, None, found, fix)
    return train + _apart_from(train, valid)


def _rows_below(template: str, subset: str, sources: IndexInputs) -> list[IndexRow]:
    """The images of a `{label}/{id}` template, in the order of their paths."""
    folder, problems = folder_of(template), sources.problems
    if not sources.listing.has_folder(template):
        problems.error("missing folder", folder, None, "the folder is not there", problems.download_again)
        return []
    pattern = _pattern(template)
    rows = []
    for path in sorted(filter(is_image, sources.listing.files(folder))):
        match = pattern.fullmatch(path)
        if match:
            id = f"{match['label']}/{match['id']}"
            place = path[: match.end("label")]
            rows.append(IndexRow(place, None, id, match["label"], alone(id), path, subset))
    _check_filled(template, rows, sources)
    return rows


def _pattern(template: str) -> re.Pattern[str]:
    pattern = re.escape(template).replace(r"\{label\}", "(?P<label>[^/]+)", 1)
    before, _, suffix = pattern.replace(r"\{id\}", "(?P<id>[^/]+)", 1).rpartition(")")
    return re.compile(f"{before})(?i:{suffix})")


def _check_filled(template: str, rows: Sequence[IndexRow], sources: IndexInputs) -> None:
    folder, problems = folder_of(template), sources.problems
    if not rows:
        found = f"no image below it is of the form {template}"
        problems.error("empty folder", folder, None, found, problems.download_again)
        return
    if not template.startswith(f"{folder}/{{label}}/"):
        return
    for name in set(sources.listing.folders(folder)).difference(row.label for row in rows):
        fix = f"delete the folder if it is no class, or {problems.download_again}"
        found = "the class has no image"
        problems.error("empty class folder", f"{folder}/{name}", None, found, fix)


def _apart_from(train: Iterable[IndexRow], valid: Sequence[IndexRow]) -> list[IndexRow]:
    """The held-out rows, named by their whole paths where the short names are taken by training rows."""
    taken = {row.id for row in train}
    if taken.isdisjoint(row.id for row in valid):
        return list(valid)
    return [row._replace(id=row.path, group=alone(row.path)) for row in valid]

"""The training rows, from a table or from one folder a class."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from runner.contract.competition import ImageArray
from runner.contract.labels import aliases
from runner.data.classes import Labelled, alone, tidy
from runner.data.image_paths import Sources
from runner.data.listing import folder_of, is_picture
from runner.data.problems import Complaints


def training_rows(sources: Sources) -> list[Labelled]:
    """Every labelled row; those from folders have their paths already."""
    return _rows_of_table(sources) if sources.competition.labels.csv else _rows_of_folders(sources)


def _rows_of_table(sources: Sources) -> list[Labelled]:
    labels = sources.competition.labels
    assert labels.csv
    columns = [labels.id, labels.label, *([labels.group] if labels.group else [])]
    rows = sources.tables.read(labels.csv, columns)
    if rows is None:
        return []
    groups = rows.columns[labels.group] if labels.group else [""] * len(rows)
    # A few labels in very many rows: each is tidied, and kept, once.
    tidied = {label: tidy(labels, label) for label in set(rows.columns[labels.label])}
    found = [
        Labelled(rows.file, line, id, tidied[label], group or alone(id))
        for id, label, group, line in zip(
            rows.columns[labels.id], rows.columns[labels.label], groups, rows.lines, strict=True
        )
    ]
    return _without_repeats(_filled(found, sources.complaints), sources.complaints)


def _filled(rows: Iterable[Labelled], complaints: Complaints) -> list[Labelled]:
    filled = []
    for row in rows:
        if not row.id:
            complaints.fault("empty id", row.file, row.line, "the row has no id", "fill it in, or delete the row")
        elif not row.label:
            cure = "fill it in, or delete the row"
            complaints.fault("empty label", row.file, row.line, f"{row.id!r} has no label", cure)
        else:
            filled.append(row)
    return filled


def _without_repeats(rows: Iterable[Labelled], complaints: Complaints) -> list[Labelled]:
    """Each id once. A row written twice is said and left out; two labels for one id are a fault."""
    first: dict[str, Labelled] = {}
    for row in rows:
        earlier = first.setdefault(row.id, row)
        if earlier is row:
            continue
        found = f"the id {row.id!r} is on line {earlier.line} already"
        if earlier.label == row.label:
            complaints.remark("id twice", row.file, row.line, found, "nothing to do: one row is used")
        else:
            found += f", with another label: {earlier.label!r} there, {row.label!r} here"
            cure = "delete the row that is wrong"
            complaints.fault("the same id with two labels", row.file, row.line, found, cure)
    return list(first.values())


def _rows_of_folders(sources: Sources) -> list[Labelled]:
    competition = sources.competition
    assert not isinstance(competition.train_images, ImageArray)
    train = [row for template in aliases(competition.train_images) for row in _rows_below(template, "train", sources)]
    valid = []
    if competition.valid_images and sources.listing.has_folder(competition.valid_images):
        valid = _rows_below(competition.valid_images, "valid", sources)
    elif competition.valid_images:
        found = "the folder of held-out pictures is not there"
        cure = "nothing to do: `split` holds out training rows"
        folder = folder_of(competition.valid_images)
        sources.complaints.remark("missing folder", folder, None, found, cure)
    return train + _apart_from(train, valid)


def _rows_below(template: str, part: str, sources: Sources) -> list[Labelled]:
    """The pictures of a `{label}/{id}` template, in the order of their paths."""
    folder, complaints = folder_of(template), sources.complaints
    if not sources.listing.has_folder(template):
        complaints.fault("missing folder", folder, None, "the folder is not there", complaints.download_again)
        return []
    pattern = _pattern(template)
    rows = []
    for path in sorted(filter(is_picture, sources.listing.files(folder))):
        match = pattern.fullmatch(path)
        if match:
            id = f"{match['label']}/{match['id']}"
            place = path[: match.end("label")]
            rows.append(Labelled(place, None, id, match["label"], alone(id), path, part))
    _check_filled(template, rows, sources)
    return rows


def _pattern(template: str) -> re.Pattern[str]:
    pattern = re.escape(template).replace(r"\{label\}", "(?P<label>[^/]+)", 1)
    before, _, suffix = pattern.replace(r"\{id\}", "(?P<id>[^/]+)", 1).rpartition(")")
    return re.compile(f"{before})(?i:{suffix})")


def _check_filled(template: str, rows: Sequence[Labelled], sources: Sources) -> None:
    folder, complaints = folder_of(template), sources.complaints
    if not rows:
        found = f"no picture below it is of the form {template}"
        complaints.fault("empty folder", folder, None, found, complaints.download_again)
        return
    if not template.startswith(f"{folder}/{{label}}/"):
        return
    for name in set(sources.listing.folders(folder)).difference(row.label for row in rows):
        cure = f"delete the folder if it is no class, or {complaints.download_again}"
        found = "the class has no picture"
        complaints.fault("empty class folder", f"{folder}/{name}", None, found, cure)


def _apart_from(train: Iterable[Labelled], valid: Sequence[Labelled]) -> list[Labelled]:
    """The held-out rows, named by their whole paths where the short names are taken by training rows."""
    taken = {row.id for row in train}
    if taken.isdisjoint(row.id for row in valid):
        return list(valid)
    return [row._replace(id=row.path, group=alone(row.path)) for row in valid]

"""The classes of a competition, and whether each label is one of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from runner.contract.labels import Binary, Labels, Multiclass, Multilabel, Ordinal, Regression, SeveralTargets
from runner.contract.targets import names_of
from runner.data.table_rows import NO_FIELDS
from runner.problems import KEPT_PER_KIND, ProblemList, did_you_mean, quote

_MIN_SIMILARITY = 0.85  # difflib's ratio above which a rare name may be a typo of a frequent one
_MIN_FREQUENCY_RATIO = 10
_MAX_NAMES = 500  # a vocabulary of thousands is made of codes, and codes are all similar


@dataclass(slots=True, eq=False)
class IndexRow:
    """One image of the index, and the file and line it was found in.

    Not frozen: the path is set when the image is found, and a million copies would take a third of the index's time.
    """

    file: str
    line: int | None
    id: str
    label: str
    group: str
    path: str = ""
    subset: str = "train"
    fields: Mapping[str, str] = field(
        default_factory=lambda: NO_FIELDS
    )  # the row's other columns that the images' names or the head need


def own_group(id: str) -> str:
    """The group of a row without a group: its own."""
    return f"alone:{id}"  # splits are made from this text: another one would change every split


def declared_classes(labels: Labels, columns: Sequence[str], sample_columns: Sequence[str]) -> tuple[str, ...] | None:
    """The classes, tags or numbers that the competition file, the labels' columns or the sample submission declare.

    None if none of them does.
    """
    if isinstance(labels, SeveralTargets):
        return labels.class_names
    if isinstance(labels, Ordinal):
        return tuple(map(str, range(labels.grades)))
    if isinstance(labels, Regression) and labels.names:
        return labels.names
    if isinstance(labels, Binary | Regression) or labels.columns:
        return tuple(columns)
    if isinstance(labels, Multiclass | Multilabel) and labels.classes:
        return labels.classes
    return tuple(sample_columns) if len(sample_columns) > 1 else None


def observed_classes(labels: Labels, rows: Iterable[IndexRow]) -> tuple[str, ...]:
    """The classes of the training rows, sorted."""
    return tuple(sorted({name for label in {row.label for row in rows} for name in names_of(labels, label)}))


def check_labels(
    labels: Labels,
    declared: tuple[str, ...] | None,
    rows: Sequence[IndexRow],
    problems: ProblemList,
    sample_file: str = "the sample submission",
) -> None:
    """Add a problem for every label that is not a class, and for labels that leave nothing to learn.

    `sample_file` is the name of the file whose header declares the classes, if neither labels nor competition do.
    """
    if isinstance(labels, Binary):
        _check_binary(rows, problems)
    elif isinstance(labels, Regression) or (isinstance(labels, Multiclass) and labels.soft):
        pass  # numbers are no names
    elif declared:
        _check_declared(labels, declared, rows, problems, sample_file)
        _warn_unobserved(labels, declared, rows, problems)
    else:
        _check_typos(labels, rows, problems)
    _check_more_than_one(labels, rows, problems)


def _check_binary(rows: Iterable[IndexRow], problems: ProblemList) -> None:
    for row in rows:
        if row.label not in ("0", "1"):
            message = f"the label of {row.id!r} is {row.label!r}, not 0 or 1"
            problems.error("label not 0 or 1", message, file=row.file, line=row.line, fix="write 0 or 1")


def _check_declared(
    labels: Labels, declared: tuple[str, ...], rows: Iterable[IndexRow], problems: ProblemList, sample_file: str
) -> None:
    multilabel = isinstance(labels, Multilabel)
    noun = "tag" if multilabel else "class"
    listed = multilabel or bool(getattr(labels, "classes", None))
    source = "the names in the competition file" if listed else f"the columns of {sample_file}"
    unknown = set(observed_classes(labels, rows)).difference(declared)
    for number, (row, name) in enumerate(_rows_with(unknown, labels, rows)):
        message = f"the {noun} {quote(name)} of {row.id!r} is not among {source}"
        # The search is slow, and only the first few are listed.
        guess = did_you_mean(name, declared) if number < KEPT_PER_KIND else ""
        fix = f"{guess} correct the label, or: `{problems.default_fix}`".lstrip()
        problems.error(f"unknown {noun}", message, file=row.file, line=row.line, fix=fix)


def _rows_with(names: Iterable[str], labels: Labels, rows: Iterable[IndexRow]) -> Iterator[tuple[IndexRow, str]]:
    """Each row with one of these names, and the name; a class folder only once."""
    wanted, folders = set(names), set[str]()
    for row in rows if wanted else ():
        for name in names_of(labels, row.label):
            if name in wanted and not (row.line is None and name in folders):
                folders.add(name)
                yield row, name


def _warn_unobserved(
    labels: Labels, declared: tuple[str, ...], rows: Sequence[IndexRow], problems: ProblemList
) -> None:
    observed = set(observed_classes(labels, rows))
    for name in declared:
        if rows and name not in observed:
            message = f"no training image has the label {name!r}: it can only be guessed"
            problems.warn("class without an image", message, file=rows[0].file)


def _check_typos(labels: Labels, rows: Sequence[IndexRow], problems: ProblemList) -> None:
    """Add a problem for each rare name similar to a far more frequent one.

    For tags an error, since the competition file can allow the name by listing it; else a warning.
    """
    typos = probable_typos(Counter(name for row in rows for name in names_of(labels, row.label)))
    multilabel = isinstance(labels, Multilabel)
    add = problems.error if multilabel else problems.warn
    noun, hint = ("tag", ", or list it in Multilabel(classes=...)") if multilabel else ("class", "")
    for row, name in _rows_with(typos, labels, rows):
        message = f"the {noun} {name!r} of {row.id!r} is rare and similar to {typos[name]!r}"
        fix = f"did you mean {typos[name]!r}? correct the label{hint}"
        add(f"unknown {noun}", message, file=row.file, line=row.line, fix=fix)


def probable_typos(counts: Counter[str]) -> dict[str, str]:
    """Each rare name that is similar to a far more frequent one, with that one."""
    if len(counts) > _MAX_NAMES:
        return {}
    typos = {}
    for name, count in counts.items():
        frequent = [other for other, times in counts.items() if times >= _MIN_FREQUENCY_RATIO * count]
        candidates = {other.casefold(): other for other in frequent if _may_be_meant(name, other)}
        for near in get_close_matches(name.casefold(), candidates, n=1, cutoff=_MIN_SIMILARITY):
            typos[name] = candidates[near]
    return typos


def _may_be_meant(name: str, other: str) -> bool:
    # `site_1` is not a typo of `site_2`, nor `atypical` of `typical`.
    only_digits_differ = re.sub(r"\d+", "0", name) == re.sub(r"\d+", "0", other)
    return not only_digits_differ and not name.endswith(other) and not other.endswith(name)


def _check_more_than_one(labels: Labels, rows: Sequence[IndexRow], problems: ProblemList) -> None:
    observed = {row.label for row in rows}
    if not isinstance(labels, Multilabel) and len(observed) == 1:
        message = f"every training row has the same label, {rows[0].label!r}: there is nothing to learn"
        fix = "name the labels that are positive as they are written" if getattr(labels, "positive", ()) else None
        problems.error("one class only", message, file=rows[0].file, fix=fix)

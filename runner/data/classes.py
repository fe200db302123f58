"""The classes of a competition, and whether each label is one of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from runner.contract.labels import Binary, Labels, Multiclass, Multilabel
from runner.data.problems import Problems, did_you_mean

_NEAR = 0.85  # how alike two names are, by difflib's measure, when one may be a slip for the other
_FAR_MORE_FREQUENT = 10
_MOST_WORDS = 500  # a vocabulary of thousands is made of codes, and codes are all alike


class IndexRow(NamedTuple):
    """A training row as it was found: where, which image, with what label."""

    file: str
    line: int | None
    id: str
    label: str
    group: str
    path: str = ""
    subset: str = "train"


def alone(id: str) -> str:
    """The group of a row that belongs to none."""
    return f"alone:{id}"


def names_in(labels: Labels, label: str) -> list[str]:
    """The classes or tags that a written label names."""
    return label.split() if isinstance(labels, Multilabel) else [label]


def normalise_label(labels: Labels, label: str) -> str:
    """A label in its one form: tags once each between single blanks, a probability as 0 or 1."""
    if isinstance(labels, Multilabel):
        return " ".join(dict.fromkeys(label.split()))
    if isinstance(labels, Binary) and re.fullmatch(r"[01](\.0*)?", label):
        return label[0]
    return label


def declared_classes(labels: Labels, sample_columns: Sequence[str]) -> tuple[str, ...] | None:
    """The classes where something other than the training rows says them."""
    if isinstance(labels, Binary):
        return (labels.label,)
    if isinstance(labels, Multilabel):
        return labels.classes
    return tuple(sample_columns) if len(sample_columns) > 1 else None


def observed_classes(labels: Labels, rows: Iterable[IndexRow]) -> tuple[str, ...]:
    """The classes that the training rows hold, sorted."""
    return tuple(sorted({name for row in rows for name in names_in(labels, row.label)}))


def check_labels(labels: Labels, closed: tuple[str, ...] | None, rows: Sequence[IndexRow], problems: Problems) -> None:
    """Complain of every label that is none, and of labels that leave nothing to learn."""
    if isinstance(labels, Binary):
        _check_zeros_and_ones(rows, problems)
    elif closed:
        _check_known(labels, closed, rows, problems)
        _remark_unseen(labels, closed, rows, problems)
    else:
        _check_slips(labels, rows, problems)
    _check_several(labels, rows, problems)


def _check_zeros_and_ones(rows: Iterable[IndexRow], problems: Problems) -> None:
    for row in rows:
        if row.label not in ("0", "1"):
            found = f"the label of {row.id!r} is {row.label!r}, not 0 or 1"
            problems.error("not a probability", row.file, row.line, found, "write 0 or 1")


def _check_known(labels: Labels, closed: tuple[str, ...], rows: Iterable[IndexRow], problems: Problems) -> None:
    noun = "tag" if isinstance(labels, Multilabel) else "class"
    authority = "the plugin's names" if isinstance(labels, Multilabel) else "the sample submission's columns"
    unknown = {name for row in rows for name in names_in(labels, row.label)}.difference(closed)
    guesses = {name: did_you_mean(name, closed) for name in unknown}
    for row, name in _rows_with(guesses, labels, rows):
        found = f"the {noun} {name!r} of {row.id!r} is not among {authority}"
        fix = f"{guesses[name]}mend the label, or {problems.download_again}"
        problems.error(f"unknown {noun}", row.file, row.line, found, fix)


def _rows_with(names: Iterable[str], labels: Labels, rows: Iterable[IndexRow]) -> Iterator[tuple[IndexRow, str]]:
    """Each row that bears one of these names; a folder that is the label of many images, once."""
    wanted, told = set(names), set[str]()
    for row in rows:
        for name in names_in(labels, row.label):
            if name in wanted and not (row.line is None and name in told):
                told.add(name)
                yield row, name


def _remark_unseen(labels: Labels, closed: tuple[str, ...], rows: Sequence[IndexRow], problems: Problems) -> None:
    seen = {name for row in rows for name in names_in(labels, row.label)}
    for name in closed:
        if rows and name not in seen:
            found = f"no training image shows {name!r}"
            fix = "nothing to do, if it is meant: it can only be guessed"
            problems.warn("class without an image", rows[0].file, None, found, fix)


def _check_slips(labels: Labels, rows: Sequence[IndexRow], problems: Problems) -> None:
    """A rare name that looks like a far more frequent one is most likely a slip of the pen.

    For tags it stops, since the plugin can allow it by closing the vocabulary.
    """
    slips = probable_typos(Counter(name for row in rows for name in names_in(labels, row.label)))
    tell = problems.error if isinstance(labels, Multilabel) else problems.warn
    noun, hint = ("tag", ", or list it in Multilabel(classes=...)") if isinstance(labels, Multilabel) else ("class", "")
    for row, name in _rows_with(slips, labels, rows):
        found = f"the {noun} {name!r} of {row.id!r} is rare and looks like {slips[name]!r}"
        tell(f"unknown {noun}", row.file, row.line, found, f"did you mean {slips[name]!r}? mend the label{hint}")


def probable_typos(counts: Counter[str]) -> dict[str, str]:
    """Each rare name that is nearly a far more frequent one, with that one."""
    if len(counts) > _MOST_WORDS:
        return {}
    slips = {}
    for name, count in counts.items():
        frequent = [other for other, times in counts.items() if times >= _FAR_MORE_FREQUENT * count]
        candidates = {other.casefold(): other for other in frequent if _may_be_meant(name, other)}
        for near in get_close_matches(name.casefold(), candidates, n=1, cutoff=_NEAR):
            slips[name] = candidates[near]
    return slips


def _may_be_meant(name: str, other: str) -> bool:
    # `site_1` is no slip for `site_2`, nor is `atypical` one for `typical`.
    only_digits_differ = re.sub(r"\d+", "0", name) == re.sub(r"\d+", "0", other)
    return not only_digits_differ and not name.endswith(other) and not other.endswith(name)


def _check_several(labels: Labels, rows: Sequence[IndexRow], problems: Problems) -> None:
    seen = {name for row in rows for name in names_in(labels, row.label)}
    if isinstance(labels, Multiclass | Binary) and len(seen) == 1:
        found = f"every training row has the same label, {seen.pop()!r}: there is nothing to learn"
        problems.error("one class only", rows[0].file, None, found, problems.download_again)

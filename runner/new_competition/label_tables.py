"""The table of the labels: the one whose rows name the other images, and its columns that the submission asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from runner.contract.patterns import row_pattern
from runner.csv_file import parse_number
from runner.new_competition.evidence import Source, SourceTable
from runner.new_competition.image_places import Fields, Place, best_places, find_places, probe_paths
from runner.new_competition.image_tables import datasets_with, pixel_tables
from runner.new_competition.questions import Findings, Question, UnclearError, some
from runner.new_competition.test_images import TestImages
from runner.problems import did_you_mean

_WIDE = 200
_MOST_REPEATED = 0.5  # of an id column, where only a part of an image's name is the id
_LABEL_NAMES = re.compile(
    r"(label|labels|target|targets|class|classes|class_?name|category|category_name|category_id|diagnosis|level|grade|"
    r"tags|y|species|breed|output|score|ground_?truth)",
    re.IGNORECASE,
)
_TEST_TABLE = re.compile(r"test|submission|sample", re.IGNORECASE)
_LATER_TABLE = re.compile(
    r"extra|external|old|additional|debug|toy|mini|20\d\d|bbox|box|mask|meta|noisy|valid|(^|_)val(_|$)|(^|_)dev(_|$)|holdout",
    re.IGNORECASE,
)
# Columns of which rows with the same value should stay in one fold, the widest first.
GROUPS = re.compile(
    r"(patient|subject|person|driver|individual|animal|cow|user|study|series|seq|sequence|scene|video|burst|location|"
    r"group|well|slide|plant|site)_?(id|name|uid|instance_?uid|num)?s?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class LabelTable:
    """A table of labels: the column of its ids, the images of its rows, and the label or its columns."""

    table: SourceTable
    id: str  # a column, or a pattern of columns
    field: str  # the column that names the images: the id, or another
    place: Place
    label: str = ""
    columns: tuple[str, ...] = ()
    rows: str = ""  # `{id}_{column}`, if the table has a row per id and column
    evidence: str = ""
    is_assumed: bool = False
    strength: int = 0  # of the evidence that the label is what the submission asks for
    rivals: tuple[str, ...] = ()  # other places of the images, which fit as well
    left_out: tuple[str, ...] = ()  # other tables with labels

    @cached_property
    def cells(self) -> list[str]:
        """The label of each row, if it is in one column."""
        return self.table.column(self.label)


def find_label_tables(source: Source, test: TestImages, findings: Findings) -> list[LabelTable]:
    """The ways to read the one table whose rows name training images; none if there is none.

    Their `strength` is 0 if nothing says which of its columns is the label.
    """
    tables = _tables(source, findings)
    # Test rows may have the names of training images.
    of_test = [table for table in tables if _is_test_table(table)]
    others = [table for table in tables if table not in of_test]
    search = _in_table if test.place.images is None else _with_images_in_tables
    found = [label for table in others for label in search(table, source, test, findings)]
    found = found or [label for table in of_test for label in _in_table(table, source, test, findings)]
    if not found:
        _require_columns(findings.answers.label, tables)
        return []
    most = max(label.strength for label in found)
    strongest = [label for label in found if label.strength == most]
    chosen = _main(strongest)
    chosen = _of_most_rows(chosen) if len({label.table.name for label in chosen}) > 1 else chosen
    for other in strongest:
        _require_agreement(chosen[0], other)
    left_out = {label.table.name for label in strongest if label.strength} - {chosen[0].table.name}
    return [replace(label, left_out=tuple(sorted(left_out))) for label in chosen]


def _require_columns(names: Sequence[str], tables: Sequence[SourceTable]) -> None:
    """An UnclearError if no table has the column that was named."""
    known = list(dict.fromkeys(name for table in tables for name in table.header))
    for name in names:
        if name not in known:
            guess = did_you_mean(name, known)
            raise UnclearError(
                f"no table has a column {name!r}; there are {some(known, 8)}",
                fix=f"{guess} name the label: `... --label COLUMN`".strip(),
            )


def _tables(source: Source, findings: Findings) -> Sequence[SourceTable]:
    """Every table, or the one that was named."""
    named = findings.answers.table
    if not named:
        return source.tables
    table = source.table(named)
    if table is None:
        known = some([table.name for table in source.tables])
        raise UnclearError(f"there is no table {named}; there are {known}", fix="name one of them: `... --table FILE`")
    return (table,)


# --- the tables that name training images -------------------------------------------------------


def _in_table(table: SourceTable, source: Source, test: TestImages, findings: Findings) -> Iterator[LabelTable]:
    """The table with each of its columns that names training images."""
    if table in (test.sample.table, test.table) or len(table.header) < 2:
        return
    columns = [name for name in table.header if name] if len(table.header) <= _WIDE else list(table.header[:3])
    found = []
    for name in columns:
        for rows, ids in _ids_of(table, name, test):
            if places := _training_places(table, name, ids, source, test):
                is_id = len(set(ids)) > _MOST_REPEATED * len(ids)
                rivals = tuple(place.text for place in places[1:])
                found.append((LabelTable(table, name, name, places[0], rows=rows, rivals=rivals), is_id))
    # Labels 0 to 9 are the names of ten images too.
    has_ids = any(is_id for _, is_id in found)
    for label, is_id in found:
        if is_id or not has_ids:
            yield from _with_target(label, test, findings)


def _with_images_in_tables(
    table: SourceTable, source: Source, test: TestImages, findings: Findings
) -> Iterator[LabelTable]:
    """The table with each of its columns that names rows of pixels or datasets; or with pixels of its own."""
    if table is test.sample.table:
        return
    pixels = [each for each in pixel_tables(source) if test.pixels is None or each.table is not test.pixels.table]
    own = next((each for each in pixels if each.table is table), None)
    plain = own.without_pixels if own else table
    if own:
        id = _own_id(plain, test)
        rows = plain.column(plain.header[0]) if plain.header else ()
        yield from _with_target(LabelTable(plain, id or "id", id or "", own.place(rows, id)), test, findings)
        return
    for name in plain.header[:_WIDE]:
        ids = plain.column(name)
        if len(set(ids)) <= _MOST_REPEATED * len(ids):
            continue
        if datasets := datasets_with(ids, source, but=test.place):
            yield from _with_target(LabelTable(plain, name, name, datasets), test, findings)
        for each in pixels:
            inner = each.without_pixels
            of_rows = next((other for other in inner.header if set(inner.column(other)) >= set(ids)), None)
            if of_rows:
                yield from _with_target(LabelTable(plain, name, name, each.place(ids, of_rows)), test, findings)


def _own_id(plain: SourceTable, test: TestImages) -> str | None:
    """The column of the ids of a table with pixels; None if its rows are only numbered."""
    named = [name for name in plain.header if _plain(name) == _plain(test.sample.id) or name.lower() == "id"]
    unique = [name for name in named if len(set(plain.column(name))) == len(plain)]
    return unique[0] if unique else None


def _ids_of(table: SourceTable, name: str, test: TestImages) -> Iterator[tuple[str, list[str]]]:
    """The column as ids, and as rows of ids and columns where the sample submission has such."""
    values = table.first(name)
    if not any(values) or all("." in value and parse_number(value) is not None for value in values):
        return  # decimals name nothing
    if test.sample.rows:
        pattern = row_pattern(test.sample.rows, test.sample.columns)
        if all(pattern.fullmatch(value) for value in values):
            matches = [pattern.fullmatch(value) for value in table.column(name)]
            yield test.sample.rows, list(dict.fromkeys(match["id"] for match in matches if match))
            return
    yield "", table.column(name)


def _training_places(
    table: SourceTable, name: str, ids: Sequence[str], source: Source, test: TestImages
) -> list[Place]:
    """Where the rows have images, if these are not the test images; several if nothing tells them apart."""
    is_id = len(set(ids)) > _MOST_REPEATED * len(ids)
    own = ids is table.column(name)
    fields = (
        {other: table.column(other) for other in table.header if other != name}
        if own and len(table.header) <= _WIDE
        else {}
    )
    field = "id" if _is_id_name(table, name, test) else name
    places = find_places(ids, source.images, fields, field)
    places = [place for place in places if is_id or not ("*" in place.text or place.bands)]
    others = [place for place in places if not _is_of_test(place, ids, fields, field, source, test)]
    return best_places(others, of_test=False)


def _is_of_test(place: Place, ids: Sequence[str], fields: Fields, field: str, source: Source, test: TestImages) -> bool:
    """Whether the images of a table's rows are the test images, by their paths and not by their names."""
    if "*" in place.text or place.bands:
        return place.folder == test.place.folder and bool(set(test.sample.ids) & set(ids))
    paths = probe_paths(place, ids, fields, field, source.images)
    return len(paths & test.paths(source.images)) > len(paths) // 2


def _is_id_name(table: SourceTable, name: str, test: TestImages) -> bool:
    """Whether the column is the id itself: no other column is named like the sample submission's id."""
    return name == test.sample.id or test.sample.id not in table.header


# --- what the submission asks for ---------------------------------------------------------------


def _with_target(found: LabelTable, test: TestImages, findings: Findings) -> Iterator[LabelTable]:
    """The table with the label, or the columns, that the submission asks for; without one if none is clear."""
    found = _with_id(found, test, findings)
    header, sample = found.table.header, test.sample
    if findings.answers.label:
        if not set(findings.answers.label) <= set(header):
            return
        given = findings.answers.label
        several = {"columns": given} if len(given) > 1 else {"label": given[0]}
        yield replace(found, **several, evidence="--label", strength=9)
    elif len(sample.columns) > 1:
        yield _of_several(found, test)
    else:
        yield _of_one(found, test)


def _with_id(found: LabelTable, test: TestImages, findings: Findings) -> LabelTable:
    """The table with its id: the column named like the sample submission's, or made of columns as its ids are."""
    header, sample = found.table.header, test.sample
    id = found.id
    if findings.answers.id and findings.answers.id in header:
        id = findings.answers.id
    elif sample.id in header and sample.id != found.field and not found.rows:
        id = sample.id
    elif test.table is not None:
        id = test.table_id if test.table_id in header else _composed(test, header) or id
    return found if id == found.id else _with_other_id(found, id)


def _with_other_id(found: LabelTable, id: str) -> LabelTable:
    """The table with an id that is not what its images are named after."""
    templates = tuple(re.sub(r"\{id(?=[\[}])", f"{{{found.field}", each) for each in found.place.templates)
    return replace(found, id=id, place=replace(found.place, templates=templates))


def _composed(test: TestImages, header: Sequence[str]) -> str | None:
    """`{patient}_{side}`, if the ids of the test table are made so of columns that both tables have."""
    assert test.table is not None
    common = [name for name in test.table.header if name in header and re.fullmatch(r"\w+", name)][:20]
    ids = test.table.first(test.table_id)
    for first in common:
        for second in common:
            for separator in "_-":
                pairs = zip(test.table.first(first), test.table.first(second), strict=True)
                if first != second and ids == [f"{one}{separator}{two}" for one, two in pairs]:
                    return f"{{{first}}}{separator}{{{second}}}"
    return None


def _of_several(found: LabelTable, test: TestImages) -> LabelTable:
    """The label of a submission with several columns."""
    wanted, header = test.sample.columns, found.table.header
    others = [name for name in header if name not in (found.id, found.field)]
    if set(wanted) <= set(others):
        text = "its columns are those of the sample submission"
        if alike := _columns_like(wanted, [name for name in others if name not in wanted], found.table):
            text += f"; not asked for, and left out: {some(alike)}"
        return replace(found, columns=wanted, strength=4, evidence=text)
    if found.rows:
        values = [name for name in others if name.lower() in {each.lower() for each in test.sample.value_columns}]
        if len(others) == 1 or values:
            label = (values or others)[0]
            return replace(
                found, columns=wanted, label=label, strength=4, evidence="its rows are named as the sample's"
            )
    names = set(wanted)
    fitting = [name for name in others if _is_vocabulary(found.table.column(name), names)]
    if fitting:
        text = "its values are the columns of the sample submission"
        return replace(found, label=fitting[0], strength=4, evidence=text)
    return replace(found, label=others[0], evidence="the one column beside the id") if len(others) == 1 else found


def _columns_like(wanted: Sequence[str], others: Sequence[str], table: SourceTable) -> list[str]:
    """The other columns that hold 0 and 1 alone, if the wanted ones do."""

    def holds_zero_and_one(name: str) -> bool:
        return {parse_number(cell) for cell in table.first(name)} <= {0, 1}

    return [name for name in others if holds_zero_and_one(name)] if all(map(holds_zero_and_one, wanted)) else []


def _is_vocabulary(cells: Sequence[str], names: set[str]) -> bool:
    """Whether these cells are such names, or lists of them; nearly all of the names occur unless they are many."""
    distinct = set(cells) - {""}
    if len(distinct) < 2 or not distinct:
        return False
    if distinct <= names:
        return True
    for separator in (",", " ", ";", "|"):
        parts = {part.strip() for cell in distinct for part in cell.split(separator)} - {""}
        if len(parts) > 1 and parts <= names:
            return True
    return False


def _of_one(found: LabelTable, test: TestImages) -> LabelTable:
    """The label of a submission with one value column."""
    sample, table = test.sample, found.table
    (wanted,) = sample.columns[:1]
    others = [n for n in table.header if n and n not in (found.id, found.field) and f"{{{n}}}" not in found.id]
    others = [name for name in others if len(set(table.column(name)) - {""}) > 1]
    named = [name for name in others if _plain(name) == _plain(wanted)]
    by_cells = [name for name in others if _has_cells(table.column(name), sample.cells)]
    if named and by_cells and named[0] not in by_cells and not sample.has_numbers:
        raise UnclearError(
            f"the sample submission asks for {wanted!r}, and its cells, such as {sample.cells[0]!r}, are values of "
            f"{by_cells[0]!r} in {table.name}, not of {named[0]!r}",
            fix=f"say which is the label: `... --label {_word(by_cells[0])}`",
        )
    if named:
        text = f"named as the value column of {sample.table.name}"
        return replace(found, label=named[0], strength=4, evidence=text)
    if len(by_cells) == 1 and not sample.has_numbers:
        return replace(found, label=by_cells[0], strength=3, evidence="it has the values of the sample's cells")
    return _by_elimination(found, others, test)


def _by_elimination(found: LabelTable, others: Sequence[str], test: TestImages) -> LabelTable:
    """The column that only training rows have, the only one, or the only one with a name of labels."""
    if found.table.is_coco and "category_id" in others:
        label = "category_id" if test.sample.has_numbers or "category_name" not in others else "category_name"
        return replace(found, label=label, strength=3, evidence="the categories of its annotations")
    others = _without_translations(found.table, others, numbers=test.sample.has_numbers)
    if test.table is not None:
        lacking = [name for name in others if name not in test.table.header]
        if len(lacking) == 1:
            text = f"the one column that {test.table.name} lacks"
            return replace(found, label=lacking[0], strength=2, evidence=text)
    if len(others) == 1:
        return replace(found, label=others[0], strength=2, evidence="the one column beside the id")
    by_name = [name for name in others if _LABEL_NAMES.fullmatch(name)]
    if len(by_name) == 1:
        return replace(found, label=by_name[0], strength=1, evidence="by its name", is_assumed=True)
    return found


def _without_translations(table: SourceTable, names: Sequence[str], *, numbers: bool) -> list[str]:
    """The columns without the words that only name the numbers of another, or the other way round."""
    kept = list(names)
    for words in names:
        for coded in names:
            if words in kept and coded in kept and words != coded and _translates(table, words, coded):
                kept.remove(words if numbers else coded)
    return kept


def _translates(table: SourceTable, words: str, coded: str) -> bool:
    """Whether each word stands for one number of the other column."""
    pairs = set(table.columns([words, coded]))
    are_numbers = all(parse_number(number) is not None for _, number in pairs)
    are_words = all(parse_number(word) is None for word, _ in pairs)
    one_to_one = len(pairs) == len({word for word, _ in pairs}) == len({number for _, number in pairs})
    return are_numbers and are_words and one_to_one and len(pairs) > 1


def _has_cells(values: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether the sample's cells are values of the column, or lists of them."""
    known, distinct = set(values) - {""}, set(cells)
    if not distinct:
        return False
    parts = {part for cell in distinct for part in cell.split()}
    tags = {part for value in known for part in value.split()}
    return distinct <= known or (len(parts) > 1 and parts <= known) or (len(parts) > 1 and parts <= tags)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _word(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]+", name) else f"'{name}'"


# --- one of several tables ----------------------------------------------------------------------


def _main(found: Sequence[LabelTable]) -> list[LabelTable]:
    """Those of tables whose names do not say that they are of other rows."""
    ranks = [_rank(label) for label in found]
    return [label for label, rank in zip(found, ranks, strict=True) if rank == min(ranks)]


def _is_test_table(table: SourceTable) -> bool:
    is_train = "train" in table.stem or "label" in table.stem
    return bool(_TEST_TABLE.search(table.stem)) and not is_train


def _rank(label: LabelTable) -> tuple[bool, bool, bool, bool]:
    place, stem = label.place, label.table.stem
    return bool(_LATER_TABLE.search(stem)), not place.is_complete, place.found < 0.5 * place.files, "train" not in stem


def _require_agreement(one: LabelTable, other: LabelTable) -> None:
    """An UnclearError if another table has other labels for the same ids."""
    if other.table is one.table or (one.label, one.columns, one.rows) != (other.label, other.columns, other.rows):
        return
    if one.id not in one.table.header or other.id not in other.table.header:
        return
    known, cells = _cells_by_id(one), _cells_by_id(other)
    different = [id for id in cells if id in known and cells[id] != known[id]]
    if different:
        raise UnclearError(
            f"{one.table.name} and {other.table.name} have different labels for {len(different):,} ids, such as "
            f"{different[0]}: {' '.join(known[different[0]])} and {' '.join(cells[different[0]])}",
            fix=f"say which is right: `... --table {one.table.name}`",
        )


def _cells_by_id(label: LabelTable) -> dict[str, tuple[str, ...]]:
    names = [label.label] if label.label else list(label.columns)
    return dict(zip(label.table.column(label.id), label.table.columns(names), strict=True))


def _of_most_rows(found: Sequence[LabelTable]) -> list[LabelTable]:
    """Of tables that say the same of the same ids the one with most rows; an UnclearError if they differ."""
    found = sorted(found, key=lambda label: -len(label.table))
    first = found[0]
    for other in found[1:]:
        if other.table is first.table:
            continue
        _require_agreement(first, other)
        if (other.label, other.columns) != (first.label, first.columns) or not _agree(first, other):
            names = some(list(dict.fromkeys(label.table.name for label in found)))
            raise UnclearError(
                f"several tables name training images and may have their labels: {names}",
                fix=f"say which: `... --table {first.table.name}`",
            )
    return [label for label in found if label.table is first.table]


def _agree(one: LabelTable, other: LabelTable) -> bool:
    if one.id not in one.table.header or other.id not in other.table.header:
        return False
    known = _cells_by_id(one)
    return all(known.get(id) == cells for id, cells in _cells_by_id(other).items())


def _plainness(label: LabelTable) -> tuple[bool, int, bool, int]:
    header = label.table.header
    position = header.index(label.field) if label.field in header else len(header)
    return bool(label.rivals), len(label.place.templates), label.field != label.id, position


def decide_label(found: Sequence[LabelTable], test: TestImages, findings: Findings) -> LabelTable:
    """The one way to read the table; asks which column is the label if nothing says it."""
    # Several columns may name the images: that of the id, or else the first.
    first = min(found, key=_plainness)
    if first.rivals:
        raise UnclearError(
            f"the rows of {first.table.name} have images in {first.place.text} and in {some(first.rivals, 2)}: "
            "nothing says which are meant",
            fix="leave the others out of the folder or archive",
        )
    if first.left_out:
        findings.assume("labels", f"{first.table.name} is the table; left out: {some(first.left_out)}")
    if first.label or first.columns:
        return first
    others = tuple(name for name in first.table.header if name not in (first.id, first.field))
    wanted = some(test.sample.columns)
    question = Question("--label", f"which column of {first.table.name} is the label ({wanted} is asked for)", others)
    answer, _ = findings.answer(question)
    names = tuple(name.strip() for name in answer.split(","))
    if unknown := [name for name in names if name not in first.table.header]:
        raise UnclearError(f"{first.table.name} has no column {unknown[0]!r}", fix=f"name one of {some(others)}")
    chosen = {"columns": names} if len(names) > 1 else {"label": names[0]}
    return replace(first, **chosen, evidence="as answered", strength=9)

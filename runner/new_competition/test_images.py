"""The test images: where each id of the sample submission has one, directly or by a table of test rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from runner.new_competition.evidence import ImageNames, Source, SourceTable
from runner.new_competition.image_places import Place, all_paths, best_places, find_places, role_of
from runner.new_competition.image_tables import PixelTable, datasets_of_test, pixels_of_test
from runner.new_competition.questions import Findings, UnclearError, some
from runner.new_competition.sample_form import Sample, as_long, find_sample, read_sample

_WIDE = 200  # more columns are pixels or features, none of which names an image


@dataclass(frozen=True)
class TestImages:
    """The sample submission and the images of its ids."""

    sample: Sample
    place: Place
    table: SourceTable | None = None  # of the test rows, where their columns say the images' names
    table_id: str = ""  # the column of that table with the sample's ids
    pixels: PixelTable | None = None  # the table with their pixels

    def paths(self, images: ImageNames) -> set[str]:
        """The test images, as far as a template names one."""
        if self.table is None:
            return all_paths(self.place, self.sample.ids, {}, "id", images)
        fields = {name: self.table.column(name) for name in self.table.header if name != self.table_id}
        return all_paths(self.place, self.table.column(self.table_id), fields, "id", images)


def find_test_images(source: Source, findings: Findings) -> TestImages:
    """The sample submission whose ids have images, and these; an UnclearError if none has, or if several differ."""
    candidates = find_sample(source, findings.answers)
    found = []
    for table in candidates:
        sample, places = _placed(read_sample(table, findings), source, candidates)
        if places:
            found.append(_best(sample, places, source, findings))
    found = found or _in_tables(candidates, source, findings)
    if not found:
        raise _no_images(read_sample(candidates[0], findings), source)
    test = found[0] if len(found) == 1 else _one_of(found)
    _tell(test, len(candidates), findings)
    return test


def _in_tables(candidates: Sequence[SourceTable], source: Source, findings: Findings) -> list[TestImages]:
    """The samples whose ids have images that are not files of their own."""
    found = []
    for table in candidates:
        sample = read_sample(table, findings)
        if place := datasets_of_test(sample, source):
            found.append(TestImages(sample, place))
        elif pixels := pixels_of_test(sample, source):
            found.append(TestImages(sample, pixels[0].place(sample.ids, pixels[1]), pixels=pixels[0]))
    return found


_Places = list[tuple[Place, SourceTable | None, str]]


def _placed(sample: Sample, source: Source, samples: Sequence[SourceTable]) -> tuple[Sample, _Places]:
    """The sample, with its rows as ids and columns where they are such, and the places of its images.

    The surest first: an image of the id's name, one for many rows, one that a table names, several of one id.
    """
    direct = _direct(sample, source)
    one_each = [place for place in direct if not ("*" in place[0].text or place[0].bands)]
    if any(len(place.templates) == 1 for place, _, _ in one_each):
        return sample, one_each
    long = as_long(sample, source.images, by_images=True)
    if long and (places := _direct(long, source)):
        return long, places
    tables = [table for table in source.tables if table not in samples]
    by_table = [place for table in tables for place in _places_by(table, sample, source)]
    if by_table or direct:
        return sample, by_table or one_each or direct
    long = as_long(sample, source.images, by_images=False)
    return (long, _direct(long, source)) if long else (sample, [])


def _direct(sample: Sample, source: Source) -> _Places:
    return [(place, None, "") for place in find_places(sample.ids, source.images, {})]


def _places_by(table: SourceTable, sample: Sample, source: Source) -> _Places:
    """The places of the images that a table with the sample's ids names in another column."""
    wanted = set(sample.ids)
    if len(table.header) > _WIDE:
        return []
    for id in table.header:
        values = table.first(id)
        if not any(value in wanted for value in values) or not wanted.issubset(table.column(id)):
            continue
        rows = [row for row, value in enumerate(table.column(id)) if value in wanted]
        fields = {name: [table.column(name)[row] for row in rows] for name in table.header if name != id}
        ids = [table.column(id)[row] for row in rows]
        found: _Places = []
        for name in [id, *fields]:
            if not re.fullmatch(r"\w+", name):
                continue
            values = ids if name == id else fields[name]
            field = "id" if name == id else name
            found += [(p, table, id) for p in find_places(values, source.images, fields, field) if "*" not in p.text]
        if found:
            return found
    return []


def _best(sample: Sample, places: _Places, source: Source, findings: Findings) -> TestImages:
    """The images of the ids, by how well the places' names fit; an UnclearError if different images fit as well."""
    best = best_places([place for place, _, _ in places], of_test=True)
    fitting = [TestImages(sample, *each) for each in places if any(each[0] is place for place in best)]
    fitting.sort(key=_plainness)
    paths = fitting[0].paths(source.images)
    if different := [test for test in fitting[1:] if test.paths(source.images) != paths]:
        raise UnclearError(
            f"the ids of {sample.table.name} have images in {fitting[0].place.text} and in {different[0].place.text}: "
            "nothing says which are meant",
            fix="leave the others out of the folder or archive",
        )
    chosen = fitting[0].place
    others = [place.text for place, _, _ in places if not any(place is each for each in best)]
    others = [place.text for place, _, _ in places if place.text in others and role_of(place) == role_of(chosen)]
    if others:
        findings.assume("test images", f"{chosen.text} is meant, and not {some(list(dict.fromkeys(others)))}")
    return fitting[0]


def _plainness(test: TestImages) -> tuple[int, bool, bool]:
    """Of places with the same images the one with the fewest templates, by the table that is named after the test."""
    name = test.table.name if test.table else "test"
    return len(test.place.templates), "test" not in name.lower(), "train" in name.lower()


def _one_of(found: Sequence[TestImages]) -> TestImages:
    """The sample submission that holds the ids of all others; of equal ones, the one with the plainest name."""
    ids = [set(test.sample.ids) for test in found]
    widest = [test for test, own in zip(found, ids, strict=True) if all(own >= other for other in ids)]
    names = some([test.sample.table.name for test in found])
    if not widest:
        raise UnclearError(
            f"several tables may be the sample submission, and ask for different ids: {names}",
            fix=f"name the right one: `... --sample {found[0].sample.table.name}`",
        )
    plain = [test for test in widest if re.fullmatch(r"(sample)?_?submission", test.sample.table.stem)]
    headers = {test.sample.table.header for test in widest}
    if len(widest) == 1 or len(plain) == 1:
        return (plain or widest)[0]
    if len(headers) > 1:
        raise UnclearError(
            f"several tables may be the sample submission, with different columns: {names}",
            fix=f"name the right one: `... --sample {widest[0].sample.table.name}`",
        )
    return min(widest, key=lambda test: (len(test.sample.table.name), test.sample.table.name))


def _no_images(sample: Sample, source: Source) -> UnclearError:
    folders = some([f"{folder or '.'}/ ({count:,})" for folder, count in source.images.folders.most_common(6)])
    if source.images.folders.get(""):
        return UnclearError(
            f"{source.images.folders['']:,} images lie beside the tables, and a template needs a folder",
            fix="put the training images and the test images in a folder each, such as train/ and test/",
        )
    numbers = {stem.lstrip("0"): stem for stem in source.images.stems if stem.isdigit()}
    if padded := numbers.get(sample.ids[0].lstrip("0")):
        return UnclearError(
            f"the ids of {sample.table.name} are numbers such as {sample.ids[0]}, and the images have zeros in front: "
            f"{padded}",
            fix="rename the images; or write a `prepare` that writes the ids so: docs/competitions.md",
        )
    kinds = sorted({name.rpartition(".")[2] for name in source.other_files if "." in name})
    others = f"; other files end in {some(kinds)}" if kinds else ""
    return UnclearError(
        f"no image has the name of an id of {sample.table.name}, such as {some(sample.ids, 3)}\n"
        f"  images: {folders or 'none'}{others}",
        fix="put the test images beside the tables; if the ids are made otherwise, write the competition file by hand: "
        "docs/competitions.md",
    )


def _tell(test: TestImages, candidates: int, findings: Findings) -> None:
    sample, place = test.sample, test.place
    columns = sample.value_columns
    asked = f"a row for each of {len(sample.columns)} columns" if sample.rows else _listed(columns)
    of = f" (of {candidates} tables whose names fit)" if candidates > 1 else ""
    findings.conclude(
        "sample submission", f"{sample.table.name}{of}: {len(sample.ids):,} ids in column {sample.id!r}; {asked}"
    )
    by = f", by {test.table.name}" if test.table else ""
    found = (
        "a file for each part of its name"
        if "*" in place.text
        else f"{place.found:,} of {place.rows:,} ids have an image"
    )
    findings.conclude("test images", f"{place.text}{by}: {found}")


def _listed(columns: Sequence[str]) -> str:
    return f"column {columns[0]!r}" if len(columns) == 1 else f"{len(columns):,} columns: {some(columns, 4)}"

"""Where each row's picture is: a file by a template, or a row of an array."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from runner.contract.competition import Competition, ImageArray, Images
from runner.contract.labels import aliases
from runner.data.classes import Labelled
from runner.data.csv_files import Tables
from runner.data.listing import Listing, folder_of, is_picture
from runner.data.problems import Complaints
from runner.errors import DataError
from runner.images.decode import PICTURE_SUFFIXES, band_path, open_array


@dataclass(frozen=True)
class Sources:
    """What an index is built from, each read once."""

    competition: Competition
    raw: Path
    tables: Tables
    listing: Listing
    complaints: Complaints
    numbers: dict[ImageArray, dict[str, int] | None] = field(default_factory=dict)  # of the rows of arrays, once known

    @classmethod
    def of(cls, competition: Competition, raw: Path, complaints: Complaints) -> Sources:
        """The sources below a raw folder, nothing of them read yet."""
        return cls(competition, raw, Tables(raw, complaints), Listing(raw), complaints)


def find_pictures(rows: Iterable[Labelled], pictures: Images, sources: Sources) -> list[Labelled]:
    """The rows with their pictures' paths; those without one are complained of and left out."""
    rows = list(rows)
    if isinstance(pictures, ImageArray):
        return _find_rows(rows, pictures, sources)
    return _find_files(rows, aliases(pictures), sources)


def remark_leftovers(train: Sequence[Labelled], test: Sequence[Labelled], sources: Sources) -> None:
    """Remark on every picture that no row names."""
    used = {row.path for row in (*train, *test)}
    competition = sources.competition
    valid = [competition.valid_images] if competition.valid_images else []
    if train:
        kind, found = "picture without a label", "no label is given for it"
        _remark_unused(kind, found, competition.train_images, valid, used, sources)
    if test:
        kind, found = "picture that is not asked for", "the sample submission does not have it"
        _remark_unused(kind, found, competition.test_images, [], used, sources)


def _find_files(rows: Sequence[Labelled], templates: Sequence[str], sources: Sources) -> list[Labelled]:
    placed, lost, respelt = [], [], 0
    for row in rows:
        # Where several folders have the id, the first that the plugin names is meant.
        paths = (sources.listing.find(template, row.id) for template in templates)
        path = row.path or next(filter(None, paths), None)
        if path is None:
            lost.append(row)
            continue
        placed.append(_at(row, path))
        respelt += not row.path and all(path != template.replace("{id}", row.id) for template in templates)
    if respelt:
        found = f"{respelt:,} pictures spell their suffix otherwise than {templates[0]}"
        cure = "nothing to do: they are taken"
        sources.complaints.remark("suffix spelt otherwise", folder_of(templates[0]), None, found, cure)
    _complain_of_lost(lost, templates, sources, none_found=not placed)
    return placed


def _at(row: Labelled, path: str) -> Labelled:
    # Spelt out: `_replace` takes five times as long, and there may be a million.
    return Labelled(row.file, row.line, row.id, row.label, row.group, path, row.part)


def _complain_of_lost(lost: Sequence[Labelled], templates: Sequence[str], sources: Sources, none_found: bool) -> None:
    complaints = sources.complaints
    missing = [template for template in templates if not sources.listing.has_folder(template)]
    if lost and missing:
        for template in missing:
            found = f"the folder is not there; {len(lost):,} ids of {lost[0].file} have no picture"
            complaints.fault("missing folder", folder_of(template), None, found, complaints.download_again)
        return
    for row in lost:
        found = f"{row.id!r} has no picture {' or '.join(t.replace('{id}', row.id) for t in templates)}"
        # Where others were found the template is right, and the picture is what is amiss.
        hint = _suffix_hint(row.id, templates, sources.listing) if none_found else None
        cure = hint or complaints.download_again
        complaints.fault("id without a picture", row.file, row.line, found, cure)


def _suffix_hint(id: str, templates: Sequence[str], listing: Listing) -> str | None:
    """What to write in the plugin, where the picture is there but for a suffix too many or too few."""
    for template in templates:
        files, bare = listing.files(folder_of(template)), template[: template.rindex("}") + 1]
        if bare.replace("{id}", id) in files:
            suffix = PurePosixPath(id).suffix
            return f"the ids end in {suffix} already: write {bare!r} in the plugin, not {template!r}"
        for suffix in sorted(PICTURE_SUFFIXES):
            if bare.replace("{id}", id) + suffix in files:
                return f"the pictures end in {suffix}: write {bare + suffix!r} in the plugin, not {template!r}"
    return None


def _find_rows(rows: Sequence[Labelled], bands: ImageArray, sources: Sources) -> list[Labelled]:
    numbers = _numbers(bands, sources)
    if numbers is None:
        return []
    placed = []
    for row in rows:
        if row.id in numbers:
            placed.append(_at(row, band_path(bands.array, numbers[row.id])))
            continue
        found = f"{row.id!r} has no picture: {bands.table} does not list it"
        cure = sources.complaints.download_again
        sources.complaints.fault("id without a picture", row.file, row.line, found, cure)
    return placed


def _numbers(bands: ImageArray, sources: Sources) -> dict[str, int] | None:
    """Which row of the array each id is; None where that cannot be told."""
    if bands not in sources.numbers:
        sources.numbers[bands] = _numbers_in_table(bands, sources)
    return sources.numbers[bands]


def _numbers_in_table(bands: ImageArray, sources: Sources) -> dict[str, int] | None:
    complaints = sources.complaints
    rows = sources.tables.read(bands.table, [bands.id])
    if rows is None:
        return None
    try:
        count = len(open_array(sources.raw / bands.array))
    except DataError as error:
        complaints.fault("unreadable array", bands.array, None, error.found, complaints.download_again)
        return None
    if count != len(rows):
        found = f"it holds {count:,} pictures, and {bands.table} {len(rows):,} rows"
        complaints.fault("array of another length", bands.array, None, found, complaints.download_again)
        return None
    numbers: dict[str, int] = {}
    for number, (id, line) in enumerate(zip(rows.columns[bands.id], rows.lines, strict=True)):
        if numbers.setdefault(id, number) != number:
            found = f"the id {id!r} is on line {rows.lines[numbers[id]]} already, with another picture"
            complaints.fault("two pictures for one id", bands.table, line, found, complaints.download_again)
    return numbers


def _remark_unused(
    kind: str, found: str, pictures: Images, more: Sequence[str], used: set[str], sources: Sources
) -> None:
    remark: Callable[..., None] = sources.complaints.remark
    cure = "nothing to do: it is left out"
    if isinstance(pictures, ImageArray):
        for id, number in (_numbers(pictures, sources) or {}).items():
            if band_path(pictures.array, number) not in used:
                remark(kind, band_path(pictures.array, number), None, f"{id!r}: {found}", cure)
        return
    folders = dict.fromkeys(folder_of(template) for template in (*aliases(pictures), *more))
    for path in sorted({path for folder in folders for path in sources.listing.files(folder)} - used):
        if is_picture(path):
            remark(kind, path, None, found, cure)
        else:
            remark("file that is no picture", path, None, "it lies among the pictures", cure)

"""Where each row's image is: a file by a template, or a row of an array."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from runner.contract.competition import Competition, ImageArray, Images
from runner.contract.labels import aliases
from runner.data.classes import IndexRow
from runner.data.csv_files import CsvFiles
from runner.data.image_arrays import IMAGE_SUFFIXES, array_path, open_array
from runner.data.listing import FileListing, folder_of, is_image
from runner.data.problems import Problems
from runner.errors import DataError


@dataclass(frozen=True)
class IndexInputs:
    """What an index is built from, each read once."""

    competition: Competition
    raw: Path
    tables: CsvFiles
    listing: FileListing
    problems: Problems
    numbers: dict[ImageArray, dict[str, int] | None] = field(default_factory=dict)  # of the rows of arrays, once known

    @classmethod
    def of(cls, competition: Competition, raw: Path, problems: Problems) -> IndexInputs:
        """The sources below a raw folder, nothing of them read yet."""
        return cls(competition, raw, CsvFiles(raw, problems), FileListing(raw), problems)


def resolve_image_paths(rows: Iterable[IndexRow], images: Images, sources: IndexInputs) -> list[IndexRow]:
    """The rows with their images' paths; those without one are complained of and left out."""
    rows = list(rows)
    if isinstance(images, ImageArray):
        return _find_rows(rows, images, sources)
    return _find_files(rows, aliases(images), sources)


def warn_unused_images(train: Sequence[IndexRow], test: Sequence[IndexRow], sources: IndexInputs) -> None:
    """Remark on every image that no row names."""
    used = {row.path for row in (*train, *test)}
    competition = sources.competition
    valid = [competition.valid_images] if competition.valid_images else []
    if train:
        kind, found = "image without a label", "no label is given for it"
        _remark_unused(kind, found, competition.train_images, valid, used, sources)
    if test:
        kind, found = "image that is not asked for", "the sample submission does not have it"
        _remark_unused(kind, found, competition.test_images, [], used, sources)


def _find_files(rows: Sequence[IndexRow], templates: Sequence[str], sources: IndexInputs) -> list[IndexRow]:
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
        found = f"{respelt:,} images spell their suffix otherwise than {templates[0]}"
        fix = "nothing to do: they are taken"
        sources.problems.warn("suffix spelt otherwise", folder_of(templates[0]), None, found, fix)
    _complain_of_lost(lost, templates, sources, none_found=not placed)
    return placed


def _at(row: IndexRow, path: str) -> IndexRow:
    # Spelt out: `_replace` takes five times as long, and there may be a million.
    return IndexRow(row.file, row.line, row.id, row.label, row.group, path, row.subset)


def _complain_of_lost(
    lost: Sequence[IndexRow], templates: Sequence[str], sources: IndexInputs, none_found: bool
) -> None:
    problems = sources.problems
    missing = [template for template in templates if not sources.listing.has_folder(template)]
    if lost and missing:
        for template in missing:
            found = f"the folder is not there; {len(lost):,} ids of {lost[0].file} have no image"
            problems.error("missing folder", folder_of(template), None, found, problems.download_again)
        return
    for row in lost:
        found = f"{row.id!r} has no image {' or '.join(t.replace('{id}', row.id) for t in templates)}"
        # Where others were found the template is right, and the image is what is amiss.
        hint = _suffix_hint(row.id, templates, sources.listing) if none_found else None
        fix = hint or problems.download_again
        problems.error("id without an image", row.file, row.line, found, fix)


def _suffix_hint(id: str, templates: Sequence[str], listing: FileListing) -> str | None:
    """What to write in the plugin, where the image is there but for a suffix too many or too few."""
    for template in templates:
        files, bare = listing.files(folder_of(template)), template[: template.rindex("}") + 1]
        if bare.replace("{id}", id) in files:
            suffix = PurePosixPath(id).suffix
            return f"the ids end in {suffix} already: write {bare!r} in the plugin, not {template!r}"
        for suffix in sorted(IMAGE_SUFFIXES):
            if bare.replace("{id}", id) + suffix in files:
                return f"the images end in {suffix}: write {bare + suffix!r} in the plugin, not {template!r}"
    return None


def _find_rows(rows: Sequence[IndexRow], bands: ImageArray, sources: IndexInputs) -> list[IndexRow]:
    numbers = _numbers(bands, sources)
    if numbers is None:
        return []
    placed = []
    for row in rows:
        if row.id in numbers:
            placed.append(_at(row, array_path(bands.array, numbers[row.id])))
            continue
        found = f"{row.id!r} has no image: {bands.table} does not list it"
        fix = sources.problems.download_again
        sources.problems.error("id without an image", row.file, row.line, found, fix)
    return placed


def _numbers(bands: ImageArray, sources: IndexInputs) -> dict[str, int] | None:
    """Which row of the array each id is; None where that cannot be told."""
    if bands not in sources.numbers:
        sources.numbers[bands] = _numbers_in_table(bands, sources)
    return sources.numbers[bands]


def _numbers_in_table(bands: ImageArray, sources: IndexInputs) -> dict[str, int] | None:
    problems = sources.problems
    rows = sources.tables.read(bands.table, [bands.id])
    if rows is None:
        return None
    try:
        count = len(open_array(sources.raw / bands.array))
    except DataError as error:
        problems.error("unreadable array", bands.array, None, error.message, problems.download_again)
        return None
    if count != len(rows):
        found = f"it holds {count:,} images, and {bands.table} {len(rows):,} rows"
        problems.error("array of another length", bands.array, None, found, problems.download_again)
        return None
    numbers: dict[str, int] = {}
    for number, (id, line) in enumerate(zip(rows.columns[bands.id], rows.lines, strict=True)):
        if numbers.setdefault(id, number) != number:
            found = f"the id {id!r} is on line {rows.lines[numbers[id]]} already, with another image"
            problems.error("two images for one id", bands.table, line, found, problems.download_again)
    return numbers


def _remark_unused(
    kind: str, found: str, images: Images, more: Sequence[str], used: set[str], sources: IndexInputs
) -> None:
    remark: Callable[..., None] = sources.problems.warn
    fix = "nothing to do: it is left out"
    if isinstance(images, ImageArray):
        for id, number in (_numbers(images, sources) or {}).items():
            if array_path(images.array, number) not in used:
                remark(kind, array_path(images.array, number), None, f"{id!r}: {found}", fix)
        return
    folders = dict.fromkeys(folder_of(template) for template in (*aliases(images), *more))
    for path in sorted({path for folder in folders for path in sources.listing.files(folder)} - used):
        if is_image(path):
            remark(kind, path, None, found, fix)
        else:
            remark("file that is no image", path, None, "it lies among the images", fix)

"""The image of each row: a file named by a template, or a row of an array."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from runner.commands import command
from runner.contract.images import (
    Hdf5,
    ImageArray,
    Images,
    Level,
    Pixels,
    Stack,
    fill_template,
    folder_of,
    templates_of,
)
from runner.csv_file import Columns
from runner.data.classes import IndexRow
from runner.data.hdf5 import dataset_names
from runner.data.image_arrays import open_array
from runner.data.image_names import IMAGE_SUFFIXES, array_path, dataset_name, files_of, is_image, level_name, stack_name
from runner.data.index_inputs import FileListing, IndexInputs
from runner.data.pixels import as_array, pixels_are_old, tables_of
from runner.errors import DataError


def resolve_image_paths(rows: Iterable[IndexRow], images: Images, inputs: IndexInputs) -> list[IndexRow]:
    """The rows with the paths of their images; a row without an image is an error, and left out."""
    rows = list(rows)
    if isinstance(images, ImageArray):
        return _resolve_array_rows(rows, images, inputs)
    if isinstance(images, Pixels):
        return _resolve_pixels(rows, images, inputs)
    if isinstance(images, Stack):
        return _resolve_stacks(rows, images, inputs)
    if isinstance(images, Hdf5):
        return _resolve_datasets(rows, images, inputs)
    resolved = _resolve_files(rows, templates_of(images), inputs)
    if isinstance(images, Level):
        return [_with_path(row, level_name(row.path, images.level)) for row in resolved]
    return resolved


def warn_unused_images(train: Sequence[IndexRow], test: Sequence[IndexRow], inputs: IndexInputs) -> None:
    """Warn of every image that no row names."""
    competition = inputs.competition
    may_have_unused_train = train and not _name_whole_array(train, competition.train_images, inputs)
    may_have_unused_test = test and not _name_whole_array(test, competition.test_images, inputs)
    if not may_have_unused_train and not may_have_unused_test:
        return
    used = {row.path for row in (*train, *test)}
    if any(isinstance(images, Stack | Level) for images in (competition.train_images, competition.test_images)):
        used = {file for name in used for file in files_of(name)}
    valid = [competition.valid_images] if competition.valid_images else []
    if may_have_unused_train:
        _warn_unused("image without a label", competition.train_images, valid, used, inputs)
    if may_have_unused_test:
        _warn_unused("image not in the sample submission", competition.test_images, [], used, inputs)


def _name_whole_array(rows: Sequence[IndexRow], images: Images, inputs: IndexInputs) -> bool:
    """Whether the images are an array of which these rows, which have their paths, name every row."""
    if isinstance(images, Pixels):
        images = as_array(images)
    row_of = _array_rows(images, inputs) if isinstance(images, ImageArray) else None
    if row_of is None:
        return False
    return _are_whole_array(rows, row_of) or len({row.id for row in rows}) == len(row_of)


def _resolve_files(rows: Sequence[IndexRow], templates: Sequence[str], inputs: IndexInputs) -> list[IndexRow]:
    resolved, missing, other_suffix = [], [], 0
    with_folder = [(template, folder_of(template)) for template in templates]
    for row in rows:
        if row.path:
            resolved.append(row)
            continue
        # If several folders have the id, the first that the competition names is meant.
        for template, folder in with_folder:
            path = image_path(template, row)
            if found := inputs.listing.find(folder, path):
                resolved += [_with_path(row, name) for name in found]
                other_suffix += found[0] != path and "*" not in path
                break
        else:
            missing.append(row)
    if other_suffix:
        message = f"{other_suffix:,} images have another suffix than {templates[0]}"
        inputs.problems.warn("other suffix", message, file=folder_of(templates[0]))
    _add_missing(missing, templates, inputs, template_is_right=bool(resolved))
    return resolved


def image_path(template: str, row: IndexRow) -> str:
    """The path of a row's image by a template."""
    # Quicker, and there may be a million rows.
    if not row.fields and "/" not in row.id and "{id[" not in template:
        return template.replace("{id}", row.id)
    return fill_template(template, {**row.fields, "id": row.id})


def _with_path(row: IndexRow, path: str) -> IndexRow:
    """The row with this path; a copy of it if it has another path already."""
    if row.path:
        return replace(row, path=path)
    row.path = path
    return row


def _add_missing(
    rows: Sequence[IndexRow],
    templates: Sequence[str],
    inputs: IndexInputs,
    template_is_right: bool,
    joined: str = " or ",
) -> None:
    """Add an error for each missing folder, or for each row without an image."""
    missing_folders = [template for template in templates if not inputs.listing.has_folder(template)]
    if rows and missing_folders:
        for template in missing_folders:
            message = f"the folder does not exist; {len(rows):,} ids of {rows[0].file} have no image"
            inputs.problems.error("missing folder", message, file=folder_of(template))
        return
    for row in rows:
        paths = joined.join(image_path(template, row) for template in templates)
        fix = None if template_is_right else _suffix_fix(row, templates, inputs.listing)
        message = f"{row.id!r} has no image {paths}"
        inputs.problems.error("id without an image", message, file=row.file, line=row.line, fix=fix)


def _suffix_fix(row: IndexRow, templates: Sequence[str], listing: FileListing) -> str | None:
    """The template to write in the competition file, if an image differs by one suffix too many or too few."""
    for template in templates:
        files, bare = listing.files(folder_of(template)), template[: template.rindex("}") + 1]
        path = image_path(bare, row)
        if path in files:
            suffix = PurePosixPath(path).suffix
            return f"the ids end in {suffix} already: write {bare!r} in the competition file, not {template!r}"
        for suffix in sorted(IMAGE_SUFFIXES):
            if path + suffix in files:
                return f"the images end in {suffix}: write {bare + suffix!r} in the competition file, not {template!r}"
    return None


def _resolve_stacks(rows: Sequence[IndexRow], images: Stack, inputs: IndexInputs) -> list[IndexRow]:
    """The rows with all files of their images; with a `*`, those whose `*` stands for the same belong together."""
    resolved, missing = [], []
    for row in rows:
        found = [_by_star(template, row, inputs.listing) for template in images.templates]
        shared = [star for star in found[0] if all(star in of_template for of_template in found)]
        if shared and all(len(of_template) == len(shared) for of_template in found):
            resolved += [_with_path(row, stack_name([of_star[star] for of_star in found])) for star in shared]
        else:
            missing.append((row, tuple(t for t, files in zip(images.templates, found, strict=True) if not files)))
    for templates in dict.fromkeys(templates for _, templates in missing):
        of_templates = [row for row, lacking in missing if lacking == templates]
        _add_missing(of_templates, templates or images.templates, inputs, bool(resolved), joined=" and ")
    return resolved


def _by_star(template: str, row: IndexRow, listing: FileListing) -> dict[tuple[str, ...], str]:
    """The files of a row by what the `*` of the template stands for in their names."""
    path = image_path(template, row)
    found = listing.find(folder_of(template), path)
    if "*" not in path:
        return {(): found[0]} if found else {}
    pattern = re.compile("([^/]*)".join(map(re.escape, path.split("*"))))
    return {match.groups(): file for file in found if (match := pattern.fullmatch(file))}


def _resolve_pixels(rows: Sequence[IndexRow], images: Pixels, inputs: IndexInputs) -> list[IndexRow]:
    if pixels_are_old(images, inputs.data_dir):
        accept = command(inputs.data_dir.name, "download", "--accept-changes")
        message, fix = "the table has changed since its pixels were read", f"`{accept}`"
        inputs.problems.error("changed file", message, file=tables_of(images, inputs.data_dir)[0], fix=fix)
    return _resolve_array_rows(rows, as_array(images), inputs)


def _resolve_datasets(rows: Sequence[IndexRow], images: Hdf5, inputs: IndexInputs) -> list[IndexRow]:
    names = _datasets(images, inputs)
    if names is None:
        return []
    for row in rows:
        if row.id not in names:
            message = f"{row.id!r} has no image: {images.file} has no dataset of that name"
            inputs.problems.error("id without an image", message, file=row.file, line=row.line)
    return [_with_path(row, dataset_name(images.file, row.id)) for row in rows if row.id in names]


def _datasets(images: Hdf5, inputs: IndexInputs) -> frozenset[str] | None:
    """The datasets of an HDF5 file; None after an error."""
    if images.file not in inputs.datasets:
        try:
            inputs.datasets[images.file] = dataset_names(inputs.data_dir / images.file)
        except DataError as error:
            inputs.problems.error("unreadable array", error.message, file=images.file, fix=error.fix)
            inputs.datasets[images.file] = None
    return inputs.datasets[images.file]


def _resolve_array_rows(rows: Sequence[IndexRow], images: ImageArray, inputs: IndexInputs) -> list[IndexRow]:
    row_of = _array_rows(images, inputs)
    if row_of is None:
        return []
    resolved = []
    # Nearly always they are in the array's order, and none needs to be looked up.
    numbers = range(len(rows)) if _are_whole_array(rows, row_of) else [row_of.get(row.id) for row in rows]
    for row, number in zip(rows, numbers, strict=True):
        if number is not None:
            resolved.append(_with_path(row, array_path(images.array, number)))
            continue
        message = f"{row.id!r} has no image: {images.table} does not list it"
        inputs.problems.error("id without an image", message, file=row.file, line=row.line)
    return resolved


def _are_whole_array(rows: Sequence[IndexRow], row_of: Mapping[str, int]) -> bool:
    """Whether these are all rows of the array, in its order."""
    return len(rows) == len(row_of) and [row.id for row in rows] == list(row_of)


def _array_rows(images: ImageArray, inputs: IndexInputs) -> dict[str, int] | None:
    """The array row of each id; None after an error."""
    if images not in inputs.array_rows:
        inputs.array_rows[images] = _read_array_rows(images, inputs)
    return inputs.array_rows[images]


def _read_array_rows(images: ImageArray, inputs: IndexInputs) -> dict[str, int] | None:
    problems = inputs.problems
    columns = inputs.tables.read(images.table, [images.id])
    if columns is None:
        return None
    try:
        count = len(open_array(inputs.data_dir / images.array))
    except DataError as error:
        problems.error("unreadable array", error.message, file=images.array)
        return None
    if count != len(columns.lines):
        message = f"it has {count:,} images, and {images.table} has {len(columns.lines):,} rows"
        problems.error("array of another length", message, file=images.array)
        return None
    return _number_ids(columns, images.id, inputs)


def _number_ids(columns: Columns, id_column: str, inputs: IndexInputs) -> dict[str, int]:
    ids = columns.values[id_column]
    row_of = dict(zip(ids, range(len(ids)), strict=True))
    if len(row_of) == len(ids):
        return row_of
    row_of = {}
    for number, (id, line) in enumerate(zip(ids, columns.lines, strict=True)):
        if row_of.setdefault(id, number) != number:
            message = f"the id {id!r} is on line {columns.lines[row_of[id]]} already, with another image"
            inputs.problems.error("two images for one id", message, file=columns.file, line=line)
    return row_of


def _warn_unused(kind: str, images: Images, more_templates: Sequence[str], used: set[str], inputs: IndexInputs) -> None:
    warn = inputs.problems.warn
    if isinstance(images, Pixels):
        images = as_array(images)
    if isinstance(images, ImageArray):
        for id, number in (_array_rows(images, inputs) or {}).items():
            if array_path(images.array, number) not in used:
                warn(kind, f"{id!r} is not used", file=array_path(images.array, number))
        return
    if isinstance(images, Hdf5):
        for id in sorted(_datasets(images, inputs) or ()):
            if dataset_name(images.file, id) not in used:
                warn(kind, f"{id!r} is not used", file=dataset_name(images.file, id))
        return
    folders = dict.fromkeys(folder_of(template) for template in (*templates_of(images), *more_templates))
    if "" in folders:  # class folders beside the others
        others = {folder.rstrip("/") for folder in inputs.competition.image_folders}
        folders = dict.fromkeys({name.partition("/")[0] for name in used if "/" in name} - others)
    for path in sorted({path for folder in folders for path in inputs.listing.files(folder)} - used):
        if is_image(path):
            warn(kind, "the image is not used", file=path)
        else:
            warn("file that is not an image", "it is among the images, and not used", file=path)

"""How an index names an image.

A file (`train/a.jpg`), several files of one image (`train/a_red.png + train/a_green.png`), a row of an array
(`train.npy#17`), a dataset of an HDF5 file (`train.hdf5#ISIC_1`), or a size in a TIFF file (`train/a.tiff#level=1`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from posixpath import splitext

from runner.errors import DataError

# Of the formats that Pillow reads.
IMAGE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jp2")
)
ARRAY_SUFFIXES = frozenset((".npy", ".npz"))

DICOM_SUFFIXES = frozenset((".dcm", ".dicom"))

_ARRAY_ROW = re.compile(r"(?P<array>.+\.npy)#(?P<row>\d+)")
_DATASET = re.compile(r"(?P<file>.+\.(?:hdf5|h5|hdf))#(?P<id>.+)", re.DOTALL)
_LEVEL = re.compile(r"(?P<file>.+)#level=(?P<level>\d+)", re.DOTALL)
_PLUS = " + "


def is_image(path: str) -> bool:
    """Whether the path has the suffix of an image."""
    suffix = splitext(path)[1].lower()  # a path object takes several times as long, and there may be a million
    return suffix in IMAGE_SUFFIXES or suffix in ARRAY_SUFFIXES or suffix in DICOM_SUFFIXES


def array_path(array: str, row: int) -> str:
    """The name of row `row` of an array: `train.npy#17`."""
    return f"{array}#{row}"


def is_array_path(name: str) -> bool:
    """Whether a name is that of a row of an array, not of a file."""
    return bool(_ARRAY_ROW.fullmatch(name))


def parse_array_path(name: str) -> tuple[str, int]:
    """(array, row) of a name such as `train.npy#17`."""
    match = _ARRAY_ROW.fullmatch(name)
    if not match:
        raise DataError(f"{name!r} does not name a row of an array", fix="build the index again")
    return match["array"], int(match["row"])


def dataset_name(file: str, id: str) -> str:
    """The name of a dataset of an HDF5 file."""
    return f"{file}#{id}"


def parse_dataset(name: str) -> tuple[str, str] | None:
    """(file, dataset) of the name of a dataset; None if it is none."""
    match = _DATASET.fullmatch(name)
    return (match["file"], match["id"]) if match else None


def level_name(path: str, level: int) -> str:
    """The name of one of the sizes in a TIFF file."""
    return f"{path}#level={level}"


def parse_level(name: str) -> tuple[str, int]:
    """(file, size) of a name; a file alone has only the largest, 0."""
    match = _LEVEL.fullmatch(name) if "#level=" in name else None
    return (match["file"], int(match["level"])) if match else (name, 0)


def stack_name(paths: Sequence[str]) -> str:
    """The name of an image of several files."""
    return _PLUS.join(paths)


def parts_of(name: str) -> tuple[str, ...]:
    """The files of an image, if its name is that of several; the name alone if not."""
    parts = name.split(_PLUS)
    # A file may be named `cat + dog.jpg`.
    return tuple(parts) if all(map(is_image, parts)) else (name,)


def is_stack(name: str) -> bool:
    """Whether a name is that of several files."""
    return _PLUS in name and len(parts_of(name)) > 1


def files_of(name: str) -> tuple[str, ...]:
    """The files that an image is in."""
    if "#" in name and (match := _ARRAY_ROW.fullmatch(name) or _DATASET.fullmatch(name) or _LEVEL.fullmatch(name)):
        return (match[1],)
    return parts_of(name) if _PLUS in name else (name,)


def all_files_of(names: Iterable[str]) -> list[str]:
    """The files that these images are in, each once."""
    return list(dict.fromkeys(file for name in names for file in files_of(name)))


def size_on_disk(data_dir: Path, name: str) -> int:
    """The bytes of the image's files; OSError if one is missing."""
    return sum((data_dir / file).stat().st_size for file in files_of(name))

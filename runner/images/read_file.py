"""The values in an image's files, by their kind: photographs, arrays, DICOM, TIFF of several sizes or many bands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.data.image_names import ARRAY_SUFFIXES, DICOM_SUFFIXES, files_of, parse_level
from runner.data.manifest import fix_of_file
from runner.errors import DataError
from runner.images import decode
from runner.images.decode import is_rgb_file, read_bands
from runner.images.dicom_file import check_dicom, dicom_size, read_dicom
from runner.images.file_ends import is_complete, is_plainly_complete
from runner.images.layout import RGB, Layout, layout_of
from runner.images.numpy_file import check_numpy, numpy_size, read_numpy
from runner.images.tiff_file import check_tiff, is_tiff, read_tiff, tiff_size

Values = NDArray[Any]  # (height, width, bands): uint8, uint16 or float32


def is_array_file(path: Path) -> bool:
    """Whether a file has one image as an array."""
    return path.suffix.lower() in ARRAY_SUFFIXES


def is_dicom(path: Path) -> bool:
    """Whether a file is named as DICOM files are."""
    return path.suffix.lower() in DICOM_SUFFIXES


def is_photograph(name: str) -> bool:
    """Whether an image is one file that Pillow reads, by its name."""
    return files_of(name) == (name,) and not is_array_file(Path(name)) and not is_dicom(Path(name))


def read_values(data_dir: Path, name: str, contents: Sequence[bytes | None]) -> Values:
    """The values of an image of one file or several, as they are; `contents` of files that were read already."""
    paths = [data_dir / file for file in files_of(name)]
    if "#" in name and paths != [data_dir / name]:
        return read_tiff(paths[0], contents[0], parse_level(name)[1])
    images = [_read_values(path, content) for path, content in zip(paths, contents, strict=True)]
    if len(images) == 1:
        return images[0]
    for path, image in zip(paths, images, strict=True):
        if (image.shape[:2], image.dtype) != (images[0].shape[:2], images[0].dtype):
            found, first = _describe(image), _describe(images[0])
            message = f"the files of one image differ: this one has {found}, {paths[0].name} {first}"
            raise DataError(message, where=path, fix=fix_of_file(path))
    return np.concatenate(images, axis=2)


def _read_values(path: Path, content: bytes | None) -> Values:
    if is_array_file(path):
        return read_numpy(path, content)
    if is_dicom(path):
        return read_dicom(path, content)
    try:
        return read_bands(path, content)
    except DataError:
        if not is_tiff(path, content):
            raise
    return read_tiff(path, content)  # bands of a number or a depth that Pillow does not know


def _describe(image: Values) -> str:
    height, width = image.shape[:2]
    return f"{width} x {height} {image.dtype} pixels"


def are_complete(data_dir: Path, name: str, layout: Layout) -> bool:
    """Whether header and end of an image's files are those of complete ones; False also if only decoding can tell."""
    for file in files_of(name):
        path = data_dir / file
        if is_array_file(path):
            check_numpy(path)
        elif is_dicom(path):
            check_dicom(path)
        elif file != name and "#" in name:
            check_tiff(path, parse_level(name)[1])
        elif not is_plainly_complete(path) and not (layout.is_rgb and is_complete(path)):
            return False
    return True


def read_layout(data_dir: Path, name: str) -> Layout:
    """The layout that an image asks for."""
    if is_photograph(name):
        try:
            if is_rgb_file(data_dir / name):
                return RGB
        except DataError:
            pass  # unless it is a TIFF that Pillow does not know
    return layout_of(read_values(data_dir, name, [None] * len(files_of(name))))


def read_size(data_dir: Path, name: str) -> tuple[int, int]:
    """(width, height) of an image in files, from a header alone."""
    path = data_dir / files_of(name)[0]
    if "#" in name and path != data_dir / name:
        return tiff_size(path, parse_level(name)[1])
    if is_array_file(path):
        return numpy_size(path)
    if is_dicom(path):
        return dicom_size(path)
    try:
        return decode.read_size(path)
    except DataError:
        if not is_tiff(path):
            raise
    return tiff_size(path)

"""The values in an image file, by its kind: photographs through Pillow, arrays through numpy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.data.image_names import ARRAY_SUFFIXES, files_of
from runner.data.manifest import fix_of_file
from runner.errors import DataError
from runner.images import decode
from runner.images.decode import is_rgb_file, read_bands
from runner.images.layout import RGB, Layout, layout_of
from runner.images.numpy_file import numpy_size, read_numpy


def is_array_file(path: Path) -> bool:
    """Whether a file has one image as an array."""
    return path.suffix.lower() in ARRAY_SUFFIXES


def read_values(paths: Sequence[Path], contents: Sequence[bytes | None]) -> NDArray[Any]:
    """The values of an image of one file or several, as they are: (height, width, bands)."""
    images = [_read_values(path, content) for path, content in zip(paths, contents, strict=True)]
    if len(images) == 1:
        return images[0]
    for path, image in zip(paths, images, strict=True):
        if (image.shape[:2], image.dtype) != (images[0].shape[:2], images[0].dtype):
            found, first = _describe(image), _describe(images[0])
            message = f"the files of one image differ: this one has {found}, {paths[0].name} {first}"
            raise DataError(message, where=path, fix=fix_of_file(path))
    return np.concatenate(images, axis=2)


def _read_values(path: Path, content: bytes | None) -> NDArray[Any]:
    return read_numpy(path, content) if is_array_file(path) else read_bands(path, content)


def _describe(image: NDArray[Any]) -> str:
    height, width = image.shape[:2]
    return f"{width} x {height} {image.dtype} pixels"


def read_layout(data_dir: Path, name: str) -> Layout:
    """The layout that an image asks for."""
    paths = [data_dir / file for file in files_of(name)]
    if len(paths) == 1 and not is_array_file(paths[0]) and is_rgb_file(paths[0]):
        return RGB
    return layout_of(read_values(paths, [None] * len(paths)))


def read_size(data_dir: Path, name: str) -> tuple[int, int]:
    """(width, height) of an image of one file or several, from a header alone."""
    path = data_dir / files_of(name)[0]
    return numpy_size(path) if is_array_file(path) else decode.read_size(path)

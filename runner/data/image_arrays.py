"""Arrays of images: .npy files shaped (rows, bands, height, width)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.data.manifest import fix_of_file
from runner.errors import DataError


def open_array(path: Path) -> NDArray[Any]:
    """An array of images (rows, bands, height, width) as a memory map."""
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"the array of images cannot be read: {error}",
            where=path,
            fix=fix_of_file(path),
        ) from error
    if array.ndim != 4:
        raise DataError(
            f"an array of images must be (rows, bands, height, width); this one has the shape {array.shape}",
            where=path,
            fix="write it in that shape in the competition's `prepare`",
        )
    return array

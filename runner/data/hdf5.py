"""HDF5 files of images: one dataset an id, an encoded file or an array."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.data.manifest import fix_of_file
from runner.data.packages import import_extra
from runner.errors import DataError
from runner.workspace import atomic_path


def dataset_names(path: Path) -> frozenset[str]:
    """The names of a file's datasets."""
    with _open(path) as file:
        return frozenset(file)


def copy_datasets(source: Path, names: Mapping[str, str], target: Path) -> None:
    """Write some of a file's datasets, each under another name, into a new file."""
    h5py = import_extra("hdf5")
    with _open(source) as old, atomic_path(target) as part, h5py.File(part, "w") as new:
        for name, other in names.items():
            old.copy(name, new, other)


class Hdf5File:
    """An HDF5 file that each process opens for itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Any = None
        self._process = 0

    def read(self, name: str) -> bytes | NDArray[Any]:
        """An image: the content of its file, or its values."""
        if self._process != os.getpid():  # a file that is open when a process forks has one position for both
            self._file, self._process = _open(self.path), os.getpid()
        try:
            value = self._file[name][()]
        except Exception as error:  # h5py raises errors of many types for damaged files
            raise DataError(
                f"the image {name!r} cannot be read: {error}", where=self.path, fix=fix_of_file(self.path)
            ) from error
        if isinstance(value, np.void | bytes):
            return value.tobytes() if isinstance(value, np.void) else value
        if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype == np.uint8:
            return value.tobytes()
        return np.asarray(value)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_file": None, "_process": 0}


def _open(path: Path) -> Any:
    h5py = import_extra("hdf5")
    try:
        return h5py.File(path, "r")
    except (OSError, RuntimeError) as error:
        raise DataError(f"the HDF5 file cannot be read: {error}", where=path, fix=fix_of_file(path)) from error

"""Arrays in one .npz without pickles, each with a digest that is compared when it is read.

A large array is mapped into memory and not copied: only the rows that are looked at take any.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import SEEK_CUR
from pathlib import Path
from typing import Any, Literal
from zipfile import ZIP_STORED

import numpy as np
from numpy.typing import NDArray

from runner.workspace import atomic_path, explain_damage

_DIGESTS = "digests"
_MAPPED_BYTES = 1 << 26  # of an array; smaller ones are read at once
_BLOCK_BYTES = 1 << 24  # hashed or looked through at a time


class Arrays:
    """The arrays of an open file; each is checked as it is read."""

    def __init__(self, path: Path, file: Any) -> None:
        self._path, self._file = path, file
        # Files of earlier versions have none; their zip has a CRC of each array.
        self._digests = json.loads(str(file[_DIGESTS])) if _DIGESTS in file.files else None

    def __contains__(self, name: str) -> bool:
        return name in self._file.files

    def read(
        self, name: str, *, kind: str, dimensions: int | tuple[int, ...], may_have_gaps: bool = False
    ) -> NDArray[Any]:
        """An array of these kinds ("U", "f") and so many dimensions, without NaN but for gaps; else a ValueError."""
        array = self._open(name)
        if self._digests is not None and self._digests[name] != _digest(array):
            raise ValueError(f"{name} does not fit its checksum")
        allowed = (dimensions,) if isinstance(dimensions, int) else dimensions
        if array.dtype.kind not in kind or array.ndim not in allowed:
            raise ValueError(f"{name} is {array.dtype} with {array.ndim} dimensions")
        if array.dtype.kind == "f" and not all(_are_numbers(block, may_have_gaps) for block in _blocks(array)):
            raise ValueError(f"{name} holds NaN or infinite values")
        return array

    def _open(self, name: str) -> NDArray[Any]:
        # A mapped array is not checked by the zip's CRC, only by the digest.
        entry = self._file.zip.getinfo(f"{name}.npy")
        if self._digests is None or entry.compress_type != ZIP_STORED or entry.file_size < _MAPPED_BYTES:
            return self._file[name]  # type: ignore[no-any-return]
        with self._path.open("rb") as handle:
            # The entry's own header has the lengths of its name and extra field at bytes 26 and 28.
            handle.seek(entry.header_offset + 26)
            lengths = np.frombuffer(handle.read(4), dtype="<u2")
            handle.seek(int(lengths.sum()), SEEK_CUR)
            version = np.lib.format.read_magic(handle)
            formats = np.lib.format
            read_header = formats.read_array_header_1_0 if version == (1, 0) else formats.read_array_header_2_0
            shape, is_fortran, dtype = read_header(handle)
            if dtype.hasobject:
                raise ValueError(f"{name} holds objects")
            order: Literal["C", "F"] = "F" if is_fortran else "C"
            return np.memmap(self._path, dtype, mode="r", offset=handle.tell(), shape=shape, order=order)

    def strings(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(self.read(name, kind="U", dimensions=1).tolist())


def _are_numbers(values: NDArray[Any], may_have_gaps: bool) -> bool:
    return bool((np.isfinite(values) | (may_have_gaps & np.isnan(values))).all())


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the arrays and their digests."""
    digests = json.dumps({name: _digest(array) for name, array in arrays.items()})
    with atomic_path(path) as part:
        np.savez(part, **{**arrays, _DIGESTS: np.array(digests)})  # type: ignore[arg-type]


@contextmanager
def open_arrays(path: Path, *, what: str, fix: str) -> Iterator[Arrays]:
    """The arrays of a file; a damaged one is a DamagedFileError that names it."""
    # Opened here: if the zip is corrupt, numpy would leave its own handle open.
    with explain_damage(path, fix, what), path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
        yield Arrays(path, file)


def _digest(array: NDArray[Any]) -> str:
    shape = array.shape or (1,)  # as earlier versions had it of a single value
    digest = hashlib.sha256(f"{array.dtype.str} {shape}".encode() + b"\0")
    for block in _blocks(array):
        digest.update(block.tobytes())
    return digest.hexdigest()[:32]


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The array, or some of its rows at a time if it is large."""
    if array.nbytes <= _BLOCK_BYTES or not array.ndim:
        yield array
        return
    size = max(1, _BLOCK_BYTES * len(array) // array.nbytes)
    for begin in range(0, len(array), size):
        yield array[begin : begin + size]

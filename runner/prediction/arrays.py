"""Arrays in one .npz without pickles, each with a digest that is compared when it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.workspace import atomic_path, explain_damage

_DIGESTS = "digests"


class Arrays:
    """The arrays of an open file; each is checked as it is read."""

    def __init__(self, file: Any) -> None:
        self._file = file
        # Files of earlier versions have none; their zip has a CRC of each array.
        self._digests = json.loads(str(file[_DIGESTS])) if _DIGESTS in file.files else None

    def read(self, name: str, *, kind: str, dimensions: int | tuple[int, ...]) -> NDArray[Any]:
        """An array of these kinds ("U", "f") and so many dimensions, without NaN; else a ValueError."""
        array: NDArray[Any] = self._file[name]
        if self._digests is not None and self._digests[name] != _digest(array):
            raise ValueError(f"{name} does not fit its checksum")
        allowed = (dimensions,) if isinstance(dimensions, int) else dimensions
        if array.dtype.kind not in kind or array.ndim not in allowed:
            raise ValueError(f"{name} is {array.dtype} with {array.ndim} dimensions")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinite values")
        return array

    def strings(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(self.read(name, kind="U", dimensions=1).tolist())


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
        yield Arrays(file)


def _digest(array: NDArray[Any]) -> str:
    content = np.ascontiguousarray(array)
    header = f"{content.dtype.str} {content.shape}".encode()
    return hashlib.sha256(header + b"\0" + content.tobytes()).hexdigest()[:32]

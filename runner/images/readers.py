"""Images by row of the index, whatever they are in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property, reduce
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from runner.data.checksums import Digests, expected_digests, file_digest, require_same
from runner.data.hdf5 import Hdf5File
from runner.data.image_arrays import open_array
from runner.data.image_names import files_of, is_array_path, parse_array_path, parse_dataset
from runner.data.manifest import fix_of_file
from runner.errors import DataError, MissingPackageError
from runner.images import decode
from runner.images.decode import FileStamp, read_image, stamp_of
from runner.images.file_ends import is_complete
from runner.images.layout import RGB, Layout, layout_of
from runner.images.numpy_file import bands_last
from runner.images.read_file import are_complete, is_photograph, read_layout, read_size, read_values

# Images that are tried, until one can be read, for the layout of all.
_TRIED = 20


class ImageReader(Protocol):
    """Images by row, each (height, width, channels)."""

    @property
    def layout(self) -> Layout:
        """What all the images have."""

    @property
    def channels(self) -> int:
        """Values per pixel."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> NDArray[Any]: ...

    def digest(self, row: int) -> bytes:
        """SHA-256 of the image's content."""


class EncodedReader(ImageReader, Protocol):
    """Images that are decoded each time, and worth to be cached."""

    def read(self, row: int, min_side: int | None = None) -> NDArray[Any]:
        """The image; a JPEG may be reduced, to not less than `min_side`."""

    def stamp(self, row: int) -> FileStamp | None:
        """What changes whenever the image's files do; None if one is missing."""

    def size(self, row: int) -> tuple[int, int]:
        """(width, height), from the header alone."""

    def check(self, row: int) -> None:
        """Raise a DataError if the image is none or has no end; it is decoded only if its ends do not tell."""


def open_images(data_dir: Path, names: Sequence[str], *, min_side: int | None = None) -> ImageReader:
    """A reader of the index's images: uint8 if they are of 8 bits, else float32."""
    if names and all(map(is_array_path, names)):
        return ImageArrays(data_dir, names)
    return open_encoded(data_dir, names, min_side)


def open_encoded(
    data_dir: Path, names: Sequence[str], min_side: int | None = None, layout: Layout | None = None
) -> EncodedReader:
    """A reader of images in files, in a layout: without one in that of the first image that can be read."""
    if names and parse_dataset(names[0]):
        return Datasets(data_dir, names, min_side, layout)
    return ImageFiles(data_dir, names, layout or _first_layout(data_dir, names), min_side)


def layout_of_first(data_dir: Path, names: Sequence[str]) -> Layout:
    """The layout of the first image that can be read: that of all."""
    return open_images(data_dir, names[:_TRIED]).layout


def _first_layout(data_dir: Path, names: Sequence[str]) -> Layout:
    missing: MissingPackageError | None = None
    for name in names[:_TRIED]:
        try:
            return read_layout(data_dir, name)
        except MissingPackageError as error:
            missing = error  # unless another image shows that this one is only broken
        except DataError:
            continue
    if missing:
        raise missing
    return RGB


class ImageFiles:
    """Images that are files: one each, or as many each as the first one."""

    def __init__(self, data_dir: Path, names: Sequence[str], layout: Layout = RGB, min_side: int | None = None) -> None:
        self._data_dir, self._names, self._min_side = data_dir, tuple(names), min_side
        self.layout = layout
        self._count = len(files_of(names[0])) if names else 1
        are_files = not names or files_of(names[0]) == (names[0],)
        files = names if are_files else [file for name in names for file in files_of(name)]
        self._expected: Digests | None = expected_digests(data_dir, files)

    @property
    def channels(self) -> int:
        return self.layout.channels

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, row: int) -> NDArray[Any]:
        return self.read(row, self._min_side)

    def read(self, row: int, min_side: int | None = None) -> NDArray[Any]:
        """The image; a JPEG may be reduced, to not less than `min_side`."""
        name, contents = self._names[row], self._verified_contents(row)
        if self.layout.is_rgb and is_photograph(name):
            return read_image(self._data_dir / name, min_side=min_side, content=contents[0])
        return fit(read_values(self._data_dir, name, contents), self.layout, self.paths(row)[0])

    def size(self, row: int) -> tuple[int, int]:
        """(width, height), from the header alone."""
        return read_size(self._data_dir, self._names[row])

    def check(self, row: int) -> None:
        """Raise a DataError if the image is none or has no end; it is decoded only if its ends do not tell."""
        if not are_complete(self._data_dir, self._names[row], self.layout):
            self.read(row)

    def paths(self, row: int) -> tuple[Path, ...]:
        """The files of a row."""
        return tuple(self._data_dir / file for file in files_of(self._names[row]))

    def stamp(self, row: int) -> FileStamp | None:
        """What changes whenever one of the files does; None if one is missing."""
        stamps = list(map(stamp_of, self.paths(row)))
        return None if None in stamps else reduce(_joined, (stamp for stamp in stamps if stamp))

    def digest(self, row: int) -> bytes:
        """SHA-256 of the file; computed once a process while the file does not change."""
        digests = []
        for path, expected in zip(self.paths(row), self._expected_of(row), strict=True):
            digests.append(cached_digest(path, stamp_of(path)))
            require_same(path, digests[-1], expected, self._data_dir)
        return digests[0] if len(digests) == 1 else hashlib.sha256(b"".join(digests)).digest()

    def _expected_of(self, row: int) -> list[bytes]:
        """The checksum of each of a row's files; zeros if it is not known."""
        if self._expected is None:
            return [bytes(32)] * self._count
        return [digest.tobytes() for digest in self._expected[row * self._count : (row + 1) * self._count]]

    def _verified_contents(self, row: int) -> list[bytes | None]:
        """The content of each file that has a checksum to be compared with; DataError if it has another one."""
        if self._expected is None:
            return [None] * self._count
        pairs = zip(self.paths(row), self._expected_of(row), strict=True)
        return [_verified_content(path, expected, self._data_dir) for path, expected in pairs]


def _verified_content(path: Path, expected: bytes, data_dir: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None  # the decoder says what is wrong
    require_same(path, hashlib.sha256(content).digest(), expected, data_dir)
    return content


def _joined(left: FileStamp, right: FileStamp) -> FileStamp:
    """One stamp for two files: sizes added, the later times, both inodes."""
    return left[0] + right[0], max(left[1], right[1]), max(left[2], right[2]), (left[3] * 31 + right[3]) % 2**64


def fit(values: NDArray[Any], layout: Layout, path: Path) -> NDArray[Any]:
    """An image's values in the layout of all; DataError if they cannot be."""
    try:
        return layout.fit(values)
    except ValueError as error:
        raise DataError(f"the image differs from the others: {error}", where=path, fix=fix_of_file(path)) from error


def require_unchanged(data_dir: Path, name: str) -> None:
    """Raise a DataError if a file of many images has another checksum than when it arrived."""
    path, expected = data_dir / name, expected_digests(data_dir, [name])
    if expected is not None:
        require_same(path, cached_digest(path, stamp_of(path)), expected[0].tobytes(), data_dir)


@cache
def cached_digest(path: Path, _stamp: FileStamp | None) -> bytes:
    """The SHA-256 of a file, computed once a process while its stamp stays."""
    return file_digest(path)


class Datasets:
    """Images that are datasets of HDF5 files: encoded files, or arrays."""

    def __init__(
        self, data_dir: Path, names: Sequence[str], min_side: int | None = None, layout: Layout | None = None
    ) -> None:
        self._data_dir, self._min_side, self._layout = data_dir, min_side, layout
        self._names = [parse_dataset(name) or (name, "") for name in names]
        self._files: dict[str, Hdf5File] = {}

    @cached_property
    def layout(self) -> Layout:
        """The one that is given, or that of the first image which can be read."""
        if self._layout is not None:
            return self._layout
        for row in range(min(_TRIED, len(self))):
            try:
                return layout_of(self._values(row))
            except DataError:
                continue
        return RGB

    @property
    def channels(self) -> int:
        return self.layout.channels

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, row: int) -> NDArray[Any]:
        return self.read(row, self._min_side)

    def read(self, row: int, min_side: int | None = None) -> NDArray[Any]:
        """The image; a JPEG may be reduced, to not less than `min_side`."""
        with self._naming(row) as path:
            image = self.value(row)
            if self.layout.is_rgb and isinstance(image, bytes):
                return read_image(path, min_side=min_side, content=image)
            return fit(self._values(row), self.layout, path)

    def size(self, row: int) -> tuple[int, int]:
        """(width, height), from the header alone."""
        with self._naming(row) as path:
            image = self.value(row)
            if isinstance(image, bytes):
                return decode.read_size(path, image)
            height, width = bands_last(image, path).shape[:2]
            return width, height

    def check(self, row: int) -> None:
        """Raise a DataError if the image is none or has no end; it is decoded only if its ends do not tell."""
        with self._naming(row) as path:
            image = self.value(row)
            if not (isinstance(image, bytes) and self.layout.is_rgb and is_complete(path, image)):
                self.read(row)

    def stamp(self, row: int) -> FileStamp | None:
        """What changes whenever the HDF5 file does; None if it is missing."""
        return stamp_of(self._data_dir / self._names[row][0])

    def digest(self, row: int) -> bytes:
        """SHA-256 of the dataset's content."""
        image = self.value(row)
        return hashlib.sha256(image if isinstance(image, bytes) else image.tobytes()).digest()

    def value(self, row: int) -> bytes | NDArray[Any]:
        """A dataset as it is: the content of an encoded file, or values."""
        name, id = self._names[row]
        if name not in self._files:
            require_unchanged(self._data_dir, name)
            self._files[name] = Hdf5File(self._data_dir / name)
        return self._files[name].read(id)

    def _values(self, row: int) -> NDArray[Any]:
        image, path = self.value(row), self._data_dir / self._names[row][0]
        return decode.read_bands(path, image) if isinstance(image, bytes) else bands_last(image, path)

    @contextmanager
    def _naming(self, row: int) -> Iterator[Path]:
        """The file; an error in the block names the dataset."""
        name, id = self._names[row]
        try:
            yield self._data_dir / name
        except DataError as error:
            raise DataError(f"{id}: {error.message}", where=error.where, fix=error.fix) from error


class ImageArrays:
    """Images that are rows of .npy arrays (rows, bands, height, width), read by memory map."""

    def __init__(self, data_dir: Path, names: Sequence[str]) -> None:
        self._data_dir = data_dir
        self._rows = [parse_array_path(name) for name in names]
        self._arrays: dict[str, NDArray[Any]] = {}

    @property
    def layout(self) -> Layout:
        """By the first image's array. Values that are not of 8 bits are float32 as soon as they are read."""
        array = self._array(self._rows[0][0])
        if array.dtype == np.uint8:
            return layout_of(np.empty((1, 1, array.shape[1]), np.uint8))
        return Layout(int(array.shape[1]), "float32")

    @property
    def channels(self) -> int:
        """Bands of the images as they are read."""
        return self.layout.channels

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> NDArray[Any]:
        name, number = self._rows[row]
        array = self._array(name)
        if number >= len(array):
            raise DataError(
                f"the array has {len(array):,} images, and no image {number}",
                where=self._data_dir / name,
                fix=fix_of_file(self._data_dir / name),
            )
        values = array[number].transpose(1, 2, 0)
        layout = self.layout
        if layout.is_rgb and values.shape[2] == 1:
            values = np.repeat(values, 3, axis=2)
        return np.ascontiguousarray(values, dtype=layout.dtype)

    def digest(self, row: int) -> bytes:
        """SHA-256 of the row's values."""
        return hashlib.sha256(self[row].tobytes()).digest()

    def __getstate__(self) -> dict[str, Any]:
        # A pickled memory map is a copy of the array: each worker opens its own.
        return {**self.__dict__, "_arrays": {}}

    def _array(self, name: str) -> NDArray[Any]:
        if name not in self._arrays:
            self._arrays[name] = open_array(self._data_dir / name)
            require_unchanged(self._data_dir, name)
        return self._arrays[name]

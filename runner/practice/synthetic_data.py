"""What a painter hands over: images with their labels, and the files as Kaggle would list them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class Packing(Enum):
    """The archive types that Kaggle's competitions come in."""

    ZIP = "zip"
    SEVEN = "7z"
    TAR_SEVEN = "tar.7z"


@dataclass(frozen=True)
class Archive:
    """One file that the host offers, and the files inside it."""

    name: str
    packing: Packing
    members: Mapping[str, bytes]


@dataclass(frozen=True)
class Rows:
    """Images as anyone reads them from the archives, (height, width, channels), with their labels."""

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    images: tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class SyntheticData:
    """One competition's practice data, whole."""

    classes: tuple[str, ...]
    train: Rows
    test: Rows
    sample: bytes  # the sample submission
    archives: tuple[Archive, ...]
    ignored: frozenset[str] = frozenset()  # test ids that no score counts


def count_rows(full: int, scale: float) -> int:
    """How many rows a part has at that scale: never so few that a class or a tag would be lost."""
    return max(round(full * scale), 60)


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A table as the bytes of a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def jpeg_bytes(image: NDArray[np.uint8], *, quality: int, mode: str = "RGB") -> bytes:
    """An image as the bytes of a JPEG file."""
    stream = io.BytesIO()
    Image.fromarray(image).convert(mode).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def read_jpeg(content: bytes) -> NDArray[np.uint8]:
    """What is left of an image after its JPEG."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))

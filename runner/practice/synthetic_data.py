"""Synthetic competition data: labelled images, and the archives that the practice host offers."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runner.csv_file import csv_text

_FEWEST_ROWS = 60  # below that a small scale would lose classes


class ArchiveType(Enum):
    """The archive types of Kaggle's image competitions."""

    ZIP = "zip"
    SEVEN_ZIP = "7z"
    TAR_SEVEN_ZIP = "tar.7z"


@dataclass(frozen=True)
class Archive:
    """An archive that the host offers; `files` maps the path inside it to the content."""

    name: str
    type: ArchiveType
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class LabelledImages:
    """Images as decoded from the archives, each (height, width, channels), with their ids and labels."""

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    images: tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class SyntheticData:
    """A competition's complete practice data."""

    classes: tuple[str, ...]
    train: LabelledImages
    test: LabelledImages
    sample_submission: bytes
    archives: tuple[Archive, ...]
    ignored: frozenset[str] = frozenset()  # test ids that count in no score


def scaled_rows(full: int, scale: float) -> int:
    """The number of rows at a scale; at least 60, so that every class occurs."""
    return max(round(full * scale), _FEWEST_ROWS)


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """The content of a CSV file."""
    return csv_text(header, rows).encode()


def jpeg_bytes(image: NDArray[np.uint8], *, quality: int, mode: str = "RGB") -> bytes:
    """The content of a JPEG file."""
    stream = io.BytesIO()
    Image.fromarray(image).convert(mode).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def decode_jpeg(content: bytes) -> NDArray[np.uint8]:
    """The RGB pixels of a JPEG file, (height, width, 3)."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))

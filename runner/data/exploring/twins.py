"""Opening every picture: those that cannot be read, and those that are there twice."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from runner.console import track
from runner.data.pictures.reading import BandPictures, is_band_path, read_size
from runner.data.table.complaints import Complaints
from runner.data.table.vocabulary import Labelled
from runner.errors import DataError


def check_pictures(train: Sequence[Labelled], test: Sequence[Labelled], raw: Path, complaints: Complaints) -> None:
    """Complain of unreadable pictures, of twins with different labels, and of twins in train and test."""
    readable = _readable([*train, *test], raw, complaints)
    for twins in _twins(readable, raw):
        trained = [row for row in twins if row.part != "test"]
        tested = [row for row in twins if row.part == "test"]
        _remark_labels(trained, complaints)
        for row in tested if trained else []:
            found = f"the test picture {row.id!r} is the training picture {trained[0].id!r}"
            cure = "nothing to do, but its prediction is no prediction"
            complaints.remark("the same picture in train and test", row.file, row.line, found, cure)


def _remark_labels(trained: Sequence[Labelled], complaints: Complaints) -> None:
    for row in trained[1:]:
        if row.label != trained[0].label:
            first = trained[0]
            labels = f"their labels are {first.label!r} and {row.label!r}"
            found = f"{first.id!r} and {row.id!r} are one picture, and {labels}"
            cure = "delete the row that is wrong"
            complaints.remark("identical pictures with different labels", row.file, row.line, found, cure)


def _readable(rows: Sequence[Labelled], raw: Path, complaints: Complaints) -> list[Labelled]:
    readable = []
    for row in track("headers", rows, len(rows)):
        try:
            if not is_band_path(row.path):
                read_size(raw / row.path)
            readable.append(row)
        except DataError as error:
            cure = f"delete the row, or {complaints.download_again}"
            found = f"{row.path}: {error.found}"
            complaints.fault("picture that cannot be read", row.file, row.line, found, cure)
    return readable


def _twins(rows: Sequence[Labelled], raw: Path) -> list[list[Labelled]]:
    """The rows whose pictures are equal byte for byte, together."""
    alike: dict[bytes, list[Labelled]] = {}
    for digest, row in _digests(rows, raw):
        alike.setdefault(digest, []).append(row)
    return [twins for twins in alike.values() if len(twins) > 1]


def _digests(rows: Sequence[Labelled], raw: Path) -> Iterator[tuple[bytes, Labelled]]:
    files = _of_shared_size([row for row in rows if not is_band_path(row.path)], raw)
    bands = [row for row in rows if is_band_path(row.path)]
    for row in track("contents", files, len(files)):
        with (raw / row.path).open("rb") as file:
            yield hashlib.file_digest(file, "sha256").digest(), row
    arrays = BandPictures(raw, [row.path for row in bands])
    for number, row in track("contents", enumerate(bands), len(bands)):
        yield hashlib.sha256(arrays[number].tobytes()).digest(), row


def _of_shared_size(rows: Sequence[Labelled], raw: Path) -> list[Labelled]:
    # Files of different sizes differ: most pictures need not be read at all.
    sizes = [(raw / row.path).stat().st_size for row in rows]
    times = Counter(sizes)
    return [row for row, size in zip(rows, sizes, strict=True) if times[size] > 1]

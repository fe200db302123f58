"""Practice data for dog-breed, in the older of its two layouts: four zips."""

from __future__ import annotations

import hashlib

import numpy as np

from runner.console import track
from runner.practice.dogs import BREEDS, Breed, paint_dog
from runner.practice.noise import NoiseBank
from runner.practice.synthetic_data import (
    Archive,
    Packing,
    Rows,
    SyntheticData,
    count_rows,
    csv_bytes,
    jpeg_bytes,
    read_jpeg,
)

_TRAIN, _TEST = 1200, 400
_CLASSES = tuple(breed.name for breed in BREEDS)


def generate_dog_breed(seed: int, scale: float) -> SyntheticData:
    """The whole competition."""
    random = np.random.default_rng(seed)
    noise = NoiseBank(random)
    train, train_files = _paint_rows(count_rows(_TRAIN, scale), f"train {seed}", random, noise)
    test, test_files = _paint_rows(count_rows(_TEST, scale), f"test {seed}", random, noise)
    even = [1 / len(_CLASSES)] * len(_CLASSES)
    sample = csv_bytes(["id", *_CLASSES], ([id, *even] for id in test.ids))
    labels = csv_bytes(["id", "breed"], zip(train.ids, train.labels, strict=True))
    return SyntheticData(
        classes=_CLASSES,
        train=train,
        test=test,
        sample=sample,
        archives=(
            Archive("labels.csv.zip", Packing.ZIP, {"labels.csv": labels}),
            Archive("sample_submission.csv.zip", Packing.ZIP, {"sample_submission.csv": sample}),
            Archive("test.zip", Packing.ZIP, {f"test/{id}.jpg": jpeg for id, jpeg in test_files.items()}),
            Archive("train.zip", Packing.ZIP, {f"train/{id}.jpg": jpeg for id, jpeg in train_files.items()}),
        ),
    )


def _paint_rows(count: int, part: str, random: np.random.Generator, noise: NoiseBank) -> tuple[Rows, dict[str, bytes]]:
    breeds = _draw_breeds(count, random)
    # An id says nothing, not even the order of painting: rows are sorted by it, as Kaggle's are.
    by_id = {hashlib.md5(f"{part} {row}".encode()).hexdigest(): breed for row, breed in enumerate(breeds)}
    by_id = dict(sorted(by_id.items()))
    files = {
        id: jpeg_bytes(paint_dog(breed, random, noise), quality=88)
        for id, breed in track("painting dogs", by_id.items(), len(by_id))
    }
    images = tuple(read_jpeg(content) for content in files.values())
    return Rows(tuple(by_id), tuple(breed.name for breed in by_id.values()), images), files


def _draw_breeds(count: int, random: np.random.Generator) -> list[Breed]:
    """As uneven as the real classes are, and each at least twice."""
    weights = random.uniform(0.75, 1.25, len(BREEDS))
    drawn = random.choice(len(BREEDS), max(count - 2 * len(BREEDS), 0), p=weights / weights.sum())
    return [*BREEDS, *BREEDS, *(BREEDS[place] for place in drawn)]

"""Practice data for dog-breed, in the older of its two layouts: four zips."""

from __future__ import annotations

import hashlib

import numpy as np

from runner.console import track
from runner.practice.draw_dogs import BREEDS, Breed, draw_dog
from runner.practice.noise import NoiseBank
from runner.practice.synthetic_data import (
    Archive,
    ArchiveType,
    LabelledImages,
    SyntheticData,
    csv_bytes,
    decode_jpeg,
    jpeg_bytes,
    scaled_rows,
)

_TRAIN_ROWS, _TEST_ROWS = 1200, 400
_CLASSES = tuple(breed.name for breed in BREEDS)

JpegFiles = dict[str, bytes]  # by id


def generate_dog_breed(seed: int, scale: float) -> SyntheticData:
    """Generate images of eight drawn breeds, `scale` times 1,200 for training and 400 to predict."""
    random = np.random.default_rng(seed)
    noise = NoiseBank(random)
    train, train_files = _generate_images(scaled_rows(_TRAIN_ROWS, scale), f"train {seed}", random, noise)
    test, test_files = _generate_images(scaled_rows(_TEST_ROWS, scale), f"test {seed}", random, noise)
    uniform = [1 / len(_CLASSES)] * len(_CLASSES)
    sample_submission = csv_bytes(["id", *_CLASSES], ([id, *uniform] for id in test.ids))
    labels = csv_bytes(["id", "breed"], zip(train.ids, train.labels, strict=True))
    return SyntheticData(
        classes=_CLASSES,
        train=train,
        test=test,
        sample_submission=sample_submission,
        archives=(
            _zip_of("labels.csv", {"labels.csv": labels}),
            _zip_of("sample_submission.csv", {"sample_submission.csv": sample_submission}),
            _zip_of("test", {f"test/{id}.jpg": jpeg for id, jpeg in test_files.items()}),
            _zip_of("train", {f"train/{id}.jpg": jpeg for id, jpeg in train_files.items()}),
        ),
    )


def _zip_of(name: str, files: JpegFiles) -> Archive:
    return Archive(f"{name}.zip", ArchiveType.ZIP, files)


def _generate_images(
    count: int, id_prefix: str, random: np.random.Generator, noise: NoiseBank
) -> tuple[LabelledImages, JpegFiles]:
    breeds = _sample_breeds(count, random)
    # An id reveals nothing, not even the order of drawing: rows are sorted by it, as Kaggle's are.
    breed_of = {hashlib.md5(f"{id_prefix} {row}".encode()).hexdigest(): breed for row, breed in enumerate(breeds)}
    breed_of = dict(sorted(breed_of.items()))
    files = {
        id: jpeg_bytes(draw_dog(breed, random, noise), quality=88)
        for id, breed in track("drawing dogs", breed_of.items(), len(breed_of))
    }
    images = tuple(decode_jpeg(content) for content in files.values())
    return LabelledImages(tuple(breed_of), tuple(breed.name for breed in breed_of.values()), images), files


def _sample_breeds(count: int, random: np.random.Generator) -> list[Breed]:
    """Breeds as unbalanced as the real classes; each occurs at least twice."""
    weights = random.uniform(0.75, 1.25, len(BREEDS))
    sampled = random.choice(len(BREEDS), max(count - 2 * len(BREEDS), 0), p=weights / weights.sum())
    return [*BREEDS, *BREEDS, *(BREEDS[index] for index in sampled)]

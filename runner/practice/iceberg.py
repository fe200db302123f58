"""Practice data for iceberg: JSON in 7z; targets of one scene share an angle, and some angles are missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from runner.console import track
from runner.practice.draw_radar import MAX_DB, MIN_DB, Scene, blur_bands, draw_target, sample_scene
from runner.practice.noise import NoiseBank
from runner.practice.synthetic_data import (
    Archive,
    ArchiveType,
    LabelledImages,
    SyntheticData,
    csv_bytes,
    scaled_rows,
)

_TRAIN_ROWS, _TEST_ROWS = 700, 400
_MISSING_ANGLE_SHARE = 0.08
_MACHINE_GENERATED_SHARE = 0.3  # of the test set, which Kaggle padded with images that no radar took
_STEPS_PER_DB = 100  # two decimals


@dataclass(frozen=True)
class _Target:
    """One object of the JSON; its bands are (2, 75, 75), in decibels."""

    id: str
    bands: NDArray[np.float32]
    angle: str  # as the JSON writes it
    is_iceberg: int


def generate_iceberg(seed: int, scale: float) -> SyntheticData:
    """Generate radar images of ships and icebergs, `scale` times 700 for training and 400 to predict."""
    random = np.random.default_rng(seed)
    noise = NoiseBank(random, side=256)
    train = [
        _lose_angle(target, random) for target in _generate_targets(scaled_rows(_TRAIN_ROWS, scale), random, noise)
    ]
    test = list(_generate_targets(scaled_rows(_TEST_ROWS, scale), random, noise))
    generated = max(round(len(test) * _MACHINE_GENERATED_SHARE), 1)
    test[:generated] = [_machine_generated(target, random) for target in test[:generated]]
    ignored = frozenset(target.id for target in test[:generated])
    test = [test[index] for index in random.permutation(len(test))]
    sample_submission = csv_bytes(["id", "is_iceberg"], ((target.id, 0.5) for target in test))
    return SyntheticData(
        classes=("is_iceberg",),
        train=_labelled_images(train),
        test=_labelled_images(test),
        sample_submission=sample_submission,
        archives=(
            _archive_of("sample_submission.csv", sample_submission),
            _archive_of("test.json", _json_bytes(test, labelled=False)),
            _archive_of("train.json", _json_bytes(train, labelled=True)),
        ),
        ignored=ignored,
    )


def _generate_targets(count: int, random: np.random.Generator, noise: NoiseBank) -> Iterator[_Target]:
    for scene, is_iceberg in track("drawing radar images", _sample_targets(count, random), count):
        bands = draw_target(is_iceberg, scene, random, noise)
        id = random.bytes(4).hex()
        yield _Target(id, np.round(bands, 2), f"{scene.angle:.4f}", int(is_iceberg))


def _sample_targets(count: int, random: np.random.Generator) -> list[tuple[Scene, bool]]:
    """The scene of each target and whether it is an iceberg; a scene has one to nine targets, mostly of one kind."""
    targets: list[tuple[Scene, bool]] = []
    while len(targets) < count:
        scene, iceberg_share = sample_scene(random), random.beta(4, 4)
        targets += [(scene, bool(random.random() < iceberg_share)) for _ in range(int(random.integers(1, 10)))]
    return targets[:count]


def _lose_angle(target: _Target, random: np.random.Generator) -> _Target:
    is_missing = random.random() < _MISSING_ANGLE_SHARE
    return replace(target, angle='"na"') if is_missing else target


def _machine_generated(target: _Target, random: np.random.Generator) -> _Target:
    """The target as Kaggle's padding: blurred, and with more decimals of the angle than any real one has."""
    bands = np.round(blur_bands(target.bands), 2)
    return replace(target, bands=bands, angle=f"{random.uniform(25, 46):.12f}")


def _labelled_images(targets: list[_Target]) -> LabelledImages:
    return LabelledImages(
        tuple(target.id for target in targets),
        tuple(str(target.is_iceberg) for target in targets),
        tuple(target.bands.transpose(1, 2, 0) for target in targets),
    )


def _archive_of(name: str, content: bytes) -> Archive:
    return Archive(f"{name}.7z", ArchiveType.SEVEN_ZIP, {f"data/processed/{name}": content})


def _json_bytes(targets: list[_Target], *, labelled: bool) -> bytes:
    # Fifteen million numbers: a table of all possible texts, because json.dumps takes a minute.
    values = np.arange(round(MIN_DB * _STEPS_PER_DB), round(MAX_DB * _STEPS_PER_DB) + 1)
    texts = np.array([f"{value / _STEPS_PER_DB:.2f}, ".rjust(8).encode() for value in values])
    return b"[" + b", ".join(_object_bytes(target, texts, labelled) for target in targets) + b"]"


def _object_bytes(target: _Target, texts: NDArray[np.bytes_], labelled: bool) -> bytes:
    indices = np.rint((target.bands.reshape(2, -1) - MIN_DB) * _STEPS_PER_DB).astype(int)
    band_1, band_2 = (texts[row].tobytes().rstrip(b", ") for row in indices)
    label = f', "is_iceberg": {target.is_iceberg}' if labelled else ""
    head = f'{{"id": {json.dumps(target.id)}, "band_1": ['.encode()
    tail = f'], "inc_angle": {target.angle}{label}}}'.encode()
    return b"".join((head, band_1, b'], "band_2": [', band_2, tail))

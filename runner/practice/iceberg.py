"""Practice data for iceberg: JSON in 7z, scenes that share an angle, angles that are missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runner.console import track
from runner.practice.noise import NoiseBank
from runner.practice.radar import HIGHEST, LOWEST, Scene, blur_machine_made, draw_scene, paint_target
from runner.practice.synthetic_data import Archive, Packing, Rows, SyntheticData, count_rows, csv_bytes

_TRAIN, _TEST = 700, 400
_NA_SHARE = 0.08
_MACHINE_MADE = 0.3
_STEPS = 100  # per decibel: two decimals are kept


@dataclass(frozen=True)
class _Target:
    """One object of the JSON."""

    id: str
    bands: NDArray[np.float32]
    angle: str  # as the JSON writes it
    is_iceberg: int


def generate_iceberg(seed: int, scale: float) -> SyntheticData:
    """The whole competition."""
    random = np.random.default_rng(seed)
    noise = NoiseBank(random, side=256)
    train = [_lose_angle(target, random) for target in _draw_targets(count_rows(_TRAIN, scale), random, noise)]
    test = list(_draw_targets(count_rows(_TEST, scale), random, noise))
    machine_made = max(round(len(test) * _MACHINE_MADE), 1)
    test[:machine_made] = [_machine_made(target, random) for target in test[:machine_made]]
    ignored = frozenset(target.id for target in test[:machine_made])
    test = [test[place] for place in random.permutation(len(test))]
    sample = csv_bytes(["id", "is_iceberg"], ((target.id, 0.5) for target in test))
    return SyntheticData(
        classes=("is_iceberg",),
        train=_rows(train),
        test=_rows(test),
        sample=sample,
        archives=(
            _packed("sample_submission.csv", sample),
            _packed("test.json", _json_bytes(test, labelled=False)),
            _packed("train.json", _json_bytes(train, labelled=True)),
        ),
        ignored=ignored,
    )


def _draw_targets(count: int, random: np.random.Generator, noise: NoiseBank) -> Iterator[_Target]:
    drawn = _draw_kinds(count, random)
    for scene, is_iceberg in track("painting the sea", drawn, count):
        bands = paint_target(is_iceberg, scene, random, noise)
        id = random.bytes(4).hex()
        yield _Target(id, np.round(bands, 2), f"{scene.angle:.4f}", int(is_iceberg))


def _draw_kinds(count: int, random: np.random.Generator) -> list[tuple[Scene, bool]]:
    """Targets come by scenes of one to nine, and a scene has more of the one kind or of the other."""
    drawn: list[tuple[Scene, bool]] = []
    while len(drawn) < count:
        scene, share = draw_scene(random), random.beta(4, 4)
        drawn += [(scene, bool(random.random() < share)) for _ in range(int(random.integers(1, 10)))]
    return drawn[:count]


def _lose_angle(target: _Target, random: np.random.Generator) -> _Target:
    lost = random.random() < _NA_SHARE
    return _Target(target.id, target.bands, '"na"' if lost else target.angle, target.is_iceberg)


def _machine_made(target: _Target, random: np.random.Generator) -> _Target:
    """Its angle gives it away, as it did: it has more decimals than any that was measured."""
    bands = np.round(blur_machine_made(target.bands), 2)
    return _Target(target.id, bands, f"{random.uniform(25, 46):.12f}", target.is_iceberg)


def _rows(targets: list[_Target]) -> Rows:
    return Rows(
        tuple(target.id for target in targets),
        tuple(str(target.is_iceberg) for target in targets),
        tuple(target.bands.transpose(1, 2, 0) for target in targets),
    )


def _packed(name: str, content: bytes) -> Archive:
    return Archive(f"{name}.7z", Packing.SEVEN, {f"data/processed/{name}": content})


def _json_bytes(targets: list[_Target], *, labelled: bool) -> bytes:
    # Fifteen million numbers: looked up in a table of all that can occur, where json.dumps takes a minute.
    values = np.arange(round(LOWEST * _STEPS), round(HIGHEST * _STEPS) + 1)
    texts = np.array([f"{value / _STEPS:.2f}, ".rjust(8).encode() for value in values])
    return b"[" + b", ".join(_object_bytes(target, texts, labelled) for target in targets) + b"]"


def _object_bytes(target: _Target, texts: NDArray[np.bytes_], labelled: bool) -> bytes:
    places = np.rint((target.bands.reshape(2, -1) - LOWEST) * _STEPS).astype(int)
    first, second = (texts[band].tobytes().rstrip(b", ") for band in places)
    label = f', "is_iceberg": {target.is_iceberg}' if labelled else ""
    head = f'{{"id": {json.dumps(target.id)}, "band_1": ['.encode()
    tail = f'], "inc_angle": {target.angle}{label}}}'.encode()
    return b"".join((head, first, b'], "band_2": [', second, tail))

"""Practice data for planet: archives of archives, two test sets, and tags that lie over each other."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from runner.console import track
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
from runner.practice.tiles import TAGS, draw_tags, paint_tile

_TRAIN, _TEST = 1200, 440
_ADDITIONAL = 1 / 3  # of the test tiles; the real second set holds as large a share
_CMYK_EVERY = 97  # a few of the real tiles are CMYK too
_HEADER = ["image_name", "tags"]
_SAMPLE = "primary clear agriculture road water"  # what the real one says of every tile


def generate_planet(seed: int, scale: float) -> SyntheticData:
    """The whole competition."""
    random = np.random.default_rng(seed)
    noise = NoiseBank(random)
    more = round(count_rows(_TEST, scale) * _ADDITIONAL)
    train_ids = [f"train_{number}" for number in range(count_rows(_TRAIN, scale))]
    first_ids = [f"test_{number}" for number in range(count_rows(_TEST, scale) - more)]
    more_ids = [f"file_{number}" for number in range(more)]
    train, train_files = _paint_rows(train_ids, 4, random, noise)
    test, test_files = _paint_rows([*first_ids, *more_ids], 2, random, noise)
    sample = csv_bytes(_HEADER, ((id, _SAMPLE) for id in test.ids))
    labels = csv_bytes(_HEADER, zip(train.ids, train.labels, strict=True))
    mapping = csv_bytes(["old", "new"], ((f"{id}.tif", f"{id}.tif") for id in more_ids))
    return SyntheticData(
        classes=TAGS,
        train=train,
        test=test,
        sample=sample,
        archives=(
            _zipped("sample_submission_v2.csv", sample),
            _images("test-jpg", first_ids, test_files),
            _images("test-jpg-additional", more_ids, test_files),
            _zipped("test_v2_file_mapping.csv", mapping),
            _images("train-jpg", train_ids, train_files),
            _zipped("train_v2.csv", labels),
        ),
    )


def _zipped(name: str, content: bytes) -> Archive:
    return Archive(f"{name}.zip", Packing.ZIP, {name: content})


def _images(folder: str, ids: Iterable[str], files: dict[str, bytes]) -> Archive:
    return Archive(f"{folder}.tar.7z", Packing.TAR_SEVEN, {f"{folder}/{id}.jpg": files[id] for id in ids})


def _paint_rows(
    ids: list[str], least: int, random: np.random.Generator, noise: NoiseBank
) -> tuple[Rows, dict[str, bytes]]:
    tags = _draw_all(len(ids), least, random)
    files = {}
    for number, id in enumerate(track("painting tiles", ids, len(ids))):
        mode = "CMYK" if number % _CMYK_EVERY == 5 else "RGB"
        files[id] = jpeg_bytes(paint_tile(tags[number], random, noise), quality=90, mode=mode)
    images = tuple(read_jpeg(content) for content in files.values())
    return Rows(tuple(ids), tuple(" ".join(sorted(one)) for one in tags), images), files


def _draw_all(count: int, least: int, random: np.random.Generator) -> list[frozenset[str]]:
    """Tags for every tile, as they fall; where a tag is on too few, tiles are drawn until it is not."""
    drawn = [draw_tags(random) for _ in range(count)]
    for tag in TAGS:
        lacking = least - sum(tag in tags for tags in drawn)
        for _ in range(max(lacking, 0)):
            drawn[_replaceable(drawn, least)] = _draw_with(tag, random)
    order = random.permutation(count)
    return [drawn[place] for place in order]


def _replaceable(drawn: list[frozenset[str]], least: int) -> int:
    """A tile that bears only tags of which there are more than enough."""
    count = {tag: sum(tag in tags for tags in drawn) for tag in TAGS}
    return next(place for place, tags in enumerate(drawn) if all(count[tag] > least for tag in tags))


def _draw_with(tag: str, random: np.random.Generator) -> frozenset[str]:
    while tag not in (tags := draw_tags(random)):
        pass
    return tags

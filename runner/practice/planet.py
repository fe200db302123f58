"""Practice data for planet: tar archives inside 7z, two test folders, several tags an image."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from runner.console import track
from runner.practice.draw_tiles import TAGS, draw_tile, sample_tags
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

_TRAIN_ROWS, _TEST_ROWS = 1200, 440
_ADDITIONAL_SHARE = 1 / 3  # of the test tiles; about that of the real second test set
_CMYK_EVERY = 97  # a few of the real tiles are CMYK too
_HEADER = ["image_name", "tags"]
_SAMPLE_TAGS = "primary clear agriculture road water"  # the real sample submission has them for every tile

JpegFiles = dict[str, bytes]  # by id


def generate_planet(seed: int, scale: float) -> SyntheticData:
    """Generate tiles with 17 tags, `scale` times 1,200 for training and 440 to predict."""
    random = np.random.default_rng(seed)
    noise = NoiseBank(random)
    additional = round(scaled_rows(_TEST_ROWS, scale) * _ADDITIONAL_SHARE)
    train_ids = [f"train_{number}" for number in range(scaled_rows(_TRAIN_ROWS, scale))]
    test_ids = [f"test_{number}" for number in range(scaled_rows(_TEST_ROWS, scale) - additional)]
    additional_ids = [f"file_{number}" for number in range(additional)]
    train, train_files = _generate_images(train_ids, 4, random, noise)
    test, test_files = _generate_images([*test_ids, *additional_ids], 2, random, noise)
    sample_submission = csv_bytes(_HEADER, ((id, _SAMPLE_TAGS) for id in test.ids))
    labels = csv_bytes(_HEADER, zip(train.ids, train.labels, strict=True))
    mapping = csv_bytes(["old", "new"], ((f"{id}.tif", f"{id}.tif") for id in additional_ids))
    return SyntheticData(
        classes=TAGS,
        train=train,
        test=test,
        sample_submission=sample_submission,
        archives=(
            _zip_of("sample_submission_v2.csv", sample_submission),
            _image_archive("test-jpg", test_ids, test_files),
            _image_archive("test-jpg-additional", additional_ids, test_files),
            _zip_of("test_v2_file_mapping.csv", mapping),
            _image_archive("train-jpg", train_ids, train_files),
            _zip_of("train_v2.csv", labels),
        ),
    )


def _zip_of(name: str, content: bytes) -> Archive:
    return Archive(f"{name}.zip", ArchiveType.ZIP, {name: content})


def _image_archive(folder: str, ids: Iterable[str], files: JpegFiles) -> Archive:
    return Archive(f"{folder}.tar.7z", ArchiveType.TAR_SEVEN_ZIP, {f"{folder}/{id}.jpg": files[id] for id in ids})


def _generate_images(
    ids: list[str], min_count: int, random: np.random.Generator, noise: NoiseBank
) -> tuple[LabelledImages, JpegFiles]:
    tags = _sample_tag_sets(len(ids), min_count, random)
    files = {}
    for number, id in enumerate(track("drawing tiles", ids, len(ids))):
        mode = "CMYK" if number % _CMYK_EVERY == 5 else "RGB"
        files[id] = jpeg_bytes(draw_tile(tags[number], random, noise), quality=90, mode=mode)
    images = tuple(decode_jpeg(content) for content in files.values())
    return LabelledImages(tuple(ids), tuple(" ".join(sorted(tile_tags)) for tile_tags in tags), images), files


def _sample_tag_sets(count: int, min_count: int, random: np.random.Generator) -> list[frozenset[str]]:
    """The tags of every tile, shuffled; each tag is on at least `min_count` tiles."""
    tag_sets = [sample_tags(random) for _ in range(count)]
    for tag in TAGS:
        missing = min_count - sum(tag in tags for tags in tag_sets)
        for _ in range(max(missing, 0)):
            tag_sets[_replaceable(tag_sets, min_count)] = _sample_tags_with(tag, random)
    order = random.permutation(count)
    return [tag_sets[index] for index in order]


def _replaceable(tag_sets: list[frozenset[str]], min_count: int) -> int:
    """The index of the first tile whose tags all occur more than `min_count` times."""
    count = {tag: sum(tag in tags for tags in tag_sets) for tag in TAGS}
    return next(index for index, tags in enumerate(tag_sets) if all(count[tag] > min_count for tag in tags))


def _sample_tags_with(tag: str, random: np.random.Generator) -> frozenset[str]:
    while tag not in (tags := sample_tags(random)):
        pass
    return tags

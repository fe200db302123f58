"""Files that change after they arrived are told, whatever changed in them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.data.checksums import (
    CHECKSUMS,
    changed_files,
    expected_digests,
    read_checksums,
    require_same,
    write_checksums,
)
from runner.errors import DataError
from runner.images.cached import TargetSize, open_cached_images
from runner.images.readers import open_images
from tests.competitions import SHAPES

NAMES = ["train/a.png", "train/b c.png", "back\\slash.csv", "néw\nline.csv"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images and two tables with difficult names, with their checksums."""
    data = tmp_path / "shapes"
    (data / "train").mkdir(parents=True)
    for seed, name in enumerate(NAMES[:2]):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(data / name)
    for name in NAMES[2:]:
        (data / name).write_text("id\n")
    write_checksums(data, NAMES)
    return data


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_every_file_has_its_checksum_under_its_name(folder: Path) -> None:
    assert sorted(read_checksums(folder)) == sorted(NAMES)
    assert changed_files(folder, NAMES) == []


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_the_list_is_one_that_sha256sum_checks(folder: Path) -> None:
    write_checksums(folder, NAMES[:2])
    subprocess.run(["sha256sum", "--check", "--quiet", CHECKSUMS], cwd=folder, check=True)


@pytest.mark.parametrize("reduced", [False, True])
def test_a_flipped_bit_of_an_image_is_told_with_its_name_and_what_to_run(folder: Path, reduced: bool) -> None:
    reader = open_cached_images(folder, NAMES[:2], SHAPES.preset, 16) if reduced else open_images(folder, NAMES[:2])
    assert reader[0].shape[2] == 3
    flip(folder / NAMES[1], 30)  # of the header's checksum, which a decoder may ignore
    with pytest.raises(DataError) as caught:
        reader[1]
    assert caught.value.where == str(folder / NAMES[1])
    assert "runner shapes download --accept-changes" in (caught.value.fix or "")
    with pytest.raises(DataError):
        reader.digest(1)


def test_a_flipped_bit_of_an_array_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "train.npy", np.zeros((3, 2, 4, 4), dtype=np.float32))
    write_checksums(tmp_path, ["train.npy"])
    assert open_images(tmp_path, ["train.npy#1"])[0].shape == (4, 4, 2)
    flip(tmp_path / "train.npy", -5)
    with pytest.raises(DataError, match="has changed since it was downloaded"):
        open_images(tmp_path, ["train.npy#1"])[0]


def test_data_without_a_list_and_files_that_are_not_in_it_are_read(folder: Path) -> None:
    write_checksums(folder, NAMES[:1])
    flip(folder / NAMES[1], -1)
    assert expected_digests(folder, [NAMES[1]]) is not None
    assert open_images(folder, NAMES[:2])[0].shape == (40, 30, 3)
    (folder / CHECKSUMS).unlink()
    assert expected_digests(folder, NAMES) is None


def test_a_damaged_list_is_told(folder: Path) -> None:
    (folder / CHECKSUMS).write_text("not a checksum\n")
    with pytest.raises(DataError, match="list of checksums is damaged"):
        read_checksums(folder)


def test_files_of_unknown_checksum_are_not_compared(folder: Path) -> None:
    require_same(folder / "x", b"1" * 32, bytes(32), folder)


def test_the_target_size_of_the_test_reads_a_reduced_image() -> None:
    assert TargetSize.of(SHAPES.preset, 16) is not None

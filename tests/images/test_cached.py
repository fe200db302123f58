"""Reduced images are equal with and without the cache, whatever happens to it, and it stays within its budget."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from runner.contract import RADAR, SIDE_ON, TOP_DOWN
from runner.data.image_names import array_path
from runner.errors import DataError
from runner.images import readers
from runner.images.cache import CacheOptions
from runner.images.cache_budget import disk_usage
from runner.images.cached import TargetSize, open_cached_images, reduce_image
from runner.images.decode import read_image
from runner.images.readers import ImageReader

SIZE, PLENTY = 32, 10**8
NAMES = tuple(f"{number}.jpg" for number in range(12))


def write_image(path: Path, seed: int, width: int = 200, height: int = 150) -> None:
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path, quality=90)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for number, name in enumerate(NAMES):
        write_image(folder / name, number)
    return folder


def options(cache: Path, max_bytes: int = PLENTY) -> CacheOptions:
    """A cache that uses the disk however full the machine's own is."""
    return CacheOptions(cache, max_bytes, reserve_bytes=0)


def open_reader(folder: Path, cache: Path, max_bytes: int = PLENTY, names: Sequence[str] = NAMES) -> ImageReader:
    return open_cached_images(folder, names, SIDE_ON, SIZE, options(cache, max_bytes))


def read_all(reader: ImageReader) -> list[Any]:
    return [np.array(reader[row]) for row in range(len(reader))]


def target_size(size: int) -> TargetSize:
    target = TargetSize.of(SIDE_ON, size)
    assert target is not None
    return target


def read_reduced(path: Path, target: TargetSize) -> Any:
    return reduce_image(read_image(path, min_side=target.min_decode), target)


def expected(folder: Path, names: Sequence[str] = NAMES) -> list[Any]:
    return [read_reduced(folder / name, target_size(SIZE)) for name in names]


def equal(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return len(left) == len(right) and all(np.array_equal(*pair) for pair in zip(left, right, strict=True))


def spy_on_decoding(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are decoded from now on."""
    paths: list[Path] = []

    def spy(path: Path, **options: Any) -> Any:
        paths.append(path)
        return read_image(path, **options)

    monkeypatch.setattr(readers, "read_image", spy)
    return paths


# Size


@given(st.integers(16, 512))
def test_the_most_zoomed_view_has_a_source_pixel_for_each_of_its_own(size: int) -> None:
    for preset in (SIDE_ON, TOP_DOWN):
        target = TargetSize.of(preset, size)
        assert target is not None
        assert size <= target.min_decode / preset.max_zoom + 1e-9 <= target.resize_to


@pytest.mark.parametrize(
    ("size", "shape"), [(224, (375, 500, 3)), (160, (188, 250, 3)), (112, (188, 250, 3)), (64, (94, 125, 3))]
)
def test_a_photograph_is_decoded_at_the_smallest_sufficient_scale(
    tmp_path: Path, size: int, shape: tuple[int, ...]
) -> None:
    write_image(tmp_path / "a.jpg", 1, 500, 375)
    assert read_reduced(tmp_path / "a.jpg", target_size(size)).shape == shape


def test_a_small_image_is_never_enlarged(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", 1, 30, 20)
    assert read_reduced(tmp_path / "a.png", target_size(160)).shape == (20, 30, 3)


@pytest.mark.parametrize(("width", "height"), [(500, 375), (375, 500), (999, 200), (64, 64), (3, 400)])
def test_the_short_side_is_resized_to_one_and_a_half_input_sizes(tmp_path: Path, width: int, height: int) -> None:
    write_image(tmp_path / "a.png", 1, width, height)
    image = read_reduced(tmp_path / "a.png", target_size(SIZE))
    short = min(width, height)
    assert min(image.shape[:2]) == (48 if short > 60 else short)
    assert image.shape[0] / image.shape[1] == pytest.approx(height / width, rel=0.05)


def test_a_reduced_image_has_the_colours_of_the_original(folder: Path) -> None:
    original = read_image(folder / NAMES[0]).astype(float)
    reduced = read_reduced(folder / NAMES[0], target_size(SIZE)).astype(float)
    assert np.abs(original.mean((0, 1)) - reduced.mean((0, 1))).max() < 2


def test_radar_is_never_resized(tmp_path: Path) -> None:
    np.save(tmp_path / "bands.npy", np.random.default_rng(1).normal(size=(2, 2, 75, 75)).astype(np.float32))
    reader = open_cached_images(tmp_path, [array_path("bands.npy", 1)], RADAR, 32, options(tmp_path / "cache"))
    assert reader[0].shape == (75, 75, 2)


def test_files_of_a_geometric_preset_are_neither_reduced_nor_cached(folder: Path, tmp_path: Path) -> None:
    geometric = replace(SIDE_ON, max_rotate=0, max_zoom=1)
    reader = open_cached_images(folder, NAMES, geometric, SIZE, options(tmp_path))
    assert np.array_equal(reader[3], read_image(folder / NAMES[3]))
    assert list(tmp_path.iterdir()) == []


# Equality


def test_images_are_equal_with_and_without_the_cache(folder: Path, tmp_path: Path) -> None:
    cached, uncached = open_reader(folder, tmp_path), open_reader(folder, tmp_path, max_bytes=0)
    assert equal(read_all(uncached), expected(folder))
    for _ in range(3):
        assert equal(read_all(cached), expected(folder))
    assert equal(read_all(open_reader(folder, tmp_path)), expected(folder))


def test_each_file_is_decoded_once_for_all_epochs_and_runs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = spy_on_decoding(monkeypatch)
    for _ in range(2):
        reader = open_reader(folder, tmp_path)
        read_all(reader)
        read_all(reader)
    assert sorted(path.name for path in paths) == sorted(NAMES)


def test_each_size_and_each_list_of_images_has_its_own_cache(folder: Path, tmp_path: Path) -> None:
    read_all(open_reader(folder, tmp_path))
    assert equal(read_all(open_reader(folder, tmp_path, names=NAMES[::-1])), expected(folder, NAMES[::-1]))
    larger = open_cached_images(folder, NAMES, SIDE_ON, 64, options(tmp_path))
    assert min(larger[0].shape[:2]) == 75  # half of 150, a scale of the decoder
    assert equal(read_all(open_reader(folder, tmp_path)), expected(folder))


def test_a_changed_file_is_decoded_again_even_with_equal_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "0.jpg"
    path.write_bytes(b"")
    Image.new("RGB", (80, 80), (200, 0, 0)).save(path)
    reader = open_reader(tmp_path, tmp_path / "cache", names=["0.jpg"])
    status, before = path.stat(), np.array(reader[0])
    blue = tmp_path / "blue.jpg"
    Image.new("RGB", (80, 80), (0, 0, 200)).save(blue)
    path.write_bytes(blue.read_bytes())
    assert path.stat().st_size == status.st_size, "two plain colours take the same bytes"
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = np.array(reader[0])
    assert not np.array_equal(before, after)
    assert np.array_equal(after, read_reduced(path, target_size(SIZE)))


@pytest.mark.parametrize("file", ["pixels.bin", "headers.bin"])
def test_a_corrupt_cache_file_is_detected_and_rewritten(folder: Path, tmp_path: Path, file: str) -> None:
    reader = open_reader(folder, tmp_path)
    read_all(reader)
    (path,) = tmp_path.rglob(file)
    content = bytearray(path.read_bytes())
    for position in np.random.default_rng(3).integers(0, len(content), 400):
        content[position] ^= 0xFF
    with path.open("r+b") as stream:
        stream.write(content)
    assert equal(read_all(reader), expected(folder))
    assert equal(read_all(open_reader(folder, tmp_path)), expected(folder))


def test_a_slot_whose_pixels_were_lost_is_decoded_again(folder: Path, tmp_path: Path) -> None:
    read_all(open_reader(folder, tmp_path))
    (pixels,) = tmp_path.rglob("pixels.bin")
    length = pixels.stat().st_size
    os.truncate(pixels, 0)  # power failed after the headers reached the disk, and before the pixels did
    os.truncate(pixels, length)
    assert equal(read_all(open_reader(folder, tmp_path)), expected(folder))


def _read_repeatedly(reader: ImageReader, seed: int, results: Any) -> None:
    order = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(reader)), 5))
    results.put({int(row): reader[int(row)].tobytes() for row in order})


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_several_processes_may_fill_the_cache_at_once(folder: Path, tmp_path: Path, method: str) -> None:
    context = multiprocessing.get_context(method)
    results = context.Queue()
    shared = open_reader(folder, tmp_path)
    workers = [
        context.Process(target=_read_repeatedly, args=(reader, seed, results))
        for seed, reader in enumerate([shared, shared, open_reader(folder, tmp_path)])
    ]
    for worker in workers:
        worker.start()
    images = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert images == [{row: image.tobytes() for row, image in enumerate(expected(folder))}] * 3


def test_a_pickled_reader_returns_the_same_images(folder: Path, tmp_path: Path) -> None:
    reader = open_reader(folder, tmp_path)
    read_all(reader)
    assert equal(read_all(pickle.loads(pickle.dumps(reader))), expected(folder))


# Disk space


@pytest.mark.parametrize("images", [0, 1, 5])
def test_the_cache_stays_within_its_bytes(folder: Path, tmp_path: Path, images: int) -> None:
    """Each image takes less than five pages; headers and lock take a page each."""
    max_bytes = 20_480 * images + 8_192
    reader = open_reader(folder, tmp_path, max_bytes=max_bytes)
    assert equal(read_all(reader), expected(folder))
    assert disk_usage(tmp_path) <= max_bytes
    assert equal(read_all(reader), expected(folder))


def test_the_folder_unused_longest_is_evicted_first(folder: Path, tmp_path: Path) -> None:
    for age, names in ((300, NAMES[:4]), (100, NAMES[4:8])):
        read_all(open_reader(folder, tmp_path, names=names))
        newest = max(tmp_path.iterdir(), key=lambda path: path.stat().st_ctime_ns)
        os.utime(newest / "lock", (time.time() - age,) * 2)
    old, young = sorted(tmp_path.iterdir(), key=lambda path: (path / "lock").stat().st_mtime)
    open_reader(folder, tmp_path, names=NAMES[8:], max_bytes=disk_usage(tmp_path) + 20_000)
    assert not old.exists()
    assert young.exists()


def test_a_folder_that_another_training_uses_is_not_evicted(folder: Path, tmp_path: Path) -> None:
    reader = open_reader(folder, tmp_path, names=NAMES[:4])
    read_all(reader)
    (used,) = tmp_path.iterdir()
    open_reader(folder, tmp_path, names=NAMES[4:], max_bytes=disk_usage(tmp_path) // 2)
    assert used.exists()
    assert equal(read_all(reader), expected(folder, NAMES[:4]))


def test_a_panorama_too_large_for_its_slot_is_decoded_each_time(tmp_path: Path) -> None:
    write_image(tmp_path / "0.png", 1, 900, 90)
    reader = open_reader(tmp_path, tmp_path / "cache", names=["0.png"])
    for _ in range(2):
        assert np.array_equal(reader[0], read_reduced(tmp_path / "0.png", target_size(SIZE)))


def test_reading_goes_on_if_the_disk_is_full(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    reader = open_reader(folder, tmp_path)
    monkeypatch.setattr(os, "pwrite", full)
    assert equal(read_all(reader), expected(folder))


def test_nothing_is_written_to_a_nearly_full_disk(folder: Path, tmp_path: Path) -> None:
    reader = open_cached_images(folder, NAMES, SIDE_ON, SIZE, CacheOptions(tmp_path, PLENTY, reserve_bytes=10**18))
    assert equal(read_all(reader), expected(folder))
    assert disk_usage(tmp_path) == 0


def test_reading_goes_on_if_the_cache_folder_cannot_be_made(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("in the way")
    assert equal(read_all(open_reader(folder, tmp_path / "a file" / "images")), expected(folder))


def test_a_removed_image_is_an_error_although_it_is_cached(tmp_path: Path) -> None:
    write_image(tmp_path / "0.jpg", 1)
    reader = open_reader(tmp_path, tmp_path / "cache", names=["0.jpg"])
    read_all(reader)
    (tmp_path / "0.jpg").unlink()
    with pytest.raises(DataError) as caught:
        reader[0]
    assert (caught.value.message, caught.value.where) == ("the image is missing", str(tmp_path / "0.jpg"))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists the maps of a process")
def test_headers_are_not_mapped_because_a_full_tmpfs_kills_who_reads_a_hole_through_a_map(
    folder: Path, tmp_path: Path
) -> None:
    reader = open_reader(folder, tmp_path)
    maps = Path("/proc/self/maps").read_text()
    assert f"{tmp_path}/" in maps  # the pixels
    assert "headers.bin" not in maps
    assert equal(read_all(reader), expected(folder))

"""Small images are what their files make of them, whoever remembers them, and never more than their room."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from runner.contract import RADAR, SIDE_ON, TOP_DOWN
from runner.data.image_arrays import array_path
from runner.errors import DataError
from runner.images import cache_budget as room_module
from runner.images.cache import CacheOptions
from runner.images.cache_budget import used_by
from runner.images.cached import TargetSize, open_cached_images, read_small
from runner.images.decode import ImageReader, read_image

SIZE, PLENTY = 32, 10**8
NAMES = tuple(f"{number}.jpg" for number in range(12))


def paint(path: Path, seed: int, width: int = 200, height: int = 150) -> None:
    random = np.random.default_rng(seed)
    rough = random.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC).save(path, quality=90)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for number, name in enumerate(NAMES):
        paint(folder / name, number)
    return folder


@pytest.fixture(autouse=True)
def a_disk_with_room(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """However full the machine's own disk is."""
    monkeypatch.setattr(room_module, "_SPARE", 0)
    return


def opened(folder: Path, cache: Path, limit: int = PLENTY, names: Sequence[str] = NAMES) -> ImageReader:
    return open_cached_images(folder, names, SIDE_ON, SIZE, CacheOptions(cache, limit))


def all_of(reader: ImageReader) -> list[Any]:
    return [np.array(reader[number]) for number in range(len(reader))]


def small(size: int) -> TargetSize:
    found = TargetSize.of(SIDE_ON, size)
    assert found is not None
    return found


def expected(folder: Path, names: Sequence[str] = NAMES) -> list[Any]:
    return [read_small(folder / name, small(SIZE)) for name in names]


def same(one: Sequence[Any], other: Sequence[Any]) -> bool:
    return len(one) == len(other) and all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are decoded from now on."""
    from runner.images import cached as module

    seen: list[Path] = []

    def spied(path: Path, *, min_side: int | None = None) -> Any:
        seen.append(path)
        return read_image(path, min_side=min_side)

    monkeypatch.setattr(module, "read_image", spied)
    return seen


@given(st.integers(16, 512))
def test_the_nearest_look_finds_a_pixel_for_each_of_its_own(size: int) -> None:
    for preset in (SIDE_ON, TOP_DOWN):
        found = TargetSize.of(preset, size)
        assert found is not None
        assert size <= found.decoded / preset.max_zoom + 1e-9 <= found.resized


@pytest.mark.parametrize(
    ("size", "shape"), [(224, (375, 500, 3)), (160, (188, 250, 3)), (112, (188, 250, 3)), (64, (94, 125, 3))]
)
def test_a_photograph_is_decoded_at_the_smallest_scale_that_is_enough(
    tmp_path: Path, size: int, shape: tuple[int, ...]
) -> None:
    paint(tmp_path / "a.jpg", 1, 500, 375)
    assert read_small(tmp_path / "a.jpg", small(size)).shape == shape


def test_a_small_image_is_never_enlarged(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", 1, 30, 20)
    assert read_small(tmp_path / "a.png", small(160)).shape == (20, 30, 3)


@pytest.mark.parametrize(("width", "height"), [(500, 375), (375, 500), (999, 200), (64, 64), (3, 400)])
def test_the_short_side_is_half_as_long_again_as_is_seen_or_a_little_more(
    tmp_path: Path, width: int, height: int
) -> None:
    paint(tmp_path / "a.png", 1, width, height)
    found = read_small(tmp_path / "a.png", small(SIZE))
    short = min(width, height)
    assert min(found.shape[:2]) == (48 if short > 60 else short)
    assert found.shape[0] / found.shape[1] == pytest.approx(height / width, rel=0.05)


def test_small_images_look_like_large_ones(folder: Path) -> None:
    whole = read_image(folder / NAMES[0]).astype(float)
    shrunk = read_small(folder / NAMES[0], small(SIZE)).astype(float)
    assert np.abs(whole.mean((0, 1)) - shrunk.mean((0, 1))).max() < 2


def test_radar_is_never_resized(tmp_path: Path) -> None:
    np.save(tmp_path / "bands.npy", np.random.default_rng(1).normal(size=(2, 2, 75, 75)).astype(np.float32))
    reader = open_cached_images(
        tmp_path, [array_path("bands.npy", 1)], RADAR, 32, CacheOptions(tmp_path / "cache", PLENTY)
    )
    assert reader[0].shape == (75, 75, 2)


def test_files_that_must_keep_their_pixels_are_read_whole(folder: Path, tmp_path: Path) -> None:
    still = replace(SIDE_ON, max_rotate=0, max_zoom=1)
    reader = open_cached_images(folder, NAMES, still, SIZE, CacheOptions(tmp_path, PLENTY))
    assert np.array_equal(reader[3], read_image(folder / NAMES[3]))
    assert list(tmp_path.iterdir()) == []


def test_the_first_and_every_later_look_are_the_same_with_the_cache_and_without(folder: Path, tmp_path: Path) -> None:
    cached, plain = opened(folder, tmp_path), opened(folder, tmp_path, limit=0)
    assert same(all_of(plain), expected(folder))
    for _ in range(3):
        assert same(all_of(cached), expected(folder))
    assert same(all_of(opened(folder, tmp_path)), expected(folder))


def test_each_file_is_decoded_once_for_all_epochs_and_runs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = decoded(monkeypatch)
    for _ in range(2):
        reader = opened(folder, tmp_path)
        all_of(reader)
        all_of(reader)
    assert sorted(path.name for path in seen) == sorted(NAMES)


def test_other_sizes_and_other_images_have_their_own(folder: Path, tmp_path: Path) -> None:
    all_of(opened(folder, tmp_path))
    assert same(all_of(opened(folder, tmp_path, names=NAMES[::-1])), expected(folder, NAMES[::-1]))
    larger = open_cached_images(folder, NAMES, SIDE_ON, 64, CacheOptions(tmp_path, PLENTY))
    assert min(larger[0].shape[:2]) == 75  # half of 150, which the decoder gives
    assert same(all_of(opened(folder, tmp_path)), expected(folder))


def test_a_file_that_has_changed_is_read_anew_even_if_its_size_and_time_are_as_before(tmp_path: Path) -> None:
    path = tmp_path / "0.jpg"
    path.write_bytes(b"")
    Image.new("RGB", (80, 80), (200, 0, 0)).save(path)
    reader = opened(tmp_path, tmp_path / "cache", names=["0.jpg"])
    told, before = path.stat(), np.array(reader[0])
    other = tmp_path / "other.jpg"
    Image.new("RGB", (80, 80), (0, 0, 200)).save(other)
    path.write_bytes(other.read_bytes())
    assert path.stat().st_size == told.st_size, "two plain colours take the same bytes"
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))
    after = np.array(reader[0])
    assert not np.array_equal(before, after)
    assert np.array_equal(after, read_small(path, small(SIZE)))


@pytest.mark.parametrize("file", ["pixels", "marks"])
def test_damage_on_the_disk_is_noticed_and_mended(folder: Path, tmp_path: Path, file: str) -> None:
    reader = opened(folder, tmp_path)
    all_of(reader)
    (path,) = tmp_path.rglob(file)
    content = bytearray(path.read_bytes())
    random = np.random.default_rng(3)
    for place in random.integers(0, len(content), 400):
        content[place] ^= 0xFF
    with path.open("r+b") as held:
        held.write(content)
    assert same(all_of(reader), expected(folder))
    assert same(all_of(opened(folder, tmp_path)), expected(folder))


def test_a_slot_whose_pixels_were_lost_with_the_power_is_read_anew(folder: Path, tmp_path: Path) -> None:
    all_of(opened(folder, tmp_path))
    (pixels,) = tmp_path.rglob("pixels")
    length = pixels.stat().st_size
    os.truncate(pixels, 0)  # the marks reached the disk, the pixels did not
    os.truncate(pixels, length)
    assert same(all_of(opened(folder, tmp_path)), expected(folder))


def _look_again_and_again(reader: ImageReader, seed: int, answers: Any) -> None:
    order = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(reader)), 5))
    answers.put({int(number): reader[int(number)].tobytes() for number in order})


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_several_processes_may_fill_it_at_once(folder: Path, tmp_path: Path, how: str) -> None:
    context = multiprocessing.get_context(how)
    answers = context.Queue()
    shared = opened(folder, tmp_path)
    workers = [
        context.Process(target=_look_again_and_again, args=(reader, seed, answers))
        for seed, reader in enumerate([shared, shared, opened(folder, tmp_path)])
    ]
    for worker in workers:
        worker.start()
    told = [answers.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    right = {number: image.tobytes() for number, image in enumerate(expected(folder))}
    assert told == [right] * 3


def test_a_pickled_reader_reads_the_same(folder: Path, tmp_path: Path) -> None:
    reader = opened(folder, tmp_path)
    all_of(reader)
    assert same(all_of(pickle.loads(pickle.dumps(reader))), expected(folder))


@pytest.mark.parametrize("images", [0, 1, 5])
def test_the_disk_it_takes_is_held_to_the_bound(folder: Path, tmp_path: Path, images: int) -> None:
    """Each of these takes less than five pages, two files of marks and signs a page each."""
    limit = 20_480 * images + 8_192
    reader = opened(folder, tmp_path, limit=limit)
    assert same(all_of(reader), expected(folder))
    assert used_by(tmp_path) <= limit
    assert same(all_of(reader), expected(folder))


def test_what_was_unused_longest_goes_first(folder: Path, tmp_path: Path) -> None:
    for age, part in ((300, NAMES[:4]), (100, NAMES[4:8])):
        all_of(opened(folder, tmp_path, names=part))
        newest = max(tmp_path.iterdir(), key=lambda path: path.stat().st_ctime_ns)
        os.utime(newest / "in-use", (time.time() - age,) * 2)
    old, young = sorted(tmp_path.iterdir(), key=lambda path: (path / "in-use").stat().st_mtime)
    opened(folder, tmp_path, names=NAMES[8:], limit=used_by(tmp_path) + 20_000)
    assert not old.exists()
    assert young.exists()


def test_what_another_training_reads_from_is_not_taken_away(folder: Path, tmp_path: Path) -> None:
    reader = opened(folder, tmp_path, names=NAMES[:4])
    all_of(reader)
    (held,) = tmp_path.iterdir()
    opened(folder, tmp_path, names=NAMES[4:], limit=used_by(tmp_path) // 2)
    assert held.exists()
    assert same(all_of(reader), expected(folder, NAMES[:4]))


def test_a_panorama_that_has_no_place_is_read_each_time(tmp_path: Path) -> None:
    paint(tmp_path / "0.png", 1, 900, 90)
    reader = opened(tmp_path, tmp_path / "cache", names=["0.png"])
    for _ in range(2):
        assert np.array_equal(reader[0], read_small(tmp_path / "0.png", small(SIZE)))


def test_a_full_disk_is_no_reason_to_stop(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    reader = opened(folder, tmp_path)
    monkeypatch.setattr(os, "pwrite", full)
    assert same(all_of(reader), expected(folder))


def test_a_disk_that_is_nearly_full_is_left_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_module, "_SPARE", 10**18)
    assert same(all_of(opened(folder, tmp_path)), expected(folder))
    assert used_by(tmp_path) == 0


def test_a_folder_that_cannot_be_written_to_is_no_reason_to_stop(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("in the way")
    assert same(all_of(opened(folder, tmp_path / "a file" / "images")), expected(folder))


def test_a_image_that_is_gone_is_named_though_the_cache_knows_it(folder: Path, tmp_path: Path) -> None:
    paint(tmp_path / "0.jpg", 1)
    reader = opened(tmp_path, tmp_path / "cache", names=["0.jpg"])
    all_of(reader)
    (tmp_path / "0.jpg").unlink()
    with pytest.raises(DataError, match="missing"):
        reader[0]

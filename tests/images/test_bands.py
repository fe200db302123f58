"""Images that are not photographs: any number of bands, 16 bits, decimals, arrays in files, DICOM."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runner.contract import RADAR, SIDE_ON, TOP_DOWN, Pixels
from runner.data.packages import require_packages
from runner.errors import DataError
from runner.images.augment import build_augmentation
from runner.images.cache import CacheOptions
from runner.images.cached import open_cached_images
from runner.images.layout import RGB, Layout, layout_of
from runner.images.readers import open_images
from runner.images.views import MultiView, all_views
from tests.sources import COLOURS, competition, write_dicom


def noise(height: int, width: int, bands: int, dtype: Any = np.uint8) -> Any:
    return np.random.default_rng(bands).integers(0, 250, (height, width, bands)).astype(dtype)


# Layouts


def test_three_bands_of_8_bits_are_colours_and_one_is_grey() -> None:
    assert layout_of(noise(2, 2, 3)) == layout_of(noise(2, 2, 1)) == RGB
    assert layout_of(noise(2, 2, 2)) == Layout(2, "uint8")
    assert not layout_of(noise(2, 2, 3, np.float32)).is_rgb
    assert layout_of(noise(2, 2, 1, np.uint16)).dtype == np.float32


def test_8_and_16_bits_are_scaled_to_one_another_and_white_stays_white() -> None:
    eight, sixteen = np.array([[[0], [1], [255]]], np.uint8), np.array([[[0], [257], [65_535]]], np.uint16)
    assert Layout(1, "uint16").fit(eight).ravel().tolist() == [0, 257, 65_535]
    assert RGB.fit(sixteen)[..., 1].ravel().tolist() == [0, 1, 255]


@pytest.mark.parametrize("image", [noise(8, 8, 2), noise(8, 8, 5, np.float32), np.full((8, 8, 5), np.nan, np.float32)])
def test_an_image_that_differs_from_the_first_is_an_error(tmp_path: Path, image: Any) -> None:
    np.save(tmp_path / "a.npy", noise(8, 8, 5))
    np.save(tmp_path / "b.npy", image)
    reader = open_images(tmp_path, ["a.npy", "b.npy"])
    with pytest.raises(DataError, match=r"the image differs from the others: it has .*, and the first image 5 bands"):
        reader[1]


# Files of arrays


@pytest.mark.parametrize(("shape", "bands"), [((6, 9, 8), 6), ((9, 8, 6), 6), ((9, 8), 1), ((5, 5, 5), 5)])
def test_bands_are_first_or_last(tmp_path: Path, shape: tuple[int, ...], bands: int) -> None:
    np.save(tmp_path / "a.npy", np.arange(np.prod(shape), dtype=np.float16).reshape(shape))
    image = open_images(tmp_path, ["a.npy"])[0]
    assert image.shape == (*(side for side in shape if side != bands or bands == 5), bands)[-3:]


def cut(content: bytes) -> bytes:
    return content[:-20]


def saved(save: Any, *arrays: Any) -> bytes:
    stream = io.BytesIO()
    save(stream, *arrays)
    return stream.getvalue()


DAMAGED = {
    "cut.npy": (cut(saved(np.save, noise(9, 9, 4))), "cut off|cannot be read"),
    "cut.npz": (cut(saved(np.savez, noise(9, 9, 4))), "cannot be read"),
    "two.npz": (saved(np.savez, noise(9, 9, 4), noise(9, 9, 4)), "2 arrays"),
    "flat.npy": (saved(np.save, np.zeros(9)), "two axes or three"),
    "text.npy": (saved(np.save, np.full((9, 9), "a")), "not numbers"),
    "none.npy": (b"", "cannot be read"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_that_is_no_image_is_an_error(tmp_path: Path, name: str) -> None:
    content, words = DAMAGED[name]
    (tmp_path / name).write_bytes(content)
    reader: Any = open_images(tmp_path, [name])
    for read in (reader.__getitem__, reader.check):
        with pytest.raises(DataError, match=words) as caught:
            read(0)
        assert caught.value.where == str(tmp_path / name)


def test_files_of_one_image_that_differ_are_an_error(tmp_path: Path) -> None:
    for colour, side in zip(COLOURS, (8, 8, 8, 8, 9), strict=True):
        Image.fromarray(noise(side, 8, 3)[..., 0]).save(tmp_path / f"a_{colour}.png")
    name = " + ".join(f"a_{colour}.png" for colour in COLOURS)
    with pytest.raises(DataError, match=r"this one has 8 x 9 uint8 pixels, a_red\.png 8 x 8"):
        open_images(tmp_path, [name])[0]


def test_a_file_may_have_a_plus_in_its_name(tmp_path: Path) -> None:
    Image.fromarray(noise(8, 8, 3)).save(tmp_path / "cat + dog.png")
    assert open_images(tmp_path, ["cat + dog.png"])[0].shape == (8, 8, 3)


# What is done to bands


@pytest.mark.parametrize("bands", [1, 2, 5, 13])
@pytest.mark.parametrize("preset", [SIDE_ON, TOP_DOWN, RADAR])
def test_transforms_take_any_number_of_bands(bands: int, preset: Any) -> None:
    image = noise(40, 50, bands, np.float32)
    assert build_augmentation(preset, 32, is_rgb=False)(image, 3).shape == (32, 32, bands)
    views = MultiView(preset, all_views(preset), 32)(image)
    assert views.shape[1:] == (32, 32, bands)
    # Each band is treated as the others.
    alone = MultiView(preset, all_views(preset), 32)(np.ascontiguousarray(image[..., -1:]))
    assert np.allclose(views[..., -1:], alone, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_bands_are_cached_as_they_are_read(tmp_path: Path, dtype: Any) -> None:
    names = [f"{number}.npy" for number in range(3)]
    for number, name in enumerate(names):
        np.save(tmp_path / name, noise(70, 60 + number, 6, dtype))
    options = CacheOptions(tmp_path / "cache", 10**8, reserve_bytes=0)
    plain = open_cached_images(tmp_path, names, SIDE_ON, 16)
    for _ in range(2):
        cached = open_cached_images(tmp_path, names, SIDE_ON, 16, options)
        assert all(np.array_equal(cached[row], plain[row]) for row in range(3))
    assert min(plain[0].shape[:2]) == 24 and plain[0].dtype == plain.layout.dtype


# DICOM


def shown(tmp_path: Path, pixels: list[int], window: tuple[float, float] | None, **fields: Any) -> list[int]:
    pytest.importorskip("pydicom")
    write_dicom(tmp_path / "a.dcm", np.array([pixels, pixels], np.uint16), window=window, **fields)
    image = open_images(tmp_path, ["a.dcm"])[0]
    assert image.dtype == np.uint8 and image.shape == (2, len(pixels), 3)
    return [int(value) for value in image[0, :, 0]]


PLAIN = {"PhotometricInterpretation": "MONOCHROME2", "RescaleSlope": 1, "RescaleIntercept": 0}


def test_a_dicom_image_is_shown_in_its_window(tmp_path: Path) -> None:
    # The standard's linear window of 100 about 200 is from 150 to 249.
    assert shown(tmp_path, [0, 150, 249, 900], (200, 100), **PLAIN) == [0, 0, 255, 255]
    assert shown(tmp_path, [0, 150, 250, 900], (200, 100), **PLAIN, VOILUTFunction="LINEAR_EXACT") == [0, 0, 255, 255]
    assert shown(tmp_path, [0, 200, 900], (200, 100), **PLAIN, VOILUTFunction="SIGMOID") == [0, 128, 255]
    assert shown(tmp_path, [0, 150, 249, 900], (200, 100), **{**PLAIN, "WindowCenter": [200, 40]}) == [0, 0, 255, 255]


def test_a_dicom_image_is_rescaled_before_its_window(tmp_path: Path) -> None:
    rescaled = {**PLAIN, "RescaleSlope": 2, "RescaleIntercept": -1000}
    # 0, 40, 80 and 200 in a window from -0.5 to 79.5.
    assert shown(tmp_path, [500, 520, 540, 600], (40, 81), **rescaled) == [2, 129, 255, 255]


def test_a_dicom_image_without_a_window_is_shown_from_its_least_to_its_greatest_value(tmp_path: Path) -> None:
    assert shown(tmp_path, [100, 200, 300], None, **PLAIN) == [0, 128, 255]
    assert shown(tmp_path, [0, 100, 200, 300], None, **PLAIN, PixelPaddingValue=0) == [0, 0, 128, 255]
    assert shown(tmp_path, [7, 7], None, **PLAIN) == [255, 255]


def test_a_dicom_image_is_never_a_negative(tmp_path: Path) -> None:
    negative = {**PLAIN, "PhotometricInterpretation": "MONOCHROME1"}
    assert shown(tmp_path, [100, 200, 300], None, **negative) == [255, 128, 0]


def test_a_damaged_dicom_file_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    write_dicom(tmp_path / "whole.dcm", np.ones((9, 9), np.uint16), window=None)
    (tmp_path / "a.dcm").write_bytes((tmp_path / "whole.dcm").read_bytes()[:-40])
    write_dicom(tmp_path / "b.dcm", np.ones((9, 9), np.uint16), window=None, NumberOfFrames=3)
    (tmp_path / "c.dcm").write_bytes(b"GIF89a")
    reader: Any = open_images(tmp_path, ["whole.dcm", "a.dcm", "b.dcm", "c.dcm"])
    reader.check(0)
    for row in (1, 2, 3):
        with pytest.raises(DataError):
            reader[row]
        with pytest.raises(DataError):
            reader.check(row)


# Packages that are not installed


@pytest.mark.parametrize(
    ("images", "module", "extra"),
    [
        ("train/{id}.dcm", "pydicom", "dicom"),
        (Pixels("train_*.parquet", "*", (4, 4)), "pyarrow", "parquet"),
    ],
)
def test_a_missing_package_is_told_before_the_download(
    images: Any, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.data.packages.find_spec", lambda name: None if name == module else object())
    with pytest.raises(DataError) as caught:
        require_packages(competition(images, "test/{id}.png"))
    assert f"need the package {module}, which is not installed" in caught.value.message
    assert caught.value.fix == f"pip install 'competition-runner[{extra}]'"


def test_a_missing_package_is_told_where_only_the_file_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0" + bytes(60))
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(DataError) as caught:
        open_images(tmp_path, ["a.tif"])[0]
    assert caught.value.fix == "pip install 'competition-runner[tiff]'"

"""Images of every format decode to upright RGB; broken ones raise a DataError with their path."""

from __future__ import annotations

import io
import pickle
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageDraw

from runner.data.image_names import array_path
from runner.errors import DataError
from runner.images import decode
from runner.images.decode import read_image, read_size
from runner.images.readers import open_images
from tests.images.scenes import noisy

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
ORIENTATION = 0x0112


def quarters(width: int = 48, height: int = 32) -> Image.Image:
    """Red and green above, blue and white below: no rotation or flip leaves it as it is."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    image.paste(WHITE, (width // 2, height // 2, width, height))
    return image


def corners(image: NDArray[np.uint8]) -> list[tuple[int, ...]]:
    """The colours inside the four quarters, each channel rounded to 0 or 255."""
    height, width = image.shape[:2]
    spots = [(height // 4, width // 4), (height // 4, width * 3 // 4)]
    spots += [(height * 3 // 4, width // 4), (height * 3 // 4, width * 3 // 4)]
    return [tuple(255 * (int(value) > 127) for value in image[spot]) for spot in spots]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.jpg", {"quality": 95}),
        ("a.jpg", {"quality": 95, "progressive": True}),
        ("a.webp", {"lossless": True}),
        ("a.bmp", {}),
        ("a.tif", {}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.ppm", {}),
    ],
)
def test_a_file_decodes_to_height_width_rgb(tmp_path: Path, name: str, options: dict[str, object]) -> None:
    quarters().save(tmp_path / name, **options)
    image = read_image(tmp_path / name)
    assert image.shape == (32, 48, 3) and image.dtype == np.uint8
    assert corners(image) == [RED, GREEN, BLUE, WHITE]
    assert image.flags.writeable and image.flags.c_contiguous  # so torch takes it without a copy or a warning


def test_a_cmyk_jpeg_has_its_colours_and_not_their_negative(tmp_path: Path) -> None:
    path = tmp_path / "tile.jpg"
    quarters().convert("CMYK").save(path, quality=95)
    assert b"Adobe" in path.read_bytes()  # Adobe's inverted CMYK, the only one in practice
    with Image.open(path) as stored:
        assert stored.mode == "CMYK"
    assert corners(read_image(path)) == [RED, GREEN, BLUE, WHITE]
    assert corners(read_image(path, min_side=8)) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("mode", ["L", "1"])
def test_a_grey_image_gets_three_equal_channels(tmp_path: Path, mode: str) -> None:
    noisy(40, 30).convert(mode).save(tmp_path / "grey.png")
    image = read_image(tmp_path / "grey.png")
    assert image.shape == (30, 40, 3)
    assert (image == np.asarray(Image.open(tmp_path / "grey.png").convert("L"))[..., None]).all()
    assert image.min() < 50 and image.max() > 150


def test_a_palette_image_gets_its_colours(tmp_path: Path) -> None:
    quarters().convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "a.png")
    quarters().save(tmp_path / "a.gif")
    assert corners(read_image(tmp_path / "a.png")) == [RED, GREEN, BLUE, WHITE]
    assert corners(read_image(tmp_path / "a.gif")) == [RED, GREEN, BLUE, WHITE]


def transparent_top_left(mode: str) -> Image.Image:
    """The red quarter is fully transparent; red is stored below."""
    image = quarters().convert("RGBA")
    image.paste((255, 0, 0, 0), (0, 0, 24, 16))
    return image.convert(mode) if mode != "RGBA" else image


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_transparent_pixels_become_white(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == ".webp" else {}
    transparent_top_left("RGBA").save(tmp_path / f"a{suffix}", **options)
    assert corners(read_image(tmp_path / f"a{suffix}")) == [WHITE, GREEN, BLUE, WHITE]


def test_transparent_grey_becomes_white(tmp_path: Path) -> None:
    image = Image.new("LA", (20, 10), (0, 255))
    image.paste((0, 0), (0, 0, 10, 10))
    image.save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert (image[:, :10] == 255).all() and (image[:, 10:] == 0).all()


def test_half_transparent_black_becomes_grey(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 128)).save(tmp_path / "a.png")
    assert abs(int(read_image(tmp_path / "a.png")[0, 0, 0]) - 127) <= 1


@pytest.mark.parametrize("transparency", [0, b"\x00\xff\xff\xff"])
def test_a_transparent_palette_colour_becomes_white(tmp_path: Path, transparency: int | bytes) -> None:
    image = Image.new("P", (20, 10), 0)
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0])
    image.paste(1, (10, 0, 20, 10))
    image.save(tmp_path / "a.png", transparency=transparency)
    image = read_image(tmp_path / "a.png")
    assert (image[:, :10] == WHITE).all() and (image[:, 10:] == GREEN).all()


def test_an_image_transparent_everywhere_keeps_its_colours(tmp_path: Path) -> None:
    image = quarters().convert("RGBA")
    image.putalpha(0)
    image.save(tmp_path / "a.png")
    assert corners(read_image(tmp_path / "a.png")) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(0, 65_535, 256).astype(np.uint16)[None].repeat(8, axis=0)
    Image.fromarray(ramp).save(tmp_path / f"a{suffix}")
    image = read_image(tmp_path / f"a{suffix}")
    assert image.shape == (8, 256, 3)
    assert (image[0, :, 0] == np.arange(256)).all()


def test_sixteen_bit_colour_is_scaled(tmp_path: Path) -> None:
    write_png16(tmp_path / "a.png", np.array([[[65_535, 32_768, 257]]], dtype=np.uint16))
    assert read_image(tmp_path / "a.png")[0, 0].tolist() == [255, 128, 1]


def test_values_of_no_known_range_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 0.5, dtype=np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(np.full((4, 4), 70_000, dtype=np.int32)).save(tmp_path / "wide.tif")
    for name in ("float.tif", "wide.tif"):
        with pytest.raises(DataError, match="no known range") as caught:
            read_image(tmp_path / name)
        assert name in str(caught.value)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the inverse of each orientation, as Pillow's Transpose
    stored = quarters() if orientation == 1 else quarters().transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored.save(path, exif=exif)
    assert corners(read_image(path)) == [RED, GREEN, BLUE, WHITE]
    assert read_image(path).shape == (32, 48, 3)
    assert read_size(path) == (48, 32)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize(
    "metadata", [b"XX\x2a\x00not a directory", b"II\x2a\x00\xff", b"MM\x00\x2a\x00\x00\x00\x08\x00\x09"]
)
def test_broken_metadata_is_ignored(tmp_path: Path, suffix: str, metadata: bytes) -> None:
    quarters().save(tmp_path / f"a{suffix}", exif=b"Exif\x00\x00" + metadata, quality=95)
    assert corners(read_image(tmp_path / f"a{suffix}")) == [RED, GREEN, BLUE, WHITE]


def test_an_invalid_orientation_is_ignored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 77
    quarters().save(tmp_path / "b.jpg", exif=exif, quality=95)
    assert corners(read_image(tmp_path / "b.jpg")) == [RED, GREEN, BLUE, WHITE]


def test_a_colour_profile_is_ignored(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    quarters().save(tmp_path / "a.jpg", icc_profile=profile, quality=95)
    assert corners(read_image(tmp_path / "a.jpg")) == [RED, GREEN, BLUE, WHITE]


def test_the_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (48, 32), BLUE)]
    quarters().save(tmp_path / "a.gif", save_all=True, append_images=frames)
    assert corners(read_image(tmp_path / "a.gif")) == [RED, GREEN, BLUE, WHITE]


def test_the_format_is_that_of_the_content_and_not_of_the_suffix(tmp_path: Path) -> None:
    quarters().save(tmp_path / "a.jpg", format="PNG")
    assert corners(read_image(tmp_path / "a.jpg")) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_truncated_jpeg_is_refused(tmp_path: Path, share: float, options: dict[str, bool]) -> None:
    noisy(200, 150).save(tmp_path / "complete.jpg", quality=90, **options)
    content = (tmp_path / "complete.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match="the image is broken") as caught:
        read_image(tmp_path / "cut.jpg")
    assert caught.value.where == str(tmp_path / "cut.jpg")
    assert caught.value.fix == "replace the file"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.jpg", b"", "empty: 0 bytes"),
        ("page.jpg", b"<!doctype html><title>Sign in</title>", "not an image"),
        ("text.png", b"id,breed\n", "not an image"),
        ("stub.jpg", b"\xff\xd8\xff", "not an image|broken"),
        ("stub.png", b"\x89PNG\r\n\x1a\n", "not an image|broken"),
        # Pillow would start Ghostscript for this if all its formats were allowed.
        ("script.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not an image"),
    ],
)
def test_a_file_that_is_no_image_is_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (read_image, read_size):
        with pytest.raises(DataError, match=reason) as caught:
            read(tmp_path / name)
        assert caught.value.where == str(tmp_path / name)


def test_a_missing_image_and_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(DataError, match="missing"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(DataError, match="a folder"):
        read_image(tmp_path / "folder.jpg")


def encoded(format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    noisy(40, 30).save(buffer, format=format, **options)
    return buffer.getvalue()


ENCODED = [
    encoded("JPEG"),
    encoded("JPEG", progressive=True),
    encoded("PNG"),
    encoded("GIF"),
    encoded("TIFF"),
    encoded("TIFF", compression="tiff_lzw"),
    encoded("WEBP"),
    encoded("BMP"),
]


@settings(deadline=None, max_examples=150)
@given(
    complete=st.sampled_from(ENCODED),
    share=st.floats(0, 1),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=6),
)
def test_a_corrupt_file_decodes_or_raises_a_data_error_without_warnings(
    tmp_path_factory: pytest.TempPathFactory, complete: bytes, share: float, changes: list[tuple[float, int]]
) -> None:
    content = bytearray(complete[: int(len(complete) * share)])
    for position, value in changes:
        if content:
            content[int(position * len(content))] = value
    path = tmp_path_factory.mktemp("corrupt") / "a.jpg"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for read in (read_size, read_image):
            try:
                read(path)
            except DataError as error:
                assert error.where == str(path)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, colour_type: int, depth: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = (png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def write_png16(path: Path, values: NDArray[np.uint16]) -> None:
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in values)
    path.write_bytes(png(values.shape[1], values.shape[0], 2, 16, rows))


@pytest.mark.parametrize("size", [(100_000, 100_000), (20_000, 20_000), (12_000, 12_000), (40_000, 10)])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(
    tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bomb.png").write_bytes(png(*size, 2, 8, b"\x00" * 1000))
    monkeypatch.setattr(decode, "_decode", lambda _image: pytest.fail("it was decoded"))
    for read in (read_image, read_size):
        with pytest.raises(DataError, match="the image is too large") as caught:
            read(tmp_path / "bomb.png")
        assert caught.value.where == str(tmp_path / "bomb.png")


def test_a_large_photograph_is_read_without_a_warning(tmp_path: Path) -> None:
    # 96 million pixels: Pillow warns, and our limit is higher. Reading the header is enough.
    (tmp_path / "large.png").write_bytes(png(12_000, 8_000, 0, 1, b""))
    assert read_size(tmp_path / "large.png") == (12_000, 8_000)


@pytest.mark.parametrize("min_side", [1, 20, 64, 100, 101, 160, 500])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_reduced_jpeg_equals_the_full_one_resized(tmp_path: Path, min_side: int, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    noisy(648, 400).save(tmp_path / "a.jpg", quality=92, exif=exif)
    full = read_image(tmp_path / "a.jpg")
    reduced = read_image(tmp_path / "a.jpg", min_side=min_side)
    factor = full.shape[0] / reduced.shape[0]
    assert factor == max(scale for scale in (1, 2, 4, 8) if scale == 1 or 400 // scale >= min_side)
    expected = Image.fromarray(full).resize(reduced.shape[1::-1], Image.Resampling.BOX)
    difference = np.abs(reduced.astype(int) - np.asarray(expected).astype(int))
    assert difference.mean() < 1.5 and difference.max() < 16


def test_a_png_is_not_reduced(tmp_path: Path) -> None:
    noisy(80, 60).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", min_side=10).shape == (60, 80, 3)


def test_the_size_is_read_from_the_header_alone(tmp_path: Path) -> None:
    noisy(200, 150).save(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:700])
    assert read_size(tmp_path / "a.jpg") == (200, 150)


def test_files_are_read_by_row(tmp_path: Path) -> None:
    quarters().save(tmp_path / "a.png")
    canvas = Image.new("L", (10, 10))
    ImageDraw.Draw(canvas).rectangle((0, 0, 4, 9), fill=255)
    canvas.save(tmp_path / "b#1.png")  # a number sign alone does not name an array
    reader = open_images(tmp_path, ["a.png", "b#1.png"])
    assert len(reader) == 2 and reader.channels == 3
    assert corners(reader[0]) == [RED, GREEN, BLUE, WHITE]
    assert reader[1][0, 0].tolist() == [255, 255, 255]


def test_an_array_row_is_height_width_bands(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(-20, 5, (3, 2, 5, 4)).astype(np.float32)
    np.save(tmp_path / "train.npy", values)
    reader = open_images(tmp_path, [array_path("train.npy", row) for row in (2, 0)])
    assert len(reader) == 2 and reader.channels == 2
    assert reader[0].shape == (5, 4, 2) and reader[0].dtype == np.float32
    assert (reader[0][..., 1] == values[2, 1]).all()
    assert reader[1].flags.writeable


def test_a_pickled_array_reader_holds_no_array(tmp_path: Path) -> None:
    np.save(tmp_path / "train.npy", np.zeros((50, 2, 75, 75), dtype=np.float32))
    reader = open_images(tmp_path, [f"train.npy#{row}" for row in range(50)])
    assert reader[3].shape == (75, 75, 2)
    pickled = pickle.dumps(reader)
    assert len(pickled) < 5_000
    assert (pickle.loads(pickled)[3] == reader[3]).all()


def test_an_unreadable_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", np.zeros((5, 4)))
    np.save(tmp_path / "short.npy", np.zeros((5, 2, 4, 4)))
    np.save(tmp_path / "code.npy", np.array([print], dtype=object), allow_pickle=True)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "short.npy").read_bytes()[:200])
    for path in ("flat.npy#0", "gone.npy#0", "short.npy#5", "code.npy#0", "cut.npy#0"):
        with pytest.raises(DataError) as caught:
            open_images(tmp_path, [path])[0]
        assert caught.value.where == str(tmp_path / path.partition("#")[0])

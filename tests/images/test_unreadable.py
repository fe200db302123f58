"""Unreadable images are detected by their header and their end, without decoding the others."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from runner.archives.content import title_of
from runner.data.image_names import array_path
from runner.errors import DataError
from runner.images import readers
from runner.images.decode import read_image
from runner.images.file_ends import is_plainly_complete
from runner.images.unreadable import UnreadableImage, find_unreadable
from tests.builders import random_image
from tests.images.scenes import noisy

FORMATS = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("PNG", {}),
    ("GIF", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("BMP", {}),
    ("PPM", {}),
    ("JPEG2000", {}),
]


def encoded(format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    noisy(60, 40).save(buffer, format=format, **options)
    return buffer.getvalue()


ENCODED = [encoded(format, **options) for format, options in FORMATS]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are decoded from now on."""
    paths: list[Path] = []

    def spy(path: Path, **options: Any) -> object:
        paths.append(path)
        return read_image(path, **options)

    monkeypatch.setattr(readers, "read_image", spy)
    return paths


def reasons(folder: Path, *names: str) -> dict[str, str]:
    return {image.path: image.reason for image in find_unreadable(folder, names, workers=2)}


@pytest.mark.parametrize(("format", "options"), FORMATS)
def test_a_complete_image_of_any_format_is_readable(tmp_path: Path, format: str, options: dict[str, object]) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(format, **options))
    assert reasons(tmp_path, "a.jpg") == {}


@settings(deadline=None, max_examples=150)
@given(content=st.sampled_from(ENCODED), share=st.floats(0, 0.98))
def test_a_truncated_image_of_any_format_is_found(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, share: float
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    (folder / "a.jpg").write_bytes(content[: int(share * len(content))])
    assert list(reasons(folder, "a.jpg")) == ["a.jpg"]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_file_whose_end_was_never_downloaded_is_found(tmp_path: Path, format: str) -> None:
    buffer = io.BytesIO()
    noisy(300, 200).save(buffer, format)
    half = buffer.getvalue()[: len(buffer.getvalue()) // 2]
    (tmp_path / "a.jpg").write_bytes(half.ljust(len(buffer.getvalue()), b"\0"))
    assert "ends in zero bytes" in reasons(tmp_path, "a.jpg")["a.jpg"]


def test_missing_empty_and_junk_files_are_found_in_order(tmp_path: Path) -> None:
    noisy(60, 40).save(tmp_path / "good.jpg")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "page.jpg").write_text("<!doctype html><title>Sign in</title>")
    (tmp_path / "folder.jpg").mkdir()
    paths = ["empty.jpg", "good.jpg", "gone.jpg", "page.jpg", "folder.jpg"]
    assert find_unreadable(tmp_path, paths, workers=2) == (
        UnreadableImage(0, "empty.jpg", "the image is empty: 0 bytes"),
        UnreadableImage(2, "gone.jpg", "the image is missing"),
        UnreadableImage(3, "page.jpg", f"the file is not an image but {title_of(b'<html>')}"),
        UnreadableImage(4, "folder.jpg", "the image is a folder"),
    )


def test_values_of_no_known_range_are_found(tmp_path: Path) -> None:
    noisy(8, 8).save(tmp_path / "first.tif")
    Image.fromarray(np.full((4, 4), 0.5, dtype=np.float32)).save(tmp_path / "a.tif")
    assert "no known range" in reasons(tmp_path, "first.tif", "a.tif")["a.tif"]


def test_photographs_are_checked_without_decoding(tmp_path: Path, decoded: list[Path]) -> None:
    names = [f"a{number}.{suffix}" for number in range(4) for suffix in ("jpg", "png", "webp", "tif")]
    for name in names:
        noisy(60, 40).save(tmp_path / name)
    assert reasons(tmp_path, *names) == {} and decoded == []


def test_bytes_after_the_end_of_a_jpeg_are_harmless(tmp_path: Path, decoded: list[Path]) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded("JPEG") + b"\0" * 2000 + b"a camera's own notes")
    assert reasons(tmp_path, "a.jpg") == {}
    assert decoded == [tmp_path / "a.jpg"]


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_the_number_of_workers_changes_nothing(tmp_path: Path, workers: int) -> None:
    names = [f"{number}.png" for number in range(300)]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(b"" if number % 7 == 0 else ENCODED[2])
    unreadable_images = find_unreadable(tmp_path, names, workers=workers)
    assert [image.row for image in unreadable_images] == list(range(0, 300, 7))


def test_no_paths_are_all_readable(tmp_path: Path) -> None:
    assert find_unreadable(tmp_path, [], workers=2) == ()


def test_array_rows_beyond_the_array_are_found(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 2, 4, 4), dtype=np.float32))
    unreadable_images = find_unreadable(tmp_path, [array_path("a.npy", row) for row in range(4)], workers=2)
    assert [(image.row, image.path) for image in unreadable_images] == [(3, "a.npy#3")]


def test_a_second_check_reads_only_what_has_changed(tmp_path: Path) -> None:
    names = ["a.jpg", "b.jpg", "c.jpg"]
    for name in names[:2]:
        (tmp_path / name).write_bytes(ENCODED[0])
    known = tmp_path / "cache" / "readable.txt"

    def check() -> tuple[list[str], list[str]]:
        """The unreadable images, and the files that were read to find them."""
        read: list[str] = []
        check = readers.ImageFiles.check

        def spy(images: readers.ImageFiles, row: int) -> None:
            read.append(images.paths(row)[0].name)
            check(images, row)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(readers.ImageFiles, "check", spy)
            unreadable_images = find_unreadable(tmp_path, names, workers=1, readable_file=known)
        return [image.path for image in unreadable_images], read

    assert check() == (["c.jpg"], names)
    assert check() == (["c.jpg"], ["c.jpg"])
    (tmp_path / "c.jpg").write_bytes(ENCODED[0])
    (tmp_path / "b.jpg").write_bytes(ENCODED[0][:500])
    assert check() == (["b.jpg"], ["b.jpg", "c.jpg"])
    (tmp_path / "a.jpg").unlink()
    assert check() == (["a.jpg", "b.jpg"], ["a.jpg", "b.jpg"])
    known.write_bytes(os.urandom(300))
    assert check() == (["a.jpg", "b.jpg"], names)


@settings(deadline=None, max_examples=150)
@given(content=st.sampled_from(ENCODED), share=st.floats(0, 1), min_side=st.sampled_from([None, 10]))
def test_decoding_a_truncated_file_raises_or_gives_every_pixel(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, share: float, min_side: int | None
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    (folder / "complete").write_bytes(content)
    (folder / "cut").write_bytes(content[: int(share * len(content))])
    try:
        image = read_image(folder / "cut", min_side=min_side)
    except DataError as error:
        assert error.where == str(folder / "cut")
    else:
        assert np.array_equal(image, read_image(folder / "complete", min_side=min_side))


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_complete_jpeg_or_png_is_known_without_a_decoder(mode: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.new(mode, (40, 30)).save(path)
    assert is_plainly_complete(path)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_quick_look_takes_no_file_that_is_cut_or_replaced(data: st.DataObject) -> None:
    suffix = data.draw(st.sampled_from(("JPEG", "PNG")))
    stream = io.BytesIO()
    Image.fromarray(random_image(1)).save(stream, suffix)
    content = stream.getvalue()
    kind = data.draw(st.sampled_from(("cut", "zeros", "html", "empty", "huge")))
    if kind == "cut":
        content = content[: data.draw(st.integers(1, len(content) - 1))]
    elif kind == "zeros":
        content = content[:-40] + bytes(40)
    elif kind == "huge":
        content = content.replace((40).to_bytes(2, "big"), b"\xff\xff", 4)
        assume(content != stream.getvalue())
    else:
        content = b"<html></html>" if kind == "html" else b""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        path.write_bytes(content)
        assert not is_plainly_complete(path)

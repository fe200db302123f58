"""Archives of every kind are extracted byte for byte; unsafe and damaged ones leave nothing behind."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import struct
import tarfile
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import py7zr
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.archives import readers
from runner.archives.extract import ExtractionLimit, declared_size, extract_archive
from runner.archives.names import has_archive_name, without_suffixes
from runner.errors import ArchiveError, DataError
from runner.full_disk import DiskFullError
from tests.archives.packing import WRITERS, pack, read_files, write_tar, write_zip
from tests.full_disks import files_of_at_most

FILES = {"train/a.jpg": b"\xff\xd8 a dog" * 50, "train/b.jpg": b"", "labels.csv": b"id,breed\na,beagle\n" * 40}


EVERY_KIND = pytest.mark.parametrize("kind", list(WRITERS))


def rename_in_7z(path: Path, old: str, new: str) -> None:
    """Give a member of a plain-headed 7z another name of the same length, with checksums to match."""
    assert len(old) == len(new)
    content = bytearray(path.read_bytes())
    offset, size = struct.unpack_from("<QQ", content, 12)
    header = content[32 + offset : 32 + offset + size].replace(old.encode("utf-16le"), new.encode("utf-16le"))
    content[32 + offset : 32 + offset + size] = header
    struct.pack_into("<I", content, 28, zlib.crc32(header))
    struct.pack_into("<I", content, 8, zlib.crc32(content[12:32]))
    path.write_bytes(content)


def named_7z(path: Path, names: list[str]) -> Path:
    with py7zr.SevenZipFile(path, "w") as archive:
        archive.set_encoded_header_mode(False)
        for number, name in enumerate(names):
            archive.writestr(b"content", f"{number}" * len(name))
    for number, name in enumerate(names):
        rename_in_7z(path, f"{number}" * len(name), name)
    return path


def with_names(path: Path, kind: str, names: list[str]) -> Path:
    """An archive whose members have these names, two of one name included."""
    if kind == "7z":
        return named_7z(path, names)
    if kind == "tar":
        with tarfile.open(path, "w") as archive:
            for name in names:
                archive.addfile(tarfile.TarInfo(name))
        return path
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(names):
            info = zipfile.ZipInfo(f"{number}" * len(name))
            info.filename = info.orig_filename = name
            archive.NameToInfo.clear()
            archive.writestr(info, b"content")
    return path


def extraction_error(archive: Path, **options: ExtractionLimit) -> str:
    """The message that an archive is refused with; nothing must have been written."""
    before = sorted(archive.parent.rglob("*"))
    with pytest.raises(ArchiveError) as raised:
        extract_archive(archive, archive.parent / "target", retry_command="runner dog-breed download", **options)
    assert sorted(archive.parent.rglob("*")) == before
    assert raised.value.fix and raised.value.fix.endswith("`runner dog-breed download`")
    return raised.value.message


@EVERY_KIND
def test_an_archive_is_extracted_byte_for_byte(kind: str, tmp_path: Path) -> None:
    archive = WRITERS[kind](tmp_path / "any", FILES)
    assert declared_size(archive) == sum(map(len, FILES.values()))
    extract_archive(archive, tmp_path / "target")
    assert read_files(tmp_path / "target") == FILES


@EVERY_KIND
def test_the_kind_of_an_archive_is_read_from_its_content(kind: str, tmp_path: Path) -> None:
    assert readers.kind_of(WRITERS[kind](tmp_path / "labels.csv", FILES)).value == kind  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "inside", "compress"),
    [
        ("data.tar.gz", "data.tar", gzip.compress),
        ("data.tgz", "data.tar", gzip.compress),
        ("data.tar.bz2", "data.tar", bz2.compress),
        ("data.tar.xz", "data.tar", lzma.compress),
        ("labels.csv.gz", "labels.csv", gzip.compress),
        ("labels", "labels", gzip.compress),
    ],
)
def test_a_compressed_file_is_extracted(
    name: str, inside: str, compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(compress(b"content" * 99))
    extract_archive(tmp_path / name, tmp_path / "target")
    assert read_files(tmp_path / "target") == {inside: b"content" * 99}


def test_the_name_of_the_content_has_no_archive_suffix() -> None:
    names = ["train-jpg.tar.7z", "labels.csv.zip", "TRAIN.ZIP", "x.tgz", "train", "a.b.jpg"]
    assert [without_suffixes(name) for name in names] == [
        "train-jpg", "labels.csv", "TRAIN", "x", "train", "a.b.jpg"
    ]  # fmt: skip
    assert [has_archive_name(name) for name in names] == [True, True, True, True, False, False]


@EVERY_KIND
@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil", "C:/evil", "..\\evil", "a\nb"])
def test_a_name_that_leaves_the_folder_is_refused(kind: str, name: str, tmp_path: Path) -> None:
    archive = with_names(tmp_path / "evil", kind, ["good", name])
    assert "is not safe to extract: in it, the name" in extraction_error(archive)


@EVERY_KIND
@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["a.jpg", "A.jpg"], "the same name on a disk that ignores case"),
        (["train/a", "Train/b"], "the same name on a disk that ignores case"),
        (
            [unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD")],
            "the same name on a disk that ignores case",
        ),
        (["a", "a."], "the same name on a disk that ignores case"),
        (["a", "a"], "is repeated"),
        (["a", "a/b"], "as a file and as a folder"),
        (["a/b", "a"], "as a file and as a folder"),
    ],
)
def test_names_that_collide_are_refused(kind: str, names: list[str], reason: str, tmp_path: Path) -> None:
    assert reason in extraction_error(with_names(tmp_path / "collision", kind, names))


@pytest.mark.parametrize(
    ("type_", "title"),
    [
        (tarfile.SYMTYPE, "a link to '../outside'"),
        (tarfile.LNKTYPE, "a link to '../outside'"),
        (tarfile.FIFOTYPE, "a device"),
        (tarfile.CHRTYPE, "a device"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(type_: bytes, title: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = type_, "../outside"
        archive.addfile(info)
        archive.addfile(tarfile.TarInfo("link/passwd"))
    assert f"'link' in it is {title}" in extraction_error(tmp_path / "links.tar")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(info, "/etc")
    assert "is a link" in extraction_error(tmp_path / "link.zip")


def test_a_link_in_a_7z_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target.txt").write_text("x")
    (tmp_path / "link").symlink_to("target.txt")
    with py7zr.SevenZipFile(tmp_path / "link.7z", "w") as archive:
        archive.write(tmp_path / "link", "link")
    assert "is a link" in extraction_error(tmp_path / "link.7z")


def test_a_link_at_the_path_of_a_file_is_not_written_through(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"a": b"new"})
    (tmp_path / "precious").write_bytes(b"old")
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "a").symlink_to(tmp_path / "precious")
    with pytest.raises(ArchiveError):
        extract_archive(archive, tmp_path / "target")
    assert (tmp_path / "precious").read_bytes() == b"old"


def test_a_zip_bomb_is_refused_by_its_declared_size(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("zeros", "w") as member,
    ):
        for _ in range(300):
            member.write(bytes(2**20))
    assert "probably a zip bomb" in extraction_error(tmp_path / "bomb.zip")


def test_a_bomb_of_undeclared_size_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(5 * 2**20)))
    assert "is larger than 1.0 MB" in extraction_error(tmp_path / "bomb.gz", limit=ExtractionLimit(2**20))


def test_archives_in_archives_share_one_limit(tmp_path: Path) -> None:
    limit = ExtractionLimit(size=1500)
    extract_archive(write_zip(tmp_path / "1.zip", {"a": bytes(1000)}), tmp_path / "1", limit=limit)
    with pytest.raises(ArchiveError, match="zip bomb"):
        extract_archive(write_zip(tmp_path / "2.zip", {"a": bytes(1000)}), tmp_path / "2", limit=limit)


def test_a_zip_that_understates_its_size_is_refused(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "liar.zip", {"a": bytes(5000)})
    archive.write_bytes(archive.read_bytes().replace(struct.pack("<I", 5000), struct.pack("<I", 50)))
    assert "incomplete or damaged" in extraction_error(archive)


def test_a_7z_that_overstates_its_size_is_refused(tmp_path: Path) -> None:
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w", filters=[{"id": py7zr.FILTER_COPY}]) as archive:
        archive.writestr(bytes(100), "a")
    content = (tmp_path / "a.7z").read_bytes()
    (tmp_path / "a.7z").write_bytes(content[:32] + content[82:])
    assert "incomplete or damaged" in extraction_error(tmp_path / "a.7z")


@pytest.mark.parametrize("suffix", ["zip", "7z", "tar"])
def test_a_disk_that_becomes_full_is_told_with_the_file(suffix: str, tmp_path: Path) -> None:
    archive = pack(tmp_path / f"x.{suffix}", {"small.jpg": b"x", "large.jpg": bytes(200_000)})
    with pytest.raises(DiskFullError, match=r"large\.jpg") as caught, files_of_at_most(65_536):
        extract_archive(archive, tmp_path / "out")
    assert str(caught.value.where).endswith("large.jpg")
    assert not (tmp_path / "out").exists()


@EVERY_KIND
def test_a_full_disk_is_an_error_before_anything_is_written(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = WRITERS[kind](tmp_path / "big", {"a": bytes(1000)})
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=64 * 2**20 + 999))
    with pytest.raises(DataError, match=r"extract big: 1\.0 kB needed, 999 bytes free"):
        extract_archive(archive, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_files_that_macos_adds_are_skipped(tmp_path: Path) -> None:
    junk = {"__MACOSX/train/._a.jpg": b"x", "train/.DS_Store": b"x", "train/._b.jpg": b"x"}
    for kind, write in WRITERS.items():
        extract_archive(write(tmp_path / f"mac.{kind}", {**FILES, **junk}), tmp_path / kind)
        assert read_files(tmp_path / kind) == FILES


@pytest.mark.parametrize(
    ("content", "title"),
    [
        (b"", "an empty file"),
        (b"\n<!DOCTYPE html><html><title>Sign in</title>", "an HTML page"),
        (b'{"code":403,"message":"accept the rules"}', "a text"),
        (bytes(5000), "a file of zeros"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "a file of another kind"),
        (b"Rar!\x1a\x07\x01\x00", "is a RAR archive, which is not supported"),
    ],
)
def test_the_error_of_another_file_says_what_it_is(content: bytes, title: str, tmp_path: Path) -> None:
    (tmp_path / "train.zip").write_bytes(content)
    assert title in extraction_error(tmp_path / "train.zip")


def test_an_archive_with_a_password_is_refused(tmp_path: Path) -> None:
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w", password="secret") as archive:
        archive.writestr("content", "a")
    with py7zr.SevenZipFile(tmp_path / "b.7z", "w", password="secret", header_encryption=True) as archive:
        archive.writestr("content", "a")
    content = write_zip(tmp_path / "c.zip", {"a": b"content"}).read_bytes()
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(signature) + place
        content = content[:at] + b"\x01" + content[at + 1 :]
    (tmp_path / "c.zip").write_bytes(content)
    for name in ("a.7z", "b.7z", "c.zip"):
        assert extraction_error(tmp_path / name) == f"{name} needs a password"


def test_one_part_of_an_archive_is_refused_with_the_command_that_joins_the_parts(tmp_path: Path) -> None:
    content = write_zip(tmp_path / "a.zip", {"a": b"content"}).read_bytes()
    (tmp_path / "b.zip.001").write_bytes(content[:40])
    with pytest.raises(ArchiveError, match=r"b\.zip\.001 is one part of an archive") as caught:
        extract_archive(tmp_path / "b.zip.001", tmp_path / "out", retry_command="runner a download")
    whole = tmp_path / "b.zip"
    assert caught.value.fix == f"join the parts: cat {whole}.* > {whole}, then: `runner a download`"


def test_a_tar_with_a_damaged_header_is_refused(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "a.tar", {"a": b"1", "b": b"2", "c": b"3"})
    content = bytearray(archive.read_bytes())
    content[1024:1030] = b"broken"
    archive.write_bytes(content)
    assert "ends before its end mark" in extraction_error(archive)


def sample(kind: str, folder: Path) -> bytes:
    if kind == "tar.gz":
        return gzip.compress(write_tar(folder / "a", FILES).read_bytes(), mtime=0)
    return WRITERS[kind](folder / "a", FILES).read_bytes()


@pytest.mark.parametrize("kind", [*WRITERS, "tar.gz"])
@settings(deadline=None, max_examples=40)
@given(share=st.floats(0, 1, exclude_max=True))
def test_an_archive_cut_anywhere_is_refused_or_complete(kind: str, share: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        content = sample(kind, folder)
        (folder / "a").write_bytes(content[: int(len(content) * share)])
        try:
            extract_archive(folder / "a", folder / "target")
        except ArchiveError:
            assert not (folder / "target").exists()
        else:  # a tar may lose the zeros that fill its last record
            assert kind == "tar"
            assert read_files(folder / "target") == FILES


@pytest.mark.parametrize("kind", [*WRITERS, "tar.gz"])
@settings(deadline=None, max_examples=60)
@given(share=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_wrong_byte_is_extracted_or_a_data_error(kind: str, share: float, flip: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        content = bytearray(sample(kind, folder))
        content[int(len(content) * share)] ^= flip
        (folder / "a").write_bytes(content)
        try:
            extract_archive(folder / "a", folder / "target")
        except DataError:
            assert not (folder / "target").exists()
        assert {path.name for path in folder.iterdir()} <= {"a", "target"}


# Testing without extraction


SUFFIXES = ["zip", "7z", "tar.gz"]


@pytest.mark.parametrize("kind", SUFFIXES)
def test_a_complete_archive_passes_the_test_and_nothing_is_written(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.part").write_bytes(sample(kind, tmp_path))
    before = sorted(tmp_path.iterdir())
    assert readers.test_archive(tmp_path / "a.part", f"a.{kind}") == ""
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("kind", SUFFIXES)
@settings(deadline=None, max_examples=40)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_cut_archive_fails_the_test(kind: str, share: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a"
        content = sample(kind, Path(name))
        path.write_bytes(content[: int(len(content) * share)])
        assert readers.test_archive(path, f"a.{kind}")


@pytest.mark.parametrize("kind", SUFFIXES)
def test_bytes_after_the_end_of_an_archive_are_not_ignored(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(sample(kind, tmp_path) + b"<html>")
    assert bool(readers.test_archive(path, f"a.{kind}")) == (kind != "zip")  # a zip may have a comment


def test_a_wrong_byte_in_an_image_of_a_zip_fails_the_test(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:  # stored, not compressed
        archive.writestr("a", b"content")
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(b"content", b"CONTENT"))
    assert "CRC" in str(readers.test_archive(tmp_path / "a.zip", "a.zip"))


def test_another_kind_of_file_than_its_name_fails_the_test(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"<html>")
    assert readers.test_archive(tmp_path / "a", "a.zip") == "it is not a zip archive"
    assert readers.test_archive(write_zip(tmp_path / "b", FILES), "a.tar.7z") == "it is not a 7z archive"


def test_only_archives_with_checksums_can_be_tested(tmp_path: Path) -> None:
    assert readers.test_archive(write_tar(tmp_path / "a", FILES), "a.tar") is None
    assert readers.test_archive(write_zip(tmp_path / "b", FILES), "labels.csv") is None
    assert readers.test_archive(write_zip(tmp_path / "b", FILES), "b.tar") == "it is not a tar archive"


def test_an_encrypted_archive_passes_the_test(tmp_path: Path) -> None:
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w", password="secret", header_encryption=True) as archive:
        archive.writestr("content", "a")
    assert readers.test_archive(tmp_path / "a.7z", "a.7z") == ""

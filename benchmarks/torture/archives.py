"""Give `download --from` an archive that nobody sane would make.

Its files are those of a small competition, in any format, nesting and spelling, and with up to two things wrong.
Either the data folder becomes exactly what an honest copy makes it, or the archive is refused, with its name and a
fix, and neither a data folder nor anything outside the workspace is left.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import hmac
import io
import lzma
import random
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import py7zr
from Cryptodome.Cipher import AES
from Cryptodome.Util import Counter

from benchmarks.torture.attack import Attack, Harm, Trial
from benchmarks.torture.process import Bounds, Ended
from runner.archives.names import without_suffixes
from tests.builders import write_dataset
from tests.competitions import SHAPES, write_plugin

Files = dict[str, bytes]
Members = list[tuple[str, bytes]]  # in order; a name may be there twice

_BOUNDS = Bounds(seconds=120, memory_mb=1500)
_OUTSIDE = "escaped.txt"
_PARTS = "in parts"
_FAST = 0  # of LZMA, which takes longer to pack a bomb than the runner to refuse it
_FORMATS = ("zip", "7z", "tar", "tar.gz", "tar.bz2", "tar.xz", "tgz", "tar.7z")
_OWN_FILES = (".complete", "manifest.json", "source.json", "skipped_images.json")


@dataclass(frozen=True)
class Layout:
    """A way to put honest files: the archives and files of the source folder."""

    name: str
    make: Callable[[random.Random, Files], dict[str, Members]]  # the members of each archive, by its name and suffix


# --- honest layouts -----------------------------------------------------------------------------


def _one_archive(random: random.Random, files: Files) -> dict[str, Members]:
    return {f"{_stem(random)}.{random.choice(_FORMATS)}": list(files.items())}


def _in_folders(random: random.Random, files: Files) -> dict[str, Members]:
    prefix = "/".join(random.choices(("data", "shapes", "input", "träin", "v2", "a b"), k=random.randint(1, 4)))
    return {f"{_stem(random)}.{random.choice(_FORMATS)}": [(f"{prefix}/{name}", data) for name, data in files.items()]}


def _archive_a_folder(random: random.Random, files: Files) -> dict[str, Members]:
    """`train.zip` and `test.zip`: flat, in a folder, in a doubled one, or in one of another name."""
    archives: dict[str, Members] = {}
    for folder in ("train", "test"):
        inner = random.choice(
            ("", f"{folder}/", f"{folder}/{folder}/", "images/", f"all/{folder}/", f"{folder.title()}/")
        )
        named = [
            (inner + name.removeprefix(f"{folder}/"), data) for name, data in files.items() if folder in _parts(name)
        ]
        archives[f"{folder}.{random.choice(_FORMATS)}"] = named
    tables = [(name, data) for name, data in files.items() if "/" not in name]
    archives[f"tables.{random.choice(_FORMATS)}"] = tables
    return archives


LAYOUTS = (
    Layout("one archive", _one_archive),
    Layout("in folders", _in_folders),
    Layout("an archive a folder", _archive_a_folder),
)


def _stem(random: random.Random) -> str:
    return random.choice(("shapes", "all (1)", "archive", "данные", "data.v2", "x" * 80))


def _parts(name: str) -> tuple[str, ...]:
    return tuple(name.split("/")[:-1])


# --- what may lie beside the files and does no harm -----------------------------------------------


def _side_files(random: random.Random, members: Members) -> Members:
    extra = random.sample(
        (("README.txt", b"read me"), ("LICENSE", b"x"), ("logo.png", b"png"), ("train/notes.md", b"x"), ("e/", b"")),
        k=2,
    )
    return [*members, *extra]


def _mac_shadows(_: random.Random, members: Members) -> Members:
    return [*members, *((f"__MACOSX/{_shadow(name)}", b"\0\5\x16\7") for name, _ in members), (".DS_Store", b"x")]


def _shadow(name: str) -> str:
    folder, _, file = name.rpartition("/")
    return f"{folder}/._{file}".lstrip("/")


def _shuffled(random: random.Random, members: Members) -> Members:
    return random.sample(members, k=len(members))


HARMLESS = (_side_files, _mac_shadows, _shuffled)


# --- what is wrong with the names or contents -----------------------------------------------------


def _escaping(random: random.Random, members: Members) -> Members:
    names = (f"../{_OUTSIDE}", f"train/../../{_OUTSIDE}", f"/tmp/{_OUTSIDE}", f"..\\{_OUTSIDE}", f"C:/{_OUTSIDE}")
    return [*members, (random.choice(names), b"out")]


def _twice(random: random.Random, members: Members) -> Members:
    name, _ = random.choice(members)
    return [*members, (name, b"another content")]


def _case_collision(random: random.Random, members: Members) -> Members:
    name, _ = random.choice(members)
    return [*members, (name.upper(), b"another content")]


def _accent_collision(_: random.Random, members: Members) -> Members:
    name = "é.txt"
    return [*members, (unicodedata.normalize("NFC", name), b"1"), (unicodedata.normalize("NFD", name), b"2")]


def _file_and_folder(random: random.Random, members: Members) -> Members:
    name, _ = random.choice(members)
    return [*members, (f"{name}/inner.jpg", b"x")]


def _control_characters(random: random.Random, members: Members) -> Members:
    return [*members, (f"train/{random.choice('abc')}{chr(random.randint(1, 31))}.jpg", b"x")]


def _long_name(random: random.Random, members: Members) -> Members:
    return [*members, ("/".join(["n" * random.randint(200, 300)] * random.randint(1, 20)) + ".jpg", b"x")]


def _missing_image(random: random.Random, members: Members) -> Members:
    images = [name for name, _ in members if name.endswith(".jpg")]
    return [member for member in members if not images or member[0] != random.choice(images[:1])]


def _bomb(_: random.Random, members: Members) -> Members:
    return [*members, ("train/zeros.jpg", bytes(260 << 20))]


DISHONEST = (
    _escaping, _twice, _case_collision, _accent_collision, _file_and_folder, _control_characters, _long_name,
    _missing_image, _bomb,
)  # fmt: skip


# --- what is wrong with the bytes of an archive ----------------------------------------------------


def _cut(random: random.Random, data: bytes) -> bytes:
    return data[: random.randrange(len(data))]


def _flipped(random: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(random.randint(1, 8)):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _appended(random: random.Random, data: bytes) -> bytes:
    return data + random.randbytes(random.choice((1, 512, 70_000)))


def _prepended(random: random.Random, data: bytes) -> bytes:
    return random.choice((b"MZ" + bytes(300), b"\xef\xbb\xbf", b"#!/bin/sh\nexit 1\n")) + data


def _zeroed(random: random.Random, data: bytes) -> bytes:
    start = random.randrange(len(data))
    return data[:start] + bytes(len(data) - start)


def _page(_: random.Random, _data: bytes) -> bytes:
    return b"<!DOCTYPE html><html><title>Sign in</title></html>"


def _multi_part(_: random.Random, data: bytes) -> bytes:
    return b"PK\x07\x08" + data[: len(data) // 2]


def _other_archive(random: random.Random, data: bytes) -> bytes:
    return random.choice((b"Rar!\x1a\x07\x01\x00", b"\x28\xb5\x2f\xfd", b"MSCF", b"")) + data[8:100]


def _absurd_sizes(random: random.Random, data: bytes) -> bytes:
    """Sizes of terabytes in a zip's central directory, as zip64 marks or as plain numbers."""
    at = data.find(b"PK\x01\x02")
    if at < 0:
        return _flipped(random, data)
    size = random.choice((0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF))
    return data[: at + 24] + struct.pack("<I", size) + data[at + 28 :]


def _encrypted_flag(random: random.Random, data: bytes) -> bytes:
    at = data.find(b"PK\x01\x02")
    return data[: at + 8] + b"\x01" + data[at + 9 :] if at >= 0 else _cut(random, data)


DAMAGE = (
    _cut, _flipped, _appended, _prepended, _zeroed, _page, _multi_part, _other_archive, _absurd_sizes, _encrypted_flag,
)  # fmt: skip


# --- encrypted, or in parts -----------------------------------------------------------------------

_PASSWORD = b"secret"


def _zip_crypto(random: random.Random, data: bytes) -> bytes:
    """PKWARE's old cipher: twelve bytes of noise, then the data."""
    table = [zlib.crc32(bytes([byte]), 0xFFFFFFFF) ^ 0xFFFFFFFF for byte in range(256)]
    keys = [0x12345678, 0x23456789, 0x34567890]

    def update(byte: int) -> None:
        keys[0] = keys[0] >> 8 ^ table[(keys[0] ^ byte) & 0xFF]
        keys[1] = ((keys[1] + (keys[0] & 0xFF)) * 134775813 + 1) & 0xFFFFFFFF
        keys[2] = keys[2] >> 8 ^ table[(keys[2] ^ keys[1] >> 24) & 0xFF]

    def encrypt(byte: int) -> int:
        key = keys[2] | 2
        update(byte)
        return byte ^ (key * (key ^ 1) >> 8 & 0xFF)

    for byte in _PASSWORD:
        update(byte)
    check = zlib.crc32(data) >> 24
    return bytes(encrypt(byte) for byte in (*random.randbytes(11), check, *data))


def _zip_aes(random: random.Random, data: bytes) -> bytes:
    """WinZip's AES: salt, two bytes to check the password, the data, ten bytes of authentication."""
    salt = random.randbytes(16)
    key = hashlib.pbkdf2_hmac("sha1", _PASSWORD, salt, 1000, 66)
    counter = Counter.new(128, little_endian=True, initial_value=1)
    content = AES.new(key[:32], AES.MODE_CTR, counter=counter).encrypt(data)
    return salt + key[64:] + content + hmac.digest(key[32:64], content, "sha1")[:10]


def _encrypted_zip(random: random.Random, members: Members) -> bytes:
    is_aes, stream = random.random() < 0.5, io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.extra = struct.pack("<HHH2sBH", 0x9901, 7, 2, b"AE", 3, 0) if is_aes else b""
            archive.writestr(info, (_zip_aes if is_aes else _zip_crypto)(random, data))
            # As the central directory, which is written at the end, has it; the local headers follow below.
            info.flag_bits |= 1
            info.CRC, info.file_size = 0 if is_aes else zlib.crc32(data), len(data)
            info.compress_type = 99 if is_aes else zipfile.ZIP_STORED
    packed = bytearray(stream.getvalue())
    for info in archive.infolist():
        struct.pack_into("<HH", packed, info.header_offset + 6, info.flag_bits, info.compress_type)
        struct.pack_into("<III", packed, info.header_offset + 14, info.CRC, info.compress_size, info.file_size)
    return bytes(packed)


def _encrypted_seven_zip(random: random.Random, members: Members) -> bytes:
    return _seven_zip(members, password=_PASSWORD.decode(), header_encryption=random.random() < 0.5)


ENCRYPTED = {"zip": _encrypted_zip, "7z": _encrypted_seven_zip}


def _in_parts(random: random.Random, name: str, data: bytes) -> dict[str, bytes]:
    """`train.zip.001`, `train.zip.002`, …, as 7-Zip and `split` make them."""
    count = random.randint(1, 5)
    size = -(-len(data) // count)
    return {f"{name}.{number + 1:03}": data[number * size : (number + 1) * size] for number in range(count)}


# --- packing --------------------------------------------------------------------------------------


def pack(random: random.Random, name: str, members: Members) -> bytes:
    """The bytes of an archive of the kind of its suffix."""
    suffix = name.lower().partition(".tar")[2] if ".tar" in name.lower() else f".{name.rpartition('.')[2]}"
    if suffix == ".zip":
        return _zip(random, members)
    if suffix == ".7z" and ".tar" not in name:
        return _seven_zip(members)
    tar = _tar(random, members)
    compress: dict[str, Callable[[bytes], bytes]] = {
        ".gz": gzip.compress,
        ".tgz": gzip.compress,
        ".bz2": bz2.compress,
        ".xz": lambda data: lzma.compress(data, preset=_FAST),
        ".7z": lambda data: _seven_zip([(f"{name.partition('.')[0]}.tar", data)]),
    }
    return compress.get(suffix, lambda data: data)(tar)


def _zip(random: random.Random, members: Members) -> bytes:
    stream = io.BytesIO()
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(stream, "w", random.choice(methods)) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = archive.compression
            with archive.open(info, "w", force_zip64=random.random() < 0.3) as file:
                file.write(data)
        if random.random() < 0.1:
            link = zipfile.ZipInfo("train/link.jpg")
            link.external_attr = 0o120777 << 16
            archive.writestr(link, "/etc/passwd")
    return stream.getvalue()


def _seven_zip(members: Members, password: str | None = None, *, header_encryption: bool = False) -> bytes:
    stream = io.BytesIO()
    with py7zr.SevenZipFile(
        stream,
        "w",
        filters=None if password else [{"id": py7zr.FILTER_LZMA2, "preset": _FAST}],
        password=password,
        header_encryption=header_encryption,
    ) as archive:
        for name, data in members:
            if not name.endswith("/"):
                archive.writestr(data, "name")
                archive.header.files_info.files[-1]["filename"] = name  # `writestr` refuses what is hostile
    return stream.getvalue()


def _tar(random: random.Random, members: Members) -> bytes:
    stream = io.BytesIO()
    formats = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    encoding = random.choice(("utf-8", "utf-8", "latin-1", "cp437"))
    long = any(len(name) > 90 for name, _ in members)
    with tarfile.open(
        fileobj=stream, mode="w", format=tarfile.PAX_FORMAT if long else random.choice(formats), encoding=encoding,
        errors="replace",
    ) as archive:  # fmt: skip
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        if random.random() < 0.1:
            link = tarfile.TarInfo("train/link.jpg")
            link.type, link.linkname = (
                random.choice((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)),
                "/etc/passwd",
            )
            archive.addfile(link)
    return stream.getvalue()


# --- a trial --------------------------------------------------------------------------------------


def prepare(folder: Path, small: bool) -> None:
    """Write the honest files."""
    write_dataset(folder / "files", train=6 if small else 30, test=3 if small else 12)
    (folder / "files" / "solution.csv").unlink()


def run(trial: Trial) -> None:
    """Pack the files in one way of many, with up to two things wrong, and download from it."""
    honest = _read_files(trial.prepared / "files")
    layout = trial.random.choice(LAYOUTS)
    archives = layout.make(trial.random, honest)
    spoilt = _spoil(trial, archives)
    source = trial.folder / "source"
    source.mkdir()
    for name, content in spoilt.files.items():
        (source / name).write_bytes(content)
    trial.outcome.title = f"{layout.name}: {', '.join(archives)}: {', '.join(spoilt.told) or 'honest'}"[:200]
    trial.outcome.hit = bool(spoilt.told)
    workspace = trial.folder / "workspace"
    write_plugin(workspace, SHAPES)
    path = source / next(iter(spoilt.files)) if len(archives) == 1 and trial.random.random() < 0.5 else source
    ended = trial.runner("shapes", "download", "--from", path, workspace=workspace, bounds=_BOUNDS)
    _judge(trial, ended, workspace, honest, spoilt, source)


@dataclass(frozen=True)
class Spoilt:
    """The files of the source, what is wrong with them, and what no checksum covers."""

    files: dict[str, bytes]
    told: list[str]
    unchecked: Members  # of a damaged tar that is not compressed: it has checksums of its headers alone


def _spoil(trial: Trial, archives: dict[str, Members]) -> Spoilt:
    """The archives' bytes, and what is wrong with them."""
    random, told, unchecked = trial.random, list[str](), Members()
    for change in random.sample(HARMLESS, k=random.randint(0, 2)):
        chosen = random.choice(list(archives))
        archives[chosen] = change(random, archives[chosen])
    kind = random.random()
    if 0.2 < kind < 0.65:
        change = random.choice(DISHONEST)
        chosen = random.choice(list(archives))
        archives[chosen] = change(random, archives[chosen])
        told.append(change.__name__)
    packed = {name: pack(random, name, members) for name, members in archives.items()}
    if kind > 0.6:
        damage = random.choice(DAMAGE)
        chosen = random.choice(list(packed))
        packed[chosen] = damage(random, packed[chosen])
        told.append(damage.__name__)
        unchecked = archives[chosen] if chosen.endswith(".tar") else unchecked
    elif kind < 0.07:
        chosen = random.choice(list(packed))
        suffix = random.choice(sorted(ENCRYPTED))
        del packed[chosen]
        packed[f"{without_suffixes(chosen)}.{suffix}"] = ENCRYPTED[suffix](random, archives[chosen])
        told.append(f"encrypted {suffix}")
    if random.random() < 0.2:
        chosen = random.choice(list(packed))
        packed[f"{chosen}.zip"] = _zip(random, [(chosen, packed.pop(chosen))])
    if random.random() < 0.05:
        chosen = random.choice(list(packed))
        packed |= _in_parts(random, chosen, packed.pop(chosen))
        told.append(_PARTS)
    return Spoilt(packed, told, unchecked)


def _judge(trial: Trial, ended: Ended, workspace: Path, honest: Files, spoilt: Spoilt, source: Path) -> None:
    data = workspace / "data" / "shapes"
    for folder in (trial.folder, workspace, Path("/tmp")):
        trial.must(not (folder / _OUTSIDE).exists(), Harm.LOST, f"written outside: {folder / _OUTSIDE}")
    if ended.code:
        trial.must(not data.exists(), Harm.LOST, f"refused, and there is a data folder: {ended.describe()}")
        trial.require_explained(ended, source.name, *(path.name for path in source.iterdir()))
        is_hostile = bool(spoilt.told) or "link" in ended.output
        trial.must(is_hostile, Harm.LOST, f"honest, and refused: {ended.describe()}")
        joined = spoilt.told != [_PARTS] or "join the parts" in ended.output
        trial.must(joined, Harm.UNCLEAR, f"the parts are not told: {ended.describe()}")
        asked = [word.partition(" ")[0] for word in spoilt.told] != ["encrypted"] or "password" in ended.output
        trial.must(asked, Harm.UNCLEAR, f"the password is not told: {ended.describe()}")
        return
    found = {name: content for name, content in _read_files(data).items() if name not in _OWN_FILES}
    # An uncompressed tar has no checksum of a file's content: a flipped bit in it is not the runner's to find.
    unchecked = {Path(name).name for name, _ in spoilt.unchecked}
    changed = [
        name
        for name, content in honest.items()
        if found.get(name) != content and not (name in found and Path(name).name in unchecked)
    ]
    trial.must(not changed, Harm.CHANGED, f"complete, and other files: {changed[:5]}")


def _read_files(folder: Path) -> Files:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


ATTACK = Attack("archives", trials=300, run=run, prepare=prepare)

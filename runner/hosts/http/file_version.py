"""The version of a remote file: what a response's headers say about the content."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import requests

from runner.commands import TYPED
from runner.hosts.http.errors import RequestError


@dataclass(frozen=True)
class FileVersion:
    """Identifies one content of a file: a download is resumed only with bytes of the same version."""

    etag: str | None  # only a strong one; a Last-Modified date would not tell two contents of one second apart
    size: int | None
    md5: str | None
    zipped: bool = False  # the store packs single files: the host lists the unpacked size

    @property
    def can_resume(self) -> bool:
        """Whether the rest of the file can be recognised as the same version."""
        return self.etag is not None or self.md5 is not None

    def conflicts_with(self, other: FileVersion) -> bool:
        """Whether the two are certainly different. A missing value is no conflict."""
        pairs = ((self.etag, other.etag), (self.size, other.size), (self.md5, other.md5))
        return any(first is not None and second is not None and first != second for first, second in pairs)

    def merge(self, other: FileVersion) -> FileVersion:
        """This version, with its missing values from the other."""
        return FileVersion(
            self.etag or other.etag,
            other.size if self.size is None else self.size,
            self.md5 or other.md5,
            self.zipped or other.zipped,
        )


def parse_content_range(response: requests.Response) -> tuple[int, int | None]:
    """Offset of the response's first byte, and the size of the complete file (None: unknown)."""
    if response.status_code == 200:
        return 0, _parse_size(response.headers.get("Content-Length", ""))
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    span, _, total = rest.partition("/")
    start, stop = map(_parse_size, (span.partition("-")[0], span.partition("-")[2]))
    if unit != "bytes" or start is None or stop is None:
        raise RequestError("the response to a range request is invalid", TYPED, retryable=True)
    return start, _parse_size(total)


def _parse_size(text: str) -> int | None:
    # Not `isdigit`, which takes the digit ² too. More digits than these are no size of a file.
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def parse_version(response: requests.Response, size: int | None, name: str) -> FileVersion:
    """The version that the response's headers describe; `size` is that of the complete file."""
    etag = response.headers.get("ETag", "")
    strong_etag = etag if etag and not etag.startswith("W/") else None
    stored_name = PurePosixPath(unquote(urlsplit(response.url).path)).name
    zipped = stored_name == f"{PurePosixPath(name).name}.zip"
    md5s = base64_md5s(response)
    return FileVersion(strong_etag, size, md5_to_hex(md5s[0]) if md5s else None, zipped)


def base64_md5s(response: requests.Response) -> list[str]:
    """The MD5s in `x-goog-hash`, in base64; the header may also hold a crc32c."""
    items = [item.strip().partition("=") for item in response.headers.get("x-goog-hash", "").split(",")]
    return [value for kind, _, value in items if kind == "md5"]


def md5_to_hex(base64_md5: str) -> str | None:
    """A base64 MD5 in hex; None if it is not base64."""
    try:
        return base64.b64decode(base64_md5, validate=True).hex() or None
    except ValueError:
        return None


def file_md5(path: Path) -> str:
    """The MD5 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()

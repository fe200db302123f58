"""What tells one content from another: what an answer's headers say of it, and what the bytes themselves say."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import requests

from runner.hosts.http.errors import RequestError


@dataclass(frozen=True)
class FileVersion:
    """What tells one content from another: only bytes of the same are ever put together."""

    validator: str | None  # the strong ETag: a date would tell two contents of one second as one
    size: int | None
    md5: str | None
    zipped: bool = False  # the store packs single files: the listed size is then that of what is inside

    @property
    def can_resume(self) -> bool:
        """Whether the rest of it can be asked for and known as the same."""
        return self.validator is not None or self.md5 is not None

    def contradicts(self, other: FileVersion) -> bool:
        """Whether the two cannot be one content. What one of them does not tell is no contradiction."""
        pairs = ((self.validator, other.validator), (self.size, other.size), (self.md5, other.md5))
        return any(mine is not None and theirs is not None and mine != theirs for mine, theirs in pairs)

    def joined(self, other: FileVersion) -> FileVersion:
        """What both tell together."""
        return FileVersion(
            self.validator or other.validator,
            other.size if self.size is None else self.size,
            self.md5 or other.md5,
            self.zipped or other.zipped,
        )


def extent_of(response: requests.Response) -> tuple[int, int | None]:
    """Where the answer's bytes begin, and how many the whole file has."""
    length = response.headers.get("Content-Length", "")
    if response.status_code == 200:
        return 0, int(length) if length.isdigit() else None
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    span, _, total = rest.partition("/")
    start, _, stop = span.partition("-")
    if unit != "bytes" or not (start.isdigit() and stop.isdigit()):
        raise RequestError("the store's answer to a range is not understood", "type the same command again", again=True)
    return int(start), int(total) if total.isdigit() else None


def identity_of(response: requests.Response, total: int | None, name: str) -> FileVersion:
    """The content that an answer is of, as far as its headers tell."""
    etag = response.headers.get("ETag", "")
    strong = etag if etag and not etag.startswith("W/") else None
    stored = PurePosixPath(unquote(urlsplit(response.url).path)).name
    zipped = stored == f"{PurePosixPath(name).name}.zip"
    return FileVersion(strong, total, _md5_of(response), zipped)


def _md5_of(response: requests.Response) -> str | None:
    """The md5 in `x-goog-hash`, as hex; the header may hold a crc32c as well."""
    for one in response.headers.get("x-goog-hash", "").split(","):
        kind, _, value = one.strip().partition("=")
        if kind == "md5":
            try:
                return base64.b64decode(value, validate=True).hex() or None
            except ValueError:
                return None
    return None


def file_md5(path: Path) -> str:
    """The md5 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()

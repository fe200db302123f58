"""Download one file from a signed URL: resumed, limited in time, and renamed to its name only once verified."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import requests
from rich.filesize import decimal

from runner.archives.disk_space import free_bytes, require_free
from runner.archives.readers import test_archive
from runner.commands import TYPED
from runner.console import Advance, log
from runner.errors import DataError, HostError, RunnerError
from runner.full_disk import telling_full_disk
from runner.hosts.http.answers import TimedAdapter
from runner.hosts.http.content import CONTENT_ERRORS, time_limit
from runner.hosts.http.errors import NETWORK_ERRORS, RequestError, error_from_exception, error_from_response
from runner.hosts.http.file_version import FileVersion, parse_content_range, parse_version
from runner.hosts.http.retry import RetryPolicy, TransferLimits, retry
from runner.workspace import read_json, write_json

# Suffixes of an unfinished download, and of the JSON file beside it with the version it is a part of.
PART, PART_NOTE = ".part", ".part.json"
_NOTE_FORMAT = 1

# Bytes. An attempt that brought this much was no failure: the count begins again.
_PROGRESS = 4 << 20
# Complete and wrong twice: no accident of the connection.
_MAX_CORRUPT = 2
# A file that changes more often than this while it is downloaded never ends.
_MAX_CHANGES = 4
# Redirects from a signed URL; more are a circle.
_MAX_REDIRECTS = 5
# Bytes. A packed file may be larger than its content, by its header and by what cannot be packed.
_PACKING = 1 << 16
# Bytes between two looks at the free disk, if nothing says how long the file is.
_DISK_CHECK = 16 << 20


@dataclass(frozen=True)
class DownloadRequest:
    """A file to download: its name, its size as the host lists it (None: unknown), and a new signed URL on demand."""

    name: str
    size: int | None
    get_url: Callable[[], str]
    retry_command: str = TYPED
    max_size: int | None = None  # the most it can have, where the exact size is not listed

    def max_bytes(self, version: FileVersion) -> int | None:
        """The most bytes that the store may send; None if nothing says it."""
        if version.size is not None:
            return version.size
        if self.size is None:
            return self.max_size
        return self.size + self.size // 100 + _PACKING if version.zipped else self.size


def download_file(
    request: DownloadRequest, path: Path, advance: Advance, policy: RetryPolicy, limits: TransferLimits
) -> None:
    """Download the file to `path`, which exists afterwards only if it is complete and verified.

    After an error the first bytes are kept beside it, and the next call resumes there, in any process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with requests.Session() as session:
        session.max_redirects = _MAX_REDIRECTS
        for scheme in ("http://", "https://"):
            session.mount(scheme, TimedAdapter(limits.answer_seconds))
        _Download(request, path, advance, session, limits).run(policy)


class _Download:
    def __init__(
        self,
        request: DownloadRequest,
        path: Path,
        advance: Advance,
        session: requests.Session,
        limits: TransferLimits,
    ):
        self.request, self.path, self.advance = request, path, advance
        self.session, self.limits = session, limits
        self.part = path.with_name(path.name + PART)
        self.note = path.with_name(path.name + PART_NOTE)
        self.version: FileVersion | None = None
        self.received = 0  # bytes in `part`; `md5` is theirs
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.attempt_start = 0
        self.corrupt_downloads = 0
        self.changes = 0

    def run(self, policy: RetryPolicy) -> None:
        """Repeat attempts until the file is verified, or a HostError."""
        self._resume()
        try:
            retry(
                self._attempt,
                policy,
                self.request.name,
                has_progressed=lambda: self.received - self.attempt_start >= _PROGRESS,
            )
        except RequestError as error:
            raise self._host_error(error) from None
        self._finish()

    def _attempt(self) -> None:
        self.attempt_start = self.received
        if not self._is_complete():
            self._receive(self.request.get_url())
        self._verify()

    def _resume(self) -> None:
        """Read the part that an earlier call has left, if its version is known."""
        version = self._read_note()
        if version is None or not self.part.is_file():
            self._restart()
            return
        with self.part.open("rb") as file:
            while chunk := file.read(self.limits.chunk_size):
                self.md5.update(chunk)
                self.received += len(chunk)
        self.version = version
        self.advance(self.received)

    def _read_note(self) -> FileVersion | None:
        try:
            version = FileVersion(**read_json(self.note, format=_NOTE_FORMAT))
        except (OSError, RunnerError, TypeError):
            return None
        return version if version.can_resume else None

    def _restart(self) -> None:
        """Discard what was received."""
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        if self.received:
            self.advance(-self.received)
        self.version, self.received, self.md5 = None, 0, hashlib.md5(usedforsecurity=False)

    def _is_complete(self) -> bool:
        return self.version is not None and self.version.size is not None and self.received == self.version.size

    def _receive(self, url: str) -> None:
        if self.received and not (self.version and self.version.can_resume):
            self._restart()
        try:
            response = self.session.get(url, headers=self._headers(), stream=True, timeout=self.limits.timeouts)
        except NETWORK_ERRORS as error:
            raise error_from_exception(error, url) from None
        with response:
            version = self._check_response(response)
            self._require_free(version)
            self.version = version
            write_json(self.note, asdict(version), format=_NOTE_FORMAT)
            self._write_content(response, version)

    def _headers(self) -> dict[str, str]:
        # The MD5 is that of the bytes as the store has them: no compression on the way.
        headers = {"Accept-Encoding": "identity"}
        if self.received:
            headers["Range"] = f"bytes={self.received}-"
            if self.version and self.version.etag:
                headers["If-Range"] = self.version.etag
        return headers

    def _check_response(self, response: requests.Response) -> FileVersion:
        """The version of the file that is sent; RequestError if the response cannot continue this download."""
        status = response.status_code
        if status in (400, 401, 403, 410):
            # The next attempt requests a new URL.
            raise self._retry_now(f"the signed URL has expired ({status})", status=status)
        if status == 416:
            raise self._changed("the server's file is shorter than the partial download")
        may_be_a_page = self.request.name.lower().endswith((".html", ".htm"))
        if not (status < 400 and may_be_a_page) and (error := error_from_response(response)):
            raise error
        if status not in (200, 206) or response.headers.get("Content-Encoding", "identity") != "identity":
            raise RequestError(
                f"the store sent an invalid response ({status})", self.request.retry_command, retryable=True
            )
        start, size = parse_content_range(response)
        version = parse_version(response, size, self.request.name)
        self._check_version(start, version)
        return self.version.merge(version) if self.received and self.version else version

    def _check_version(self, start: int, version: FileVersion) -> None:
        """RequestError unless the bytes from offset `start` of this version continue what was received."""
        if start == 0 and self.received:
            self._restart()  # the store does not support ranges, or the file has changed
        elif start != self.received or (self.version and self.version.conflicts_with(version)):
            raise self._changed("the file has changed since its first part was downloaded")
        self._check_size(version)

    def _check_size(self, version: FileVersion) -> None:
        """RequestError unless the announced size is possible for the listed file."""
        if version.size is None:
            return
        listed = self.request.size
        if listed is not None and version.size != listed and not version.zipped:
            raise self._wrong_size(f"the host lists {listed:,} bytes", version.size)
        most = self.request.max_bytes(replace(version, size=None))
        if most is not None and version.size > most:
            raise self._wrong_size(f"the file has at most {most:,} bytes", version.size)

    def _wrong_size(self, expected: str, size: int) -> RequestError:
        return RequestError(f"{expected}, the store has {size:,}", self.request.retry_command)

    def _changed(self, message: str) -> RequestError:
        self._restart()
        self.changes += 1
        if self.changes < _MAX_CHANGES:
            return self._retry_now(message)
        return RequestError(f"{message}, {self.changes} times", self.request.retry_command)

    def _require_free(self, version: FileVersion) -> None:
        size = version.size or self.request.size or 0
        # A file that the store has packed is unpacked beside it.
        unpacked = (self.request.size or 0) if version.zipped else 0
        needed = size - self.received + unpacked
        require_free(self.path.parent, needed, f"download {self.request.name}", self.request.retry_command)

    def _write_content(self, response: requests.Response, version: FileVersion) -> None:
        most, checked = self.request.max_bytes(version), self.received
        if most is None:
            self._warn_of_unknown_size()
        with self.part.open("ab" if self.received else "wb", buffering=0) as file:
            for chunk in self._chunks(response):
                if most is not None and self.received + len(chunk) > most:
                    response.close()
                    raise self._corrupt(f"more than the {self._origin_of_limit(version)} {most:,} bytes arrive")
                if most is None and self.received - checked >= _DISK_CHECK:
                    checked = self.received
                    self._require_room()
                with telling_full_disk(self.part, size=version.size, retry_command=self.request.retry_command):
                    _write_all(file, chunk)
                self.md5.update(chunk)
                self.received += len(chunk)
                self.advance(len(chunk))
        if version.size is not None and self.received < version.size:
            missing = version.size - self.received
            raise RequestError(
                f"the connection was closed {missing:,} bytes before the end",
                self.request.retry_command,
                retryable=True,
            )

    def _origin_of_limit(self, version: FileVersion) -> str:
        if version.size is not None:
            return "announced"
        return "listed" if self.request.size is not None else "possible"

    def _warn_of_unknown_size(self) -> None:
        free = decimal(free_bytes(self.path.parent))
        log.warning(f"nobody says how large {self.request.name} is: it may take all of the free disk, {free}")

    def _require_room(self) -> None:
        """DataError, and nothing kept, once the file has taken all of the disk but the reserve."""
        if free_bytes(self.path.parent) > _DISK_CHECK:
            return
        received = decimal(self.received)
        self._restart()
        raise DataError(
            f"{self.request.name} fills the disk: {received} received, of which nothing is kept, "
            "and neither the host nor the store says how large it is",
            where=self.path.parent,
            fix=f"free some space, or choose another disk with --workspace DIR, then: `{self.request.retry_command}`",
        )

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """The content as it arrives, unbuffered: nothing that came before an error is lost."""
        while True:
            start, size = time.monotonic(), 0
            # The header of a chunk may trickle, too: then nothing arrives here, and only the limit ends it.
            with time_limit(2 * self.limits.stall_seconds, lambda: response.raw.shutdown()) as is_over:
                while (seconds := time.monotonic() - start) <= self.limits.stall_seconds:
                    chunk = self._read_chunk(response, is_over)
                    if not chunk:
                        return
                    yield chunk
                    size += len(chunk)
            if size < self.limits.min_speed * seconds:
                raise self._stalled()

    def _read_chunk(self, response: requests.Response, is_over: Callable[[], bool]) -> bytes:
        raw: Any = response.raw
        try:
            chunk: bytes = raw.read1(self.limits.chunk_size, decode_content=False)
        except CONTENT_ERRORS as error:
            raise self._stalled() if is_over() else error_from_exception(error, response.url) from None
        if is_over():
            raise self._stalled()
        return chunk

    def _stalled(self) -> RequestError:
        speed, seconds = self.limits.min_speed / 1000, self.limits.stall_seconds
        message = f"download stalled: under {speed:.0f} kB/s for {seconds:.0f} s"
        return RequestError(message, self.request.retry_command, retryable=True)

    def _verify(self) -> None:
        """Compare size, MD5 and the archive's checksums; at least one of them must exist."""
        version, listed = self.version, self.request.size
        assert version is not None
        if version.md5 is not None and self.md5.hexdigest() != version.md5:
            raise self._corrupt("checksum mismatch: downloaded bytes differ from the server's MD5")
        has_listed_size = listed is not None and not version.zipped
        if has_listed_size and self.received != listed:
            raise self._corrupt(f"{self.received:,} bytes received, the host lists {listed:,}")
        archive_error = test_archive(self.part, self.request.name + ".zip" * version.zipped)
        if archive_error:
            raise self._corrupt(f"the archive is corrupt: {archive_error}")
        is_verified = version.size is not None or version.md5 is not None or has_listed_size
        if not is_verified and archive_error is None:
            # A response without a length may have been cut anywhere.
            raise self._corrupt("the server gives neither size nor MD5: the file cannot be verified")

    def _corrupt(self, message: str) -> RequestError:
        self._restart()
        self.corrupt_downloads += 1
        retryable = self.corrupt_downloads < _MAX_CORRUPT
        return RequestError(message, self.request.retry_command, retryable=retryable)

    def _retry_now(self, message: str, *, status: int | None = None) -> RequestError:
        return RequestError(message, self.request.retry_command, status=status, retryable=True, retry_after=0)

    def _finish(self) -> None:
        if self.version and self.version.zipped and self.request.size not in (None, self.received):
            self._unzip(self.request.size or 0)
        with self.part.open("rb") as file:
            os.fsync(file.fileno())
        self.part.replace(self.path)
        self.note.unlink(missing_ok=True)

    def _unzip(self, size: int) -> None:
        """Replace the store's zip by the one file in it."""
        unpacked = self.path.with_name(self.path.name + ".part.out")
        try:
            with ZipFile(self.part) as archive:
                (member,) = [member for member in archive.infolist() if not member.is_dir()]
                if member.file_size != size:
                    raise ValueError(f"it contains {member.file_size:,} bytes, the host lists {size:,}")
                with (
                    telling_full_disk(unpacked, size=size, retry_command=self.request.retry_command),
                    archive.open(member) as source,
                    unpacked.open("wb") as target,
                ):
                    shutil.copyfileobj(source, target, self.limits.chunk_size)
        except (ValueError, BadZipFile) as error:
            unpacked.unlink(missing_ok=True)
            self._restart()
            raise self._host_error(
                RequestError(f"the store's zip of it is unusable: {error}", self.request.retry_command)
            ) from None
        unpacked.replace(self.part)

    def _host_error(self, error: RequestError) -> HostError:
        message, fix = error.message, error.fix
        if error.status == 404:
            message, fix = "the store no longer has the file", self.request.retry_command
        kept = f"; the first {self.received:,} bytes are kept" if self.received else ""
        return HostError(f"{self.request.name} could not be downloaded: {message}{kept}", where=self.path, fix=fix)


def _write_all(file: Any, chunk: bytes) -> None:
    remaining = memoryview(chunk)
    while remaining:
        remaining = remaining[file.write(remaining) :]  # an unbuffered file may write less than it is given

"""Bring one file from a signed URL: resumed, verified, bounded in time; it has its name only once it is right."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import requests
import urllib3

from runner.archives.integrity import test_archive
from runner.console import Advance
from runner.errors import HostError
from runner.hosts.http.errors import TIMEOUTS, RequestError, RetryPolicy, error_from_exception, error_from_response
from runner.hosts.http.file_version import FileVersion, extent_of, identity_of
from runner.hosts.protocol import PART, PART_NOTE
from runner.workspace import read_json, write_json

_CHUNK = 1 << 20
# A try that brought this much was not in vain: the count of failures begins anew.
_PROGRESS = 4 << 20
# Slower than this over the time below is no transfer, but a stall that never times out.
_SLOWEST = 1024
_PATIENCE_SECONDS = 60.0
# Bytes that were all there and wrong: the second time it is no accident of the line.
_SPOILED = 2
# A disk filled to the last byte takes the rest of the machine down with it.
_RESERVE = 64 << 20


@dataclass(frozen=True)
class DownloadRequest:
    """A file to bring: its name, its size as the host lists it (None: not told), and a fresh URL on demand."""

    name: str
    size: int | None
    locate: Callable[[], str]
    again: str = ""  # what the user types to go on


def fetch(
    order: DownloadRequest,
    path: Path,
    advance: Advance,
    *,
    patience: RetryPolicy | None = None,
    timeouts: tuple[float, float] = TIMEOUTS,
) -> None:
    """Bring the file to `path`, whole and verified or not at all; what came before a fault is kept beside it.

    Called again, in this process or another, it goes on from there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with requests.Session() as session:
        _Transfer(order, path, advance, session, patience or RetryPolicy(), timeouts).run()


class _Transfer:
    def __init__(
        self,
        order: DownloadRequest,
        path: Path,
        advance: Advance,
        session: requests.Session,
        patience: RetryPolicy,
        timeouts: tuple[float, float],
    ):
        self.order, self.path, self.advance = order, path, advance
        self.session, self.patience, self.timeouts = session, patience, timeouts
        self.part = path.with_name(path.name + PART)
        self.note = path.with_name(path.name + PART_NOTE)
        self.spoiled = 0
        self.known: FileVersion | None = None
        self.have = 0
        self.md5 = hashlib.md5(usedforsecurity=False)

    def run(self) -> None:
        """Try until it is done, or there is no use in trying."""
        self._take_up()
        failures = 0
        while True:
            begun = self.have
            try:
                if not self._is_complete():
                    self._pull(self.order.locate())
                self._check()
                break
            except RequestError as fault:
                failures = 1 if self.have - begun >= _PROGRESS else failures + 1
                if not self.patience.wait(failures, fault, self.order.name):
                    raise self._refusal(fault) from None
        self._finish()

    def _take_up(self) -> None:
        """Go on with what an earlier call left, if it is known what it was a part of."""
        known = self._read_note()
        if known is None or not self.part.is_file():
            self._forget()
            return
        with self.part.open("rb") as file:
            while chunk := file.read(_CHUNK):
                self.md5.update(chunk)
                self.have += len(chunk)
        self.known = known
        self.advance(self.have)

    def _read_note(self) -> FileVersion | None:
        try:
            known = FileVersion(**read_json(self.note))
        except (OSError, ValueError, TypeError):
            return None
        return known if known.can_resume else None

    def _forget(self) -> None:
        """Begin at the first byte."""
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        if self.have:
            self.advance(-self.have)
        self.known, self.have, self.md5 = None, 0, hashlib.md5(usedforsecurity=False)

    def _is_complete(self) -> bool:
        return self.known is not None and self.known.size is not None and self.have == self.known.size

    def _pull(self, url: str) -> None:
        if self.have and not (self.known and self.known.can_resume):
            self._forget()
        try:
            response = self.session.get(url, headers=self._headers(), stream=True, timeout=self.timeouts)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise error_from_exception(error, url) from None
        with response:
            told = self._judge(response)
            self._reserve(told)
            self.known = told
            write_json(self.note, asdict(told))
            self._store(response, told)

    def _headers(self) -> dict[str, str]:
        # What is verified is what is stored: the bytes as the store holds them.
        headers = {"Accept-Encoding": "identity"}
        if self.have:
            headers["Range"] = f"bytes={self.have}-"
            if self.known and self.known.validator:
                headers["If-Range"] = self.known.validator
        return headers

    def _judge(self, response: requests.Response) -> FileVersion:
        """What the answer is of, with `have` set to where its bytes begin; a RequestError where it is of no use."""
        status = response.status_code
        if status in (400, 401, 403, 410):
            # A signed URL ends so when it expires; the next try asks for a fresh one.
            raise RequestError(
                f"the address of the file has expired ({status})", self._again, status=status, again=True, wait=0
            )
        if status == 416:
            self._forget()
            raise RequestError("the file is shorter than what is here of it", self._again, again=True, wait=0)
        may_be_a_page = self.order.name.lower().endswith((".html", ".htm"))
        if not (status < 400 and may_be_a_page) and (fault := error_from_response(response)):
            raise fault
        if status not in (200, 206) or response.headers.get("Content-Encoding", "identity") != "identity":
            raise RequestError(f"the store answers in a way that is not understood ({status})", self._again, again=True)
        start, total = extent_of(response)
        told = identity_of(response, total, self.order.name)
        self._compare(start, told)
        if self.have and self.known:
            return self.known.joined(told)
        return told

    def _compare(self, start: int, told: FileVersion) -> None:
        """Whether these bytes follow those that are here."""
        if start == 0 and self.have:
            self._forget()  # the store knows no ranges, or holds another content by now
        elif start != self.have or (self.known and self.known.contradicts(told)):
            self._forget()
            raise RequestError("the file has changed since the first part of it came", self._again, again=True, wait=0)
        listed = self.order.size
        if listed is not None and told.size is not None and told.size != listed and not told.zipped:
            raise RequestError(f"the host lists {listed:,} bytes and the store has {told.size:,}", self._again)

    def _reserve(self, told: FileVersion) -> None:
        size = told.size or self.order.size or 0
        free = shutil.disk_usage(self.part.parent).free - _RESERVE
        # What is packed by the store is unpacked beside it.
        needed = size - self.have + ((self.order.size or 0) if told.zipped else 0)
        if needed > free:
            raise HostError(
                f"the disk is too full for {self.order.name}: {needed:,} bytes needed, {max(free, 0):,} free",
                where=self.path.parent,
                fix=f"make room, then: {self._again}",
            )

    def _store(self, response: requests.Response, told: FileVersion) -> None:
        with self.part.open("ab" if self.have else "wb", buffering=0) as file:
            for chunk in self._chunks(response):
                if told.size is not None and self.have + len(chunk) > told.size:
                    raise self._spoil(f"more than the {told.size:,} bytes that the store announced")
                _write(file, chunk)
                self.md5.update(chunk)
                self.have += len(chunk)
                self.advance(len(chunk))
        if told.size is not None and self.have < told.size:
            missing = told.size - self.have
            raise RequestError(f"the connection was closed {missing:,} bytes before the end", self._again, again=True)

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """The bytes as they come, none of them held back: what came before a fault is not lost."""
        raw: Any = response.raw
        window, came = time.monotonic(), 0
        while True:
            try:
                chunk = raw.read1(_CHUNK, decode_content=False)
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                raise error_from_exception(error, response.url) from None
            if not chunk:
                return
            yield chunk
            came += len(chunk)
            if (passed := time.monotonic() - window) > _PATIENCE_SECONDS:
                if came < _SLOWEST * passed:
                    raise RequestError("the connection has all but stopped", self._again, again=True)
                window, came = time.monotonic(), 0

    def _check(self) -> None:
        """Size, md5, archive: what can be compared is, and something must have been."""
        known = self.known
        assert known is not None
        proofs = [known.size is not None]
        if known.md5 is not None:
            if self.md5.hexdigest() != known.md5:
                raise self._spoil("bytes that do not match the md5 that the store gives")
            proofs.append(True)
        if self.order.size is not None and not known.zipped:
            if self.have != self.order.size:
                raise self._spoil(f"{self.have:,} bytes where the host lists {self.order.size:,}")
            proofs.append(True)
        name = self.order.name + ".zip" * known.zipped
        flaw = test_archive(self.part, name)
        if flaw:
            raise self._spoil(f"an archive that is broken: {flaw}")
        if not any(proofs) and flaw is None:
            # Closed without a length, and nothing to hold it against: a cut file looks just so.
            raise self._spoil("neither size nor md5: nothing says that it is whole")

    def _spoil(self, what: str) -> RequestError:
        self._forget()
        self.spoiled += 1
        return RequestError(f"the store sent {what}", self._again, again=self.spoiled < _SPOILED)

    def _finish(self) -> None:
        if self.known and self.known.zipped and self.order.size not in (None, self.have):
            self._unzip(self.order.size or 0)
        with self.part.open("rb") as file:
            os.fsync(file.fileno())
        self.part.replace(self.path)
        self.note.unlink(missing_ok=True)

    def _unzip(self, size: int) -> None:
        """Put the one file of the store's own zip in the place of the zip."""
        inner = self.path.with_name(self.path.name + ".part.out")
        try:
            with ZipFile(self.part) as archive:
                (member,) = [one for one in archive.infolist() if not one.is_dir()]
                if member.file_size != size:
                    raise ValueError(f"{member.file_size:,} bytes where the host lists {size:,}")
                with archive.open(member) as packed, inner.open("wb") as plain:
                    shutil.copyfileobj(packed, plain, _CHUNK)
        except (ValueError, BadZipFile) as error:
            inner.unlink(missing_ok=True)
            self._forget()
            raise self._refusal(
                RequestError(f"the store sent it packed, and not as it should be: {error}", "")
            ) from None
        inner.replace(self.part)

    @property
    def _again(self) -> str:
        return self.order.again or "type the same command again"

    def _refusal(self, fault: RequestError) -> HostError:
        if fault.status == 404:
            fault = RequestError("the store does not hold it any more", self._again)
        kept = f"; the first {self.have:,} bytes are kept" if self.have else ""
        return HostError(
            f"{self.order.name} could not be fetched: {fault.message}{kept}", where=self.path, fix=fault.fix
        )


def _write(file: Any, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[file.write(view) :]  # an unbuffered file may take less than it is given

"""The content of a response as it arrives: decompressed piece by piece, and never waited for without an end."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests
import urllib3

# What reading the content may raise, all told.
CONTENT_ERRORS = (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError, zlib.error)

_CHUNK = 1 << 16
_BEGINNING, _BEGINNING_SECONDS = 1 << 16, 10.0
_ZLIB_FORMATS = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # as `zlib.decompressobj` numbers them


@contextmanager
def time_limit(seconds: float, abort: Callable[[], object]) -> Iterator[Callable[[], bool]]:
    """Call `abort` from another thread if the block takes longer; the value tells whether that has happened."""
    is_over = threading.Event()

    def end() -> None:
        is_over.set()
        with suppress(OSError, RuntimeError, ValueError, AttributeError):  # the connection is closed already
            abort()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield is_over.is_set
    finally:
        timer.cancel()


def read_pieces(response: requests.Response, max_piece: int) -> Iterator[bytes]:
    """The decompressed content as it arrives, in pieces of at most `max_piece` bytes; one of CONTENT_ERRORS if cut."""
    decode = _decoder(response.headers.get("Content-Encoding", ""), max_piece)
    raw: Any = response.raw
    while chunk := raw.read1(min(_CHUNK, max_piece), decode_content=False):
        yield from decode(chunk)


def read_lines(response: requests.Response, max_bytes: int) -> Iterator[str]:
    """The lines as they arrive, without their ends; ValueError if there are more than `max_bytes`."""
    received, rest = 0, b""
    for piece in read_pieces(response, _CHUNK):
        received += len(piece)
        if received > max_bytes:
            raise ValueError("the lines do not end")
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.decode("utf-8", "replace").rstrip("\r") for line in lines)
    if rest:
        yield rest.decode("utf-8", "replace")


def read_beginning(response: requests.Response) -> bytes:
    """The first bytes of the content, enough for an error message; fewer if they do not come soon."""
    if response._content is not False:
        return (response.content or b"")[:_BEGINNING]
    content = bytearray()
    # After an error, what came before is enough.
    with time_limit(_BEGINNING_SECONDS, lambda: response.raw.shutdown()), suppress(*CONTENT_ERRORS):
        for piece in read_pieces(response, _BEGINNING):
            content += piece
            if len(content) >= _BEGINNING:
                break
    return bytes(content[:_BEGINNING])


def _decoder(encoding: str, max_piece: int) -> Callable[[bytes], Iterator[bytes]]:
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return lambda chunk: iter([chunk])
    if encoding not in _ZLIB_FORMATS:
        raise ValueError(f"the content is compressed as {encoding[:20]!r}")
    decompressor = zlib.decompressobj(_ZLIB_FORMATS[encoding])

    def decode(chunk: bytes) -> Iterator[bytes]:
        # Without a limit, a few bytes become gigabytes before anybody looks.
        while chunk and not decompressor.eof:
            yield decompressor.decompress(chunk, max_piece)
            chunk = decompressor.unconsumed_tail

    return decode

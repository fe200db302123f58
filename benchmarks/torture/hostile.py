"""What a host, a proxy or a stranger in between may answer, beyond the faults of `tests.kaggle_server.faults`."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import random
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.kaggle_server import faults
from tests.kaggle_server.server import Fault, KaggleServer
from tests.kaggle_server.state import Call, Reply

_JSON = "application/json"
_CHUNK = b" " * (1 << 16)
_BOMB = 1 << 30  # bytes, of which gzip makes a thousandth
_WIDE = 300_000  # characters: more than the csv module takes in a field


def endless(kind: str = _JSON, first: bytes = b'{"message": "') -> Fault:
    """An answer of no length that never ends."""
    return _stream(kind, itertools.chain([first], itertools.repeat(_CHUNK.replace(b" ", b"x"))), 0.0)


def trickling(kind: str = _JSON, first: bytes = b'{"message": "') -> Fault:
    """A byte every now and then, for ever."""
    return _stream(kind, itertools.chain([first], itertools.repeat(b"x")), 0.05)


def bomb() -> Fault:
    """A little gzip that is a gigabyte of JSON."""
    content = gzip.compress(b'{"message": "' + b"x" * (_BOMB // 8) + b'"}', 1)
    return faults.responds(200, content, Content_Type=_JSON, Content_Encoding="gzip")


def deep_json() -> Fault:
    """JSON that is nested deeper than Python can parse."""
    return faults.responds(200, b'{"a":' * 100_000 + b"1" + b"}" * 100_000, Content_Type=_JSON)


def new_tokens() -> Fault:
    """A list whose every page names a next one."""
    numbers = itertools.count()
    return faults.edits(lambda page: {**page, "nextPageToken": f"more-{next(numbers)}"} if page else page)


def answers(value: Any) -> Fault:
    """Another JSON value with status 200."""
    return faults.responds(200, json.dumps(value).encode(), Content_Type=_JSON)


def waits(seconds: int, status: int = 429) -> Fault:
    """A refusal that asks to wait."""
    return faults.refuses(status, "slow down", Retry_After=str(seconds))


def zip_of(content: bytes) -> Fault:
    """A leaderboard's zip with this content."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("shapes-publicleaderboard.csv", content)
    return faults.responds(200, stream.getvalue(), Content_Type="application/zip")


def changed_item(chance: random.Random) -> Fault:
    """A list's items with one value that nobody expects."""
    odd = chance.choice((None, -1, 0, "", "x" * _WIDE, {}, [], 1e308, "NaN", "2026-13-45", True))

    def change(page: Any) -> Any:
        items = next((value for value in page.values() if isinstance(value, list) and value), None) if page else None
        item = chance.choice(items) if items else page
        if isinstance(item, dict) and item:
            item[chance.choice(sorted(item))] = odd
        return page

    return faults.edits(change)


def _stream(kind: str, chunks: Iterator[bytes], seconds: float) -> Fault:
    def fault(_server: KaggleServer, handler: BaseHTTPRequestHandler, _call: Call, _reply: Reply) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Connection", "close")
        handler.end_headers()
        for chunk in chunks:
            handler.wfile.write(chunk)
            handler.wfile.flush()
            if seconds:
                time.sleep(seconds)

    return fault


def shorter_answers(value: Any) -> Callable[[Any], Any]:
    """A list's page that holds another value instead of its items."""
    return lambda page: dict.fromkeys(page, value) if isinstance(page, dict) else value


def _board(row: str) -> bytes:
    return f"TeamId,TeamName,SubmissionDate,Score\n{row}\n".encode()


# By a word that a trial prints; each is made for its trial.
SERVICE: dict[str, Callable[[random.Random], Fault]] = {
    "reset": lambda _: faults.drops_the_response,
    "silent": lambda _: faults.stalls(0),
    "429": lambda _: waits(2),
    "429 for 15 minutes": lambda _: waits(899),
    "503": lambda _: faults.refuses(503),
    "500": lambda _: faults.refuses(500),
    "401": lambda _: faults.refuses(401),
    "403": lambda _: faults.refuses(403),
    "404": lambda _: faults.refuses(404),
    "page": lambda _: faults.gateway_page(200),
    "page 502": lambda _: faults.gateway_page(502),
    "{}": lambda _: answers({}),
    "[]": lambda _: answers([]),
    "null": lambda _: answers(None),
    "42": lambda _: answers(42),
    "message": lambda _: answers({"message": "maintenance"}),
    "null list": lambda _: faults.edits(shorter_answers(None)),
    "text for a list": lambda _: faults.edits(shorter_answers("x")),
    "numbers in the list": lambda _: faults.edits(shorter_answers([1, None])),
    "empty list": lambda _: faults.edits(shorter_answers([])),
    "empty": lambda _: faults.responds(200, b"", Content_Type=_JSON),
    "half": lambda _: faults.responds(200, b'{"files": [', Content_Type=_JSON),
    "not UTF-8": lambda _: faults.responds(200, b'{"a": "\xff\xfe"}', Content_Type=_JSON),
    "deep": lambda _: deep_json(),
    "endless": lambda _: endless(),
    "endless page": lambda _: endless("text/html", b"<html>"),
    "trickling": lambda _: trickling(),
    "gzip bomb": lambda _: bomb(),
    "new tokens": lambda _: new_tokens(),
    "an odd value": changed_item,
    "wrong date": lambda _: faults.with_headers(Date="Thu, 01 Jan 1970 00:00:00 GMT"),
}
# A call that is answered so has had no effect.
REFUSALS = ("429", "429 for 15 minutes", "401", "403", "404")
BOARD: dict[str, Callable[[random.Random], Fault]] = {
    "zip bomb": lambda _: zip_of(_board("1,a,2026-01-01,0.5") + b"x" * (_BOMB // 4)),
    "no zip": lambda _: faults.responds(200, b"not a zip", Content_Type="application/zip"),
    "half a zip": lambda _: faults.responds(200, b"PK\x03\x04" + b"\0" * 40, Content_Type="application/zip"),
    "NaN": lambda _: zip_of(_board("1,a,2026-01-01 00:00:00,nan")),
    "infinite": lambda _: zip_of(_board("1,a,2026-01-01 00:00:00,1e999")),
    "wide": lambda _: zip_of(_board(f"1,{'w' * _WIDE},2026-01-01 00:00:00,0.5")),
    "other columns": lambda _: zip_of(b"a,b\n1,2\n"),
    "nothing": lambda _: zip_of(b""),
    "not UTF-8": lambda _: zip_of(_board("1,\xe9,2026-01-01 00:00:00,0.5").decode().encode("utf-16")),
}
STORE: dict[str, Callable[[random.Random], Fault]] = {
    "reset at once": lambda _: faults.drops(0),
    "reset": lambda chance: faults.drops(chance.randrange(1, 20_000)),
    "closed": lambda chance: faults.drops(chance.randrange(1, 20_000), reset=False),
    "silent": lambda chance: faults.stalls(chance.randrange(9_000)),
    "no response": lambda _: faults.drops_the_response,
    "429": lambda _: waits(1),
    "429 for 15 minutes": lambda _: waits(899),
    "500": lambda _: faults.refuses(500),
    "page 200": lambda _: faults.gateway_page(200),
    "page 503": lambda _: faults.gateway_page(503),
    "expired": lambda _: faults.responds(403, b"<Error/>", Content_Type="application/xml"),
    "416": lambda _: faults.responds(416),
    "204": lambda _: faults.responds(204),
    "no ranges": lambda _: faults.ignores_ranges,
    "no checksums": lambda _: faults.without_checksums,
    "no length": lambda _: faults.no_length(),
    "no length, cut": lambda chance: faults.no_length(chance.randrange(20_000)),
    "no length, no checksums, cut": lambda chance: faults.no_length(chance.randrange(20_000), checksums=False),
    "chunks": lambda _: faults.chunked(),
    "chunks, cut": lambda chance: faults.chunked(chance.randrange(20_000)),
    "flipped": lambda _: faults.flips_a_byte,
    "wrong md5": lambda _: faults.wrong_md5,
    "wrong etag": lambda _: faults.with_headers(ETag='"another"'),
    "weak etag": lambda _: faults.with_headers(ETag='W/"weak"', x_goog_hash=None),
    "wrong range": lambda _: faults.with_headers(Content_Range="bytes 3-39999/40000"),
    "no headers": lambda _: faults.with_headers(Content_Type=None, ETag=None, x_goog_hash=None, Last_Modified=None),
    "endless": lambda _: endless("application/octet-stream", b""),
    "trickling": lambda _: trickling("application/octet-stream", b""),
}

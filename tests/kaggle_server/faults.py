"""Faults that a test orders from the server: what happens between here and Kaggle on a bad night."""

from __future__ import annotations

import gzip
import json
import socket
import struct
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.kaggle_server.server import Fault, KaggleServer, send_head
from tests.kaggle_server.state import Call, Reply
from tests.kaggle_server.store import file_reply

PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def responds(status: int, content: bytes = b"", **headers: str) -> Fault:
    """Another response. Headers are named with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda *_: Reply(status, named, content)


def refuses(status: int, message: str = "no", **headers: str) -> Fault:
    """A refusal with Kaggle's JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Type": "application/json"}
    payload: dict[str, Any] = {"code": status, "message": message}
    if status == 429:
        payload = {"error": {**payload, "status": "RESOURCE_EXHAUSTED"}}
    return lambda *_: Reply(status, named, json.dumps(payload).encode())


def gateway_page(status: int = 502) -> Fault:
    """A web page from a gateway."""
    return responds(status, PAGE, Content_Type="text/html; charset=utf-8")


def drops(after: int, *, reset: bool = True) -> Fault:
    """The first bytes, then the connection is reset, or closed as if the response were complete."""

    def fault(server: KaggleServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> None:
        _send_some(handler, reply, after)
        _hang_up(handler, reset)

    return fault


def drops_the_response(server: KaggleServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> None:
    """The call takes effect; its response never comes."""
    _hang_up(handler, reset=True)


def stalls(after: int) -> Fault:
    """The first bytes, then silence."""

    def fault(server: KaggleServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> None:
        _send_some(handler, reply, after)
        server.closing.wait(30)
        handler.close_connection = True

    return fault


def never_ends(head: bytes = b"", piece: bytes = b" " * (1 << 16), status: int = 200, **headers: str) -> Fault:
    """A response without a length that goes on until the client hangs up."""

    def fault(server: KaggleServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> None:
        handler.send_response(status)
        for name, value in {**headers, "Connection": "close"}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.close_connection = True
        handler.wfile.write(head)
        while not server.closing.is_set():
            handler.wfile.write(piece)

    return fault


def trickles(start: bytes, seconds: float = 0.05) -> Fault:
    """The first bytes of a response, its status line included, then a byte every now and then, for ever."""

    def fault(server: KaggleServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> None:
        handler.close_connection = True
        handler.wfile.write(start)
        while not server.closing.wait(seconds):
            handler.wfile.write(b"1")

    return fault


def gzip_bomb(size: int, content: bytes = b" ") -> Fault:
    """A small response that is decompressed to `size` bytes."""
    packed = gzip.compress(content * size, 9)
    return responds(200, packed, Content_Encoding="gzip", Content_Type="application/json")


def with_headers(**headers: str | None) -> Fault:
    """The right content with other headers; None removes one."""

    def fault(server: KaggleServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in reply.headers.items() if name.lower() not in map(str.lower, named)}
        return replace(reply, headers=kept | {name: value for name, value in named.items() if value is not None})

    return fault


wrong_md5 = with_headers(x_goog_hash="md5=AAAAAAAAAAAAAAAAAAAAAA==")
without_checksums = with_headers(x_goog_hash=None, ETag=None)


def ignores_ranges(server: KaggleServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> Reply:
    """The complete file, although a range was requested."""
    if reply.status != 206:
        return reply
    headers = {name: value for name, value in reply.headers.items() if name not in ("Content-Range", "Accept-Ranges")}
    return Reply(200, headers, reply.content)


def no_length(cut_after: int | None = None, *, checksums: bool = True) -> Fault:
    """No Content-Length: the end of the connection seems to be the end of the file."""

    def fault(server: KaggleServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> None:
        hidden = () if checksums else ("x-goog-hash", "etag")
        headers = {name: value for name, value in reply.headers.items() if name.lower() not in hidden}
        handler.send_response(reply.status)
        for name, value in {**headers, "Connection": "close"}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(b"".join(reply.chunks())[:cut_after])
        handler.close_connection = True

    return fault


def chunked(cut_after: int | None = None) -> Fault:
    """Sent in chunks; with `cut_after` without the last one."""

    def fault(server: KaggleServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> None:
        handler.send_response(reply.status)
        for name, value in {**reply.headers, "Transfer-Encoding": "chunked"}.items():
            handler.send_header(name, value)
        handler.end_headers()
        content = b"".join(reply.chunks())[:cut_after]
        for at in range(0, len(content), 1000):
            piece = content[at : at + 1000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if cut_after is None:
            handler.wfile.write(b"0\r\n\r\n")
        else:
            _hang_up(handler, reset=False)

    return fault


def flips_a_byte(server: KaggleServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> Reply:
    """The right length, and one byte wrong."""
    content = bytearray(b"".join(reply.chunks()))
    if content:
        content[len(content) // 2] ^= 0xFF
    return Reply(reply.status, reply.headers, bytes(content))


def changes_the_file(server: KaggleServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> Reply:
    """The host has replaced the file by another of the same size."""
    assert not isinstance(reply.content, bytes)
    content = bytearray(reply.content.read_bytes())
    content[::7] = bytes(byte ^ 0x55 for byte in content[::7])
    reply.content.write_bytes(content)
    return file_reply(reply.content, call.headers.get("Range"), call.headers.get("If-Range"))


def edits(change: Callable[[Any], Any]) -> Fault:
    """The response's JSON, changed."""

    def fault(server: KaggleServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> Reply:
        assert isinstance(reply.content, bytes)
        return replace(reply, content=json.dumps(change(json.loads(reply.content))).encode())

    return fault


def _send_some(handler: BaseHTTPRequestHandler, reply: Reply, count: int) -> None:
    send_head(handler, reply)
    for chunk in reply.chunks():
        handler.wfile.write(chunk[:count])
        count -= len(chunk)
        if count <= 0:
            break
    handler.wfile.flush()


def _hang_up(handler: BaseHTTPRequestHandler, reset: bool) -> None:
    handler.close_connection = True
    if reset:
        # With a linger of zero the system sends a reset instead of a normal close.
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.shutdown(socket.SHUT_RD) if reset else handler.connection.shutdown(socket.SHUT_RDWR)
    handler.connection.close()

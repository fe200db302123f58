"""The loopback server with faults to order: what the wire between here and Kaggle does on a bad night."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from typing import Any

from runner.hosts.loopback import Call, LoopbackServer, Reply, ranged
from runner.hosts.practice import PracticeHost

# What a fault does with an answer: another answer, or None where it has written to the wire itself.
RequestError = Callable[["FaultyServer", BaseHTTPRequestHandler, Call, Reply], Reply | None]

PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


class FaultyServer(LoopbackServer):
    """RowTargets rightly but where a fault is ordered: the next call of that name gets it."""

    def __init__(self, hosts: Mapping[str, PracticeHost], **more: Any):
        super().__init__(hosts, **more)
        self.orders: list[tuple[str, RequestError]] = []
        self.closing = threading.Event()

    def order(self, name: str, *faults: RequestError) -> None:
        """The next calls of that name get these faults, in this order."""
        self.orders += [(name, fault) for fault in faults]

    def always(self, name: str, fault: RequestError, times: int = 50) -> None:
        """Every call of that name gets the fault."""
        self.order(name, *[fault] * times)

    def send(self, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> None:
        place = next((at for at, (name, _) in enumerate(self.orders) if name == call.name), None)
        changed: Reply | None = reply
        if place is not None:
            changed = self.orders.pop(place)[1](self, handler, call, reply)
        if changed is not None:
            super().send(handler, call, changed)

    def count(self, name: str) -> int:
        """How many calls of that name came."""
        return sum(call.name == name for call in self.calls)

    def __exit__(self, *rest: object) -> None:
        self.closing.set()
        super().__exit__(*rest)


def answers(status: int, content: bytes = b"", **headers: str) -> RequestError:
    """Another answer. Headers are named with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda *_: Reply(status, named, content)


def refuses(status: int, message: str = "no", **headers: str) -> RequestError:
    """A refusal as the service words it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Type": "application/json"}
    told = {"code": status, "message": message}
    if status == 429:
        told = {"error": {**told, "status": "RESOURCE_EXHAUSTED"}}
    return lambda *_: Reply(status, named, json.dumps(told).encode())


def gateway_page(status: int = 502) -> RequestError:
    """A page from something in between."""
    return answers(status, PAGE, Content_Type="text/html; charset=utf-8")


def drops(after: int, *, reset: bool = True) -> RequestError:
    """The first bytes, then the connection breaks off: reset, or closed as if all were said."""

    def fault(server: FaultyServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> None:
        _send_some(handler, reply, after)
        _hang_up(handler, reset)

    return fault


def drops_before_any_answer(server: FaultyServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> None:
    """The call was heard, and done; the answer never comes."""
    _hang_up(handler, reset=True)


def stalls(after: int) -> RequestError:
    """The first bytes, then silence."""

    def fault(server: FaultyServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> None:
        _send_some(handler, reply, after)
        server.closing.wait(30)
        handler.close_connection = True

    return fault


def with_headers(**headers: str | None) -> RequestError:
    """The right content under other headers; None takes one away."""

    def fault(server: FaultyServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in reply.headers.items() if name.lower() not in map(str.lower, named)}
        return replace(reply, headers=kept | {name: value for name, value in named.items() if value is not None})

    return fault


wrong_md5 = with_headers(x_goog_hash="md5=AAAAAAAAAAAAAAAAAAAAAA==")
no_proofs = with_headers(x_goog_hash=None, ETag=None)


def knows_no_ranges(server: FaultyServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> Reply:
    """The whole file, whatever part was asked for."""
    if reply.status != 206:
        return reply
    headers = {name: value for name, value in reply.headers.items() if name not in ("Content-Range", "Accept-Ranges")}
    return Reply(200, headers, reply.content)


def no_length(cut_after: int | None = None, *, proofs: bool = True) -> RequestError:
    """No Content-Length: the end of the connection is the end of the file, or seems so."""

    def fault(server: FaultyServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> None:
        hidden = () if proofs else ("x-goog-hash", "etag")
        headers = {name: value for name, value in reply.headers.items() if name.lower() not in hidden}
        handler.send_response(reply.status)
        for name, value in {**headers, "Connection": "close"}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(b"".join(reply.chunks())[:cut_after])
        handler.close_connection = True

    return fault


def chunked(cut_after: int | None = None) -> RequestError:
    """Sent in chunks; cut, where asked, without the last one."""

    def fault(server: FaultyServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> None:
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


def flips_a_byte(server: FaultyServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> Reply:
    """The right length, and one byte wrong."""
    content = bytearray(b"".join(reply.chunks()))
    if content:
        content[len(content) // 2] ^= 0xFF
    return Reply(reply.status, reply.headers, bytes(content))


def changes_the_file(server: FaultyServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> Reply:
    """The host has put another file of the same size under the name."""
    assert not isinstance(reply.content, bytes)
    content = bytearray(reply.content.read_bytes())
    content[::7] = bytes(byte ^ 0x55 for byte in content[::7])
    reply.content.write_bytes(content)
    return ranged(reply.content, call.headers.get("Range"), call.headers.get("If-Range"))


def edits(change: Callable[[Any], Any]) -> RequestError:
    """The answer's JSON, changed."""

    def fault(server: FaultyServer, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> Reply:
        assert isinstance(reply.content, bytes)
        return replace(reply, content=json.dumps(change(json.loads(reply.content))).encode())

    return fault


def _send_some(handler: BaseHTTPRequestHandler, reply: Reply, count: int) -> None:
    handler.send_response(reply.status)
    for name, value in {"Content-Length": str(reply.size), **reply.headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    for chunk in reply.chunks():
        handler.wfile.write(chunk[:count])
        count -= len(chunk)
        if count <= 0:
            break
    handler.wfile.flush()


def _hang_up(handler: BaseHTTPRequestHandler, reset: bool) -> None:
    handler.close_connection = True
    if reset:
        # With a linger of zero the system sends a reset in place of a goodbye.
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.shutdown(socket.SHUT_RD) if reset else handler.connection.shutdown(socket.SHUT_RDWR)
    handler.connection.close()

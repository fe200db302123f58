"""The server, and the environment that points Kaggle's client at it.

It is also a proxy, because that is how the official client is pointed at it without a patch: it responds to every
request that a client sends through it, whatever host the request names.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from runner.hosts.practice import PracticeHost
from tests.kaggle_server.service import respond
from tests.kaggle_server.state import TOKEN, Call, Reply, ServerState
from tests.kaggle_server.store import send_stored, take_upload

# A fault replaces a response by another, or writes to the connection itself and returns None.
Fault = Callable[["KaggleServer", BaseHTTPRequestHandler, Call, Reply], Reply | None]


class KaggleServer(ThreadingHTTPServer, ServerState):
    """Kaggle's API and file store on a free loopback port. Calls are correct unless a fault is ordered for them."""

    daemon_threads = True

    def __init__(self, hosts: Mapping[str, PracticeHost]):
        ThreadingHTTPServer.__init__(self, ("127.0.0.1", 0), _Handler)
        ServerState.__init__(self, hosts)
        self.calls: list[Call] = []
        self.faults: list[tuple[str, Fault]] = []
        self.is_deaf_to: set[str] = set()  # methods whose calls have no effect
        self.closing = threading.Event()

    @property
    def address(self) -> str:
        """Its address as a proxy or an endpoint."""
        return f"http://127.0.0.1:{self.server_port}"

    def fail_next(self, name: str, *faults: Fault) -> None:
        """The next calls of that name get these faults, in this order."""
        self.faults += [(name, fault) for fault in faults]

    def fail_always(self, name: str, fault: Fault, times: int = 50) -> None:
        """Every call of that name gets the fault."""
        self.fail_next(name, *[fault] * times)

    def count(self, name: str) -> int:
        """The number of calls of that name."""
        return sum(call.name == name for call in self.calls)

    def respond(self, call: Call) -> Reply:
        """The correct response to a call."""
        if call.name in self.is_deaf_to:
            return Reply(500)
        if call.name == "store":
            return send_stored(self, call)
        return take_upload(self, call) if call.name == "upload" else respond(self, call)

    def send(self, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> None:
        """Send the response, or the fault that is ordered for this call."""
        index = next((index for index, (name, _) in enumerate(self.faults) if name == call.name), None)
        sent = reply if index is None else self.faults.pop(index)[1](self, handler, call, reply)
        if sent is not None:
            send_head(handler, sent)
            for chunk in sent.chunks():
                handler.wfile.write(chunk)
                handler.wfile.flush()

    def __enter__(self) -> KaggleServer:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()
        self.notebooks.end_sessions()
        self.sessions.join()
        self.remove_temporary_files()


def send_head(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    """Send status and headers."""
    handler.send_response(reply.status)
    length = {"Content-Length": str(reply.size)} if reply.stream is None else {"Connection": "close"}
    handler.close_connection = reply.stream is not None or handler.close_connection
    for name, value in {**length, **reply.headers}.items():
        handler.send_header(name, value)
    handler.end_headers()


class _Handler(BaseHTTPRequestHandler):
    """Reads a request, direct or through the proxy, and lets the server respond."""

    protocol_version = "HTTP/1.1"
    # Headers and content are two writes: with Nagle's algorithm the second would wait for the first one's receipt.
    disable_nagle_algorithm = True
    server: KaggleServer

    def _serve(self) -> None:
        target = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length) if length else self._read_chunked()
        call = _parse_call(target.path, target.query, dict(self.headers), content)
        self.server.calls.append(call)
        self.server.send(self, call, self.server.respond(call))

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the names that the base class calls

    def _read_chunked(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return b""
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(self.server.now(), usegmt=True)

    def log_message(self, *_: Any) -> None:
        """Write no log: stderr is checked by tests."""

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError, ValueError):
            self.close_connection = True  # the client has gone

    def finish(self) -> None:
        with suppress(ConnectionError, ValueError):
            super().finish()


def _parse_call(path: str, query: str, headers: dict[str, str], content: bytes) -> Call:
    parts = path.strip("/").split("/")
    parameters = {name: values[-1] for name, values in parse_qs(query).items()}
    if "v1" not in parts[:2]:
        return Call("upload" if parts[0] == "upload" else "store", {}, path, parameters, headers, content)
    if "kernels/logs/stream" in path:  # as the official command follows a log
        body = {"userName": parts[-2], "kernelSlug": parts[-1], **parameters}
        return Call("GetKernelSessionLogsStream", body, path, parameters, headers)
    body = json.loads(content or b"{}")
    return Call(parts[-1], body if isinstance(body, dict) else {}, path, parameters, headers)


def environment_for(server: KaggleServer) -> dict[str, str]:
    """The variables that point the official client, in any process, at the server."""
    return {
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "HTTP_PROXY": server.address,
        "http_proxy": server.address,
        # The first in the client's order: no other credentials on this machine are sent.
        "KAGGLE_API_TOKEN": TOKEN,
    }


@contextmanager
def use_server(server: KaggleServer, environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Within the block, this process and its children use the server, as the practice account."""
    unset = ("NO_PROXY", "no_proxy", "KAGGLE_KERNEL_RUN_TYPE")
    variables = environment_for(server)
    before = {name: environ.get(name) for name in (*variables, *unset)}
    environ.update(variables)
    for name in unset:
        environ.pop(name, None)
    try:
        yield
    finally:
        for name, value in before.items():
            environ.pop(name, None)
            if value is not None:
                environ[name] = value

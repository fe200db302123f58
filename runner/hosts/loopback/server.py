"""A server on this machine that speaks Kaggle's wire for practice competitions.

It is a proxy too, because that is how the official client is pointed at it (see `point_here`): every
request that a client sends through it is answered by it, whatever host the request names.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from runner.errors import HostError
from runner.hosts.loopback.accounts import check_account, introspect
from runner.hosts.loopback.data import (
    download_data_file,
    download_data_files,
    download_dataset,
    get_competition,
    get_dataset,
    list_competitions,
    list_data_files,
)
from runner.hosts.loopback.leaderboards import download_leaderboard, get_leaderboard
from runner.hosts.loopback.messages import Body, Call, RefusedError, Reply, json_reply
from runner.hosts.loopback.site import Site
from runner.hosts.loopback.store import send_stored
from runner.hosts.loopback.submissions import (
    create_submission,
    get_limits,
    get_submission,
    list_submissions,
    start_upload,
    take_upload,
)
from runner.hosts.practice import PracticeHost

_METHODS: dict[str, Callable[[Site, Body], dict[str, Any] | Reply]] = {
    "GetCompetition": get_competition,
    "ListCompetitions": list_competitions,
    "ListDataFiles": list_data_files,
    "DownloadDataFile": download_data_file,
    "DownloadDataFiles": download_data_files,
    "DownloadLeaderboard": download_leaderboard,
    "GetLeaderboard": get_leaderboard,
    "StartSubmissionUpload": start_upload,
    "CreateSubmission": create_submission,
    "ListSubmissions": list_submissions,
    "GetSubmission": get_submission,
    "GetSubmissionLimits": get_limits,
    "GetDataset": get_dataset,
    "DownloadDataset": download_dataset,
    "IntrospectToken": introspect,
}
_OPEN = {"IntrospectToken"}


class LoopbackServer(ThreadingHTTPServer, Site):
    """Kaggle's service and its store, for the competitions it is given, on a free port of this machine."""

    daemon_threads = True

    def __init__(self, hosts: Mapping[str, PracticeHost], *, accounts: Mapping[str, str] | None = None):
        ThreadingHTTPServer.__init__(self, ("127.0.0.1", 0), _Handler)
        Site.__init__(self, hosts, accounts=accounts)
        self.calls: list[Call] = []

    @property
    def address(self) -> str:
        """As a proxy, or as an endpoint."""
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> LoopbackServer:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self.clean_up()

    def answer(self, call: Call) -> Reply:
        """The right answer to a call."""
        if call.name == "store":
            return send_stored(self, call)
        if call.name == "upload":
            return take_upload(self, call)
        try:
            method = _METHODS.get(call.name)
            if method is None:
                raise RefusedError(404, f"Unknown method {call.name}")
            if call.name not in _OPEN:
                check_account(self, call)
            told = method(self, call.body)
        except RefusedError as refusal:
            return json_reply({"code": refusal.status, "message": refusal.message}, refusal.status)
        except HostError as error:
            return json_reply({"code": 400, "message": error.message}, 400)
        return told if isinstance(told, Reply) else json_reply(told)

    def send(self, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> None:
        """Put an answer on the wire."""
        handler.send_response(reply.status)
        for name, value in {"Content-Length": str(reply.size), **reply.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        for chunk in reply.chunks():
            handler.wfile.write(chunk)


class _Handler(BaseHTTPRequestHandler):
    """Reads a request, whichever way it came, and lets the server answer."""

    protocol_version = "HTTP/1.1"
    # Headers and content are two writes: unsent, the second would wait for the first one's receipt.
    disable_nagle_algorithm = True
    server: LoopbackServer

    def _serve(self) -> None:
        target = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length) if length else self._read_chunked()
        call = _call(target.path, target.query, dict(self.headers), content)
        self.server.calls.append(call)
        self.server.send(self, call, self.server.answer(call))

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the names that the base class calls

    def _read_chunked(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return b""
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(self.server.now(), usegmt=True)

    def log_message(self, *_: Any) -> None:
        """Nothing: stderr is the user's."""

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError, ValueError):
            self.close_connection = True  # the client has gone


def _call(path: str, query: str, headers: dict[str, str], content: bytes) -> Call:
    parts = path.strip("/").split("/")
    flat = {name: values[-1] for name, values in parse_qs(query).items()}
    if "v1" in parts[:2]:
        return Call(parts[-1], _body(content), path, flat, headers)
    return Call("upload" if parts[0] == "upload" else "store", {}, path, flat, headers, content)


def _body(content: bytes) -> dict[str, Any]:
    told = json.loads(content or b"{}")
    return told if isinstance(told, dict) else {}

"""A server on this machine that speaks Kaggle's wire for practice competitions: to try that path without an account.

It is a proxy too, because that is how the official client is pointed at it (see `point_here`): every
request that a client sends through it is answered by it, whatever host the request names.
"""

from __future__ import annotations

import atexit
import base64
import csv
import hashlib
import io
import json
import os
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from runner.errors import HostError
from runner.hosts.practice import PracticeHost
from runner.hosts.protocol import Submission

USERNAME, KEY, TOKEN = "practice", "practice-key", "practice-token"

_CHUNK = 1 << 18
_STORE = "http://store.localhost"


@dataclass(frozen=True)
class Call:
    """One request: which method of which service it calls (or `store`, `upload`), and with what."""

    name: str
    body: dict[str, Any]
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes = b""


@dataclass(frozen=True)
class Reply:
    """One answer. Its content is bytes, or a part of a file."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | Path = b""
    start: int = 0

    @property
    def size(self) -> int:
        """How many bytes follow the headers."""
        whole = self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)
        return whole - self.start

    def chunks(self) -> Iterator[bytes]:
        """The content from `start` on."""
        if isinstance(self.content, bytes):
            yield from (self.content[at : at + _CHUNK] for at in range(self.start, len(self.content), _CHUNK))
            return
        with self.content.open("rb") as file:
            file.seek(self.start)
            while chunk := file.read(_CHUNK):
                yield chunk


class RefusedError(Exception):
    """A call that the service refuses, as Kaggle words it."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status, self.message = status, message


@dataclass
class Stage:
    """One competition on the server, and what may be changed about it while it runs."""

    host: PracticeHost
    entered: bool = True
    disabled: bool = False
    notebooks_only: bool = False
    deadline: datetime | None = None  # None: the practice host's own
    looks_until_scored: int = 0  # how often a submission is PENDING before it is not
    looks: dict[str, int] = field(default_factory=dict)


class LoopbackServer(ThreadingHTTPServer):
    """Kaggle's service and its store, for the competitions it is given, on a free port of this machine."""

    daemon_threads = True
    page_limit = 200

    def __init__(self, hosts: Mapping[str, PracticeHost], *, accounts: Mapping[str, str] | None = None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stages = {slug: Stage(host) for slug, host in hosts.items()}
        self.accounts = dict(accounts or {USERNAME: KEY})
        self.tokens = {TOKEN}
        self.datasets: dict[str, Path] = {}  # owner/name: the zip of it
        self.calls: list[Call] = []
        self.url_lifetime = timedelta(minutes=15)
        self._scratch = tempfile.TemporaryDirectory()
        self._uploads: dict[str, str] = {}  # token: the name of the file
        self._guard = threading.RLock()

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
        self._scratch.cleanup()

    def now(self) -> datetime:
        """The server's time."""
        return datetime.now(UTC)

    # --- the answers -------------------------------------------------------------------------

    def answer(self, call: Call) -> Reply:
        """The right answer to a call."""
        if call.name == "store":
            return self._store(call)
        if call.name == "upload":
            return self._take_upload(call)
        try:
            method = _METHODS.get(call.name)
            if method is None:
                raise RefusedError(404, f"Unknown method {call.name}")
            if call.name not in _OPEN:
                self._check_account(call)
            told = method(self, call.body)
        except RefusedError as refusal:
            return _json({"code": refusal.status, "message": refusal.message}, refusal.status)
        except HostError as error:
            return _json({"code": 400, "message": error.found}, 400)
        return told if isinstance(told, Reply) else _json(told)

    def send(self, handler: BaseHTTPRequestHandler, call: Call, reply: Reply) -> None:
        """Put an answer on the wire."""
        handler.send_response(reply.status)
        for name, value in {"Content-Length": str(reply.size), **reply.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        for chunk in reply.chunks():
            handler.wfile.write(chunk)

    def _check_account(self, call: Call) -> None:
        kind, _, secret = call.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            name, _, key = base64.b64decode(secret).decode().partition(":")
            if self.accounts.get(name) == key:
                return
        if kind == "Bearer" and secret in self.tokens:
            return
        raise RefusedError(401, "Unauthenticated")

    def _stage(self, body: Mapping[str, Any], *, entered: bool = False) -> tuple[str, Stage]:
        slug = str(body.get("competitionName", ""))
        if slug not in self.stages:
            raise RefusedError(404, "Not found")
        stage = self.stages[slug]
        if entered and not stage.entered:
            raise RefusedError(403, "Permission 'competitions.participate' was denied")
        return slug, stage

    # --- the service -------------------------------------------------------------------------

    def _get_competition(self, body: Mapping[str, Any]) -> dict[str, Any]:
        slug, stage = self._stage(body)
        about = stage.host.fetch_about(slug)
        deadline = stage.deadline or about.deadline or self.now()
        return {
            "id": 1,
            "ref": f"https://www.kaggle.com/competitions/{slug}",
            "title": about.title,
            "url": f"https://www.kaggle.com/competitions/{slug}",
            "deadline": _naive(deadline),
            "userHasEntered": stage.entered,
            "maxDailySubmissions": stage.host.fetch_limits(slug).per_day,
            "evaluationMetric": stage.host.competition.metric.title,
            "isKernelsSubmissionsOnly": stage.notebooks_only,
            "submissionsDisabled": stage.disabled,
        }

    def _list_competitions(self, body: Mapping[str, Any]) -> dict[str, Any]:
        words = str(body.get("search") or "").lower().split()
        found = [slug for slug in self.stages if not words or any(word in slug for word in words)]
        return {"competitions": [self._get_competition({"competitionName": slug}) for slug in found]}

    def _list_data_files(self, body: Mapping[str, Any]) -> dict[str, Any]:
        slug, stage = self._stage(body, entered=True)
        files = [
            {"name": file.name, "ref": file.name, "totalBytes": file.size, "creationDate": _naive(self.now())}
            for file in stage.host.list_files(slug)
        ]
        return self._page(files, body, "files")

    def _page(self, items: list[dict[str, Any]], body: Mapping[str, Any], key: str) -> dict[str, Any]:
        start = int(body.get("pageToken") or 0)
        stop = start + min(int(body.get("pageSize") or 20), self.page_limit)
        return {key: items[start:stop], "nextPageToken": str(stop) if stop < len(items) else ""}

    def _download_data_file(self, body: Mapping[str, Any]) -> Reply:
        slug, stage = self._stage(body, entered=True)
        name = str(body.get("fileName", ""))
        if name not in {file.name for file in stage.host.list_files(slug)}:
            raise RefusedError(404, "Not found")
        return self._redirect(f"competitions/{slug}/{name}")

    def _download_data_files(self, body: Mapping[str, Any]) -> Reply:
        slug, _ = self._stage(body, entered=True)
        return self._redirect(f"bundles/{slug}.zip")

    def _download_leaderboard(self, body: Mapping[str, Any]) -> Reply:
        slug, stage = self._stage(body)
        rows = self._board_rows(stage, slug, private=False)
        text = io.StringIO()
        writer = csv.DictWriter(text, ["teamId", "teamName", "submissionDate", "score"], extrasaction="ignore")
        writer.writerow({name: name[0].upper() + name[1:] for name in writer.fieldnames})
        writer.writerows(rows)
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{slug}-publicleaderboard.csv", "\ufeff" + text.getvalue())
        return Reply(headers={"Content-Type": "application/zip"}, content=content.getvalue())

    def _get_leaderboard(self, body: Mapping[str, Any]) -> dict[str, Any]:
        slug, stage = self._stage(body)
        about = stage.host.fetch_about(slug)
        over = (stage.deadline or about.deadline or self.now()) <= self.now()
        private = over and not body.get("overridePublic")
        return self._page(self._board_rows(stage, slug, private=private), body, "submissions")

    def _board_rows(self, stage: Stage, slug: str, *, private: bool) -> list[dict[str, Any]]:
        board = stage.host.fetch_leaderboard(slug, private=private)
        return [
            {"teamId": place, "teamName": row.team, "submissionDate": _naive(row.submitted), "score": repr(row.score)}
            for place, row in enumerate(board.rows, start=1)
        ]

    def _start_upload(self, body: Mapping[str, Any]) -> dict[str, Any]:
        _, stage = self._stage(body, entered=True)
        self._check_takes_files(stage)
        with self._guard:
            token = f"blob-{len(self._uploads) + 1}"
            self._uploads[token] = str(body.get("fileName") or "submission.csv")
        return {"token": token, "createUrl": f"{_STORE}/upload/{token}"}

    def _check_takes_files(self, stage: Stage) -> None:
        if stage.disabled:
            raise RefusedError(400, "Submission not allowed: this competition does not accept submissions")
        if stage.notebooks_only:
            raise RefusedError(400, "Submission not allowed: this competition only accepts notebooks")

    def _take_upload(self, call: Call) -> Reply:
        token = call.path.rsplit("/", 1)[-1]
        if token not in self._uploads:
            return Reply(404)
        path = self._uploaded(token)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(call.content)
        digest = _md5(call.content)
        reply = _json({"name": token, "size": str(len(call.content)), "md5Hash": digest})
        return replace(reply, headers=reply.headers | {"x-goog-hash": f"md5={digest}"})

    def _uploaded(self, token: str) -> Path:
        return Path(self._scratch.name) / token / Path(self._uploads[token]).name

    def _create_submission(self, body: Mapping[str, Any]) -> dict[str, Any]:
        slug, stage = self._stage(body, entered=True)
        self._check_takes_files(stage)
        token = str(body.get("blobFileTokens", ""))
        if token not in self._uploads or not self._uploaded(token).is_file():
            raise RefusedError(400, "Unknown blob token")
        ref = stage.host.submit_file(slug, self._uploaded(token), str(body.get("submissionDescription") or ""))
        return {"message": f"Successfully submitted to {stage.host.competition.title}", "ref": int(ref)}

    def _list_submissions(self, body: Mapping[str, Any]) -> dict[str, Any]:
        slug, stage = self._stage(body, entered=True)
        told = [self._submission(stage, one) for one in stage.host.fetch_submissions(slug)]
        return self._page(told, body, "submissions")

    def _get_submission(self, body: Mapping[str, Any]) -> dict[str, Any]:
        for slug, stage in self.stages.items():
            for one in stage.host.fetch_submissions(slug):
                if one.ref == str(body.get("ref")):
                    with self._guard:
                        stage.looks[one.ref] = stage.looks.get(one.ref, 0) + 1
                    return self._submission(stage, one)
        raise RefusedError(404, "Not found")

    def _submission(self, stage: Stage, one: Submission) -> dict[str, Any]:
        told = {
            "ref": int(one.ref),
            "date": _naive(one.submitted),
            "description": one.message,
            "fileName": one.file_name,
            "status": one.status.name,
            "teamName": one.team,
            "submittedBy": one.team,
        }
        if stage.looks.get(one.ref, 0) <= stage.looks_until_scored and stage.looks_until_scored:
            return {**told, "status": "PENDING"}
        scores = {"publicScore": one.public, "privateScore": one.private}
        told |= {name: f"{score:.5f}" for name, score in scores.items() if score is not None}
        return told | ({"errorDescription": one.error} if one.error else {})

    def _get_limits(self, body: Mapping[str, Any]) -> dict[str, Any]:
        slug, stage = self._stage(body)
        limits = stage.host.fetch_limits(slug)
        total = len(stage.host.fetch_submissions(slug))
        used = limits.per_day - limits.left_today
        return {"numToday": used, "numTotal": total, "numAllowedNow": limits.left_today, "limitedByTotal": False}

    def _get_dataset(self, body: Mapping[str, Any]) -> dict[str, Any]:
        name = f"{body.get('ownerSlug')}/{body.get('datasetSlug')}"
        if name not in self.datasets:
            raise RefusedError(403, "Permission 'datasets.get' was denied")
        return {"id": 1, "ref": name, "title": name, "totalBytes": self.datasets[name].stat().st_size}

    def _download_dataset(self, body: Mapping[str, Any]) -> Reply:
        self._get_dataset(body)
        return self._redirect(f"datasets/{body['ownerSlug']}/{body['datasetSlug']}.zip")

    def _introspect(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return {"active": body.get("token") in self.tokens, "username": USERNAME}

    # --- the store ---------------------------------------------------------------------------

    def _redirect(self, path: str) -> Reply:
        until = int((self.now() + self.url_lifetime).timestamp())
        url = f"{_STORE}/{quote(path)}?expires={until}&signature={_signature(path, until)}"
        return Reply(302, {"Location": url})

    def _store(self, call: Call) -> Reply:
        path = unquote(call.path.lstrip("/"))
        until = int(call.query.get("expires") or 0)
        if call.query.get("signature") != _signature(path, until) or until < self.now().timestamp():
            page = b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code></Error>"
            return Reply(403, {"Content-Type": "application/xml"}, page)
        return ranged(self._stored(path), call.headers.get("Range"), call.headers.get("If-Range"))

    def _stored(self, path: str) -> Path:
        kind, _, rest = path.partition("/")
        if kind == "datasets":
            return self.datasets[rest.removesuffix(".zip")]
        if kind == "bundles":
            return self._bundle(rest.removesuffix(".zip"))
        slug, _, name = rest.partition("/")
        return self.stages[slug].host.folder / "files" / name

    def _bundle(self, slug: str) -> Path:
        """The zip of all files; made once, as the store keeps it."""
        path = Path(self._scratch.name) / f"{slug}.zip"
        with self._guard:
            if not path.exists():
                root = self.stages[slug].host.folder / "files"
                with zipfile.ZipFile(path.with_suffix(".new"), "w") as archive:
                    for file in sorted(root.rglob("*")):
                        archive.write(file, file.relative_to(root).as_posix())
                path.with_suffix(".new").rename(path)
        return path


_METHODS: dict[str, Callable[[LoopbackServer, Mapping[str, Any]], dict[str, Any] | Reply]] = {
    "GetCompetition": LoopbackServer._get_competition,
    "ListCompetitions": LoopbackServer._list_competitions,
    "ListDataFiles": LoopbackServer._list_data_files,
    "DownloadDataFile": LoopbackServer._download_data_file,
    "DownloadDataFiles": LoopbackServer._download_data_files,
    "DownloadLeaderboard": LoopbackServer._download_leaderboard,
    "GetLeaderboard": LoopbackServer._get_leaderboard,
    "StartSubmissionUpload": LoopbackServer._start_upload,
    "CreateSubmission": LoopbackServer._create_submission,
    "ListSubmissions": LoopbackServer._list_submissions,
    "GetSubmission": LoopbackServer._get_submission,
    "GetSubmissionLimits": LoopbackServer._get_limits,
    "GetDataset": LoopbackServer._get_dataset,
    "DownloadDataset": LoopbackServer._download_dataset,
    "IntrospectToken": LoopbackServer._introspect,
}
_OPEN = {"IntrospectToken"}


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


def ranged(path: Path, asked: str | None, only_if: str | None) -> Reply:
    """A stored file, or the part of it from the asked byte on, as the store answers."""
    digest = _md5_of(path)
    headers = {
        "Content-Type": "application/octet-stream",
        "ETag": f'"{base64.b64decode(digest).hex()}"',
        "Last-Modified": format_datetime(datetime.fromtimestamp(int(path.stat().st_mtime), UTC), usegmt=True),
        "Accept-Ranges": "bytes",
        "x-goog-hash": f"crc32c=AAAAAA==,md5={digest}",
    }
    size = path.stat().st_size
    if not asked or (only_if and only_if != headers["ETag"]):
        return Reply(200, headers, path)
    start = int(asked.removeprefix("bytes=").split("-")[0])
    if start >= size:
        return Reply(416, headers | {"Content-Range": f"bytes */{size}"})
    return Reply(206, headers | {"Content-Range": f"bytes {start}-{size - 1}/{size}"}, path, start)


_known_md5: dict[tuple[str, int, int], str] = {}


def _md5_of(path: Path) -> str:
    about = path.stat()
    identity = (str(path), about.st_size, about.st_mtime_ns)
    if identity not in _known_md5:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
        _known_md5[identity] = base64.b64encode(digest).decode()
    return _known_md5[identity]


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def _signature(path: str, until: int) -> str:
    return hashlib.sha256(f"{path} {until}".encode()).hexdigest()[:16]


def _naive(moment: datetime) -> str:
    """As Kaggle writes a time: UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _json(told: Any, status: int = 200) -> Reply:
    return Reply(status, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(told).encode())


def environment_for(server: LoopbackServer) -> dict[str, str]:
    """The variables that point the official client, in any process, at the server."""
    return {
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "HTTP_PROXY": server.address,
        "http_proxy": server.address,
        # The first in the client's order: whatever other credentials there are, they are not sent here.
        "KAGGLE_API_TOKEN": TOKEN,
    }


@contextmanager
def point_here(server: LoopbackServer, environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Within the block this process's client speaks to the server, as the practice account."""
    hidden = ("NO_PROXY", "no_proxy", "KAGGLE_KERNEL_RUN_TYPE")
    wanted = environment_for(server)
    before = {name: environ.get(name) for name in (*wanted, *hidden)}
    environ.update(wanted)
    for name in hidden:
        environ.pop(name, None)
    try:
        yield
    finally:
        for name, value in before.items():
            environ.pop(name, None)
            if value is not None:
                environ[name] = value


def serve_for_good(host: PracticeHost) -> None:
    """Serve a practice host until this process ends, and point its client at the server."""
    server = _serving.get("server")
    if server is None:
        server = _serving["server"] = LoopbackServer({}).__enter__()
        _point_for_good(server)
    server.stages[host.competition.slug] = Stage(host)


_serving: dict[str, LoopbackServer] = {}


def _point_for_good(server: LoopbackServer) -> None:
    atexit.register(server.__exit__)
    ended = point_here(server)
    ended.__enter__()
    atexit.register(ended.__exit__, None, None, None)

"""The file store: signed URLs that expire, downloads with ranges, uploads."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import quote, unquote

from tests.kaggle_server.state import Call, Reply, ServerState, json_reply

STORE = "http://store.localhost"


def redirect(state: ServerState, path: str) -> Reply:
    """A redirect to a signed URL of a path in the store."""
    return Reply(302, {"Location": signed_url(state, path)})


def signed_url(state: ServerState, path: str) -> str:
    """A URL of a path in the store that is good for a while."""
    until = int((state.now() + state.url_lifetime).timestamp())
    return f"{STORE}/{quote(path)}?expires={until}&signature={_signature(path, until)}"


def send_stored(state: ServerState, call: Call) -> Reply:
    """A file of the store, if the URL is signed and has not expired."""
    path = unquote(call.path.lstrip("/"))
    until = int(call.query.get("expires") or 0)
    if call.query.get("signature") != _signature(path, until) or until < state.now().timestamp():
        page = b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code></Error>"
        return Reply(403, {"Content-Type": "application/xml"}, page)
    return file_reply(_stored_file(state, path), call.headers.get("Range"), call.headers.get("If-Range"))


def _stored_file(state: ServerState, path: str) -> Path:
    kind, _, rest = path.partition("/")
    if kind == "datasets":
        return state.datasets[rest.removesuffix(".zip")]
    if kind == "outputs":
        slug, version, name = rest.split("/", 2)
        return state.notebooks.output_files(slug, int(version[1:]))[name]
    if kind == "bundles":
        return _bundle(state, rest.removesuffix(".zip"))
    slug, _, name = rest.partition("/")
    return state.competitions[slug].host.folder / "files" / name


def _bundle(state: ServerState, slug: str) -> Path:
    """The zip of all files, created once."""
    path = state.temporary_dir / f"{slug}.zip"
    with state.lock:
        if not path.exists():
            root = state.competitions[slug].host.folder / "files"
            with zipfile.ZipFile(path.with_suffix(".new"), "w") as archive:
                for file in sorted(root.rglob("*")):
                    archive.write(file, file.relative_to(root).as_posix())
            path.with_suffix(".new").rename(path)
    return path


def file_reply(path: Path, byte_range: str | None, if_range: str | None) -> Reply:
    """A file, or the rest of it from the range's first byte on."""
    md5 = _file_md5(path)
    headers = {
        "Content-Type": "application/octet-stream",
        "ETag": f'"{base64.b64decode(md5).hex()}"',
        "Last-Modified": format_datetime(datetime.fromtimestamp(int(path.stat().st_mtime), UTC), usegmt=True),
        "Accept-Ranges": "bytes",
        "x-goog-hash": f"crc32c=AAAAAA==,md5={md5}",
    }
    size = path.stat().st_size
    if not byte_range or (if_range and if_range != headers["ETag"]):
        return Reply(200, headers, path)
    start = int(byte_range.removeprefix("bytes=").split("-")[0])
    if start >= size:
        return Reply(416, headers | {"Content-Range": f"bytes */{size}"})
    return Reply(206, headers | {"Content-Range": f"bytes {start}-{size - 1}/{size}"}, path, start)


def take_upload(state: ServerState, call: Call) -> Reply:
    """Store an upload; the response has its size and MD5."""
    token = call.path.rsplit("/", 1)[-1]
    if token not in state.uploads:
        return Reply(404)
    path = uploaded_file(state, token)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(call.content)
    md5 = base64.b64encode(hashlib.md5(call.content, usedforsecurity=False).digest()).decode()
    reply = json_reply({"name": token, "size": str(len(call.content)), "md5Hash": md5})
    return replace(reply, headers=reply.headers | {"x-goog-hash": f"md5={md5}"})


def uploaded_file(state: ServerState, token: str) -> Path:
    """The file of an upload's token."""
    return state.temporary_dir / token / Path(state.uploads[token]).name


_known_md5: dict[tuple[str, int, int], str] = {}


def _file_md5(path: Path) -> str:
    """The MD5 in base64, as the store writes it."""
    status = path.stat()
    key = (str(path), status.st_size, status.st_mtime_ns)
    if key not in _known_md5:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
        _known_md5[key] = base64.b64encode(digest).decode()
    return _known_md5[key]


def _signature(path: str, until: int) -> str:
    return hashlib.sha256(f"{path} {until}".encode()).hexdigest()[:16]

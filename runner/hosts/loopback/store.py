"""The store: files under signed addresses that expire, whole or from a byte on."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import quote, unquote

from runner.hosts.loopback.messages import Call, Reply
from runner.hosts.loopback.site import Site

STORE = "http://store.localhost"


def redirect(site: Site, path: str) -> Reply:
    """The answer that sends to a signed address of a path in the store."""
    until = int((site.now() + site.url_lifetime).timestamp())
    url = f"{STORE}/{quote(path)}?expires={until}&signature={_signature(path, until)}"
    return Reply(302, {"Location": url})


def send_stored(site: Site, call: Call) -> Reply:
    """A file of the store, where the address is signed and has not expired."""
    path = unquote(call.path.lstrip("/"))
    until = int(call.query.get("expires") or 0)
    if call.query.get("signature") != _signature(path, until) or until < site.now().timestamp():
        page = b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code></Error>"
        return Reply(403, {"Content-Type": "application/xml"}, page)
    return ranged(_stored(site, path), call.headers.get("Range"), call.headers.get("If-Range"))


def _stored(site: Site, path: str) -> Path:
    kind, _, rest = path.partition("/")
    if kind == "datasets":
        return site.datasets[rest.removesuffix(".zip")]
    if kind == "bundles":
        return _bundle(site, rest.removesuffix(".zip"))
    slug, _, name = rest.partition("/")
    return site.stages[slug].host.folder / "files" / name


def _bundle(site: Site, slug: str) -> Path:
    """The zip of all files; made once, as the store keeps it."""
    path = site.scratch / f"{slug}.zip"
    with site.guard:
        if not path.exists():
            root = site.stages[slug].host.folder / "files"
            with zipfile.ZipFile(path.with_suffix(".new"), "w") as archive:
                for file in sorted(root.rglob("*")):
                    archive.write(file, file.relative_to(root).as_posix())
            path.with_suffix(".new").rename(path)
    return path


def ranged(path: Path, asked: str | None, only_if: str | None) -> Reply:
    """A stored file, or the part of it from the asked byte on, as the store answers."""
    digest = _md5_of_file(path)
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


def _md5_of_file(path: Path) -> str:
    about = path.stat()
    identity = (str(path), about.st_size, about.st_mtime_ns)
    if identity not in _known_md5:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
        _known_md5[identity] = base64.b64encode(digest).decode()
    return _known_md5[identity]


def md5_of_bytes(content: bytes) -> str:
    """The md5 as the store writes it: in base64."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def _signature(path: str, until: int) -> str:
    return hashlib.sha256(f"{path} {until}".encode()).hexdigest()[:16]

"""Put a file where the host wants it, and see that it arrived as it left."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import urllib3

from runner.hosts.http.errors import RequestError, RetryPolicy, error_from_exception, error_from_response
from runner.hosts.http.file_version import file_md5


@dataclass(frozen=True)
class Upload:
    """A place to put one file, and the token that stands for it afterwards."""

    token: str
    url: str


def upload_file(
    begin: Callable[[], Upload], path: Path, patience: RetryPolicy, timeouts: tuple[float, float]
) -> Upload:
    """Upload the file. Every try begins anew, at a fresh place: nothing counts until its token is handed in."""
    failures = 0
    while True:
        try:
            upload = begin()
            _put(upload, path, timeouts)
            return upload
        except RequestError as fault:
            failures += 1
            if not patience.wait(failures, fault, f"uploading {path.name}"):
                # Whatever arrived, it is in no submission.
                raise RequestError(
                    f"{path.name} could not be uploaded: {fault.message}",
                    fault.fix,
                    status=fault.status,
                    arrived=False,
                    detail=fault.detail,
                ) from None


def _put(upload: Upload, path: Path, timeouts: tuple[float, float]) -> None:
    try:
        with path.open("rb") as file, requests.Session() as session:
            # An empty file would be sent in chunks, which signed places refuse.
            body: Any = file if path.stat().st_size else b""
            response = session.put(upload.url, data=body, timeout=timeouts, allow_redirects=False, stream=True)
            with response:
                if fault := error_from_response(response):
                    raise fault
                _verify(response, path)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise error_from_exception(error, upload.url) from None


def _verify(response: requests.Response, path: Path) -> None:
    """Taken whole, as far as the store tells: it mostly gives size and md5 of what it holds now."""
    if response.status_code not in (200, 201):
        raise RequestError(f"the store takes only a part of it ({response.status_code})", "", again=True)
    told = _told(response)
    size = told.get("size") or response.headers.get("x-goog-stored-content-length")
    if size is not None and str(size) != str(path.stat().st_size):
        raise RequestError(f"the store holds {size} bytes of {path.stat().st_size}", "", again=True)
    hashes = response.headers.get("x-goog-hash", "").split(",")
    named = [one.strip().removeprefix("md5=") for one in hashes if one.strip().startswith("md5=")]
    ours = base64.b64encode(bytes.fromhex(file_md5(path))).decode()
    for theirs in [*named, *([told["md5Hash"]] if told.get("md5Hash") else [])]:
        if theirs != ours:
            raise RequestError("the store holds other bytes than were sent", "", again=True)


def _told(response: requests.Response) -> dict[str, Any]:
    try:
        told = json.loads(response.content)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}

"""Upload a file, and verify that the store has received every byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import urllib3

from runner.hosts.http.answers import TimedAdapter, read_answer
from runner.hosts.http.errors import RequestError, error_from_exception, error_from_response
from runner.hosts.http.file_version import base64_md5s, file_md5, md5_to_hex
from runner.hosts.http.retry import RetryPolicy, TransferLimits, retry


@dataclass(frozen=True)
class Upload:
    """A signed URL for one file, and the token that stands for the file afterwards."""

    token: str
    url: str


def upload_file(begin: Callable[[], Upload], path: Path, policy: RetryPolicy, limits: TransferLimits) -> Upload:
    """The upload that succeeded. Every attempt uses a new URL: nothing counts until its token is submitted."""

    def attempt() -> Upload:
        upload = begin()
        _put(upload, path, limits)
        return upload

    try:
        return retry(attempt, policy, f"uploading {path.name}")
    except RequestError as error:
        raise RequestError(
            f"{path.name} could not be uploaded: {error.message}",
            error.fix,
            status=error.status,
            delivered=False,  # whatever arrived is part of no submission
            detail=error.detail,
        ) from None


def _put(upload: Upload, path: Path, limits: TransferLimits) -> None:
    try:
        with path.open("rb") as file, requests.Session() as session:
            seconds = limits.answer_seconds + path.stat().st_size / limits.min_speed
            for scheme in ("http://", "https://"):
                session.mount(scheme, TimedAdapter(seconds))
            # requests would send an empty file in chunks, which signed URLs refuse.
            body: Any = file if path.stat().st_size else b""
            response = session.put(upload.url, data=body, timeout=limits.timeouts, allow_redirects=False, stream=True)
            with response:
                if error := error_from_response(response):
                    raise error
                _verify(response, path, limits)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise error_from_exception(error, upload.url) from None


def _verify(response: requests.Response, path: Path, limits: TransferLimits) -> None:
    """Compare what the store has with the file, as far as its response gives size and MD5."""
    if response.status_code not in (200, 201):
        raise RequestError(f"the store took only part of the file ({response.status_code})", "", retryable=True)
    payload = _json_object(read_answer(response, limits.answer_bytes, limits.answer_seconds))
    size = payload.get("size") or response.headers.get("x-goog-stored-content-length")
    if size is not None and str(size) != str(path.stat().st_size):
        raise RequestError(f"only {size} of {path.stat().st_size} bytes were stored", "", retryable=True)
    own = file_md5(path)
    for md5 in [*base64_md5s(response), *([payload["md5Hash"]] if payload.get("md5Hash") else [])]:
        if md5_to_hex(str(md5)) != own:
            raise RequestError("checksum mismatch: the store's MD5 differs from the file's", "", retryable=True)


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        payload = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}

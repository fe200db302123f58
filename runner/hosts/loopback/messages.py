"""What is asked of the loopback server and what it answers, in the forms that Kaggle gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Body = Mapping[str, Any]  # what a call says

_CHUNK = 1 << 18


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


def json_reply(told: Any, status: int = 200) -> Reply:
    """An answer in JSON."""
    return Reply(status, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(told).encode())


def told_time(moment: datetime) -> str:
    """As Kaggle writes a time: UTC, without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"

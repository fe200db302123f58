"""The browser login that Kaggle's client has saved: its access token lives for hours and is renewed here.

Not by the client itself: it takes a token for valid until half an hour after its end, and writes the file in place,
so that a kill at the wrong moment loses the login.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from runner.console import log
from runner.errors import RunnerError
from runner.hosts.kaggle.parse import InvalidAnswerError, describe, parse_int
from runner.workspace import atomic_path

_RENEW_BEFORE = timedelta(minutes=5)
_LONGEST_LIFE = timedelta(days=30)


@dataclass(frozen=True)
class AccessToken:
    """A token and its end; without one it is used now and not kept."""

    token: str
    expires: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it can still be used for a while."""
        return bool(self.token) and self.expires is not None and self.expires - now > _RENEW_BEFORE


def read_login(path: Path) -> dict[str, Any]:
    """The saved login; empty if it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def saved_token(login: dict[str, Any]) -> AccessToken:
    """The access token in a login, which may have expired."""
    token, expiration = login.get("access_token"), login.get("access_token_expiration")
    try:
        expires = datetime.fromisoformat(expiration if isinstance(expiration, str) else "")
        expires = expires.replace(tzinfo=UTC) if expires.tzinfo is None else expires.astimezone(UTC)
    except (ValueError, OverflowError):
        return AccessToken("")
    return AccessToken(token if isinstance(token, str) else "", expires)


def parse_access_token(payload: dict[str, Any], now: datetime) -> AccessToken:
    """The new token, from GenerateAccessToken."""
    token, seconds = payload.get("token"), parse_int(payload.get("expiresIn"))
    if not isinstance(token, str) or not token:
        raise InvalidAnswerError(f"no access token, but {describe(sorted(payload))}")
    if seconds is None or not 0 < seconds <= _LONGEST_LIFE.total_seconds():
        return AccessToken(token)
    return AccessToken(token, now + timedelta(seconds=seconds))


def save_token(path: Path, refresh_token: str, token: AccessToken) -> None:
    """Put the token into the saved login, completely or not at all; a login that is another by now stays as it is."""
    login = read_login(path)
    if token.expires is None or login.get("refresh_token") != refresh_token:
        return
    content = login | {"access_token": token.token, "access_token_expiration": token.expires.isoformat()}
    try:
        # The file itself, if the name is a link to it.
        with atomic_path(path.resolve()) as part, _open_private(part) as file:
            json.dump(content, file, indent=2)
    except (OSError, RunnerError) as error:
        reason = error.message if isinstance(error, RunnerError) else error.strerror
        log.warning(f"the browser login could not be saved, and is renewed again next time: {path}: {reason}")


def _open_private(path: Path) -> TextIO:
    """A new file that only this user can read from its first moment on."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")

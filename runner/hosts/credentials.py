"""Kaggle credentials: every location that the official client reads, in its order, and the ones in use."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

SETTINGS_PAGE = "https://www.kaggle.com/settings"


class Kind(Enum):
    """The three kinds of credentials, in the official client's order."""

    TOKEN = "API token"
    KEY = "username and key"
    OAUTH = "browser login"


@dataclass(frozen=True)
class Credentials:
    """One set of credentials and its source. The secret is not in the repr, and so in no message."""

    kind: Kind
    source: str
    username: str = ""
    secret: str = field(default="", repr=False)
    path: Path | None = None

    def __str__(self) -> str:
        owner = f" of {self.username}" if self.username else ""
        return f"{self.kind.value}{owner} from {self.source}"

    @property
    def is_readable_by_others(self) -> bool:
        """Whether other users of this machine can read the file."""
        if self.path is None or os.name == "nt":
            return False
        try:
            return bool(self.path.stat().st_mode & 0o044)
        except OSError:
            return False  # it was read a moment ago, and is gone or closed now

    @property
    def command_to_disable(self) -> str:
        """The shell command after which these credentials are no longer used."""
        if self.path is not None and not self.source.startswith("KAGGLE_"):
            return f"mv {self.path} {self.path}.old"
        return "unset " + self.source.replace(" and ", " ")


@dataclass(frozen=True)
class CredentialSearch:
    """All credentials on this machine, the ones in use first, and the files that cannot be read."""

    all: tuple[Credentials, ...]
    unreadable: tuple[str, ...] = ()

    @property
    def used(self) -> Credentials | None:
        """The credentials in use, if there are any."""
        return self.all[0] if self.all else None

    @property
    def shadowed(self) -> tuple[Credentials, ...]:
        """Credentials that are never used, because the first are: a bad token beats a good key."""
        return self.all[1:]


def find_credentials() -> CredentialSearch:
    """Search every location, without any network."""
    unreadable: list[str] = []
    return CredentialSearch((*_tokens(unreadable), *_keys(unreadable), *_logins(unreadable)), tuple(unreadable))


def search_locations() -> str:
    """The locations where credentials are searched, in order, for a message."""
    return (
        f"KAGGLE_API_TOKEN, {_home() / 'access_token'}, KAGGLE_USERNAME with KAGGLE_KEY, {_config_folder()}/kaggle.json"
    )


def _home() -> Path:
    return Path(os.path.expanduser("~")) / ".kaggle"  # noqa: PTH111 - as the official client: HOME, whatever it is


def _tokens(unreadable: list[str]) -> Iterator[Credentials]:
    # In a Kaggle notebook the machine is logged in.
    if os.environ.get("KAGGLE_KERNEL_RUN_TYPE") and os.environ.get("KAGGLE_DATA_PROXY_URL"):
        yield from _token_in(os.environ.get("KAGGLE_API_V1_TOKEN"), "KAGGLE_API_V1_TOKEN", unreadable)
    value = os.environ.get("KAGGLE_API_TOKEN")
    if value and _exists(value):
        yield from _token_in(value, "KAGGLE_API_TOKEN", unreadable)
    elif value:
        yield Credentials(Kind.TOKEN, "KAGGLE_API_TOKEN", secret=value.strip())
    for name in ("access_token", "access_token.txt"):
        path = _home() / name
        yield from _token_in(str(path), str(path), unreadable)


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # a token may be longer than any file name
        return False


def _token_in(path: str | None, source: str, unreadable: list[str]) -> Iterator[Credentials]:
    if not path:
        return
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        unreadable.append(f"{path}: {type(error).__name__}")
        return
    if secret:
        yield Credentials(Kind.TOKEN, source, secret=secret, path=Path(path))


def _config_folder() -> Path:
    if folder := os.environ.get("KAGGLE_CONFIG_DIR"):
        return Path(folder)
    home = _home()
    if sys.platform.startswith("linux") and not home.exists():
        return Path(os.environ.get("XDG_CONFIG_HOME") or home.parent / ".config") / "kaggle"
    return home


def _keys(unreadable: list[str]) -> Iterator[Credentials]:
    path = _config_folder() / "kaggle.json"
    content = _read_object(path, unreadable)
    # As the official client: each variable beats its field in the file, so the two may have two sources.
    user, key = os.environ.get("KAGGLE_USERNAME"), os.environ.get("KAGGLE_KEY")
    if user and key:
        yield Credentials(Kind.KEY, "KAGGLE_USERNAME and KAGGLE_KEY", user, key)
    mixed = (user and not key) or (key and not user)
    name, secret = (user or content.get("username"), key or content.get("key")) if mixed else _pair(content)
    if name and secret:
        source = f"{path} and {'KAGGLE_USERNAME' if user else 'KAGGLE_KEY'}" if mixed else str(path)
        yield Credentials(Kind.KEY, source, str(name), str(secret), path)


def _pair(content: dict[str, Any]) -> tuple[Any, Any]:
    return content.get("username"), content.get("key")


def _logins(unreadable: list[str]) -> Iterator[Credentials]:
    path = _home() / "credentials.json"
    content = _read_object(path, unreadable)
    if isinstance(content.get("refresh_token"), str) and content["refresh_token"]:
        name = str(content.get("username") or "")
        yield Credentials(Kind.OAUTH, str(path), name, content["refresh_token"], path)


def _read_object(path: Path, unreadable: list[str]) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as error:
        unreadable.append(f"{path}: {type(error).__name__}")
        return {}
    return content if isinstance(content, dict) else {}

"""Who you are to Kaggle: every place that the official client looks in, in its order, and which one counts."""

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
    """The three kinds of credentials, the one that counts first."""

    TOKEN = "API token"
    KEY = "username and key"
    OAUTH = "browser login"


@dataclass(frozen=True)
class Credentials:
    """One set of credentials, and where it was found. Its secret is in no repr, and so in no message."""

    kind: Kind
    source: str
    username: str = ""
    secret: str = field(default="", repr=False)
    path: Path | None = None

    def __str__(self) -> str:
        who = f" of {self.username}" if self.username else ""
        return f"{self.kind.value}{who} from {self.source}"

    @property
    def is_open_to_others(self) -> bool:
        """Whether other users of this machine can read the file."""
        return self.path is not None and os.name != "nt" and bool(self.path.stat().st_mode & 0o044)

    @property
    def cure_to_drop(self) -> str:
        """What to type so that these do not count any more."""
        if self.path is not None and not self.source.startswith("KAGGLE_"):
            return f"mv {self.path} {self.path}.old"
        return "unset " + self.source.replace(" and ", " ")


@dataclass(frozen=True)
class Found:
    """All credentials on this machine, the one in use first, and the files that hold none though they should."""

    all: tuple[Credentials, ...]
    unreadable: tuple[str, ...] = ()

    @property
    def used(self) -> Credentials | None:
        return self.all[0] if self.all else None

    @property
    def shadowed(self) -> tuple[Credentials, ...]:
        """Those that never count, because the first does: a bad token beats a good key."""
        return self.all[1:]


def find_credentials() -> Found:
    """Look in every place. Nothing is asked of the network."""
    unreadable: list[str] = []
    return Found((*_tokens(unreadable), *_keys(unreadable), *_logins(unreadable)), tuple(unreadable))


def places() -> str:
    """Where credentials are looked for, in order, for a person."""
    return (
        f"KAGGLE_API_TOKEN, {_home() / 'access_token'}, KAGGLE_USERNAME with KAGGLE_KEY, {_config_folder()}/kaggle.json"
    )


def _home() -> Path:
    return Path(os.path.expanduser("~")) / ".kaggle"  # noqa: PTH111 - as the official client: HOME, even if it is odd


def _tokens(unreadable: list[str]) -> Iterator[Credentials]:
    # In a Kaggle notebook the machine itself is logged in.
    if os.environ.get("KAGGLE_KERNEL_RUN_TYPE") and os.environ.get("KAGGLE_DATA_PROXY_URL"):
        yield from _token_in(os.environ.get("KAGGLE_API_V1_TOKEN"), "KAGGLE_API_V1_TOKEN", unreadable)
    value = os.environ.get("KAGGLE_API_TOKEN")
    if value and _is_there(value):
        yield from _token_in(value, "KAGGLE_API_TOKEN", unreadable)
    elif value:
        yield Credentials(Kind.TOKEN, "KAGGLE_API_TOKEN", secret=value.strip())
    for name in ("access_token", "access_token.txt"):
        path = _home() / name
        yield from _token_in(str(path), str(path), unreadable)


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # a token may be longer than any name of a file
        return False


def _token_in(path: str | None, source: str, unreadable: list[str]) -> Iterator[Credentials]:
    if not path or not _is_there(path):
        return
    try:
        secret = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
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
    told = _read_object(path, unreadable)
    # As the official client: each variable beats its field in the file, so the two may come from two places.
    user, key = os.environ.get("KAGGLE_USERNAME"), os.environ.get("KAGGLE_KEY")
    if user and key:
        yield Credentials(Kind.KEY, "KAGGLE_USERNAME and KAGGLE_KEY", user, key)
    mixed = (user and not key) or (key and not user)
    name, secret = (user or told.get("username"), key or told.get("key")) if mixed else _pair(told)
    if name and secret:
        source = f"{path} and {'KAGGLE_USERNAME' if user else 'KAGGLE_KEY'}" if mixed else str(path)
        yield Credentials(Kind.KEY, source, str(name), str(secret), path)


def _pair(told: dict[str, Any]) -> tuple[Any, Any]:
    return told.get("username"), told.get("key")


def _logins(unreadable: list[str]) -> Iterator[Credentials]:
    path = _home() / "credentials.json"
    told = _read_object(path, unreadable)
    if told.get("refresh_token"):
        name = str(told.get("username") or "")
        yield Credentials(Kind.OAUTH, str(path), name, str(told["refresh_token"]), path)


def _read_object(path: Path, unreadable: list[str]) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        unreadable.append(f"{path}: {type(error).__name__}")
        return {}
    return told if isinstance(told, dict) else {}

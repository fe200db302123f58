"""What the loopback server knows: its competitions, accounts and uploads, and what may be changed about them."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runner.hosts.loopback.messages import Body, RefusedError
from runner.hosts.practice import PracticeHost

USERNAME, KEY, TOKEN = "practice", "practice-key", "practice-token"


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


class Site:
    """Kaggle's side of the practice competitions that it is given."""

    page_limit = 200

    def __init__(self, hosts: Mapping[str, PracticeHost], *, accounts: Mapping[str, str] | None = None):
        self.stages = {slug: Stage(host) for slug, host in hosts.items()}
        self.accounts = dict(accounts or {USERNAME: KEY})
        self.tokens = {TOKEN}
        self.datasets: dict[str, Path] = {}  # owner/name: the zip of it
        self.url_lifetime = timedelta(minutes=15)
        self.uploads: dict[str, str] = {}  # token: the name of the file
        self.guard = threading.RLock()
        self._scratch = tempfile.TemporaryDirectory()

    @property
    def scratch(self) -> Path:
        """Where bundles and uploads lie until the server ends."""
        return Path(self._scratch.name)

    def clean_up(self) -> None:
        """Delete what was bundled and uploaded."""
        self._scratch.cleanup()

    def now(self) -> datetime:
        """The server's time."""
        return datetime.now(UTC)

    def stage(self, body: Body, *, entered: bool = False) -> tuple[str, Stage]:
        """The competition that a call names; refused where there is none, or where its rules must be accepted."""
        slug = str(body.get("competitionName", ""))
        if slug not in self.stages:
            raise RefusedError(404, "Not found")
        stage = self.stages[slug]
        if entered and not stage.entered:
            raise RefusedError(403, "Permission 'competitions.participate' was denied")
        return slug, stage

    def page(self, items: list[dict[str, Any]], body: Body, key: str) -> dict[str, Any]:
        """The page of a list that a call asks for."""
        start = int(body.get("pageToken") or 0)
        stop = start + min(int(body.get("pageSize") or 20), self.page_limit)
        return {key: items[start:stop], "nextPageToken": str(stop) if stop < len(items) else ""}

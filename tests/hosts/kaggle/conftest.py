"""Three dogs on a practice host, served on Kaggle's wire; the real client is pointed at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from competitions import load
from runner.hosts.grading import Answer, Scores, Usage
from runner.hosts.http.errors import RetryPolicy
from runner.hosts.kaggle import KaggleHost
from runner.hosts.loopback import environment_for
from runner.hosts.practice import PracticeHost, PracticeTeam, create_practice_competition
from tests.wire.server import FaultyServer

DOGS = load("dog-breed")
SLUG = DOGS.slug
GOOD = "id,basset,collie\na1,0.8,0.2\na2,0.4,0.6\na3,0.1,0.9\n"
SAMPLE = "id,basset,collie\na1,0.5,0.5\na2,0.5,0.5\na3,0.5,0.5\n"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TEAMS = 57


@dataclass
class Waits:
    """A pause that only notes how long it would have been."""

    seconds: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def build_dogs(folder: Path, *, files: dict[str, bytes] | None = None, daily_limit: int = 20) -> PracticeHost:
    """A practice host with noise for data: what is asked here is how it travels, not what it shows."""
    source = folder / "source"
    noise = np.random.default_rng(5)
    contents = files or {
        "labels.csv": b"id,breed\nb1,basset\n",
        "train.zip": noise.bytes(300_000),
        "test/deep/0.jpg": noise.bytes(40_000),
        "train/deep/0.jpg": noise.bytes(40_000),
    }
    named = {}
    for name, content in contents.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".zip") and not files:
            with ZipFile(path, "w") as archive:
                archive.writestr("noise.bin", content)
        else:
            path.write_bytes(content)
        named[name] = path
    (folder / "sample.csv").write_text(SAMPLE)
    create_practice_competition(
        DOGS,
        folder / "host",
        files=named,
        sample=folder / "sample.csv",
        classes=("basset", "collie"),
        answers=(
            Answer("a1", "basset", Usage.PUBLIC),
            Answer("a2", "collie", Usage.PRIVATE),
            Answer("a3", "collie", Usage.PRIVATE),
        ),
        board=tuple(
            PracticeTeam(f"team {place}", Scores(0.05 * place, 0.06 * (TEAMS - place)), START + timedelta(hours=place))
            for place in range(1, TEAMS + 1)
        ),
        daily_limit=daily_limit,
    )
    return PracticeHost(DOGS, folder / "host")


@pytest.fixture
def practice(tmp_path: Path) -> PracticeHost:
    """What the server serves."""
    return build_dogs(tmp_path / "site")


@pytest.fixture
def server(practice: PracticeHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    """The server; every client of this process and of its children speaks to it."""
    with FaultyServer({SLUG: practice}) as running:
        for name, value in environment_for(running).items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def waits() -> Waits:
    """How long the client would have waited."""
    return Waits()


@pytest.fixture
def kaggle(server: FaultyServer, waits: Waits) -> KaggleHost:
    """The Kaggle host, with little patience for silence."""
    return KaggleHost(DOGS, patience=RetryPolicy(pause=waits), timeouts=(2.0, 0.3))


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    """A good submission."""
    path = tmp_path / "submission.csv"
    path.write_text(GOOD)
    return path

"""Three dogs on a practice host, served as Kaggle; the real client is pointed at the server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from competitions import load
from runner.hosts.grading import Scores, SolutionRow, Usage
from runner.hosts.http.retry import RetryPolicy, TransferLimits
from runner.hosts.kaggle import KaggleHost
from runner.hosts.ledger import RunInfo
from runner.hosts.practice import PracticeData, PracticeHost, PracticeTeam, create_practice_competition
from runner.hosts.submit import Submitter
from tests.kaggle_server import KaggleServer, use_server

DOGS = load("dog-breed")
RUN_INFO = RunInfo(run="resnet-1", recipe="resnet", commit="abc1234", cv="0.25", cv_error="0.01")
SLUG = DOGS.slug
GOOD = "id,basset,collie\na1,0.8,0.2\na2,0.4,0.6\na3,0.1,0.9\n"
SAMPLE = "id,basset,collie\na1,0.5,0.5\na2,0.5,0.5\na3,0.5,0.5\n"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TEAMS = 57


@dataclass
class RecordedSleeps:
    """A sleep that only records how long it would have been."""

    seconds: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def build_dogs(folder: Path, *, files: dict[str, bytes] | None = None, daily_limit: int = 20) -> PracticeHost:
    """A practice host whose data files are noise: these tests are about transfers, not images."""
    source = folder / "source"
    noise = np.random.default_rng(5)
    contents = files or {
        "labels.csv": b"id,breed\nb1,basset\n",
        "train.zip": noise.bytes(300_000),
        "test/deep/0.jpg": noise.bytes(40_000),
        "train/deep/0.jpg": noise.bytes(40_000),
    }
    paths = {}
    for name, content in contents.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".zip") and not files:
            with ZipFile(path, "w") as archive:
                archive.writestr("noise.bin", content)
        else:
            path.write_bytes(content)
        paths[name] = path
    (folder / "sample.csv").write_text(SAMPLE)
    create_practice_competition(
        DOGS,
        folder / "host",
        PracticeData(
            files=paths,
            sample=folder / "sample.csv",
            classes=("basset", "collie"),
            solution=(
                SolutionRow("a1", "basset", Usage.PUBLIC),
                SolutionRow("a2", "collie", Usage.PRIVATE),
                SolutionRow("a3", "collie", Usage.PRIVATE),
            ),
            leaderboard=tuple(
                PracticeTeam(f"team {rank}", Scores(0.05 * rank, 0.06 * (TEAMS - rank)), START + timedelta(hours=rank))
                for rank in range(1, TEAMS + 1)
            ),
            daily_limit=daily_limit,
        ),
    )
    return PracticeHost(DOGS, folder / "host")


@pytest.fixture
def practice(tmp_path: Path) -> PracticeHost:
    """The practice host that the server serves."""
    return build_dogs(tmp_path / "served")


@pytest.fixture
def server(practice: PracticeHost) -> Iterator[KaggleServer]:
    """The server; every client of this process and of its children uses it."""
    with KaggleServer({SLUG: practice}) as running, use_server(running):
        yield running


@pytest.fixture
def recorded_sleeps() -> RecordedSleeps:
    """How long the client would have slept."""
    return RecordedSleeps()


@pytest.fixture
def kaggle(server: KaggleServer, recorded_sleeps: RecordedSleeps) -> KaggleHost:
    """The Kaggle host, with a short read timeout."""
    return KaggleHost(DOGS, policy=RetryPolicy(recorded_sleeps), limits=TransferLimits(2.0, 0.3))


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    """A valid submission."""
    path = tmp_path / "submission.csv"
    path.write_text(GOOD)
    return path


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """The path of a ledger that does not exist yet."""
    return tmp_path / "submissions" / "ledger.csv"


@pytest.fixture
def submitter(kaggle: KaggleHost, ledger: Path, recorded_sleeps: RecordedSleeps) -> Submitter:
    """Submits to the server without sleeping."""
    return Submitter(kaggle, DOGS, ledger, sleep=recorded_sleeps)

"""Commands as a person types them, in this process; and a workspace with a competition that trains in seconds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

from competitions import load
from runner.cli import run_command
from runner.hosts.grading import Scores, split_public_private
from runner.hosts.practice import PracticeData, PracticeHost, PracticeTeam, create_practice_competition
from tests.competitions import SHAPES, write_plugin
from tests.hosts.kaggle.conftest import START
from tests.kaggle_server import KaggleServer, use_server


@dataclass(frozen=True)
class Result:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


Runner = Callable[..., Result]


@pytest.fixture
def cli(workspace_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Type a command in the workspace; wrapped lines of messages are joined again."""
    monkeypatch.setenv("RUNNER_WORKSPACE", str(workspace_folder))

    def run(*words: object) -> Result:
        capsys.readouterr()
        code = run_command(list(map(str, words)))
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Result(code, out, re.sub(r"\n {4}(?=\S)", " ", err))

    return run


@pytest.fixture
def shapes(workspace_folder: Path) -> Path:
    """The workspace, with a competition file of its own."""
    write_plugin(workspace_folder, SHAPES)
    return workspace_folder


@pytest.fixture
def server(shapes: Path, shapes_folder: Path, tmp_path: Path) -> Iterator[KaggleServer]:
    """The shapes competition on a loopback Kaggle."""
    competition = load("shapes", shapes / "competitions")
    files = {name: shapes_folder / name for name in ("labels.csv", "sample_submission.csv")}
    for subset in ("train", "test"):
        files[f"{subset}.zip"] = tmp_path / f"{subset}.zip"
        with ZipFile(files[f"{subset}.zip"], "w") as archive:
            for path in sorted((shapes_folder / subset).iterdir()):
                archive.write(path, f"{subset}/{path.name}")
    rows = [line.split(",") for line in (shapes_folder / "solution.csv").read_text().splitlines()[1:]]
    solution = split_public_private([row[0] for row in rows], [row[1] for row in rows], seed=1)
    create_practice_competition(
        competition,
        tmp_path / "host",
        PracticeData(
            files=files,
            sample=files["sample_submission.csv"],
            classes=("akita", "beagle", "collie"),
            solution=solution,
            leaderboard=[PracticeTeam(f"team {n}", Scores(0.1 * n, 0.1 * n), START) for n in range(1, 21)],
            daily_limit=2,
        ),
    )
    with KaggleServer({"shapes": PracticeHost(competition, tmp_path / "host")}) as running, use_server(running):
        yield running

"""Download, submit and standings with Kaggle's wire behind them: cli workspace_dir, and in processes of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

from competitions import load
from runner.contract.recipe import FORMAT
from runner.hosts.grading import Answer, Scores, split_public_private
from runner.hosts.loopback import environment_for
from runner.hosts.practice import PracticeHost, PracticeTeam, create_practice_competition
from runner.workspace import write_json
from tests.cli.conftest import Result, Runner
from tests.wire.conftest import START
from tests.wire.server import FaultyServer, drops, drops_before_any_answer, gateway_page, refuses

RUNNER = Path(sys.executable).with_name("runner")


@pytest.fixture
def server(
    shapes: Path, shapes_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultyServer]:
    """The shapes competition on Kaggle's wire."""
    competition = load("shapes", shapes / "competitions")
    files = {name: shapes_folder / name for name in ("labels.csv", "sample_submission.csv")}
    for part in ("train", "test"):
        files[f"{part}.zip"] = tmp_path / f"{part}.zip"
        with ZipFile(files[f"{part}.zip"], "w") as archive:
            for path in sorted((shapes_folder / part).iterdir()):
                archive.write(path, f"{part}/{path.name}")
    rows = [line.split(",") for line in (shapes_folder / "solution.csv").read_text().splitlines()[1:]]
    answers: tuple[Answer, ...] = split_public_private([row[0] for row in rows], [row[1] for row in rows], seed=1)
    create_practice_competition(
        competition,
        tmp_path / "host",
        files=files,
        sample=files["sample_submission.csv"],
        classes=("akita", "beagle", "collie"),
        answers=answers,
        board=[PracticeTeam(f"team {n}", Scores(0.1 * n, 0.1 * n), START) for n in range(1, 21)],
        daily_limit=2,
    )
    with FaultyServer({"shapes": PracticeHost(competition, tmp_path / "host")}) as running:
        for name, value in environment_for(running).items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def process(shapes: Path) -> Callable[..., Result]:
    """The real command, in a process of its own."""

    def run(*words: object) -> Result:
        done = subprocess.run(
            [str(RUNNER), "--workspace", str(shapes), *map(str, words)],
            capture_output=True,
            text=True,
            env=dict(os.environ),
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    return run


def write(folder: Path, first: float = 0.6) -> Path:
    """A submission for shapes: surer of the first class than the sample is."""
    path = folder / f"mine-{first}.csv"
    lines = (folder / "data" / "shapes" / "sample_submission.csv").read_text().splitlines()
    rest = round((1 - first) / 2, 6)
    rows = [f"{line.split(',')[0]},{first},{rest},{rest}" for line in lines[1:]]
    path.write_text("\n".join([lines[0], *rows]) + "\n")
    return path


def test_download_submit_and_standings_over_the_wire(
    server: FaultyServer, process: Callable[..., Result], shapes: Path
) -> None:
    server.order("store", drops(500), gateway_page(502))
    downloaded = process("shapes", "download")
    assert downloaded.code == 0, downloaded.err
    assert "trying again" in downloaded.err
    assert len(list((shapes / "data" / "shapes" / "train").iterdir())) == 60
    server.order("CreateSubmission", drops_before_any_answer)
    path = write(shapes)
    result = process("shapes", "submit", path, "-m", "by hand")
    assert result.code == 0, result.err
    assert re.search(
        r"complete, public \d.*, private \d.*\n.*public board: would have been place \d+ of 20", result.out
    )
    assert server.count("CreateSubmission") == 1
    text = json.loads(process("shapes", "standings", "--json").out)
    assert [item["status"] for item in text["submissions"]] == ["complete"]
    assert len(text["places"]) == 2
    assert len(list((shapes / "boards" / "shapes").glob("*.csv"))) == 2


def test_a_file_is_submitted_once_and_within_the_limit(server: FaultyServer, cli: Runner, shapes: Path) -> None:
    cli("shapes", "download")
    path = write(shapes)
    assert cli("shapes", "submit", path).code == 0
    second = cli("shapes", "submit", path)
    assert second.code == 0
    assert "is submission 1 already" in second.err
    assert cli("shapes", "submit", path, "--resubmit").code == 0
    third = cli("shapes", "submit", write(shapes, 0.5))
    assert third.code == 1
    assert "2 submissions are used up; the next opens at" in third.err
    assert server.count("StartSubmissionUpload") == 2


def test_a_malformed_file_is_never_sent(server: FaultyServer, cli: Runner, shapes: Path) -> None:
    cli("shapes", "download")
    path = write(shapes)
    path.write_text(path.read_text().replace("test000", "nothing"))
    result = cli("shapes", "submit", path)
    assert result.code == 1
    assert "nothing" in result.err
    assert server.count("StartSubmissionUpload") == 0


def test_standings_refresh_adds_submissions_made_elsewhere(server: FaultyServer, cli: Runner, shapes: Path) -> None:
    cli("shapes", "download")
    server.stages["shapes"].host.submit_file("shapes", write(shapes), "=in the browser")
    assert "in the browser" not in cli("shapes", "standings").out
    result = cli("shapes", "standings", "--refresh")
    assert result.code == 0
    assert "1 submission made elsewhere" in result.err
    assert "mine-0.6.csv" in result.out
    assert "private board: would have been place" in result.out


def test_standings_watch_refreshes_until_interrupted(
    server: FaultyServer, cli: Runner, shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    sleep = time.sleep
    slept: list[float] = []

    def stop_at_the_third(seconds: float) -> None:
        if seconds < 100:
            sleep(seconds)
            return
        slept.append(seconds)
        # The second round meets a host in trouble, and goes on.
        server.orders.clear()
        if len(slept) == 1:
            server.always("GetCompetition", refuses(429, Retry_After="5000"))
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", stop_at_the_third)
    result = cli("shapes", "standings", "--watch", 5)
    assert result.code == 130
    assert slept == [300, 300, 300]
    assert "asked again later" in result.err
    assert server.count("DownloadLeaderboard") == 2


def test_submit_best_keeps_within_the_limit(server: FaultyServer, cli: Runner, shapes: Path) -> None:
    cli("shapes", "download")
    folder = shapes / "submissions" / "shapes"
    folder.mkdir(parents=True)
    recipe = load("shapes", shapes / "competitions").recipe.to_dict()
    for number, cv in ((1, 0.9), (2, 0.3), (3, 0.5), (4, 0.7)):
        made = shapes / "runs" / "shapes" / f"test-resnet-{number}"
        made.mkdir(parents=True)
        write_json(made / "recipe.json", recipe, format=FORMAT)
        score = {"metric": "log_loss", "value": cv, "error": 0.01, "rows": 12}
        (made / "score.json").write_text(json.dumps({"cv": score, "also": {}}))
        write(shapes, 0.4 + number / 10).rename(folder / f"test-resnet-{number}.csv")
    result = cli("shapes", "submit", "--best", 3)
    assert result.code == 0, result.err
    assert re.findall(r"^(test-resnet-\d): submission", result.out, re.MULTILINE) == ["test-resnet-2", "test-resnet-3"]
    text = json.loads(cli("shapes", "standings", "--json").out)
    assert {(item["run"], item["cv"]) for item in text["submissions"]} == {
        ("test-resnet-2", "0.3"),
        ("test-resnet-3", "0.5"),
    }
    assert text["cv_correlations"][0]["submissions"] == 2
    refused = cli("shapes", "submit", "--best", 1)
    assert refused.code == 1
    assert "used up" in refused.err


def test_a_notebooks_only_competition_stops_before_training(server: FaultyServer, cli: Runner, shapes: Path) -> None:
    server.stages["shapes"].notebooks_only = True
    result = cli("shapes", "run")
    assert result.code == 1
    assert "notebooks only" in result.err
    assert not (shapes / "data" / "shapes").exists()
    assert not (shapes / "runs" / "shapes").exists()


def test_an_address_names_its_competition(server: FaultyServer, cli: Runner, shapes: Path) -> None:
    result = cli("https://www.kaggle.com/competitions/shapes/data", "download")
    assert result.code == 0, result.err
    assert (shapes / "data" / "shapes" / ".complete").exists()


WRONG = [
    (("shapes", "download", "--mirror"), 2, "names no mirror"),
    (("shapes", "download", "--mirror", "--from", "x"), 2, "exclude each other"),
    (("shapes", "submit", "--best", 2, "x.csv"), 2, "name none"),
    (("shapes", "submit", "--best", 0), 2, "x>=1"),
    (("shapes", "standings", "--watch", 0), 2, "x>0"),
    (("https://www.kaggle.com/c/unknown", "download"), 2, "no command or competition"),
]


@pytest.mark.parametrize(("words", "code", "told"), WRONG, ids=lambda item: str(item))
def test_wrong_usage_exits_with_a_message(
    words: tuple[object, ...], code: int, text: str, shapes: Path, cli: Runner
) -> None:
    result = cli(*words)
    assert (result.code, text in result.err) == (code, True), result.err


def test_the_demo_over_http_walks_the_whole_line(
    cli: Runner, workspace_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from functools import partial

    from runner.contract import Recipe, Stage, TrainMode
    from runner.practice import build, recipes

    tiny = Recipe("test_resnet", (Stage(32, TrainMode.UNFROZEN),), lr=0.01, batch_size=16, pretrained=False)
    monkeypatch.setattr(build, "build_practice", partial(build.build_practice, scale=0.05))
    monkeypatch.setattr(recipes, "practice_recipe", lambda _: tiny)
    # Whatever this process's client was pointed at, and whoever it was: both are put back after the test.
    monkeypatch.setenv("KAGGLE_API_TOKEN", "a real token")
    result = cli("demo", "--host", "http")
    assert result.code == 0, result.err
    assert "would have been place" in result.out
    workspace = workspace_folder / "practice-http"
    assert ",http,demo," in (workspace / "submissions" / "ledger.csv").read_text()
    assert len(list((workspace / "boards" / "dog-breed").glob("*.csv"))) == 2
    assert cli("--host", "http", "dog-breed", "standings", "--refresh").code == 0
    assert cli("--host", "http", "doctor", "dog-breed").code == 0

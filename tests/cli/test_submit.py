"""Download, submit and standings with Kaggle's real client, in this process and in subprocesses."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from competitions import load
from runner.contract.recipe import FORMAT
from runner.session import Session
from runner.steps.submit import best_unsubmitted
from runner.training.run import SCORE_FORMAT
from runner.workspace import Workspace, write_json
from tests.cli.conftest import Result, Runner
from tests.kaggle_server import KaggleServer
from tests.kaggle_server.faults import drops, drops_the_response, gateway_page, refuses

RUNNER = Path(sys.executable).with_name("runner")


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


def test_download_submit_and_standings_in_subprocesses(
    server: KaggleServer, process: Callable[..., Result], shapes: Path
) -> None:
    server.fail_next("store", drops(500), gateway_page(502))
    downloaded = process("shapes", "download")
    assert downloaded.code == 0, downloaded.err
    assert "next attempt in" in downloaded.err
    assert len(list((shapes / "data" / "shapes" / "train").iterdir())) == 60
    server.fail_next("CreateSubmission", drops_the_response)
    path = write(shapes)
    result = process("shapes", "submit", path, "-m", "by hand")
    assert result.code == 0, result.err
    assert re.search(
        r"complete, public \d.*, private \d.*\n.*public leaderboard: would have been rank \d+ of 20", result.out
    )
    assert server.count("CreateSubmission") == 1
    text = json.loads(process("shapes", "standings", "--json").out)
    assert [item["status"] for item in text["submissions"]] == ["complete"]
    assert len(text["standings"]) == 2
    assert len(list((shapes / "leaderboards" / "shapes").glob("*.csv"))) == 2


def test_a_file_is_submitted_once_and_within_the_limit(server: KaggleServer, cli: Runner, shapes: Path) -> None:
    cli("shapes", "download")
    path = write(shapes)
    assert cli("shapes", "submit", path).code == 0
    second = cli("shapes", "submit", path)
    assert second.code == 0
    assert "already submitted as 1; --resubmit sends it again" in second.err
    assert cli("shapes", "submit", path, "--resubmit").code == 0
    third = cli("shapes", "submit", write(shapes, 0.5))
    assert third.code == 1
    assert "2 submissions are used up; the limit resets at" in third.err
    assert server.count("StartSubmissionUpload") == 2


def test_a_malformed_file_is_never_sent(server: KaggleServer, cli: Runner, shapes: Path) -> None:
    cli("shapes", "download")
    path = write(shapes)
    path.write_text(path.read_text().replace("test000", "nothing"))
    result = cli("shapes", "submit", path)
    assert result.code == 1
    assert "nothing" in result.err
    assert server.count("StartSubmissionUpload") == 0


def test_standings_refresh_adds_submissions_made_elsewhere(server: KaggleServer, cli: Runner, shapes: Path) -> None:
    cli("shapes", "download")
    server.competitions["shapes"].host.submit_file("shapes", write(shapes), "=in the browser")
    assert "in the browser" not in cli("shapes", "standings").out
    result = cli("shapes", "standings", "--refresh")
    assert result.code == 0
    assert "1 submission not in the ledger before: added" in result.err
    assert "mine-0.6.csv" in result.out
    assert "private leaderboard: would have been rank" in result.out


def test_standings_watch_refreshes_until_interrupted(
    server: KaggleServer, cli: Runner, shapes: Path, monkeypatch: pytest.MonkeyPatch
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
        server.faults.clear()
        if len(slept) == 1:
            server.fail_always("GetCompetition", refuses(429, Retry_After="5000"))
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", stop_at_the_third)
    result = cli("shapes", "standings", "--watch", 5)
    assert result.code == 130
    assert slept == [300, 300, 300]
    assert "trying again later" in result.err
    assert server.count("DownloadLeaderboard") == 2


def write_scored_runs(cli: Runner, shapes: Path) -> None:
    """Four runs with submissions; by CV the second is best, then the third."""
    cli("shapes", "download")
    folder = shapes / "submissions" / "shapes"
    folder.mkdir(parents=True)
    recipe = load("shapes", shapes / "competitions").recipe.to_dict()
    for number, cv in ((1, 0.9), (2, 0.3), (3, 0.5), (4, 0.7)):
        made = shapes / "runs" / "shapes" / f"test-resnet-{number}"
        made.mkdir(parents=True)
        write_json(made / "recipe.json", recipe, format=FORMAT)
        score = {"metric": "log_loss", "value": cv, "error": 0.01, "rows": 12}
        write_json(made / "score.json", {"cv": score, "extra_metrics": {}}, format=SCORE_FORMAT)
        write(shapes, 0.4 + number / 10).rename(folder / f"test-resnet-{number}.csv")


def test_submit_best_keeps_within_the_limit(server: KaggleServer, cli: Runner, shapes: Path) -> None:
    write_scored_runs(cli, shapes)
    result = cli("shapes", "submit", "--best", 3)
    assert result.code == 0, result.err
    assert re.findall(r"^(test-resnet-\d): submission", result.out, re.MULTILINE) == ["test-resnet-2", "test-resnet-3"]
    text = json.loads(cli("shapes", "standings", "--json").out)
    assert {(item["run"], item["cv"]) for item in text["submissions"]} == {
        ("test-resnet-2", 0.3),
        ("test-resnet-3", 0.5),
    }
    assert text["cv_correlations"][0]["submissions"] == 2
    refused = cli("shapes", "submit", "--best", 1)
    assert refused.code == 1
    assert "used up" in refused.err


def test_submit_best_sends_a_refit_in_place_of_its_run(server: KaggleServer, cli: Runner, shapes: Path) -> None:
    write_scored_runs(cli, shapes)
    made = shapes / "runs" / "shapes" / "test-resnet-2"
    refit = made.with_name("test-resnet-2-all")
    refit.mkdir()
    recipe = replace(load("shapes", shapes / "competitions").recipe, all_data=True, refit_of="test-resnet-2")
    write_json(refit / "recipe.json", recipe.to_dict(), format=FORMAT)
    score = {"metric": "log_loss", "value": 0.3, "error": 0.01, "rows": 12}
    write_json(
        refit / "score.json",
        {"cv": score, "extra_metrics": {}, "refit_of": "test-resnet-2"},
        format=SCORE_FORMAT,
    )
    # Before it has a submission, the run that it refits is still the best one.
    dry = [run.name for run in best_unsubmitted(session_of(shapes), 2)]
    assert dry == ["test-resnet-2", "test-resnet-3"]
    write(shapes, 0.95).rename(shapes / "submissions" / "shapes" / "test-resnet-2-all.csv")
    result = cli("shapes", "submit", "--best", 2)
    assert result.code == 0, result.err
    sent = re.findall(r"^(test-resnet-\S+): submission", result.out, re.MULTILINE)
    assert sent == ["test-resnet-2-all", "test-resnet-3"]


def session_of(shapes: Path) -> Session:
    competition = load("shapes", shapes / "competitions")
    return Session(competition, Workspace.at(shapes), "kaggle")


def test_submit_best_that_was_killed_sends_no_more_than_it_was_asked_to(
    server: KaggleServer, cli: Runner, shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scored_runs(cli, shapes)

    def killed(session: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("runner.steps.submit.end_best", killed)
        assert cli("shapes", "submit", "--best", 1).code == 130
    again = cli("shapes", "submit", "--best", 1)
    assert again.code == 0, again.err
    assert "going on: an earlier --best 1 has sent test-resnet-2" in again.err
    assert re.findall(r"^(test-resnet-\d): submission", again.out, re.MULTILINE) == ["test-resnet-2"]
    another = cli("shapes", "submit", "--best", 1)
    assert re.findall(r"^(test-resnet-\d): submission", another.out, re.MULTILINE) == ["test-resnet-3"]
    assert server.count("CreateSubmission") == 2


def test_submit_best_chooses_again_if_nothing_was_sent(
    server: KaggleServer, cli: Runner, shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scored_runs(cli, shapes)
    chosen = {"count": 1, "runs": ["test-resnet-4"], "time": datetime.now(UTC).isoformat()}
    write_json(shapes / "submissions" / ".best-shapes-kaggle.json", chosen, format=1)
    result = cli("shapes", "submit", "--best", 1)
    assert re.findall(r"^(test-resnet-\d): submission", result.out, re.MULTILINE) == ["test-resnet-2"]


def test_a_notebooks_only_competition_is_told_before_training(server: KaggleServer, cli: Runner, shapes: Path) -> None:
    server.competitions["shapes"].notebooks_only = True
    server.fail_always("ListDataFiles", refuses(403, "no"))
    result = cli("shapes", "run")
    assert result.code == 1
    assert "Shapes takes notebooks only: at the end one is uploaded" in result.err
    assert not (shapes / "data" / "shapes").exists()


def test_a_file_is_refused_where_only_notebooks_may_submit(server: KaggleServer, cli: Runner, shapes: Path) -> None:
    cli("shapes", "download")
    server.competitions["shapes"].notebooks_only = True
    result = cli("shapes", "submit", write(shapes))
    assert result.code == 1
    assert "takes notebooks only, no files" in result.err
    assert "submit the newest run, by a notebook: runner shapes submit" in " ".join(result.err.split())
    assert cli("shapes", "submit", write(shapes), "--dry-run").code == 2


def test_an_address_names_its_competition(server: KaggleServer, cli: Runner, shapes: Path) -> None:
    result = cli("https://www.kaggle.com/competitions/shapes/data", "download")
    assert result.code == 0, result.err
    assert (shapes / "data" / "shapes" / ".complete").exists()


WRONG = [
    (("shapes", "download", "--mirror"), 2, "names no mirror"),
    (("shapes", "download", "--mirror", "--from", "x"), 2, "--mirror excludes --from"),
    (("shapes", "submit", "--best", 2, "x.csv"), 2, "--best excludes FILE|RUN"),
    (("shapes", "submit", "--best", 0), 2, "must be at least 1"),
    (("shapes", "standings", "--watch", 0), 2, "must be above 0"),
    (("https://www.kaggle.com/c/unknown", "download"), 2, "no command or competition"),
]


@pytest.mark.parametrize(("words", "code", "text"), WRONG, ids=lambda item: str(item))
def test_wrong_usage_exits_with_a_message(
    words: tuple[object, ...], code: int, text: str, shapes: Path, cli: Runner
) -> None:
    result = cli(*words)
    assert (result.code, text in result.err) == (code, True), result.err


def test_run_downloads_trains_and_submits_through_kaggle(server: KaggleServer, cli: Runner, shapes: Path) -> None:
    result = cli("shapes", "run")
    assert result.code == 0, result.err
    assert re.search(r"private leaderboard: would have been rank \d+ of 20", result.out)
    (row,) = csv.DictReader((shapes / "submissions" / "ledger.csv").read_text().splitlines())
    assert (row["host"], row["status"], row["ref"]) == ("kaggle", "complete", "1")
    assert row["rank"].endswith("/20")
    assert len(list((shapes / "leaderboards" / "shapes").glob("*.csv"))) == 2
    assert cli("shapes", "standings", "--refresh").code == 0
    assert cli("doctor", "shapes").code == 0


def test_kaggle_is_the_only_host_besides_practice(cli: Runner) -> None:
    result = cli("--host", "http", "list")
    assert result.code == 2
    assert "'kaggle', 'practice'" in result.err

"""The doctor: one line a thing, each with its fix, and a code that a script can ask."""

from __future__ import annotations

import json
import os
import shutil
from collections import namedtuple
from datetime import timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Runner
from tests.cli.test_submitting import server as server  # the fixture
from tests.wire.server import FaultyServer, refuses

Table = dict[str, list[dict[str, str]]]


def examine(cli: Runner, *words: object) -> tuple[int, Table]:
    said = cli("doctor", *words, "--json")
    table: Table = {}
    for one in json.loads(said.out):
        table.setdefault(one["what"], []).append(one)
    return said.code, table


def test_without_credentials_it_is_1_and_says_how_to_come_by_them(cli: Runner) -> None:
    code, table = examine(cli)
    assert code == 1
    assert table["credentials"][0]["status"] == "error"
    assert "https://www.kaggle.com/settings" in table["credentials"][0]["fix"]
    assert {"GPU", "memory", "disk", "versions"} <= set(table)


def test_all_is_well(server: FaultyServer, cli: Runner, shapes: Path) -> None:
    cli("shapes", "download")
    code, table = examine(cli, "shapes")
    assert code == 0
    states = {what: lines[0]["status"] for what, lines in table.items()}
    assert all(states[what] == "ok" for what in ("credentials", "host", "rules", "submissions", "data"))
    assert table["submissions"][0]["found"] == "2 of 2 left today"
    assert "KAGGLE_API_TOKEN" in table["credentials"][0]["found"]


def test_it_prints_a_table_and_no_secret(server: FaultyServer, cli: Runner) -> None:
    said = cli("doctor", "shapes")
    assert said.code == 0
    assert "credentials" in said.out
    assert os.environ["KAGGLE_API_TOKEN"] not in said.out + said.err


def test_without_a_competition_it_asks_the_host_all_the_same(server: FaultyServer, cli: Runner) -> None:
    server.stages["dog-breed-identification"] = server.stages["shapes"]
    server.always("GetCompetition", refuses(401, "Unauthenticated"))
    code, table = examine(cli)
    assert code == 1
    assert "does not accept" in table["host"][0]["found"]


def test_shadowed_and_open_credentials_are_told(
    server: FaultyServer, cli: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(os.environ["HOME"]) / ".kaggle"
    folder.mkdir()
    (folder / "kaggle.json").write_text('{"username": "ann", "key": "hush"}')
    (folder / "kaggle.json").chmod(0o644)
    code, table = examine(cli, "shapes")
    assert code == 0
    _used, shadowed, opened = table["credentials"]
    assert "never count" in shadowed["found"]
    assert "unset KAGGLE_API_TOKEN" in shadowed["fix"]
    assert opened["fix"] == f"chmod 600 {folder / 'kaggle.json'}"
    assert "hush" not in json.dumps(table)


def test_rules_that_are_not_accepted(server: FaultyServer, cli: Runner) -> None:
    server.stages["shapes"].entered = False
    code, table = examine(cli, "shapes")
    assert code == 1
    assert "https://www.kaggle.com/competitions/shapes/rules" in table["rules"][0]["fix"]


@pytest.mark.parametrize(("field", "told"), [("notebooks_only", "notebooks only"), ("disabled", "no submissions")])
def test_a_competition_that_takes_no_files(server: FaultyServer, cli: Runner, field: str, told: str) -> None:
    setattr(server.stages["shapes"], field, True)
    code, table = examine(cli, "shapes")
    assert code == 1
    assert told in table["submissions"][0]["found"]


def test_no_submission_left_is_told_with_its_hour_and_is_no_fault(
    server: FaultyServer, cli: Runner, tmp_path: Path
) -> None:
    host = server.stages["shapes"].host
    for number in range(2):
        (tmp_path / f"{number}.csv").write_text(str(number))
        host.submit_file("shapes", tmp_path / f"{number}.csv", "")
    code, table = examine(cli, "shapes")
    assert code == 0
    assert table["submissions"][0]["status"] == "warning"
    assert "00:00 UTC" in table["submissions"][0]["fix"]


def test_data_that_is_not_here_broken_off_or_not_whole_any_more(
    server: FaultyServer, cli: Runner, shapes: Path
) -> None:
    assert examine(cli, "shapes")[1]["data"][0]["status"] == "warning"
    cli("shapes", "download")
    (shapes / "data" / "shapes" / "train" / "train003.jpg").unlink()
    code, table = examine(cli, "shapes")
    assert code == 1
    assert "1 files are gone" in table["data"][0]["found"]
    assert "--force" in table["data"][0]["fix"]
    (shapes / "data" / "shapes" / ".complete").unlink()
    assert "not complete" in examine(cli, "shapes")[1]["data"][0]["found"]


def test_a_clock_that_is_off(server: FaultyServer, cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    now = FaultyServer.now
    monkeypatch.setattr(FaultyServer, "now", lambda self: now(self) + timedelta(hours=2))
    code, table = examine(cli, "shapes")
    assert code == 0
    assert "min behind" in table["clock"][0]["found"]


def test_a_full_disk(server: FaultyServer, cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 0))
    code, table = examine(cli, "shapes")
    assert code == 1
    assert table["disk"][0]["status"] == "error"


def test_practice_needs_no_account(cli: Runner) -> None:
    code, table = examine(cli, "--host", "practice")
    assert code == 0
    assert "credentials" not in table


def test_an_unknown_competition_is_wrong_usage(cli: Runner) -> None:
    assert cli("doctor", "dogbreed").code == 2

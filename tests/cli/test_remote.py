"""`--on kaggle` and `remote` as they are typed: what has no effect, or makes no sense, is told at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runner.remote.job import RemoteJob, write_job
from runner.session import Session
from runner.workspace import Workspace
from tests.cli.conftest import Runner
from tests.competitions import SHAPES
from tests.kaggle_server import KaggleServer


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("train", "--hours", "3"), "train does not use --hours"),
        (("train", "--no-wait"), "train does not use --no-wait"),
        (("train", "--on", "kaggle", "--engine", "ray"), "--on excludes --engine"),
        (("run", "--on", "kaggle", "--device", "cuda"), "--on excludes --device"),
        (("train", "--on", "colab"), "colab"),
        (("train", "--on", "kaggle", "--hours", "13"), "--hours"),
        (("remote", "first"), "first"),
    ],
)
def test_a_flag_without_a_use_is_wrong_usage(words: tuple[str, ...], told: str, cli: Runner, shapes: Path) -> None:
    result = cli("shapes", *words)
    assert result.code == 2
    assert told in result.err


def test_training_there_needs_the_data_here(cli: Runner, server: KaggleServer) -> None:
    result = cli("shapes", "train", "--on", "kaggle")
    assert result.code == 1
    assert "the data of shapes is not downloaded" in result.err
    assert "runner shapes download" in result.err


def test_without_an_account_training_there_says_how_to_get_one(cli: Runner, shapes: Path) -> None:
    result = cli("shapes", "train", "--on", "kaggle")
    assert result.code == 1
    assert "no Kaggle credentials on this machine" in result.err


def test_nothing_sent_is_an_empty_list_with_a_next_step(cli: Runner, shapes: Path) -> None:
    result = cli("shapes", "remote")
    assert (result.code, result.out) == (0, "")
    assert "nothing was sent to the host from here; next: `runner shapes train --on kaggle`" in result.err
    assert json.loads(cli("shapes", "remote", "--json").out) == []
    assert cli("shapes", "remote", "fetch").code == 2


def test_what_is_on_the_host_is_told_with_the_runs(cli: Runner, shapes: Path) -> None:
    session = Session(SHAPES, Workspace(shapes))
    write_job(session, RemoteJob("train", "first", "d", "me/data", "me/kernel"))
    assert "on the host: first.train; to see how far: `runner shapes remote`" in cli("shapes", "runs").err
    (row,) = json.loads(cli("shapes", "remote", "--json").out)
    assert (row["job"], row["state"]) == ("first.train", "not sent")
    assert "was not sent yet" in cli("shapes", "remote", "fetch").err
    assert "first.train was not sent yet, and is forgotten" in cli("shapes", "remote", "cancel", "first").err
    assert "on the host" not in cli("shapes", "runs").err


def test_a_damaged_note_is_named_and_hides_no_other(cli: Runner, shapes: Path) -> None:
    session = Session(SHAPES, Workspace(shapes))
    write_job(session, RemoteJob("train", "first", "d", "me/data", "me/kernel"))
    (session.workspace.remote_dir("shapes") / "second.train.json").write_text("{")
    result = cli("shapes", "remote")
    assert result.code == 0
    assert "second.train.json" in result.err and "first.train" in result.out

"""The official command line, in a subprocess, sees on the same server what our client sees."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.hosts.kaggle import KaggleHost
from runner.hosts.practice import PracticeHost
from tests.hosts.kaggle.conftest import SLUG
from tests.kaggle_server import KaggleServer

KAGGLE = Path(sys.executable).with_name("kaggle")


@pytest.fixture
def official(server: KaggleServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """Runs the official command `kaggle competitions`; its output."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str) -> str:
        done = subprocess.run(
            [str(KAGGLE), "competitions", *words], capture_output=True, text=True, cwd=tmp_path, env=dict(os.environ)
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.slow
def test_both_clients_see_the_same_files_and_submissions(
    official: Callable[..., str], kaggle: KaggleHost, practice: PracticeHost, submission: Path, tmp_path: Path
) -> None:
    listed = official("files", "-c", SLUG, "--csv")
    for file in kaggle.list_files(SLUG):
        assert file.bundle or file.name in listed
    official("download", "-c", SLUG, "-f", "train.zip", "-p", str(tmp_path / "official"))
    kaggle.download_file(SLUG, next(f for f in kaggle.list_files(SLUG) if f.name == "train.zip"), tmp_path / "x", print)
    official_file, stored = tmp_path / "official" / "train.zip", practice.folder / "files" / "train.zip"
    assert official_file.read_bytes() == (tmp_path / "x").read_bytes() == stored.read_bytes()
    kaggle.submit_file(SLUG, submission, "ours | sha256:0123456789ab")
    submissions = official("submissions", "-c", SLUG, "--csv")
    assert "ours | sha256:0123456789ab" in submissions
    assert "0.22314" in submissions
    output = official("submit", "-c", SLUG, "-f", str(submission), "-m", "official")
    assert "Successfully submitted" in output
    assert [one.message for one in kaggle.fetch_submissions(SLUG)] == ["official", "ours | sha256:0123456789ab"]
    assert "team 57" in official("leaderboard", "-c", SLUG, "--show", "--csv")

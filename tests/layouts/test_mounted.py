"""Every shipped competition as a host mounts it for a notebook: the same rows and images as a download has."""

from __future__ import annotations

from pathlib import Path

import pytest

from competitions import load
from runner.data.download import download
from runner.data.index import build_index
from runner.hosts.sandbox import lay_out_files
from runner.remote.hidden_test import HiddenSession
from runner.remote.mounted_data import link_data
from runner.training.request import data_digest
from runner.workspace import Workspace
from tests.layouts import LAYOUTS, write_layout

QUICK = {"csiro-biomass", "digit-recognizer", "dogs-vs-cats", "herbarium-2022", "iceberg", "mlsp-birds", "planet"}
NAMES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in sorted(LAYOUTS)]


@pytest.mark.parametrize("name", NAMES)
def test_mounted_data_is_that_of_a_download(name: str, tmp_path: Path) -> None:
    write_layout(name, tmp_path / "downloads")
    competition = load(name)
    here = build_index(competition, download(competition, Workspace(tmp_path / "here"), tmp_path / "downloads"))
    files = {
        path.relative_to(tmp_path / "downloads").as_posix(): path
        for path in sorted((tmp_path / "downloads").rglob("*"))
        if path.is_file()
    }
    (tmp_path / "mounted").mkdir()
    lay_out_files(files, tmp_path / "mounted")
    there = build_index(
        competition, link_data(competition, tmp_path / "mounted", Workspace(tmp_path / "there"), trains=True)
    )
    assert data_digest(there) == data_digest(here)
    hidden = Workspace(tmp_path / "hidden")
    link_data(competition, tmp_path / "mounted", hidden)
    session = HiddenSession(competition, hidden)
    assert session.missing == ()
    assert sorted(row.path for row in session._test_rows[0]) == sorted(here.test["path"])

"""Every shipped competition, from files as Kaggle has them to a graded submission."""

from __future__ import annotations

from pathlib import Path

import pytest

from competitions import load
from runner.data.download import download
from runner.data.index import build_index
from runner.workspace import Workspace
from tests.layouts import LAYOUTS, write_layout
from tests.layouts.line import run_line

# One of each form of labels, files and submission; the others are slow tests.
QUICK = {
    "aerial-cactus",
    "aptos-blindness",
    "csiro-biomass",
    "digit-recognizer",
    "dogs-vs-cats",
    "facial-keypoints",
    "herbarium-2022",
    "hotel-id-2021",
    "iceberg",
    "landmark-2020",
    "mlsp-birds",
    "planet",
    "ranzcr-clip",
    "rsna-breast-cancer",
}
NAMES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in sorted(LAYOUTS)]
# A table of 32,000 columns takes a while.
FOUND = [pytest.param(name, marks=pytest.mark.slow if name == "bengali-graphemes" else ()) for name in sorted(LAYOUTS)]

# What is odd in the real data too.
TOLD = {
    "ranzcr-clip": {"label column that is not asked for"},
    "bengali-graphemes": {"class without an image"},
    "herbarium-2020": {"file that is not an image"},
    "herbarium-2021": {"file that is not an image"},
    "hotel-id-2021": {"duplicate id"},
    "rsna-brain-tumor": {"image without a label", "image not in the sample submission"},
    "rsna-hemorrhage": {"duplicate id"},
    "sorghum": {"empty label", "image without a label"},
    "ubc-ocean": {"image without a label", "image not in the sample submission"},
}


@pytest.mark.parametrize("name", NAMES)
def test_a_trained_submission_beats_a_constant_one(name: str, tmp_path: Path) -> None:
    graded = run_line(load(name), tmp_path)
    metric = graded.competition.metric
    assert metric.is_better(graded.trained, than=graded.constant), graded


@pytest.mark.parametrize("name", FOUND)
def test_every_image_of_a_layout_is_found(name: str, tmp_path: Path) -> None:
    solution = write_layout(name, tmp_path / "downloads")
    competition = load(name)
    index = build_index(competition, download(competition, Workspace(tmp_path), tmp_path / "downloads"))
    assert set(index.test["id"]) == set(solution)
    assert len(index.train) >= 20
    assert {problem.kind for problem in index.problems} <= TOLD.get(name, set())

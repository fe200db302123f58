"""Every shipped competition, from files as Kaggle has them to a graded submission."""

from __future__ import annotations

from pathlib import Path

import pytest

from competitions import load
from tests.layouts import LAYOUTS
from tests.layouts.line import run_line

# One of each form of labels, files and submission; the others are slow tests.
QUICK = {
    "aerial-cactus",
    "aptos-blindness",
    "cassava-leaf",
    "dogs-vs-cats",
    "iceberg",
    "planet",
    "plant-pathology-2020",
}
NAMES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in sorted(LAYOUTS)]


@pytest.mark.parametrize("name", NAMES)
def test_a_trained_submission_beats_a_constant_one(name: str, tmp_path: Path) -> None:
    graded = run_line(load(name), tmp_path)
    metric = graded.competition.metric
    assert metric.is_better(graded.trained, than=graded.constant), graded

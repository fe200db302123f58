"""A seeded slice of each class of the hostile campaign `python -m benchmarks.torture`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.torture.parsers import PARSERS, search

ROOT = Path(__file__).parents[2]
CLASSES = "kills,faults,flips,tables,pairs,power,archives"
ALL_CLASSES = f"{CLASSES},login"
PARSER_SECONDS = 0.15


@pytest.mark.parametrize(
    ("classes", "trials"), [(CLASSES, 1), pytest.param(ALL_CLASSES, 3, marks=pytest.mark.slow)], ids=["one", "three"]
)
def test_a_slice_of_every_class_does_no_harm(classes: str, trials: int) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.torture", "--small"),
            *("--only", classes, "--seed", "13", "--trials", str(trials)),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_raises_only_what_its_callers_expect(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("HOME", "KAGGLE_CONFIG_DIR"):
        monkeypatch.setenv(variable, str(tmp_path))  # the parser of credentials sets them
    search(PARSERS[name], 13, tmp_path, PARSER_SECONDS)

"""A seeded slice of each class of the hostile campaign `python -m benchmarks.torture`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRIALS = 3
CLASSES = "kills,archives"


def test_a_slice_of_every_class_does_no_harm() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.torture",
            "--only",
            CLASSES,
            "--seed",
            "13",
            "--trials",
            str(TRIALS),
            "--small",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

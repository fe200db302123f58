"""How long the real dog-breed submission (10,357 x 120) takes to write and to check, and its memory."""

from __future__ import annotations

import hashlib
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from runner.contract import LOG_LOSS, Multiclass
from runner.prediction.submission import write_submission
from runner.submission_format.submission_format import find_problems, read_submission, read_submission_format

ROWS, CLASSES = 10_357, 120

Result = TypeVar("Result")


def main() -> None:
    """Print the figures, and stop if a score moved."""
    with tempfile.TemporaryDirectory() as folder:
        _measure(Path(folder))


def _measure(folder: Path) -> None:
    classes = [f"breed_{number:03d}" for number in range(CLASSES)]
    form = read_submission_format(Multiclass(csv="labels.csv", label="breed"), _sample(folder, classes))
    values = _probabilities()
    path = folder / "submission.csv"
    _timed("write", lambda: write_submission(form, path, classes=classes, ids=form.ids, values=values))
    _timed("check", lambda: find_problems(form, path))
    _, back = _timed("read", lambda: read_submission(form, path, classes=classes))
    targets = np.eye(CLASSES)[np.arange(ROWS) % CLASSES]
    moved = abs(LOG_LOSS.score(targets, back) - LOG_LOSS.score(targets, values))
    print(f"file         {path.stat().st_size / 1e6:8.1f} MB")
    # ru_maxrss counts kilobytes on Linux.
    print(f"peak memory  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:8.1f} MB")
    print(f"score moved  {moved:8.1e}")
    assert moved < 1e-6


def _sample(folder: Path, classes: list[str]) -> Path:
    path = folder / "sample_submission.csv"
    ids = (hashlib.md5(str(row).encode()).hexdigest() for row in range(ROWS))
    uniform = ",".join([repr(1 / CLASSES)] * CLASSES)
    path.write_text("\n".join([",".join(["id", *classes]), *(f"{name},{uniform}" for name in ids)]) + "\n")
    return path


def _probabilities() -> np.ndarray:
    logits = np.random.default_rng(1).normal(scale=6, size=(ROWS, CLASSES))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def _timed(title: str, step: Callable[[], Result]) -> Result:
    begin = time.perf_counter()
    result = step()
    print(f"{title:12} {time.perf_counter() - begin:8.2f} s")
    return result


if __name__ == "__main__":
    main()

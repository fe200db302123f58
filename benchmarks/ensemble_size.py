"""Seconds and peak memory of an ensemble of 30 prediction files of planet's size, its honest score included."""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks.claims import claim

ROWS, TEST_ROWS, FOLDS = 40_479, 61_191, 5
TAGS = 17
CEILING_MB, CEILING_SECONDS = 1000, 60

Result = TypeVar("Result")


def draw_truth(rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Tags as the real ones fall, four of them weathers, and the latent logits from which members see."""
    rates = np.array([0.70, 0.05, 0.07, 0.18, 0.93, 0.30, 0.20, 0.18, 0.11, 0.09, 0.02, *[0.006] * 6])
    logits = np.log(rates / (1 - rates)) + rng.normal(scale=2.0, size=(rows, TAGS))
    weather = np.eye(4)[(logits[:, :4] + rng.gumbel(size=(rows, 4))).argmax(axis=1)]
    others = rng.random((rows, TAGS - 4)) < 1 / (1 + np.exp(-logits[:, 4:]))
    return np.hstack([weather, others * (weather[:, 1:2] == 0)]), logits


def write_files(folder: Path, members: int, rows: int, test_rows: int) -> None:
    """Each member's predictions, out of fold and of the test rows; the earlier ones see less well."""
    from runner.prediction.predictions import Predictions, write_predictions

    rng = np.random.default_rng(1)
    classes = tuple(f"tag_{number:02d}" for number in range(TAGS))
    for part, count in (("valid", rows), ("test", test_rows)):
        truth, logits = draw_truth(count, rng)
        np.save(folder / f"{part}.npy", truth.astype(np.float32))
        ids = tuple(f"{part}_{row}" for row in range(count))
        for number in range(members):
            seen = 1.3 * (logits + rng.normal(scale=1.2 - 0.02 * number, size=logits.shape))
            write_predictions(folder / f"{number}.{part}.npz", Predictions(ids, classes, 1 / (1 + np.exp(-seen))))


def ensemble_and_measure(folder: Path, members: int, answers: multiprocessing.Queue[Any]) -> None:
    """In a process of its own, whose peak is therefore the ensemble's."""
    from runner.contract import MEAN_F2
    from runner.prediction.label_constraints import LabelConstraints
    from runner.prediction.nested_cv import NestedCV
    from runner.prediction.out_of_fold import Member, OutOfFold, read_members, read_test
    from runner.prediction.postprocess import Task
    from runner.prediction.predictions import read_predictions

    begun = time.perf_counter()
    files = [Member(f"member {n}", (folder / f"{n}.valid.npz",), (folder / f"{n}.test.npz",)) for n in range(members)]
    names = tuple(member.name for member in files)
    ids, classes, stack = timed("read 30 files", lambda: read_members(files))
    targets = np.load(folder / "valid.npy")[[int(name.split("_")[1]) for name in ids]]
    folds = np.arange(len(ids)) % FOLDS
    rows = OutOfFold(names, ids, stack, targets, folds, ("",) * len(ids))
    nest = NestedCV.of_rows(rows, Task(MEAN_F2, multiclass=False, constraints=LabelConstraints((0, 1, 2, 3), (1,))))
    step = timed("choose and fit", nest.postprocess)
    honest = timed("honest score", nest.nested_score)
    timed("score the methods", nest.score_methods)
    timed("contributions", nest.contributions)
    test_ids = read_predictions(files[0].test[0]).ids
    by_name = {member.name: member for member in files}
    answer = timed("average the test", lambda: step.apply(lambda name: read_test(by_name[name], test_ids, classes)))
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
    hidden = MEAN_F2.score(np.load(folder / "test.npy"), answer.values)
    print(f"plan: {nest.select_plan()}; {sum(weight > 0 for weight in step.weights)} members have weight")
    print(f"honest {honest.score}, in-sample {honest.in_sample:.5f}, hidden {hidden:.5f}")
    answers.put((seconds, peak))


def timed(title: str, step: Callable[[], Result]) -> Result:
    """The step's result, with its seconds told."""
    begun = time.perf_counter()
    result = step()
    print(f"{title:18} {time.perf_counter() - begun:6.2f} s", flush=True)
    return result


def main() -> int:
    """0 where time and memory stay under their ceilings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=30)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the real number of rows")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, given.members, int(ROWS * given.scale), int(TEST_ROWS * given.scale))
        spawn = multiprocessing.get_context("spawn")
        answers: multiprocessing.Queue[Any] = spawn.Queue()
        child = spawn.Process(target=ensemble_and_measure, args=(folder, given.members, answers))
        child.start()
        seconds, peak = answers.get()
        child.join()
    title = f"ensemble of {given.members} files of planet's size"
    claim(f"{title}: seconds", f"{seconds:.1f} s", f"<= {CEILING_SECONDS} s", seconds <= CEILING_SECONDS)
    claim(f"{title}: peak memory", f"{peak:.0f} MB", f"<= {CEILING_MB} MB", peak <= CEILING_MB)
    return int(peak > CEILING_MB or seconds > CEILING_SECONDS)


if __name__ == "__main__":
    sys.exit(main())

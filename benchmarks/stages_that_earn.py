"""Which stages earn their time: the same rows, weights and seeds, trained by recipes that differ in a stage.

Runs on any dog-breed-shaped folder with real photographs and a weights file. Each recipe is a run of its own
in one workspace, so all share the same held-out rows; a `test_solution.csv`, where there is one, is graded too.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scratch import run_runner, write_plugin
from competitions import load
from runner.contract import ACCURACY, LOG_LOSS, Recipe, Stage, TrainMode

NAME = "same-dogs"


def recipes(size: int, larger: int) -> dict[str, Recipe]:
    """The recipes that are compared, by what they do."""
    base = load("dog-breed").recipe
    head = Stage(size, TrainMode.FEATURES, cycles=3, cycle_len=2, cycle_mult=2)
    sharper = Stage(larger, TrainMode.FEATURES, cycles=2, cycle_len=2, cycle_mult=2, lr_scale=0.5)
    frozen = Stage(size, TrainMode.FROZEN, cycle_len=3, lr_scale=0.3)

    def unfrozen(share: float, at: int = size) -> Stage:
        return Stage(at, TrainMode.UNFROZEN, cycle_len=2, lr_scale=share)

    moving, kept = replace(base, freeze_bn=False), replace(base, freeze_bn=True)
    chosen = {
        f"head {size}": (kept, (head,)),
        f"head {size}, frozen": (kept, (head, frozen)),
        f"head {size}, unfrozen x 0.3, norms move": (moving, (head, unfrozen(0.3))),
        f"head {size}, unfrozen x 0.1, norms move": (moving, (head, unfrozen(0.1))),
        f"head {size}, unfrozen x 0.3, norms kept": (kept, (head, unfrozen(0.3))),
        f"head {size}, unfrozen x 0.1, norms kept": (kept, (head, unfrozen(0.1))),
        f"head {larger}": (kept, (replace(head, size=larger),)),
        f"head {size}, head {larger}": (kept, (head, sharper)),
        f"head {size}, unfrozen x 0.1, head {larger}": (kept, (head, unfrozen(0.1), sharper)),
        f"head {size}, head {larger}, unfrozen x 0.1": (kept, (head, sharper, unfrozen(0.1, larger))),
    }
    return {name: replace(recipe, stages=stages) for name, (recipe, stages) in chosen.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stages_that_earn", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--larger", type=int, default=224)
    options = parser.parse_args()
    print(f"{'recipe':<44}{'seconds':>9}{'held-out':>10}{'accuracy':>10}{'test':>10}{'accuracy':>10}")
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        for name, recipe in recipes(options.size, options.larger).items():
            print(f"{name:<44}{_row(options, workspace, recipe)}", flush=True)


def _row(options: argparse.Namespace, workspace: Path, recipe: Recipe) -> str:
    write_plugin(workspace, NAME, recipe)
    run_runner(workspace, NAME, "download", "--from", options.folder)
    # Activations that another recipe has computed would make this one look cheap.
    run_runner(workspace, NAME, "clean")
    started = time.perf_counter()
    run = run_runner(workspace, NAME, "train", "--model", options.model, "--weights", options.weights).strip()
    seconds = time.perf_counter() - started
    run_runner(workspace, NAME, "predict", "--run", run)
    score = json.loads((workspace / "runs" / NAME / run / "score.json").read_text())
    test = _grade(options.folder, workspace / "submissions" / NAME / f"{run}.csv")
    held_out = f"{score['cv']['value']:>10.4f}{score['also']['accuracy']['value']:>10.4f}"
    return f"{seconds:>9.1f}{held_out}" + "".join(f"{one:>10.4f}" for one in test)


def _grade(folder: Path, submission: Path) -> tuple[float, ...]:
    solution = folder / "test_solution.csv"
    if not solution.exists():
        return ()
    with solution.open(newline="") as file:
        (label_of,) = [dict(tuple(row.values()) for row in csv.DictReader(file))]
    with submission.open(newline="") as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    classes = [name for name in rows[0] if name != "id"]
    predicted = np.array([[float(row[name]) for name in classes] for row in rows])
    targets = np.array([[float(label_of[row["id"]] == name) for name in classes] for row in rows])
    return LOG_LOSS.score(targets, predicted), ACCURACY.score(targets, predicted)


if __name__ == "__main__":
    main()

"""How often a hidden score keeps what the out-of-fold score promised, and what ensemble and views are worth.

`python -m benchmarks.honesty [COMPETITION ...] [--seeds N] [--scale X]` on practice data, or
`--folder DIR --model NAME --weights FILE --size N` on a folder that is laid out as dog-breed is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from runner.pipeline import read_index

from competitions import load
from runner.console import set_verbosity
from runner.contract import Competition, Recipe, Stage, TrainMode
from runner.contract.targets import targets_of
from runner.contract.thresholds import apply_thresholds
from runner.data.download import download
from runner.hosts.grading import read_solution
from runner.hosts.open_host import open_host
from runner.practice.build import build_practice, practice_names
from runner.practice.recipes import practice_recipe
from runner.practice.rehearsal import RehearsalOptions, rehearsal_workspace
from runner.prediction.predict import Asked
from runner.prediction.predictions import align, mean_predictions, read_predictions
from runner.training.fold import Machine
from runner.training.run import Run
from runner.workflow import rehearse
from runner.workspace import Workspace

# One standard error in three is chance; two are met by nineteen rehearsals of twenty.
BOUND, SHARE = 2.0, 0.95


@dataclass(frozen=True)
class Found:
    """One rehearsal: the difference in standard errors, and both answers' scores on the hidden rows."""

    standard_errors: float
    ensemble: float
    single: float


def rehearse_once(
    competition: Competition, workspace: Workspace, recipe: Recipe, seed: int, hidden: float, machine: Machine
) -> Found:
    """Another seed hides other rows, and trains otherwise."""
    hiding = RehearsalOptions(hidden, seed)
    recipe = replace(recipe, seed=seed)
    line, verdict = rehearse(competition, workspace, recipe, hiding=hiding, machine=machine, asked=Asked())
    single = best_single(competition, rehearsal_workspace(workspace, competition, hiding), line.run)
    return Found(verdict.standard_errors, verdict.hidden.value, single)


def best_single(competition: Competition, ground: Workspace, run: Run) -> float:
    """The hidden score of the snapshot that does best out of fold, through the plain view and with nothing fitted."""
    index = read_index(competition, ground)
    truth = dict(zip(index.train["id"], index.targets(), strict=True))
    names = {path.name.split(".")[0] for path in run.fold_dir(0).glob("snapshot-*.valid.npz")}
    metric, best = competition.metric, ""
    scores = {}
    for name in names:
        said = mean_predictions([read_predictions(path) for path in run.folder.glob(f"fold-*/{name}.valid.npz")])
        decided = apply_thresholds(said.probabilities) if metric.takes_decisions else said.probabilities
        scores[name] = metric.score(np.stack([truth[id] for id in said.ids]), decided)
    best = (max if metric.higher_is_better else min)(scores, key=lambda name: scores[name])
    said = mean_predictions([read_predictions(path) for path in run.folder.glob(f"fold-*/{best}.test.npz")])
    answers = read_solution(ground.practice_host_dir(competition.name) / "solution.csv")
    probabilities = align(said, [answer.id for answer in answers], index.classes)
    targets = targets_of(competition.labels, index.classes, [answer.label for answer in answers])
    return metric.score(targets, apply_thresholds(probabilities) if metric.takes_decisions else probabilities)


def report(competition: Competition, name: str, found: list[Found], seconds: float) -> bool:
    """A line of the table; whether the promise was kept often enough, and the ensemble was worth it."""
    errors = np.array([one.standard_errors for one in found])
    sign = 1 if competition.metric.higher_is_better else -1
    gains = np.array([sign * (one.ensemble - one.single) for one in found])
    within = int((np.abs(errors) <= BOUND).sum())
    spread = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else float("nan")
    print(
        f"{name:<12}{len(found):>6}{within:>8}{errors.mean():>+9.2f}{np.abs(errors).max():>7.2f}"
        f"{np.mean([one.ensemble for one in found]):>10.4f}{np.mean([one.single for one in found]):>10.4f}"
        f"{gains.mean():>+10.4f} ± {spread:.4f}{int((gains > 0).sum()):>5}{seconds / len(found):>9.0f}",
        flush=True,
    )
    return within >= np.floor(SHARE * len(found)) and gains.mean() > 0


def several_snapshots(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe's last stage as three cycles, so that there is something to choose among."""
    stage = replace(recipe.stages[-1], cycles=3, cycle_len=epochs, cycle_mult=1)
    return replace(recipe, stages=(stage,))


def main() -> int:
    """0 where every competition keeps its promises."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=practice_names())
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=0.6, help="share of the practice data")
    parser.add_argument("--hidden", type=float, default=0.25)
    parser.add_argument("--epochs", type=int, default=5, help="of each of three cycles")
    parser.add_argument("--folds", type=int)
    parser.add_argument("--folder", type=Path, help="laid out as dog-breed is")
    parser.add_argument("--model", default="mobilenetv2_100")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", type=int, default=128)
    given = parser.parse_args()
    set_verbosity(quiet=True)
    print(
        f"{'data':<12}{'seeds':>6}{'within':>8}{'mean se':>9}{'worst':>7}{'ensemble':>10}{'single':>10}"
        f"{'gain':>10}{'':>9}{'won':>5}{'s each':>9}"
    )
    kept = [run_one(given, name) for name in (["dog-breed"] if given.folder else given.names)]
    return int(not all(kept))


def run_one(given: argparse.Namespace, name: str) -> bool:
    """All seeds of one competition."""
    competition = load(name)
    machine = Machine(device="cpu", weights=given.weights)
    with tempfile.TemporaryDirectory() as folder:
        base = Workspace.at(folder)
        if given.folder:
            workspace, title = base, given.folder.name
            download(competition, workspace, given.folder)
            stage = Stage(given.size, TrainMode.FEATURES, cycles=3, cycle_len=given.epochs)
            recipe = replace(competition.recipe, backbone=given.model, stages=(stage,))
        else:
            workspace, title = base.for_host("practice"), name
            build_practice(competition, workspace, scale=given.scale)
            download(competition, workspace, open_host("practice", competition, workspace))
            recipe = several_snapshots(practice_recipe(competition), given.epochs)
        recipe = replace(recipe, folds=given.folds)
        begun = time.perf_counter()
        found = []
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            found.append(rehearse_once(competition, workspace, recipe, seed, given.hidden, machine))
            print(f"  {title} {seed}: {found[-1]}", file=sys.stderr, flush=True)
        return report(competition, title, found, time.perf_counter() - begun)


if __name__ == "__main__":
    sys.exit(main())

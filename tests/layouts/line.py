"""The whole line of a competition with a tiny network, and the score of its submission on the hidden solution."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from runner.contract import Competition, Recipe, Solver, Stage, TrainMode
from runner.contract.default_decisions import scored_values
from runner.contract.targets import target_means, targets_of
from runner.data.by_id import mean_by_id
from runner.hosts.grading import Grader, split_public_private
from runner.options import Compute, PredictOptions
from runner.session import Session
from runner.steps.check import check
from runner.steps.download import download
from runner.steps.ensemble import ensemble
from runner.steps.predict import predict
from runner.steps.train import train
from runner.workspace import Workspace
from tests.layouts import write_layout

# By cycles: of two dozen rows a regression, whose strength rows left out confirm, may learn no more than the constant.
STAGE = Stage(32, TrainMode.FEATURES, cycle_len=6, solver=Solver.SGDR, min_steps=0)
TINY = Recipe("test_resnet", (STAGE,), lr=0.02, batch_size=4, pretrained=False)


@dataclass(frozen=True)
class Graded:
    """The private score of the trained submission, and of the best submission that looks at no image."""

    competition: Competition
    trained: float
    constant: float


def run_line(competition: Competition, folder: Path, recipe: Recipe = TINY) -> Graded:
    """Download from a folder, train, predict, ensemble, check, and grade."""
    solution = write_layout(competition.name, folder / "downloads")
    session = Session(
        replace(competition, recipe=recipe), Workspace(folder / "work"), compute=Compute(device="cpu", workers=0)
    )
    download(session, folder / "downloads")
    run = train(session, recipe)
    predict(session, run, PredictOptions(tta="none"))
    blend = ensemble(session, [run], name="blend")
    path = session.submission_file(blend.name)
    check(session, path, strict=True)
    return Graded(competition, _grade(session, path, solution), _grade_constant(session, solution))


def _grade(session: Session, path: Path, solution: dict[str, str]) -> float:
    rows = split_public_private(list(solution), list(solution.values()), seed=1, public_share=0.1)
    return Grader(session.competition, session.index.classes, session.sample_file, rows).grade(path).private


def _grade_constant(session: Session, solution: dict[str, str]) -> float:
    index, metric = session.index, session.competition.metric
    known = mean_by_id(index.train["id"].tolist(), index.targets())
    targets = targets_of(index.labels, index.classes, list(solution.values()))
    constant = np.tile(target_means(known, len(index.classes)), (len(targets), 1))
    return metric.score(targets, scored_values(metric, constant))

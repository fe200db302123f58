"""Predict validation and test rows, score the first, write a submission from the second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.contract import Recipe
from runner.data.folds import read_folds
from runner.images.views import choose_views
from runner.options import PredictOptions
from runner.prediction.blend import oof_targets_file, postprocess_file
from runner.prediction.members import members_of
from runner.prediction.oof_targets import oof_targets, write_oof_targets
from runner.prediction.out_of_fold import Member
from runner.prediction.predict import Asked, predict_fold, trained_folds
from runner.prediction.results import FittedPostprocess, fit_postprocess
from runner.prediction.swa import choose_models
from runner.session import Session
from runner.steps.ensemble import ensemble
from runner.steps.machine import machine_of
from runner.steps.results import write_run_submission
from runner.training.distributed import broadcast_from_main, build_accelerator, main_process_first
from runner.training.folds import build_folds, copy_score
from runner.training.run import Run, find_run
from runner.workspace import read_json, write_json


def predict(session: Session, run: Run, options: PredictOptions = PredictOptions()) -> Path:
    """The path of the run's submission. What is predicted already is not predicted again."""
    members = run.read_members()
    if members:
        ensemble(session, [find_run(session.workspace, session.name, name) for name in members], name=run.name)
        return session.submission_file(run.name)
    return _predict_run(session, run, run.read_recipe(), options)


def _predict_run(session: Session, run: Run, recipe: Recipe, options: PredictOptions) -> Path:
    machine = machine_of(session)
    accelerator = build_accelerator(machine.device)
    if recipe.all_data:
        broadcast_from_main(accelerator, lambda: copy_score(session.workspace, run))
    asked = _of_original(session, run) if recipe.all_data else Asked(options.tta, options.snapshots)
    index = session.index
    folds = trained_folds(
        main_process_first(accelerator, lambda: build_folds(session.competition, session.workspace, index, run))
    )
    views = choose_views(session.competition.preset, asked.views)
    for fold in folds:
        chosen = choose_models(fold, machine, accelerator, asked)
        predict_fold(fold, machine, accelerator, chosen, views)
    members = members_of(
        [fold.folder for fold in folds],
        [model.name for model in chosen],
        [view.name for view in views],
        held_out=not recipe.all_data,
    )
    return broadcast_from_main(accelerator, lambda: _write_results(session, run, members, asked.views))


def _of_original(session: Session, run: Run) -> Asked:
    """The views of the run that was refitted, and those of its models that have a weight."""
    written = read_json(postprocess_file(_original(session, run)))
    wanted = tuple(name for name, weight in written["weights"].items() if weight > 0)
    return Asked(written["choice"], names=tuple(written["names"]), wanted=wanted)


def _original(session: Session, run: Run) -> Run:
    return find_run(session.workspace, session.name, run.read_recipe().refit_of)


def _write_results(session: Session, run: Run, members: Sequence[Member], tta: str) -> Path:
    """Score, postprocess and submission; a refit keeps the score and the postprocess of its original."""
    if run.read_recipe().all_data:
        postprocess = FittedPostprocess.read(postprocess_file(_original(session, run)))
    else:
        targets = oof_targets(session.index)
        write_oof_targets(oof_targets_file(run), targets)
        fold_of = read_folds(run.folds_file, competition=session.name).fold_of
        postprocess, score = fit_postprocess(session.competition, members, targets, fold_of)
        write_json(run.score_file, score)
    names = [member.name for member in members]
    postprocess.write(postprocess_file(run), names=names, views=list(members[0].views), choice=tta)
    return write_run_submission(session, run, postprocess, members)

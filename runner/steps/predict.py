"""Predict validation and test rows, score the first, write a submission from the second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.contract import Recipe
from runner.data.folds import read_folds
from runner.errors import TrainingError
from runner.images.views import View, choose_views
from runner.options import PredictOptions
from runner.prediction.blend import oof_targets_file, postprocess_file
from runner.prediction.members import members_of
from runner.prediction.oof_targets import oof_targets, write_oof_targets
from runner.prediction.out_of_fold import Member
from runner.prediction.predict import RefitModels, predict_fold, trained_folds
from runner.prediction.results import FittedPostprocess, fit_postprocess
from runner.prediction.swa import choose_models
from runner.session import Session
from runner.steps.ensemble import ensemble
from runner.steps.results import write_run_submission
from runner.training.distributed import broadcast_from_main, get_accelerator, main_process_first
from runner.training.fold import FoldRun
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
    get_accelerator(session.compute)
    tta: str = options.tta
    choice: PredictOptions | RefitModels = options
    if recipe.all_data:
        broadcast_from_main(lambda: copy_score(session, run))
        tta, choice = _of_original(session, run)
    folds = trained_folds(main_process_first(lambda: build_folds(session, run)))
    views = choose_views(session.competition.preset, tta)
    names = _predict_folds(folds, choice, views)
    members = members_of(
        [fold.folder for fold in folds],
        names,
        [view.name for view in views],
        held_out=not recipe.all_data,
    )
    return broadcast_from_main(lambda: _write_results(session, run, members, tta))


def _predict_folds(
    folds: Sequence[FoldRun], choice: PredictOptions | RefitModels, views: Sequence[View]
) -> tuple[str, ...]:
    """The names of the models that every fold was predicted with."""
    models = {fold.number: choose_models(fold, choice) for fold in folds}
    names = {number: tuple(model.name for model in chosen) for number, chosen in models.items()}
    if len(set(names.values())) > 1:
        listed = "; ".join(f"fold {number}: {', '.join(chosen)}" for number, chosen in names.items())
        raise TrainingError(
            f"the folds have different models: {listed}",
            where=folds[0].run.folder,
            fix=folds[0].session.command("train", "--run", folds[0].run.name, "--resume"),
        )
    for fold in folds:
        predict_fold(fold, models[fold.number], views)
    return names[folds[0].number]


def _of_original(session: Session, run: Run) -> tuple[str, RefitModels]:
    """The TTA of the run that was refitted, and its models with those that have a weight."""
    written = read_json(postprocess_file(_original(session, run)))
    weighted = tuple(name for name, weight in written["weights"].items() if weight > 0)
    return written["choice"], RefitModels(tuple(written["names"]), weighted)


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

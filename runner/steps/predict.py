"""Predict validation and test rows, score the first, write a submission from the second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.commands import again
from runner.console import log
from runner.contract import Recipe
from runner.data.folds import read_folds
from runner.errors import TrainingError, UsageError
from runner.images.views import View, choose_views
from runner.options import PredictOptions
from runner.prediction.blend import oof_targets_file, postprocess_file
from runner.prediction.fit_postprocess import fit_postprocess
from runner.prediction.out_of_fold import (
    Member,
    check_validation_rows,
    find_members,
    oof_targets,
    write_oof_targets,
)
from runner.prediction.postprocess import (
    Postprocess,
    read_postprocess,
    read_scored_views,
    read_size_option,
    read_tta_option,
)
from runner.prediction.predict import RefitModels, most_trained_folds, predict_fold
from runner.prediction.sources import sources_of
from runner.prediction.swa import choose_models
from runner.prediction.weighted_models import weighted_models
from runner.session import Session
from runner.steps.blend_refits import blend_refits
from runner.steps.check import warn_of_replaced_images
from runner.steps.ensemble import ensemble
from runner.steps.write_submission import write_results
from runner.training.distributed import broadcast_from_main, entered_by_main, get_accelerator, main_process_first
from runner.training.fold import FoldRun
from runner.training.folds import build_folds, copy_score
from runner.training.run import Run, find_run, hold_run
from runner.training.snapshot_list import choose_snapshots
from runner.training.unreadable import skip_images

_LEAST_SIZE = 16  # as of a stage
_MOST_TIMES_LARGER = 4  # than in training


def predict(session: Session, run: Run, options: PredictOptions = PredictOptions()) -> Path:
    """The path of the run's submission. What is predicted already is not predicted again."""
    members = run.read_members()
    if members:
        if options != PredictOptions():
            raise UsageError(
                f"{run.name} is an ensemble: its views, snapshots and sizes are those of its runs",
                where=run.recipe_file,
                fix=f"leave --tta, --snapshots and --size out, or predict {members[0]} with them",
            )
        if run.read_refit_of() is not None:
            return _predict_refitted_ensemble(session, run)
        ensemble(session, [find_run(session.workspace, session.name, name) for name in members], name=run.name)
        return session.submission_file(run.name)
    return _predict_run(session, run, run.read_recipe(), options)


def _predict_refitted_ensemble(session: Session, run: Run) -> Path:
    """Predict the refits in an ensemble by every model that has a weight in its original, and blend them as that."""
    original = _original(session, run)
    weighted = weighted_models(original)
    for name in run.read_members():
        member = find_run(session.workspace, session.name, name)
        refit_of = member.read_refit_of()
        if refit_of is not None:
            models = tuple(model.model for model in weighted if model.run == refit_of)
            _predict_run(session, member, member.read_recipe(), PredictOptions(), models)
    return broadcast_from_main(lambda: blend_refits(session, run, original))


def _predict_run(
    session: Session, run: Run, recipe: Recipe, options: PredictOptions, models: tuple[str, ...] = ()
) -> Path:
    """Predict a run; a refit also by these models, which have a weight elsewhere."""
    get_accelerator(session.compute)
    with entered_by_main(lambda: hold_run(run, session.command("predict", "--run", run.name))):
        return _predict_held_run(session, run, recipe, options, models)


def _predict_held_run(
    session: Session, run: Run, recipe: Recipe, options: PredictOptions, models: tuple[str, ...]
) -> Path:
    choice: PredictOptions | RefitModels = options
    if recipe.all_data:
        if options != PredictOptions():
            raise UsageError(
                f"{run.name} is a refit: its views, snapshots and size are those of {recipe.refit_of}",
                where=run.recipe_file,
                fix="leave --tta, --snapshots and --size out",
            )
        broadcast_from_main(lambda: copy_score(session, run))
        options, choice = _of_original(session, run, models)
    broadcast_from_main(lambda: skip_images(session, run, None))
    broadcast_from_main(lambda: warn_of_replaced_images(session))
    folds = most_trained_folds(main_process_first(lambda: build_folds(session, run)))
    if isinstance(choice, PredictOptions):
        _check_size(folds[0], choice)
    views = choose_views(session.competition.preset, options.tta, options.size)
    names = _predict_folds(folds, choice, views)
    members = find_members(
        [fold.folder for fold in folds],
        names,
        [view.name for view in views],
        has_valid=not recipe.all_data,
    )
    return broadcast_from_main(lambda: _write_results(session, run, members, options))


def _check_size(fold: FoldRun, options: PredictOptions) -> None:
    """Refuse a size that is far from what the snapshots were trained at."""
    if options.size is None:
        return
    smallest = min(choose_snapshots(fold.read_snapshots(), options), key=lambda snapshot: snapshot.size)
    most = _MOST_TIMES_LARGER * smallest.size
    if not _LEAST_SIZE <= options.size <= most:
        raise UsageError(
            f"--size {options.size}: must be from {_LEAST_SIZE} to {most} px, {_MOST_TIMES_LARGER} times the "
            f"{smallest.size} px that {smallest.name} was trained at",
            where=fold.run.folder,
            fix=again("--size", max(_LEAST_SIZE, min(options.size, most))),
        )


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
    _warn_of_missing_snapshots(folds[0], choice)
    for fold in folds:
        predict_fold(fold, models[fold.number], views)
    return names[folds[0].number]


def _warn_of_missing_snapshots(fold: FoldRun, choice: PredictOptions | RefitModels) -> None:
    """Warn if more snapshots were asked for than there are."""
    wanted = choice.snapshots if isinstance(choice, PredictOptions) else None
    if wanted and wanted > (count := len(fold.read_snapshots())):
        log.warning(f"{fold.run.name} has {count} snapshots, not {wanted}: all of them are predicted")


def _of_original(session: Session, run: Run, models: tuple[str, ...]) -> tuple[PredictOptions, RefitModels]:
    """The TTA and the size of the run that was refitted, and its models with those that have a weight, or are named."""
    file = postprocess_file(_original(session, run))
    postprocess = read_postprocess(file)
    weights = zip(postprocess.members, postprocess.weights, strict=True)
    weighted = tuple(name for name, weight in weights if weight > 0 or name in models)
    options = PredictOptions(read_tta_option(file), size=read_size_option(file))
    return options, RefitModels(tuple(read_scored_views(file)), weighted)


def _original(session: Session, run: Run) -> Run:
    return find_run(session.workspace, session.name, run.read_refit_of())


def _write_results(session: Session, run: Run, members: Sequence[Member], options: PredictOptions) -> Path:
    """Score, postprocess and submission; those of exactly these sources are left as they are."""
    refit_of = _original(session, run) if run.read_recipe().all_data else None
    sources = sources_of(session.workspace, session.competition, run, members, options, refit_of=refit_of)

    def fit() -> Postprocess:
        return _fit_and_score(session, run, members) if refit_of is None else _postprocess_of(refit_of)

    return write_results(session, run, members, sources, fit)


def _fit_and_score(session: Session, run: Run, members: Sequence[Member]) -> Postprocess:
    targets = oof_targets(session.index)
    write_oof_targets(oof_targets_file(run), targets)
    folds = read_folds(run.folds_file, competition=session.name)
    check_validation_rows(members, folds)
    postprocess, score = fit_postprocess(session.competition, members, targets, folds.fold_of)
    run.write_score(score)
    return postprocess


def _postprocess_of(original: Run) -> Postprocess:
    """A refit has no validation rows to fit a postprocess of its own on."""
    return read_postprocess(postprocess_file(original))

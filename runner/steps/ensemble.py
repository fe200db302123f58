"""Blend finished runs from their prediction files alone: no image, no cache and no network is needed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack

from runner.contract import EnsembleRecipe
from runner.data.folds import copy_folds
from runner.errors import RunnerError, UsageError
from runner.options import PredictOptions
from runner.prediction.blend import oof_targets_file, postprocess_file, read_blend
from runner.prediction.fit_postprocess import fit_postprocess
from runner.prediction.out_of_fold import oof_targets, write_oof_targets
from runner.prediction.postprocess import read_tta_option, write_postprocess
from runner.prediction.sources import read_sources, sources_of, warn_if_stale, write_sources
from runner.session import Session
from runner.steps.write_submission import write_run_submission
from runner.training.run import Run, existing_run, find_runs, hold_run, started_run


def ensemble(session: Session, runs: Sequence[Run], *, name: str | None = None) -> Run:
    """The run of the ensemble, scored, with its submission; one run without a name gets its own postprocess again."""
    _check_members(session, runs, name)
    command = session.command("ensemble", *(run.name for run in runs))
    with ExitStack() as locks:
        is_refit = _is_refit(runs, name)
        for run in runs:
            locks.enter_context(hold_run(run, command, shared=not is_refit))
        blend = read_blend(runs, lambda: oof_targets(session.index))
        postprocess, score = fit_postprocess(session.competition, blend.members, blend.targets, blend.folds.fold_of)
        if is_refit:
            run = runs[0]
            options = _options_of(run)
        else:
            run = locks.enter_context(_ensemble_run(session, runs, name))
            copy_folds(runs[0].folds_file, run.folds_file)
            options = PredictOptions("")
        write_postprocess(postprocess_file(run), postprocess, blend.members, options.tta)
        write_oof_targets(oof_targets_file(run), blend.targets)
        run.write_score(score)
        write_run_submission(session, run, postprocess, blend.members)
        write_sources(
            session.workspace, run, sources_of(session.workspace, session.competition, run, blend.members, options)
        )
    if is_refit:
        warn_if_stale(session.workspace, run)
    return run


def _check_members(session: Session, runs: Sequence[Run], name: str | None) -> None:
    """Refuse a run that is named twice, and a name that is taken; warn of predictions that are older than weights."""
    names = [run.name for run in runs]
    twice = sorted({member for member in names if names.count(member) > 1})
    if twice:
        raise UsageError(
            f"{', '.join(twice)} is named twice",
            fix="name each run once; a weight of its own is fitted for each model: "
            f"`{session.command('ensemble', *dict.fromkeys(names))}`",
        )
    taken = existing_run(session.workspace, session.name, name) if name else None
    if taken is not None and taken.read_members() != tuple(names):
        raise UsageError(
            f"there is another run named {name!r}: {taken.summary}", where=taken.folder, fix="another --name NAME"
        )
    if not _is_refit(runs, name):
        for run in runs:
            warn_if_stale(session.workspace, run)


def _is_refit(runs: Sequence[Run], name: str | None) -> bool:
    """Whether one run gets its own postprocess again."""
    return len(runs) == 1 and name is None


def _options_of(run: Run) -> PredictOptions:
    """The options that the run was predicted with last."""
    file, sources = postprocess_file(run), read_sources(run)
    tta = read_tta_option(file) if file.exists() else "default"
    return PredictOptions(tta, sources.snapshots if sources else None)


def _ensemble_run(session: Session, runs: Sequence[Run], name: str | None) -> AbstractContextManager[Run]:
    """A run for these members; an ensemble of the same members is used again unless another name is given."""
    recipe = EnsembleRecipe(tuple(run.name for run in runs))
    same = [run for run in find_runs(session.workspace, session.name) if _members_of(run) == recipe.members]
    name = name or (same[-1].name if same else None)
    return started_run(session.workspace, session.name, recipe, name, "ensemble")


def _members_of(run: Run) -> tuple[str, ...]:
    """The members of an ensemble; none of a run whose recipe cannot be read."""
    try:
        return run.read_members()
    except RunnerError:
        return ()

"""Blend finished runs from their prediction files alone: no image, no cache and no network is needed."""

from __future__ import annotations

from collections.abc import Sequence

from runner.contract import EnsembleRecipe
from runner.data.folds import copy_folds
from runner.prediction.blend import oof_targets_file, postprocess_file, read_blend
from runner.prediction.oof_targets import oof_targets, write_oof_targets
from runner.prediction.results import fit_postprocess
from runner.session import Session
from runner.steps.results import write_run_submission
from runner.training.run import Run, find_runs, start_run
from runner.workspace import read_json, write_json


def ensemble(session: Session, runs: Sequence[Run], *, name: str | None = None) -> Run:
    """The run of the ensemble, scored, with its submission; one run without a name gets its own postprocess again."""
    blend = read_blend(runs, lambda: oof_targets(session.index))
    postprocess, score = fit_postprocess(session.competition, blend.members, blend.truth, blend.folds.fold_of)
    if len(runs) == 1 and name is None:
        run = runs[0]
        file = postprocess_file(run)
        tta = read_json(file)["choice"] if file.exists() else "default"
        names = [member.name for member in blend.members]
        postprocess.write(file, names=names, views=list(blend.members[0].views), choice=tta)
    else:
        run = _ensemble_run(session, runs, name)
        copy_folds(runs[0].folds_file, run.folds_file)
        postprocess.write(postprocess_file(run), members={member.name: list(member.views) for member in blend.members})
    write_oof_targets(oof_targets_file(run), blend.truth)
    write_json(run.score_file, score)
    write_run_submission(session, run, postprocess, blend.members)
    return run


def _ensemble_run(session: Session, runs: Sequence[Run], name: str | None) -> Run:
    """A run for these members; an ensemble of the same members is used again unless another name is given."""
    recipe = EnsembleRecipe(tuple(run.name for run in runs))
    same = [run for run in find_runs(session.workspace, session.name) if run.read_members() == recipe.members]
    return start_run(session.workspace, session.name, recipe, name or (same[-1].name if same else None))

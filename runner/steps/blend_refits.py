"""The submission of an ensemble of refits: by the weights and the postprocess of the ensemble that they refit."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from runner.errors import UsageError
from runner.options import PredictOptions
from runner.prediction.blend import postprocess_file, read_blend
from runner.prediction.out_of_fold import Member, oof_targets
from runner.prediction.postprocess import Postprocess, read_postprocess
from runner.prediction.predictions import predictions_file
from runner.prediction.sources import sources_of
from runner.prediction.weighted_models import weighted_models
from runner.session import Session
from runner.steps.write_submission import write_results
from runner.training.folds import copy_score
from runner.training.run import Run, find_run, hold_run


def blend_refits(session: Session, run: Run, original: Run) -> Path:
    """Write the submission of an ensemble of refits, by weights and postprocess of the ensemble that they refit."""
    command = session.command("predict", "--run", run.name)
    members = [find_run(session.workspace, session.name, name) for name in run.read_members()]
    with ExitStack() as locks:
        for member in members:
            locks.enter_context(hold_run(member, command, shared=True))
        locks.enter_context(hold_run(run, command))
        copy_score(session, run)
        postprocess, models = _refitted_models(session, members, original)
        sources = sources_of(session.workspace, session.competition, run, models, PredictOptions(""), refit_of=original)
        return write_results(session, run, models, sources, lambda: postprocess)


def _refitted_models(session: Session, members: Sequence[Run], original: Run) -> tuple[Postprocess, tuple[Member, ...]]:
    """The postprocess of the original, and the files that it is applied to: of a refit, or of a run without one."""
    postprocess = read_postprocess(postprocess_file(original))
    runs = [find_run(session.workspace, session.name, name) for name in original.read_members()]
    file_of = {member.name: member for member in read_blend(runs, lambda: oof_targets(session.index)).members}
    member_of = {member.read_refit_of() or member.name: member for member in members}
    weight_of = dict(zip(postprocess.members, postprocess.weights, strict=True))
    models, weights = list[Member](), list[float]()
    for model in weighted_models(original):
        if model.run not in member_of:
            raise UsageError(
                f"{original.name} has been fitted again, and {model.run} has a weight in it now",
                where=postprocess_file(original),
                fix=f"`{session.command('runs', '--delete', f'{original.name}-all')}`, then "
                f"`{session.command('train', '--all-data', '--run', original.name)}`",
            )
        member, files = member_of[model.run], file_of[model.member]
        is_refit = member.name != model.run
        test = (predictions_file(member.fold_dir(0), model.model, "test"),) if is_refit else files.test
        models.append(Member(f"{member.name}:{model.model}", (), test, files.views))
        weights.append(weight_of[model.member])
    names = tuple(model.name for model in models)
    return replace(postprocess, members=names, weights=tuple(weights)), tuple(models)

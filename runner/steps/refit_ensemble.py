"""Refit the runs of an ensemble on all labelled rows; its weights, and its score, stay those that were fitted."""

from __future__ import annotations

from runner.contract import EnsembleRecipe
from runner.errors import UsageError
from runner.options import TrainOptions
from runner.prediction.blend import postprocess_file
from runner.prediction.weighted_models import weighted_models
from runner.session import Session
from runner.steps.predict import predict
from runner.steps.train import is_refitted_in_seconds, refit
from runner.training.distributed import broadcast_from_main
from runner.training.run import Run, existing_run, find_run, started_run


def refit_run(session: Session, original: Run, options: TrainOptions = TrainOptions()) -> Run:
    """The refit of a run; that of an ensemble is predicted, too, as an ensemble is."""
    return refit_ensemble(session, original, options) if original.read_members() else refit(session, original, options)


def refit_ensemble(
    session: Session, original: Run, options: TrainOptions = TrainOptions(), *, in_seconds: bool = False
) -> Run:
    """The ensemble of the refits of all runs with a weight, with its submission.

    `in_seconds` refits only those runs for which that takes seconds; the networks of the others stay as they are.
    """
    names = broadcast_from_main(lambda: weighted_runs(session, original))
    members = []
    for name in names:
        run = find_run(session.workspace, session.name, name)
        wanted = not in_seconds or is_refitted_in_seconds(run)
        members.append(refit(session, run, options).name if wanted else name)
    recipe = EnsembleRecipe(tuple(members), original.name)
    run = broadcast_from_main(lambda: _begun(session, recipe, f"{original.name}-all"))
    predict(session, run)
    return run


def weighted_runs(session: Session, original: Run) -> tuple[str, ...]:
    """The names of the runs with a weight in an ensemble, the heaviest first; a UsageError if it cannot be refitted."""
    refit_of = original.read_refit_of()
    if refit_of is not None:
        raise UsageError(
            f"{original.name} is a refit of {refit_of} already",
            fix=session.command("predict", "--run", original.name),
        )
    if original.read_score() is None or not postprocess_file(original).exists():
        raise UsageError(
            f"{original.name} has no score yet, which its refit keeps",
            where=original.folder,
            fix=session.command("predict", "--run", original.name),
        )
    return tuple(dict.fromkeys(model.run for model in weighted_models(original)))


def _begun(session: Session, recipe: EnsembleRecipe, name: str) -> Run:
    """The run of the refit, new or as it was begun."""
    known = existing_run(session.workspace, session.name, name)
    if known is not None and (known.read_members(), known.read_refit_of()) != (recipe.members, recipe.refit_of):
        raise UsageError(
            f"there is another run named {name!r}: {known.summary}",
            where=known.folder,
            fix=session.command("runs", "--delete", name),
        )
    with started_run(session.workspace, session.name, recipe, name, "predict") as run:
        return run

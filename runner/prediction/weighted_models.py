"""The models with a weight in a run's submission, and whose they are."""

from __future__ import annotations

from dataclasses import dataclass

from runner.prediction.blend import postprocess_file
from runner.prediction.postprocess import read_postprocess
from runner.training.run import Run


@dataclass(frozen=True)
class WeightedModel:
    """A model with a weight in the submission, and the name that the postprocess has for it."""

    member: str
    run: str
    model: str


def weighted_models(run: Run) -> tuple[WeightedModel, ...]:
    """The models with a weight in a run's submission, the heaviest first."""
    postprocess = read_postprocess(postprocess_file(run))
    weights = {name: weight for name, weight in zip(postprocess.members, postprocess.weights, strict=True) if weight}
    of_one = run.name if not run.read_members() else run.read_members()[0]
    models = []
    for member in sorted(weights, key=lambda name: -weights[name]):
        owner, _, model = member.rpartition(":")
        models.append(WeightedModel(member, owner or of_one, model))
    return tuple(models)

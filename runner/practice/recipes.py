"""Recipes for practice data: small networks that train from scratch in less than a minute on two cores."""

from __future__ import annotations

from runner.contract import Competition, Recipe, Stage, TrainMode
from runner.practice.build import require_practice_data


def _from_scratch(size: int, epochs: int) -> Recipe:
    """A recipe of one cosine cycle: restarts do not pay off in so few epochs from random weights."""
    return Recipe(
        backbone="test_resnet",
        stages=(Stage(size, TrainMode.UNFROZEN, cycle_len=epochs),),
        lr=1e-2,
        layer_decay=1,
        batch_size=32,
        weight_decay=0.05,
        pretrained=False,
    )


_RECIPES = {
    "dog-breed": _from_scratch(64, 12),
    "planet": _from_scratch(64, 20),
    "iceberg": _from_scratch(75, 24),
}


def practice_recipe(competition: Competition) -> Recipe:
    """The recipe for a competition's practice data; HostError if it has none."""
    require_practice_data(competition)
    return _RECIPES[competition.name]

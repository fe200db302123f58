"""The recipes of practice: networks small enough for two cores and a minute, from scratch."""

from __future__ import annotations

from runner.contract import Competition, Recipe, Stage, TrainMode
from runner.errors import HostError


def _from_scratch(size: int, epochs: int) -> Recipe:
    """One long cosine: restarts cost a network that starts from nothing more than their snapshots bring it."""
    return Recipe(
        backbone="test_resnet",
        stages=(Stage(size, TrainMode.UNFROZEN, cycle_len=epochs),),
        lr=1e-2,
        lr_divisor=1,
        batch_size=32,
        weight_decay=0.05,
        pretrained=False,
    )


_RECIPES = {
    "dog-breed": _from_scratch(64, 24),
    "planet": _from_scratch(64, 20),
    "iceberg": _from_scratch(75, 24),
}


def practice_recipe(competition: Competition) -> Recipe:
    """The recipe for a competition's practice data."""
    if competition.name not in _RECIPES:
        raise HostError(f"{competition.name} has no practice data", fix=f"runner demo {' or '.join(_RECIPES)}")
    return _RECIPES[competition.name]

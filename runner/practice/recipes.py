"""The recipes of practice: networks small enough for two cores and a minute, from scratch."""

from __future__ import annotations

from runner.contract import Competition, Recipe, Stage, State
from runner.errors import HostError

_RECIPES = {
    "dog-breed": Recipe(
        backbone="test_resnet",
        stages=(Stage(64, State.UNFROZEN, cycle_len=24),),
        lr=1e-2,
        lr_divisor=1,
        batch_size=32,
        weight_decay=0.05,
        pretrained=False,
    ),
    "planet": Recipe(
        backbone="test_resnet",
        stages=(Stage(64, State.UNFROZEN, cycle_len=20),),
        lr=1e-2,
        lr_divisor=1,
        batch_size=32,
        weight_decay=0.05,
        pretrained=False,
    ),
    "iceberg": Recipe(
        backbone="test_resnet",
        stages=(Stage(75, State.UNFROZEN, cycle_len=24),),
        lr=1e-2,
        lr_divisor=1,
        batch_size=32,
        weight_decay=0.05,
        pretrained=False,
    ),
}


def practice_recipe(competition: Competition) -> Recipe:
    """The recipe for a competition's practice data."""
    if competition.name not in _RECIPES:
        raise HostError(f"{competition.name} has no practice data", cure=f"runner demo {' or '.join(_RECIPES)}")
    return _RECIPES[competition.name]

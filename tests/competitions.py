"""The competition of `tests.builders.write_dataset`, and its file in a workspace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from runner import contract
from runner.contract import (
    ACCURACY,
    BINARY_LOG_LOSS,
    LOG_LOSS,
    RMSE,
    SIDE_ON,
    Binary,
    Competition,
    Labels,
    Metric,
    Multiclass,
    Multilabel,
    Recipe,
    Regression,
    Stage,
    TrainMode,
)
from runner.workspace import write_text

# Tests change fields with `replace`, mostly the recipe.
SHAPES = Competition(
    slug="shapes",
    title="Shapes",
    labels=Multiclass(csv="labels.csv", id="id", label="breed"),
    train_images="train/{id}.jpg",
    test_images="test/{id}.jpg",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=LOG_LOSS,
    extra_metrics=(ACCURACY,),
    recipe=Recipe(
        "test_resnet", (Stage(32, TrainMode.UNFROZEN, cycle_len=3),), lr=0.01, batch_size=16, pretrained=False
    ),
    name="shapes",
)


def competition_of(labels: Labels, metric: Metric | None = None, **fields: Any) -> Competition:
    """A competition with these labels, and the plainest metric that scores their probabilities or numbers."""
    plainest = {Binary: BINARY_LOG_LOSS, Multilabel: BINARY_LOG_LOSS, Regression: RMSE}
    metric = metric or plainest.get(type(labels), LOG_LOSS)
    return replace(SHAPES, **{"name": "", "labels": labels, "metric": metric, "extra_metrics": (), **fields})


_FILE = '''"""The height of a bright band."""

from runner.contract import *
from runner.contract.recipe import recipe_from_dict

COMPETITION = Competition(
    slug={slug!r},
    title={title!r},
    labels={labels!r},
    train_images={train_images!r},
    test_images={test_images!r},
    sample_submission={sample_submission!r},
    preset={preset},
    metric={metric},
    extra_metrics=({extra_metrics}),
    recipe=recipe_from_dict({recipe}),
)
'''


def write_plugin(workspace: Path, competition: Competition) -> Path:
    """Write the competition's file in the workspace; return its path."""
    fields = vars(competition) | {
        "preset": _constant(competition.preset),
        "metric": _constant(competition.metric),
        "extra_metrics": "".join(f"{_constant(metric)}, " for metric in competition.extra_metrics),
        "recipe": competition.recipe.to_dict(),
    }
    path = workspace / "competitions" / f"{competition.name.replace('-', '_')}.py"
    write_text(path, _FILE.format(**fields))
    return path


def _constant(value: object) -> str:
    """The name of a metric or preset in `runner.contract`."""
    return next(name for name, constant in vars(contract).items() if constant is value)

"""The flags that say how to predict: the same on every command that does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from runner.prediction.predict import Asked

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--views",
        default="default",
        show_default=True,
        metavar="none|default|all|random:N",
        help="Ways of looking at each image, averaged where that helps.",
    ),
    click.option(
        "--snapshots",
        type=click.IntRange(1, 50),
        metavar="N",
        help="Predict with the last N snapshots.  [default: those of the last stage, at most 3]",
    ),
)


def predict_options(function: Function) -> Function:
    """All flags of predicting, in the order in which help shows them."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def read_predict_options(options: dict[str, Any]) -> Asked:
    """What is asked for by the flags."""
    from runner.prediction.predict import Asked

    return Asked(options["views"], options["snapshots"])

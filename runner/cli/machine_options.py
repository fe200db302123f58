"""The flags that say what to compute with: the same on every command that computes. They change no result."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from runner.training.fold import Machine

Function = TypeVar("Function", bound=Callable[..., Any])

MACHINE_OPTIONS = (
    click.option(
        "--workers",
        type=click.IntRange(0, 64),
        metavar="N",
        help="Processes that read images.  [default: by the machine]",
    ),
    click.option(
        "--cache-gb",
        type=click.FloatRange(0),
        metavar="X",
        help="Disk that resized images may take, 0 for none.  [default: 20]",
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where to compute.",
    ),
)


def machine_options(function: Function) -> Function:
    """All of them, in the order in which help shows them."""
    for option in reversed(MACHINE_OPTIONS):
        function = option(function)
    return function


def read_machine_options(options: dict[str, Any], **more: Any) -> Machine:
    """The machine that the flags describe."""
    from runner.training.fold import DEFAULT_CACHE_BYTES, Machine, default_workers

    return Machine(
        device=options["device"],
        workers=default_workers() if options["workers"] is None else options["workers"],
        cache_bytes=DEFAULT_CACHE_BYTES if options["cache_gb"] is None else int(options["cache_gb"] * 1e9),
        **more,
    )

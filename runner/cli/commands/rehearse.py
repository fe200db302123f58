"""`runner COMPETITION rehearse`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runner.cli.global_options import GlobalOptions, command
from runner.cli.options import (
    predict_options,
    read_compute,
    read_predict_options,
    read_recipe,
    read_train_options,
    recipe_options,
)
from runner.cli.print_json import print_json
from runner.cli.value_types import LocalPath, Number
from runner.errors import UsageError
from runner.options import RehearsalOptions


@command("rehearse", all_processes=True)
@click.option(
    "--hidden",
    type=Number(0, 1, min_open=True, max_open=True),
    default=0.1,
    show_default=True,
    metavar="FRACTION",
    help="How many of the labelled rows become the test set.",
)
@click.option(
    "--leaderboard",
    type=LocalPath(),
    metavar="FILE",
    help="A leaderboard's zip or CSV to rank the hidden score in.  [default: the one that standings saved]",
)
@click.option("--force", is_flag=True, help="Begin again: remove the earlier rehearsal of these rows, with its runs.")
@recipe_options
@predict_options
def rehearse(options: GlobalOptions, hidden: float, leaderboard: Path | None, force: bool, **flags: Any) -> None:
    """Hide some labelled rows, run everything on the others, and compare the CV score with the hidden score.

    --seed chooses other hidden rows and trains differently. Your data, runs and submissions are not touched.
    """
    if leaderboard is not None and not leaderboard.is_file():
        fix = "name the zip that Kaggle's leaderboard page offers, or the CSV file in it"
        raise UsageError("there is no such leaderboard file", where=leaderboard, fix=fix)
    from runner.cli.messages import format_score, format_score_details, format_submission, plain_run, plain_submission
    from runner.workflow import RunOptions
    from runner.workflow import rehearse as rehearse_session

    session = options.session(read_compute(flags))
    recipe = read_recipe(session, flags)
    rehearsal = RehearsalOptions(hidden) if flags["seed"] is None else RehearsalOptions(hidden, flags["seed"])
    run_options = RunOptions(read_train_options(flags), read_predict_options(flags))
    finished, result = rehearse_session(session, recipe, rehearsal, run_options, leaderboard=leaderboard, force=force)
    if options.as_json:
        plain = {**plain_run(session, finished.run), "submission": finished.path, **plain_submission(finished.result)}
        print_json({**plain, "rehearsal": result.to_dict()})
        return
    click.echo(format_score(session.competition, finished.run))
    click.echo(format_score_details(finished.run))
    click.echo(format_submission(finished.result))
    click.echo(result)

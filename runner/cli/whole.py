"""Commands that walk the whole line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from runner.cli.predict_options import predict_options, read_predict_options
from runner.cli.recipe_options import read_recipe_options, recipe_options
from runner.cli.settings import Settings, command


@command("run", together=True)
@click.option("--run", "name", metavar="NAME", help="The run's name.  [default: the backbone and a number]")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="DIR|ARCHIVE",
    help="Where the data is not here yet: take it from this disk, not from the host.",
)
@click.option("--no-submit", is_flag=True, help="End with the checked submission file. Needs no account.")
@click.option("-m", "--message", default="", metavar="TEXT", help="A note that stays with the submission.")
@recipe_options
@predict_options
def run(
    settings: Settings, name: str | None, source: Path | None, no_submit: bool, message: str, **options: Any
) -> None:
    """Download, split, train, predict, check, submit, and tell the standing. A broken-off one goes on."""
    from runner.cli.telling import tell_outcome, tell_parts, tell_score
    from runner.workflow import run_to_standing, run_to_submission

    competition, workspace = settings.competition, settings.workspace
    recipe, machine = read_recipe_options(competition.recipe, options)
    asked = read_predict_options(options)
    if no_submit:
        line = run_to_submission(
            competition, workspace, lambda: source or settings.host, recipe, name=name, machine=machine, asked=asked
        )
        said = f"{line.path}\nto submit it: {workspace.command_line(competition.name, 'submit', line.run.name)}"
    else:
        host = settings.host
        whole = run_to_standing(
            competition,
            workspace,
            host,
            recipe,
            name=name,
            machine=machine,
            source=lambda: source or host,
            message=message,
            asked=asked,
        )
        line, said = whole, tell_outcome(whole.outcome)
    click.echo(tell_score(competition, line.run))
    click.echo(tell_parts(line.run))
    click.echo(said)


@command("rehearse", together=True)
@click.option(
    "--hidden",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.1,
    show_default=True,
    metavar="SHARE",
    help="Of the labelled rows: held back as a pretend test set.",
)
@click.option(
    "--leaderboard",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the hidden score would stand: a board's zip or CSV.  [default: the one that standings downloaded]",
)
@recipe_options
@predict_options
def rehearse(settings: Settings, hidden: float, leaderboard: Path | None, **options: Any) -> None:
    """Hold some labelled rows back, run the whole line on the others, and see how true its score is.

    With --seed other rows are hidden, and trained otherwise. Your data, runs and submissions are left alone.
    """
    from runner.cli.telling import tell_outcome, tell_parts, tell_score
    from runner.practice.rehearsal import RehearsalOptions
    from runner.workflow import rehearse as rehearse_it

    competition = settings.competition
    recipe, machine = read_recipe_options(competition.recipe, options)
    hiding = RehearsalOptions(hidden) if options["seed"] is None else RehearsalOptions(hidden, options["seed"])
    line, verdict = rehearse_it(
        competition,
        settings.workspace,
        recipe,
        hiding=hiding,
        machine=machine,
        asked=read_predict_options(options),
        leaderboard=leaderboard,
    )
    click.echo(tell_score(competition, line.run))
    click.echo(tell_parts(line.run))
    click.echo(tell_outcome(line.outcome))
    click.echo(verdict)


@command("demo", together=True)
@click.argument("names", metavar="[COMPETITION]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All competitions that have practice data.")
def demo(settings: Settings, names: tuple[str, ...], every: bool) -> None:
    """Practice data, the whole line, a practice leaderboard: no account, no GPU, no network.

    With `--host http` the data and the submission travel as they do to and from Kaggle: through its own client,
    to a server on this machine.
    """
    from competitions import load
    from runner.cli.telling import tell_outcome, tell_score
    from runner.practice.build import practice_names
    from runner.report.run.page import write_report
    from runner.workflow import run_demo

    host_name = "http" if settings.host_name == "http" else "practice"
    workspace = settings.base.for_host(host_name)
    for name in practice_names() if every else names or ("dog-breed",):
        competition = load(name, settings.plugins)
        line = run_demo(competition, workspace, host_name)
        click.echo(f"{competition.title} (practice)")
        click.echo(tell_score(competition, line.run))
        click.echo(tell_outcome(line.outcome))
        click.echo(f"submission file: {line.path}")
        click.echo(f"report: {write_report(competition, workspace, line.run).path}")

"""`runner demo`."""

from __future__ import annotations

from dataclasses import replace

import click

from runner.cli.completion import complete_competitions
from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json


@command("demo", all_processes=True)
@click.argument("names", metavar="[COMPETITION]...", nargs=-1, shell_complete=complete_competitions)
@click.option("--notebooks", is_flag=True, help="As where only notebooks may submit: one runs on a hidden test set.")
@click.option("--all", "all_competitions", is_flag=True, help="All competitions that have practice data.")
def demo(options: GlobalOptions, names: tuple[str, ...], notebooks: bool, all_competitions: bool) -> None:
    """Run everything on practice data, graded on a practice leaderboard: no account, no GPU, no network."""
    from runner.practice.build import practice_names, require_practice_data

    options.host_name = "practice"
    chosen = practice_names() if all_competitions else names or ("dog-breed",)
    competitions = [options.load(options.name_from_slug(name) or name) for name in chosen]
    for competition in competitions:
        require_practice_data(competition)

    # Before the seconds that these take to import: a misspelt name is told at once.
    from runner.cli.messages import format_score, format_submission, plain_run, plain_submission
    from runner.report.run.page import write_report
    from runner.workflow import demo as run_demo

    made = []
    for competition in competitions:
        session = options.session(competition=competition, creates=True)
        if notebooks:  # its host takes no files, so it is not the one of the other demo
            session = replace(session, workspace=options.root_workspace.inside("notebooks-demo").for_host("practice"))
        finished = run_demo(session, notebooks=notebooks)
        if options.as_json:
            page = write_report(session, finished.run).path
            made.append({**plain_run(session, finished.run), **plain_submission(finished.result), "page": page})
            continue
        click.echo(f"{session.competition.title} (practice)")
        click.echo(format_score(session.competition, finished.run))
        click.echo(format_submission(finished.result))
        click.echo(f"submission file: {finished.path}")
        click.echo(f"report: {write_report(session, finished.run).path}")
    if options.as_json:
        print_json(made)

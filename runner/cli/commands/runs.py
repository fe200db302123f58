"""`runner COMPETITION runs`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from runner.cli.completion import complete_runs
from runner.cli.flag_conflicts import check_unused
from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json
from runner.cli.tables import five_decimals, print_table
from runner.commands import again
from runner.console import log
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.session import Session
    from runner.steps.runs import RunRow
    from runner.training.run import Run

_SORTS = ("cv", "run", "status", "date", "min", "mb", "public", "private")


@command("runs")
@click.option(
    "--sort", type=click.Choice(_SORTS), default="cv", show_default=True, help="Best, newest, longest, largest first."
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="FIELD=VALUE|WORD",
    help="Only these: a column or a field of the recipe, with =, !=, <, >, <=, >= or ~ (contains); repeatable.",
)
@click.option("--rename", nargs=2, metavar="RUN NAME", shell_complete=complete_runs, help="Give a run another name.")
@click.option(
    "--annotate",
    nargs=2,
    metavar="RUN TEXT",
    shell_complete=complete_runs,
    help="Say something of a run, which the table shows; - removes it.",
)
@click.option(
    "--delete",
    "deleted",
    multiple=True,
    metavar="RUN",
    shell_complete=complete_runs,
    help="Delete a run, after a question; repeatable.",
)
@click.option("--yes", is_flag=True, help="Delete without a question.")
def runs(
    options: GlobalOptions,
    sort: str,
    reverse: bool,
    filters: tuple[str, ...],
    rename: tuple[str, str] | None,
    annotate: tuple[str, str] | None,
    deleted: tuple[str, ...],
    yes: bool,
) -> None:
    """Every run, the best CV score first: its status, scores, time, size, and how its recipe differs from the declared.

    With --rename, --annotate or --delete a run is changed, and nothing is listed.
    """
    from runner.steps.manage_runs import annotate_run, rename_run
    from runner.training.run import find_run

    if yes and not deleted:
        check_unused(("--yes",))
    session = options.session()
    if rename:
        run = rename_run(session, find_run(session.workspace, session.name, rename[0]), rename[1])
        _print_done(options, "renamed", [run.name])
    elif annotate:
        run = find_run(session.workspace, session.name, annotate[0])
        annotate_run(run, annotate[1])
        _print_done(options, "annotated", [run.name])
    elif deleted:
        found = [find_run(session.workspace, session.name, name) for name in dict.fromkeys(deleted)]
        _print_done(options, "deleted", _delete(options, session, found, yes))
    else:
        _list(options, session, filters, sort, reverse)


def _print_done(options: GlobalOptions, what: str, names: list[str]) -> None:
    if options.as_json:
        print_json({what: names})
    else:
        click.echo(f"{what}: {', '.join(names)}" if names else f"nothing is {what}")


def _delete(options: GlobalOptions, session: Session, found: list[Run], yes: bool) -> list[str]:
    """Delete the runs after one question; the names of those that are gone."""
    from runner.steps.manage_runs import delete_run, describe_deletion

    for run in found:
        click.echo(describe_deletion(session, run), err=True)
    if not yes:
        if options.as_json or not sys.stdin.isatty():
            raise UsageError("nobody is here to confirm that it is deleted", fix=again("--yes"))
        count = "this run" if len(found) == 1 else f"these {len(found)} runs"
        if not click.confirm(f"delete {count}?", err=True):
            return []
    return [delete_run(session, run).name for run in found]


def _list(options: GlobalOptions, session: Session, filters: tuple[str, ...], sort: str, reverse: bool) -> None:
    from runner.remote.job import read_jobs
    from runner.steps.runs import list_runs, next_without_runs
    from runner.steps.select_runs import select_runs

    every = list_runs(session)
    rows = select_runs(every, session.competition.metric, filters=filters, sort=sort, reverse=reverse)
    if options.as_json:
        print_json(rows)
        return
    header = ["run", "status", "cv", "±", "public", "private", "rank", "date", "min", "MB", "recipe", "annotation"]
    print_table(header, [_cells(row) for row in rows], optional=("public", "private", "rank", "annotation"))
    if not every:
        log.info(f"no run yet; next: `{next_without_runs(session)}`")
    elif not rows:
        log.info(f"none of {len(every):,} runs passes; without --filter all are listed")
    if away := [job.name for job in read_jobs(session) if job.is_training and not job.is_done]:
        log.info(f"on the host: {', '.join(away)}; to see how far: `{session.command('remote')}`")


def _cells(row: RunRow) -> list[object]:
    return [
        row.run,
        f"{row.status}: {row.note}" if row.note else row.status,
        *map(five_decimals, (row.cv, row.cv_error, row.public, row.private)),
        *(row.rank, row.date, row.minutes, row.megabytes),
        # A recipe that cannot be read is told as it is.
        "; ".join(row.changes) or ("as declared" if row.fields else row.recipe),
        row.annotation,
    ]

"""Commands that predict, and that check what would be submitted."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.settings import Settings, command


@command("predict", together=True)
@click.option("--run", "name", metavar="NAME", help="The run to predict with.  [default: the newest]")
@click.option("--workers", type=click.IntRange(0, 64), metavar="N", help="Processes that read pictures.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to compute.",
)
def predict(settings: Settings, name: str | None, workers: int | None, device: str) -> None:
    """Predict the held-out and the test rows, score the first, write a submission of the second."""
    from runner.pipeline import predict as predict_run
    from runner.pipeline import tell_score
    from runner.training.fold import Machine, default_workers
    from runner.training.run import find_run

    competition, workspace = settings.competition, settings.workspace
    run = find_run(workspace, competition.name, name)
    machine = Machine(device, default_workers() if workers is None else workers)
    path = predict_run(competition, workspace, run, machine=machine)
    click.echo(tell_score(competition, run))
    click.echo(path)


@command("check")
@click.argument("file", type=click.Path(path_type=Path))
def check(settings: Settings, file: Path) -> None:
    """Whether the host would accept the FILE's form: ids, columns, values, encoding."""
    from runner.pipeline import check as check_file

    rows = check_file(settings.competition, settings.workspace, file)
    click.echo(f"{file}: {rows:,} rows, nothing wrong with its form")

"""`runner COMPETITION predict`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from runner.cli.completion import complete_runs
from runner.cli.global_options import GlobalOptions, command
from runner.cli.options import compute_options, predict_options, read_compute, read_predict_options
from runner.cli.print_json import print_json
from runner.cli.value_types import LocalPath
from runner.commands import again
from runner.console import is_first_process, log
from runner.errors import UsageError
from runner.options import Compute


@command("predict", all_processes=True)
@click.option(
    "--run",
    "name",
    metavar="NAME",
    shell_complete=complete_runs,
    help="The run to predict with.  [default: the newest]",
)
@click.option(
    "--images",
    metavar="DIR|GLOB",
    help="Predict these images instead, by the run's own views and postprocess: a CSV of probabilities and decisions.",
)
@click.option("--out", type=LocalPath(), metavar="FILE", help="Where to write that CSV.  [default: print it]")
@compute_options
@predict_options
@click.option(
    "--size",
    type=int,
    metavar="PX",
    help="Predict at this image size.  [default: the one that each snapshot was trained at]",
)
def predict(
    options: GlobalOptions, name: str | None, images: str | None, out: Path | None, size: int | None, **flags: Any
) -> None:
    """Predict validation and test rows, score the first, write a submission from the second."""
    if images is not None:
        _predict_images(options, name, images, out, read_compute(flags))
        return
    if out is not None:
        raise UsageError("--out is where the predictions of --images go", fix=again("--images", "DIR"))
    from runner.cli.messages import format_score, format_score_details, plain_run
    from runner.steps.predict import predict as predict_session
    from runner.steps.runs import next_command
    from runner.training.run import find_run

    session = options.session(read_compute(flags))
    run = find_run(session.workspace, session.name, name)
    path = predict_session(session, run, replace(read_predict_options(flags), size=size))
    if options.as_json:
        print_json(plain_run(session, run))
        return
    click.echo(format_score(session.competition, run))
    click.echo(format_score_details(run))
    click.echo(path)
    log.info(f"next: {next_command(session, run)}")


def _predict_images(options: GlobalOptions, name: str | None, images: str, out: Path | None, compute: Compute) -> None:
    """Predictions of other images, as CSV on stdout or in a file; with --json their number and the unreadable ones."""
    from runner.steps.predict_images import write_image_predictions
    from runner.training.run import find_run

    if options.as_json and out is None:
        raise UsageError(
            "--json tells what was written: name the file of the predictions", fix=again("--out", "images.csv")
        )
    if not is_first_process():
        return
    session = options.session(compute)
    result = write_image_predictions(session, find_run(session.workspace, session.name, name), images, out)
    if options.as_json:
        unreadable = [{"image": image, "reason": reason} for image, reason in result.unreadable]
        print_json({"predicted": result.predicted, "file": out, "unreadable": unreadable})
    elif out is not None:
        click.echo(out)

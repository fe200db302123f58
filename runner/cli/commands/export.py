"""`runner COMPETITION export`."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.completion import complete_runs
from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json
from runner.cli.value_types import LocalPath

_FORMATS = ("torchscript", "onnx", "timm")


@command("export")
@click.argument("name", metavar="RUN", shell_complete=complete_runs)
@click.argument("target", metavar="DIR", type=LocalPath())
@click.option(
    "--format",
    "format",
    type=click.Choice(_FORMATS),
    default="torchscript",
    show_default=True,
    help="One module of torch; one of ONNX (pip install 'competition-runner[export]'); or weights of timm's models.",
)
def export(options: GlobalOptions, name: str, target: Path, format: str) -> None:
    """A run in one folder that works without this package: networks, classes, preprocessing, thresholds, model card.

    Its predictions are compared with the run's own on test images before it is written.
    """
    from runner.export.export import export_run
    from runner.training.run import find_run

    session = options.session()
    made = export_run(session, find_run(session.workspace, session.name, name), target.expanduser(), format)
    if options.as_json:
        print_json(made)
        return
    click.echo(f"{', '.join(made.files)}")
    click.echo(f"predictions differ by at most {made.difference:.1g} from the run's own, on {made.images} test images")
    click.echo(made.folder)

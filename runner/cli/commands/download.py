"""`runner COMPETITION download`."""

from __future__ import annotations

from pathlib import Path

import click

from runner.cli.global_options import GlobalOptions, command
from runner.cli.print_json import print_json
from runner.cli.value_types import LocalPath


@command("download")
@click.option(
    "--from",
    "source",
    type=LocalPath(),
    metavar="DIR|ARCHIVE",
    help="Take the data from this disk: a folder, or an archive.",
)
@click.option("--mirror", is_flag=True, help="Fetch it from the Kaggle dataset that the plugin names as a mirror.")
@click.option("--force", is_flag=True, help="Replace the data that is here already.")
@click.option(
    "--skip-unreadable", is_flag=True, help="Go on without images that cannot be read: every later run skips them."
)
@click.option(
    "--accept-changes",
    is_flag=True,
    help="Take the files as they are now, those that were changed by hand too; nothing is downloaded.",
)
def download(
    options: GlobalOptions, source: Path | None, mirror: bool, force: bool, skip_unreadable: bool, accept_changes: bool
) -> None:
    """Download, verify and extract the data into the layout that Kaggle shows, and check every image."""
    from runner.steps import download as step

    session = options.session(creates=True)
    if accept_changes:
        changed = step.accept_changes(session)
        print_json({"accepted": changed}) if options.as_json else click.echo("\n".join(changed[:20]))
        return
    folder = step.download_mirror(session, force=force) if mirror else step.download(session, source, force=force)
    step.check_images(session, skip_unreadable=skip_unreadable)
    if options.as_json:
        print_json({"data": folder})
    else:
        click.echo(folder)

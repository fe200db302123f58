"""Commands that bring the data in, split it, and clear the caches."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from runner.cli.settings import Settings, command, json_option


@command("download")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="DIR|ARCHIVE",
    help="Take what is on this disk already: a folder, or an archive.",
)
@click.option("--mirror", is_flag=True, help="Fetch it from the dataset that the competition's file names.")
@click.option("--force", is_flag=True, help="Take it anew, even where it is here and whole.")
def download(settings: Settings, source: Path | None, mirror: bool, force: bool) -> None:
    """Bring the data in: fetched, verified, unpacked, laid out as Kaggle names it."""
    from runner.data.download import download as bring

    competition, workspace = settings.competition, settings.workspace
    if mirror and source:
        raise click.UsageError("--mirror and --from exclude each other")
    if mirror:
        from functools import partial

        from runner.data.mirror import check_counts
        from runner.hosts.open_host import open_mirror

        dataset = open_mirror(settings.host_name, competition, workspace)
        folder = bring(competition, workspace, dataset, force=force, verify=partial(check_counts, competition))
    else:
        folder = bring(competition, workspace, source or settings.host, force=force)
    click.echo(folder)


@command("split")
@click.option("--folds", type=click.IntRange(2), metavar="N", help="N folds of equal size, each held out once.")
@click.option("--holdout", type=float, metavar="FRACTION", help="One part held out.  [default: 0.2]")
@click.option("--seed", type=int, default=42, show_default=True, help="Which rows fall where.")
@json_option
def split(settings: Settings, folds: int | None, holdout: float | None, seed: int, as_json: bool) -> None:
    """Say which rows are held out. Every later run holds out the same, so that their scores compare."""
    from runner.data.write_split import SplitPlan
    from runner.pipeline import split as make_split

    if folds is not None and holdout is not None:
        raise click.UsageError("--folds and --holdout exclude each other")
    path, counts = make_split(settings.competition, settings.workspace, SplitPlan(folds, holdout, seed))
    if as_json:
        click.echo(json.dumps({"path": str(path), "classes": [asdict(one) for one in counts]}, indent=2))
        return
    from runner.cli.tables import print_table

    numbers = range(len(counts[0].held_out))
    header = ["class", "rows", *(f"fold {number}" for number in numbers), "never held out"]
    print_table(header, [[one.name, one.rows, *one.held_out, one.never] for one in counts])
    click.echo(path)


@command("clean")
def clean(settings: Settings) -> None:
    """Delete the competition's cache: resized images and activations. It is made again when needed."""
    import shutil

    folder = settings.workspace.cache_dir(settings.competition.name)
    # What the disk gave: the images' cache has holes, and says to be as large as it may become.
    size = sum(getattr(told, "st_blocks", told.st_size / 512) * 512 for told in map(Path.lstat, folder.rglob("*")))
    shutil.rmtree(folder, ignore_errors=True)
    click.echo(f"{size / 1e6:.1f} MB freed: {folder}")

"""Makes the practice host of a competition: paints the data, lets the baselines play, hides the answers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from runner.console import log
from runner.contract.competition import Competition
from runner.errors import HostError
from runner.hosts.grading import Grader, split_public_private
from runner.hosts.practice import create_practice_competition, read_origin
from runner.workspace import Workspace, locked, write_bytes

if TYPE_CHECKING:
    from runner.practice.synthetic_data import SyntheticData  # it imports the image library

Painter = Callable[[int, float], "SyntheticData"]

_SEED = 2017


def practice_names() -> tuple[str, ...]:
    """The competitions that have a painter."""
    return tuple(_PAINTERS)


def build_practice(competition: Competition, workspace: Workspace, *, seed: int = _SEED, scale: float = 1.0) -> None:
    """Make the practice host of a competition, unless the very same one is there already.

    `scale` shrinks how many images there are. With another seed or scale the host is made anew,
    and what was submitted to the old one goes with it: its scores would mean nothing on other images.
    """
    painter = _find_painter(competition)
    folder = workspace.practice_host_dir(competition.name)
    origin = {"seed": seed, "scale": scale}
    with locked(folder.parent / f".{competition.name}.lock"):
        if read_origin(folder) == origin:
            return
        log.info(f"painting practice data for {competition.title}")
        with tempfile.TemporaryDirectory() as scratch:
            _create(competition, painter()(seed, scale), folder, Path(scratch), origin)


def _create(
    competition: Competition, painted: SyntheticData, folder: Path, scratch: Path, origin: dict[str, float]
) -> None:
    from runner.practice.baselines import submit_baselines
    from runner.practice.packing import pack

    sample = scratch / "sample_submission.csv"
    write_bytes(sample, painted.sample)
    answers = split_public_private(
        painted.test.ids, painted.test.labels, seed=int(origin["seed"]), ignored=painted.ignored
    )
    board = submit_baselines(competition, painted, Grader(competition, painted.classes, sample, answers))
    files = {archive.name: pack(archive, scratch / "files") for archive in painted.archives}
    create_practice_competition(
        competition,
        folder,
        files=files,
        sample=sample,
        classes=painted.classes,
        answers=answers,
        board=board,
        origin=origin,
    )


def _find_painter(competition: Competition) -> Callable[[], Painter]:
    painter = _PAINTERS.get(competition.name)
    if painter is None:
        raise HostError(
            f"nobody paints practice data for {competition.name or competition.slug}",
            where=f"painted: {', '.join(_PAINTERS)}",
            fix=f"runner demo {next(iter(_PAINTERS))}",
        )
    return painter


# Imported when called: a list of names must not cost the drawing library.


def _dog_breed() -> Painter:
    from runner.practice.dog_breed import generate_dog_breed

    return generate_dog_breed


def _iceberg() -> Painter:
    from runner.practice.iceberg import generate_iceberg

    return generate_iceberg


def _planet() -> Painter:
    from runner.practice.planet import generate_planet

    return generate_planet


_PAINTERS: dict[str, Callable[[], Painter]] = {
    "dog-breed": _dog_breed,
    "iceberg": _iceberg,
    "planet": _planet,
}

"""Build the practice host of a competition: synthetic data, trained baselines, a hidden solution."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from runner.console import log
from runner.contract.competition import Competition
from runner.errors import HostError
from runner.hosts.grading import Grader, split_public_private
from runner.hosts.practice import PracticeData, create_practice_competition, read_origin, remake_fix
from runner.workspace import locked, write_bytes

if TYPE_CHECKING:
    from runner.practice.synthetic_data import SyntheticData  # imports Pillow
    from runner.session import Session  # imports pandas

Generate = Callable[[int, float], "SyntheticData"]  # seed, scale

_SEED = 2017
_LEADERBOARD_VERSION = 2  # a host with an earlier leaderboard is built again


def practice_names() -> tuple[str, ...]:
    """The competitions that have practice data."""
    return tuple(_GENERATORS)


def require_practice_data(competition: Competition) -> None:
    """HostError if the competition has no practice data."""
    if competition.name not in _GENERATORS:
        raise HostError(
            f"no practice data for {competition.name or competition.slug}",
            where=f"competitions with practice data: {', '.join(_GENERATORS)}",
            fix=f"runner demo {next(iter(_GENERATORS))}",
        )


def build_practice(session: Session, *, seed: int = _SEED, scale: float = 1.0, notebooks: bool = False) -> None:
    """Build the practice host of the session's competition, unless one of this seed and scale exists.

    `scale` multiplies the number of images. Another seed or scale replaces the host and its submissions: their scores
    mean nothing for other images. With `notebooks` it takes notebooks only, and its test set is hidden.
    """
    competition = session.competition
    require_practice_data(competition)
    folder = session.workspace.practice_host_dir(competition.name)
    origin = {"seed": seed, "scale": scale, "leaderboard": _LEADERBOARD_VERSION}
    origin |= {"notebooks": 1} if notebooks else {}
    with locked(folder.parent / f".{competition.name}.lock"):
        if read_origin(folder, fix=remake_fix(folder, competition.name)) == origin:
            return
        log.info(f"generating practice data for {competition.title}")
        data = generate(competition, seed=seed, scale=scale)
        with tempfile.TemporaryDirectory() as temporary:
            _create_host(competition, data, folder, Path(temporary), origin)


def generate(competition: Competition, *, seed: int = _SEED, scale: float = 1.0) -> SyntheticData:
    """The practice data of a competition; HostError if it has none."""
    require_practice_data(competition)
    return _GENERATORS[competition.name]()(seed, scale)


def create_grader(competition: Competition, data: SyntheticData, folder: Path, *, seed: int = _SEED) -> Grader:
    """The grader of practice data; its sample submission is written into `folder`."""
    sample = folder / "sample_submission.csv"
    write_bytes(sample, data.sample_submission)
    solution = split_public_private(data.test.ids, data.test.labels, seed=seed, ignored=data.ignored)
    return Grader(competition, data.classes, sample, solution)


def _create_host(
    competition: Competition, data: SyntheticData, folder: Path, temporary: Path, origin: dict[str, float]
) -> None:
    from runner.practice.archives import write_archive
    from runner.practice.leaderboard import practice_leaderboard
    from runner.practice.notebooks import public_archives

    public = public_archives(data) if origin.get("notebooks") else data.archives
    hidden = [archive for archive in data.archives if archive not in public]
    grader = create_grader(competition, data, temporary, seed=int(origin["seed"]))
    create_practice_competition(
        competition,
        folder,
        PracticeData(
            files={archive.name: write_archive(archive, temporary / "files") for archive in public},
            hidden={archive.name: write_archive(archive, temporary / "hidden") for archive in hidden},
            sample=grader.sample,
            classes=data.classes,
            solution=grader.solution,
            leaderboard=practice_leaderboard(competition, data, grader),
            origin=origin,
        ),
    )


# Imported when called: `runner demo --help` lists the names without the drawing libraries.


def _dog_breed() -> Generate:
    from runner.practice.dog_breed import generate_dog_breed

    return generate_dog_breed


def _iceberg() -> Generate:
    from runner.practice.iceberg import generate_iceberg

    return generate_iceberg


def _planet() -> Generate:
    from runner.practice.planet import generate_planet

    return generate_planet


_GENERATORS: dict[str, Callable[[], Generate]] = {
    "dog-breed": _dog_breed,
    "iceberg": _iceberg,
    "planet": _planet,
}

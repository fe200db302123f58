"""Tiny practice competitions, and a workspace before and after each command that works on them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from benchmarks.torture.process import Bounds, Ended, fork_runner
from runner.contract import Recipe, Stage, TrainMode
from runner.hosts.grading import Scores, split_public_private
from runner.hosts.practice import PracticeData, PracticeTeam, create_practice_competition
from tests.builders import BREEDS, write_dataset, zip_bytes
from tests.competitions import SHAPES, write_plugin

NAME = SHAPES.name

# Each train mode, one cycle that is longer than an epoch, and two snapshots in the last stage.
RECIPE = Recipe(
    "test_resnet",
    (
        Stage(24, TrainMode.FEATURES),
        Stage(24, TrainMode.FROZEN),
        Stage(32, TrainMode.UNFROZEN, cycles=2, cycle_mult=2),
    ),
    lr=0.01,
    batch_size=16,
    folds=2,
    pretrained=False,
)
COMPETITION = replace(SHAPES, recipe=RECIPE)

_SHORT = ("--epochs-scale", "0.4")
_TEAMS = 9
_PATIENT = Bounds(seconds=1200)  # for a preparation on a busy machine
_START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Step:
    """A command of one competition, and what it needs before it."""

    name: str
    words: tuple[str, ...]
    before: Callable[[], None] | None = None  # called in the child, before the command
    after_kill: tuple[str, ...] | None = None  # the command that completes what it does not do twice
    goes_further: bool = False  # called again after its end, it does the next thing

    def run(self, workspace: Path) -> Ended:
        """Run it to its end."""
        return fork_runner(workspace, self.words, before=self.before, bounds=_PATIENT, count_changes=True)


def shapes(*words: str) -> tuple[str, ...]:
    """A command of the competition on its practice host."""
    return ("--host", "practice", NAME, *words)


def shrink_demo() -> None:
    """Let `demo` make little practice data and train little on it."""
    import runner.workflow as workflow
    from runner.practice.build import build_practice

    recipe = Recipe("test_resnet", (Stage(32, TrainMode.UNFROZEN),), lr=0.01, batch_size=32, pretrained=False)
    workflow.build_practice = partial(build_practice, scale=0.01)
    workflow.practice_recipe = lambda _competition: recipe


# In this order: each finds what those before it have left.
STEPS = (
    Step("download", shapes("download")),
    Step("explore", shapes("explore")),
    Step("split", shapes("split", "--folds", "2")),
    Step("find-lr", shapes("find-lr", "--workers", "0")),
    Step("train", shapes("train", "--run", "a", "--workers", "0")),
    Step("predict", shapes("predict", "--run", "a", "--workers", "0", "--tta", "all")),
    Step("train features", shapes("train", "--run", "b", "--linear-probe", "--workers", "0")),
    Step("predict features", shapes("predict", "--run", "b", "--workers", "0", "--tta", "all")),
    Step("ensemble", shapes("ensemble", "a", "b", "--name", "e")),
    Step("check", shapes("check", "practice/submissions/shapes/a.csv")),
    Step("report", shapes("report", "a")),
    Step("submit", shapes("submit", "a", "-m", "first")),
    Step(
        "submit best",
        shapes("submit", "--best", "1"),
        after_kill=shapes("standings", "--refresh"),
        goes_further=True,
    ),
    Step("standings", shapes("standings", "--refresh")),
    Step("runs", shapes("runs")),
    Step("board", ("board",)),
    Step("refit", shapes("train", "--run", "a", "--all-data", "--workers", "0")),
    Step("run", shapes("run", "--run", "c", *_SHORT, "--workers", "0")),
    Step("rehearse", shapes("rehearse", "--hidden", "0.3", *_SHORT, "--workers", "0")),
    Step("demo", ("demo", "iceberg"), shrink_demo),
    Step("new", ("new", "twin", "--from", f"practice/data/{NAME}", "--metric", "log_loss", "--yes", "--force")),
    Step("clean", shapes("clean")),
)


def create_world(workspace: Path, *, hidden: bool = False) -> None:
    """A workspace with the competition's file and its practice host, as `demo` leaves it before `download`.

    With `hidden` the host takes notebooks only, and reruns them on the same test set.
    """
    write_plugin(workspace, COMPETITION)
    source = workspace.with_name(f"{workspace.name}-source")
    write_dataset(source, train=36, test=12)
    names = [f"test{number:03d}" for number in range(12)]
    labels = [BREEDS[number % len(BREEDS)] for number in range(12)]
    create_practice_competition(
        COMPETITION,
        workspace / "practice" / "practice-host" / NAME,
        PracticeData(
            files=_archives(source),
            sample=source / "sample_submission.csv",
            classes=BREEDS,
            solution=split_public_private(names, labels, seed=1),
            leaderboard=[
                PracticeTeam(f"team {n}", Scores(0.2 * n, 0.2 * (_TEAMS + 1 - n)), _START + timedelta(hours=n))
                for n in range(1, _TEAMS + 1)
            ],
            daily_limit=1000,
            hidden={"sample_submission.csv": source / "sample_submission.csv"} if hidden else {},
        ),
    )
    shutil.rmtree(source)


def _archives(source: Path) -> dict[str, Path]:
    """The files that the host offers: a zip for each folder of images, and the tables."""
    files = {}
    for subset in ("train", "test"):
        content = {f"{subset}/{path.name}": path.read_bytes() for path in sorted((source / subset).iterdir())}
        files[f"{subset}.zip"] = source / f"{subset}.zip"
        files[f"{subset}.zip"].write_bytes(zip_bytes(content))
    return files | {name: source / name for name in ("labels.csv", "sample_submission.csv")}


def record_steps(folder: Path, steps: tuple[Step, ...] = STEPS) -> dict[str, Ended]:
    """Run the steps; the workspace before each is `folder/before/NAME`, that after it `folder/after/NAME`."""
    world = folder / "world"
    create_world(world)
    ended = {}
    for step in steps:
        copy_world(world, folder / "before" / step.name)
        ended[step.name] = step.run(world)
        if ended[step.name].code:
            raise RuntimeError(ended[step.name].describe())
        copy_world(world, folder / "after" / step.name)
    shutil.rmtree(world)
    return ended


def copy_world(source: Path, target: Path) -> None:
    """Copy a workspace, times and links included."""
    shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)

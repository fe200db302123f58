"""What a training's package says, what its session writes, and which files make a run: read by both, without torch."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.contract import Recipe
from runner.contract.recipe import recipe_from_dict
from runner.options import Compute, PredictOptions, TrainOptions
from runner.training.run import Run

KIND = "train"
TRAIN_FORMAT = 1  # of package.json
OUTPUT = "run.zip"
# What the training leaves in the scratch folder to say how it ended.
ENDED_FILE, ERROR_FILE = "ended.txt", "error.txt"
DONE, OUT_OF_TIME, FAILED = "done", "time", "error"

_LEFT_OUT = ("report.html", "rehearsal.json")
_TRACKERS = ("tensorboard", "wandb", "mlflow")


@dataclass(frozen=True)
class Training:
    """What is trained, and how it is predicted afterwards."""

    recipe: Recipe
    train: TrainOptions = TrainOptions()
    predict: PredictOptions = PredictOptions()
    refit: bool = False  # on all labelled rows afterwards, where that takes seconds

    @property
    def needs_internet(self) -> bool:
        """Whether the session downloads pretrained weights."""
        return self.recipe.pretrained and not (self.recipe.weights or self.recipe.from_run)


@dataclass(frozen=True)
class TrainManifest:
    """What package.json says about a training."""

    competition: str
    slug: str
    run: str
    recipe: dict[str, Any]
    weights: str  # the name of the weights file in weights/; empty for none
    time_budget: float | None
    only_fold: int | None
    skip_unreadable: bool
    tta: str
    snapshots: int | None
    refit: bool
    workers: int | None
    cache_bytes: int
    compile: bool
    packages: tuple[str, ...]  # installed there if they are missing
    predict_size: int | None = None

    def training(self, weights_dir: Path) -> Training:
        """What is trained; the weights file is in `weights_dir`."""
        recipe = recipe_from_dict(self.recipe)
        assert isinstance(recipe, Recipe)
        weights = weights_dir / self.weights if self.weights else None
        options = TrainOptions(
            weights=weights,
            time_budget=self.time_budget,
            only_fold=self.only_fold,
            skip_unreadable=self.skip_unreadable,
        )
        return Training(recipe, options, PredictOptions(self.tta, self.snapshots, self.predict_size), self.refit)

    @property
    def compute(self) -> Compute:
        """The machine's use that was asked for."""
        return Compute(workers=self.workers, cache_bytes=self.cache_bytes, compile=self.compile)


@dataclass(frozen=True)
class TrainingResult:
    """What runner.json says of a training's session."""

    digest: str  # of the package
    kind: str
    run: str
    ended: str  # DONE, OUT_OF_TIME or FAILED
    files: tuple[str, ...]  # of all its runs and submissions: those that are not in the archive are as they were sent
    archive: str  # SHA-256
    seconds: float
    gpus: tuple[str, ...] = ()
    error: str = ""


def files_of_run(run: Run, only_fold: int | None = None) -> Iterator[Path]:
    """The files that make a run what it is, in order; those of one fold, and of the run itself, if one is named."""
    for path in sorted(run.folder.rglob("*")):
        first = path.relative_to(run.folder).parts[0]
        is_other = only_fold is not None and first.startswith("fold-") and first != f"fold-{only_fold}"
        is_hidden = any(part.startswith(".") for part in path.relative_to(run.folder).parts)
        if path.is_file() and not (is_other or is_hidden or path.name in _LEFT_OUT or first in _TRACKERS):
            yield path


def restore_runs(package_dir: Path, runs_dir: Path) -> None:
    """Copy what was packed of the runs where the runs are."""
    if (package_dir / "runs").is_dir():
        shutil.copytree(package_dir / "runs", runs_dir, dirs_exist_ok=True)

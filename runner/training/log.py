"""log.jsonl: one JSON object per epoch of a run; and the tracker that follows it."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.contract import Recipe
from runner.errors import UsageError
from runner.full_disk import telling_full_disk
from runner.training.run import Run
from runner.workspace import locked, write_text

if TYPE_CHECKING:
    from accelerate import Accelerator

Line = dict[str, Any]


def append_line(path: Path, line: Line) -> None:
    """Add one line; it is on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(_lock_of(path)), telling_full_disk(path), path.open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")


def read_log(path: Path) -> list[Line]:
    """Every complete line; a last one that a power cut left half written is dropped."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def keep_lines(path: Path, wanted: Callable[[Line], bool]) -> None:
    """Drop the lines that are not wanted: those of epochs that will be trained again."""
    if path.exists():
        # Another process may train another fold of this run, and append a line at this moment.
        with locked(_lock_of(path)):
            write_text(path, "".join(json.dumps(line) + "\n" for line in read_log(path) if wanted(line)))


def check_tracker(tracker: str | None) -> None:
    """A UsageError if the tracker's package is not installed."""
    if tracker is None or importlib.util.find_spec(tracker):
        return
    raise UsageError(f"--track {tracker} needs a package that is not installed", fix=f"pip install {tracker}")


def start_tracking(accelerator: Accelerator, tracker: str | None, run: Run, recipe: Recipe) -> None:
    """Log to the tracker from now on; its files are in the run's folder."""
    if tracker is None:
        return
    from accelerate.tracking import filter_trackers
    from accelerate.utils import ProjectConfiguration

    # A run must need neither a network nor an account: for live logging set WANDB_MODE=online.
    os.environ.setdefault("WANDB_MODE", "offline")
    os.environ.setdefault("MLFLOW_TRACKING_URI", (run.folder / "mlflow").resolve().as_uri())
    folder = str(run.folder)
    accelerator.project_configuration = ProjectConfiguration(project_dir=folder, logging_dir=folder)
    accelerator.log_with = filter_trackers([tracker], folder)
    options = {"tensorboard": {}, "wandb": {"name": run.name, "dir": folder}, "mlflow": {"run_name": run.name}}
    project = "tensorboard" if tracker == "tensorboard" else run.competition
    # TensorBoard would write the recipe into a folder of its own at every start; recipe.json is there anyway.
    config = None if tracker == "tensorboard" else _flat(recipe)
    accelerator.init_trackers(project, config=config, init_kwargs={tracker: options[tracker]})


def track_line(accelerator: Accelerator, line: Line) -> None:
    """Log one epoch's losses, scores and last lr, each under its fold's name."""
    values = {"train_loss": line["train_loss"], "valid_loss": line["valid_loss"], "lr": line["lrs"][-1]}
    values |= line["scores"]
    accelerator.log(
        {f"fold-{line['fold']}/{name}": value for name, value in values.items() if value is not None},
        step=line["epoch"],
    )


def stop_tracking(accelerator: Accelerator) -> None:
    """Flush the trackers, and stop logging to them."""
    for tracker in accelerator.trackers:
        tracker.finish()
    accelerator.trackers = []


def _flat(recipe: Recipe) -> dict[str, Any]:
    """The recipe as trackers take it: names with plain values."""
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in recipe.to_dict().items()
    }


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")

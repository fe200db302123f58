"""Hand the log to the tracker that someone has: every epoch's line, as it is written."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import filter_trackers
from accelerate.utils import ProjectConfiguration

from runner.contract import Recipe
from runner.errors import UsageError
from runner.training.log import Line
from runner.training.run import Run


def check_tracker(tracker: str | None) -> None:
    """Refuse a tracker whose package is not here, before anything is begun."""
    if tracker is None or importlib.util.find_spec(tracker):
        return
    raise UsageError(f"--track {tracker} needs a package that is not here", fix=f"pip install {tracker}")


def start_tracking(accelerator: Accelerator, tracker: str | None, run: Run, recipe: Recipe) -> None:
    """From now on `track_line` hands lines on; files of a tracker lie in the run's folder."""
    if tracker is None:
        return
    # A run must not need a network, nor an account: who wants wandb to be live sets WANDB_MODE=online.
    os.environ.setdefault("WANDB_MODE", "offline")
    os.environ.setdefault("MLFLOW_TRACKING_URI", (run.folder / "mlflow").resolve().as_uri())
    folder = str(run.folder)
    accelerator.project_configuration = ProjectConfiguration(project_dir=folder, logging_dir=folder)
    accelerator.log_with = filter_trackers([tracker], folder)
    options = {"tensorboard": {}, "wandb": {"name": run.name, "dir": folder}, "mlflow": {"run_name": run.name}}
    project = "tensorboard" if tracker == "tensorboard" else run.competition
    # TensorBoard would keep the recipe in a folder of its own at every start; recipe.json lies beside it anyway.
    config = None if tracker == "tensorboard" else _flat(recipe)
    accelerator.init_trackers(project, config=config, init_kwargs={tracker: options[tracker]})


def track_line(accelerator: Accelerator, line: Line) -> None:
    """One epoch: losses, scores and the rate it ended with, each under its fold's name."""
    values = {"train_loss": line["train_loss"], "valid_loss": line["valid_loss"], "rate": line["rates"][-1]}
    told = {**values, **line["scores"]}
    accelerator.log(
        {f"fold-{line['fold']}/{name}": value for name, value in told.items() if value is not None},
        step=line["epoch"],
    )


def stop_tracking(accelerator: Accelerator) -> None:
    """Let the trackers write what they still hold."""
    for tracker in accelerator.trackers:
        tracker.finish()
    accelerator.trackers = []


def _flat(recipe: Recipe) -> dict[str, Any]:
    """The recipe as trackers take it: names with plain values."""
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in recipe.to_dict().items()
    }

"""Folds trained side by side by an engine that exists: Ray, on this machine or on a cluster.

A task trains one fold and leaves its files where any process would: the workspace must be one folder for all nodes, or
each node's `fold-K` is copied in afterwards. Which engine trained a fold changes nothing in it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from runner.contract import Competition
from runner.data.download import data_folder
from runner.data.index import build_index
from runner.errors import RunnerError, TrainingError, UsageError
from runner.training.distributed import build_accelerator
from runner.training.fold import Machine
from runner.training.folds import build_folds
from runner.training.run import find_run
from runner.training.train import train_fold
from runner.workspace import Workspace

Fault = tuple[str, str | None, str | None]  # found, where, fix


def check_engine(machine: Machine) -> None:
    """Refuse an engine that is not known, not installed, or cannot do what else is asked."""
    if machine.on is None:
        return
    name = machine.on.partition(":")[0]
    if name != "ray":
        raise UsageError(f"folds cannot be trained on {name!r}", fix="--on ray, or --on ray:ADDRESS of a cluster")
    if importlib.util.find_spec("ray") is None:
        raise UsageError("ray is not installed", fix="pip install 'competition-runner[ray]'")
    if machine.tracker:
        raise UsageError("a tracker follows one process, and --on ray starts several", fix="leave --track out")


def train_on_ray(
    competition: Competition, workspace: Workspace, run_name: str, numbers: Sequence[int], machine: Machine
) -> None:
    """Train these folds of a run, as many at a time as there are processors, or GPUs."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # what is trained here is nobody's statistic
    import torch

    ray: Any = importlib.import_module("ray")  # an optional extra: neither types nor the linter may need it
    address = (machine.on or "").partition(":")[2]
    _carry_plugin(ray, competition)
    ray.init(address=address or "local", include_dashboard=None if address else False)
    try:
        share = {"num_gpus": 1} if torch.cuda.is_available() and machine.device != "cpu" else {"num_cpus": 1}
        task = ray.remote(**share)(train_one)
        there = replace(machine, on=None, only_fold=None)
        waiting = [task.remote(competition, workspace.root, run_name, number, there) for number in numbers]
        faults = [fault for fault in ray.get(waiting) if fault]
    finally:
        ray.shutdown()
    if faults:
        found, where, fix = faults[0]
        raise TrainingError(found, where=where, fix=fix)


def train_one(competition: Competition, root: Path, run_name: str, number: int, machine: Machine) -> Fault | None:
    """Train one fold, in whatever process this is; a fault that a message explains travels as its words."""
    workspace = Workspace(root)
    try:
        index = build_index(competition, data_folder(competition, workspace))
        run = find_run(workspace, competition.name, run_name)
        fold = build_folds(competition, workspace, index, run)[number]
        train_fold(fold, machine, build_accelerator(machine.device))
    except RunnerError as error:
        return error.message, error.where, error.fix
    return None


def _carry_plugin(ray: Any, competition: Competition) -> None:
    """Send a plugin of the workspace along as it is: a worker could not import it by its name."""
    import competitions

    module = sys.modules.get(f"competitions.{competition.name.replace('-', '_')}")
    shipped = Path(competitions.__file__).parent
    if module is not None and module.__file__ and Path(module.__file__).parent != shipped:
        ray.cloudpickle.register_pickle_by_value(module)

"""Folds trained side by side by Ray, on this machine or on a cluster.

A task trains one fold and writes its files as any process would: the workspace must be one folder for all nodes, or
each node's `fold-K` is copied in afterwards. The engine changes nothing in a fold's result.
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

import torch

import competitions
from runner.commands import again
from runner.contract import Competition
from runner.errors import RunnerError, TrainingError, UsageError
from runner.options import TrainOptions
from runner.session import Session
from runner.training.folds import build_folds
from runner.training.run import find_run
from runner.training.trainer import train_fold

ErrorFields = tuple[str, str | None, str | None]  # message, where, fix


def check_engine(options: TrainOptions) -> None:
    """A UsageError if the engine is unknown, not installed, or cannot be combined with other options."""
    if options.engine is None:
        return
    name = options.engine.partition(":")[0]
    if name != "ray":
        fix = f"this machine: `{again('--engine', 'ray')}`; a cluster: --engine ray: and its address"
        raise UsageError(f"unknown engine {name!r}", fix=fix)
    if importlib.util.find_spec("ray") is None:
        raise UsageError("ray is not installed", fix="pip install 'competition-runner[ray]'")
    if options.tracker:
        raise UsageError("--track follows one process, and --engine ray starts several", fix="leave --track out")


def train_on_ray(session: Session, run_name: str, numbers: Sequence[int], options: TrainOptions) -> None:
    """Train these folds of a run, as many at a time as there are CPUs, or GPUs."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no statistics are sent
    ray: Any = importlib.import_module("ray")  # an optional extra: neither types nor the linter may need it
    address = (options.engine or "").partition(":")[2]
    _pickle_plugin_by_value(ray, session.competition)
    ray.init(address=address or "local", include_dashboard=None if address else False)
    try:
        on_gpu = torch.cuda.is_available() and session.compute.device != "cpu"
        task = ray.remote(**({"num_gpus": 1} if on_gpu else {"num_cpus": 1}))(train_one_fold)
        remote = replace(session)  # without its cached index
        pending = [task.remote(remote, run_name, number, replace(options, engine=None)) for number in numbers]
        errors = [error for error in ray.get(pending) if error]
    finally:
        ray.shutdown()
    if errors:
        message, where, fix = errors[0]
        raise TrainingError(message, where=where, fix=fix)


def train_one_fold(session: Session, run_name: str, number: int, options: TrainOptions) -> ErrorFields | None:
    """Train one fold in a Ray task; return None, or (message, where, fix) of a RunnerError."""
    try:
        run = find_run(session.workspace, session.name, run_name)
        (fold,) = build_folds(session, run, replace(options, only_fold=number))
        train_fold(fold, options)
    except RunnerError as error:
        return error.message, error.where, error.fix
    return None


def _pickle_plugin_by_value(ray: Any, competition: Competition) -> None:
    """Send a workspace's own plugin as code: a worker could not import it by its name."""
    path, shipped = competitions.file_of(competition.name), Path(competitions.__file__).parent
    if path is not None and path.parent != shipped:
        ray.cloudpickle.register_pickle_by_value(sys.modules[f"competitions.{path.stem}"])

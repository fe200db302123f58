"""The package of a training: the runner, the competition's file, what was asked for, and what the run has already.

A run goes on with its own files, wherever it was trained before; so a session on the host ends as one here does.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from runner.data.checksums import CHECKSUMS
from runner.data.packages import needed_extras
from runner.data.skipped_images import SKIPPED
from runner.remote.package import Package, copy_file, pack, stage_code
from runner.remote.result import MANIFEST
from runner.remote.train_manifest import TRAIN_FORMAT, Training, TrainManifest, files_of_run
from runner.session import Session
from runner.training.folds import shared_folds
from runner.training.run import Run, find_run
from runner.training.weights_files import find_weights_file, missing_weights_error
from runner.workspace import write_json

# Packages of ours that an image may lack; never those that everything else there rests on.
_CORE = ("accelerate", "albumentations", "click", "psutil", "rich", "safetensors", "timm")


def build_train_package(session: Session, name: str, training: Training, folder: Path) -> Package:
    """The package to train a run with, written into `folder`."""
    with tempfile.TemporaryDirectory() as temporary:
        staging = Path(temporary)
        stage_code(session, staging)
        write_json(staging / MANIFEST, asdict(manifest_of(session, name, training)), format=TRAIN_FORMAT)
        _stage_data(session, training, staging)
        _stage_runs(session, name, training, staging / "runs")
        return pack(staging, folder)


def manifest_of(session: Session, name: str, training: Training) -> TrainManifest:
    """What package.json says about a training of this run."""
    options, compute = training.train, session.compute
    return TrainManifest(
        session.name,
        session.competition.slug,
        name,
        training.recipe.to_dict(),
        training.recipe.weights.partition(" sha256:")[0] if training.recipe.weights else "",
        options.time_budget,
        options.only_fold,
        options.skip_unreadable,
        training.predict.tta,
        training.predict.snapshots,
        training.refit,
        compute.workers,
        compute.cache_bytes,
        compute.compile,
        needed_packages(session),
        training.predict.size,
    )


def needed_packages(session: Session) -> tuple[str, ...]:
    """The requirements that the host's image may lack: the core's, and those of the competition's kinds of files."""
    extras = needed_extras(session.competition)
    try:
        required = requires("competition-runner") or []
    except PackageNotFoundError:
        required = []
    marked = [(line.partition(";")[0].strip(), line.partition("extra ==")[2].strip(" \"'")) for line in required]
    found = [requirement for requirement, extra in marked if extra in extras or _name_of(requirement) in _CORE]
    return tuple(sorted(dict.fromkeys(found)))


def _name_of(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()


def _stage_data(session: Session, training: Training, staging: Path) -> None:
    """The weights file, and what is known of the data here: its checksums, and the images that are left out."""
    for name in (CHECKSUMS, SKIPPED):
        if (session.index.data_dir / name).exists():
            copy_file(session.index.data_dir / name, staging / "data" / name)
    if training.recipe.weights:
        file = training.train.weights or find_weights_file(session, training.recipe.weights)
        if file is None:
            raise missing_weights_error(session, training.recipe.weights)
        copy_file(file, staging / "weights" / training.recipe.weights.partition(" sha256:")[0])


def _stage_runs(session: Session, name: str, training: Training, runs: Path) -> None:
    """The folds that all runs share, what the run has already, and what it needs of another run."""
    recipe = training.recipe
    run = Run(session.name, name, session.workspace.run_dir(session.name, name))
    if not recipe.all_data and not run.folds_file.exists():
        shared_folds(session, recipe)  # made here, if this is the first run
    for file in (session.folds_file, session.folds_file.with_suffix(".json")):
        if file.exists():
            copy_file(file, runs / file.name)
    for path in files_of_run(run, training.train.only_fold):
        copy_file(path, runs / name / path.relative_to(run.folder))
    if recipe.from_run is not None:
        source, _, snapshot = recipe.from_run.partition(":")
        _stage_other(find_run(session.workspace, session.name, source), snapshot, runs)
    if recipe.refit_of is not None:
        _stage_other(find_run(session.workspace, session.name, recipe.refit_of), "", runs)


def _stage_other(run: Run, snapshot: str, runs: Path) -> None:
    """Another run's files, of its weights this snapshot's alone."""
    for path in files_of_run(run):
        is_wanted = path.suffix not in (".safetensors", ".npz") or path.name == f"{snapshot}.safetensors"
        if is_wanted:
            copy_file(path, runs / run.name / path.relative_to(run.folder))

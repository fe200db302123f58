"""The training itself in a session on a host's machine: a process of its own, or one for each GPU.

`python -m runner.remote.worker SCRATCH SECONDS` trains what SCRATCH/package says, in SCRATCH/workspace, and predicts
with it. SCRATCH/ended.txt says how it ended: done, or time, when that was too short for all; what is trained is kept.
"""

from __future__ import annotations

import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

from competitions import load
from runner.console import is_first_process, log
from runner.errors import RunnerError
from runner.images.views import choose_views
from runner.options import Compute, Deadline
from runner.prediction.predict import predict_fold
from runner.prediction.swa import choose_models
from runner.remote.result import MANIFEST
from runner.remote.train_manifest import (
    DONE,
    ENDED_FILE,
    ERROR_FILE,
    OUT_OF_TIME,
    TRAIN_FORMAT,
    Training,
    TrainManifest,
)
from runner.session import Session
from runner.steps.predict import predict
from runner.steps.train import is_refitted_in_seconds, refit, resume, train
from runner.training.deadline import DeadlineReached
from runner.training.distributed import shutdown
from runner.training.folds import build_folds
from runner.training.progress import read_progress
from runner.training.run import Run, existing_run, find_run
from runner.workspace import Workspace, read_record, write_text


def work(scratch: Path, deadline: Deadline, device: str = "auto") -> int:
    """Train and predict; the exit code."""
    manifest = read_record(scratch / "package" / MANIFEST, TrainManifest, format=TRAIN_FORMAT)
    session = open_training_session(scratch, manifest, device)
    training = manifest.training(scratch / "package" / "weights")
    training = replace(training, train=replace(training.train, deadline=deadline))
    try:
        run = _train(session, manifest.run, training)
        _predict(session, run, training)
    except DeadlineReached:
        log.info("the session ends here, with what is trained; the next one goes on")
        _tell(scratch / ENDED_FILE, OUT_OF_TIME)
        return 0
    except RunnerError as error:
        _tell(scratch / ERROR_FILE, str(error))
        log.error(f"error: {error}")
        return 1
    except Exception as error:
        _tell(scratch / ERROR_FILE, f"{type(error).__name__}: {error}")
        traceback.print_exc()
        return 1
    _tell(scratch / ENDED_FILE, DONE)
    return 0


def open_training_session(scratch: Path, manifest: TrainManifest, device: str = "auto") -> Session:
    """The session over the package's competition, whose data is linked already."""
    competition = load(manifest.competition, scratch / "package" / "competitions")
    compute: Compute = replace(manifest.compute, device=device)
    return Session(competition, Workspace(scratch / "workspace"), compute=compute)


def _train(session: Session, name: str, training: Training) -> Run:
    """The run, trained; what it has already is not trained again."""
    recipe, options = training.recipe, training.train
    if recipe.refit_of is not None:
        return refit(session, find_run(session.workspace, session.name, recipe.refit_of), options)
    run = existing_run(session.workspace, session.name, name)
    if run is None:
        return train(session, recipe, options, name=name)
    resume(session, run, options)
    return run


def _predict(session: Session, run: Run, training: Training) -> None:
    """Predict what is trained: one fold alone, if only that was asked for and others are missing."""
    if training.train.only_fold is not None and not read_progress(run).is_finished:
        (fold,) = build_folds(session, run, training.train)
        options = training.predict
        views = choose_views(session.competition.preset, options.tta, options.size)
        predict_fold(fold, choose_models(fold, options), views)
        return
    predict(session, run, training.predict)
    if training.refit and is_refitted_in_seconds(run):
        predict(session, refit(session, run, replace(training.train, time_budget=None)))


def _tell(file: Path, text: str) -> None:
    if is_first_process():
        write_text(file, text)


def main(arguments: list[str]) -> int:
    """What the command line asks for."""
    scratch, seconds = Path(arguments[0]), float(arguments[1])
    code = work(scratch, Deadline(time.monotonic() + seconds))
    shutdown()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

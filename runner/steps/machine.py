"""Compute and options as training takes them today."""

from __future__ import annotations

from runner.options import TrainOptions
from runner.session import Session
from runner.training.fold import Machine, default_workers


def machine_of(session: Session, options: TrainOptions | None = None) -> Machine:
    """The machine of a session."""
    compute, options = session.compute, options or TrainOptions()
    return Machine(
        device=compute.device,
        workers=default_workers() if compute.workers is None else compute.workers,
        weights=options.weights,
        compiles=compute.compile,
        tracker=options.tracker,
        minutes=options.time_budget,
        only_fold=options.only_fold,
        on=options.engine,
        cache_bytes=compute.cache_bytes,
    )

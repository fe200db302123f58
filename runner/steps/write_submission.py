"""From prediction files to score.json, postprocess.json and the submission: the end of `predict` and of `ensemble`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from runner.console import log
from runner.prediction.blend import postprocess_file
from runner.prediction.out_of_fold import Member
from runner.prediction.postprocess import Postprocess, write_postprocess
from runner.prediction.predictions import read_classes, read_ids
from runner.prediction.sources import Sources, has_result_of, tell_why_again, write_sources
from runner.prediction.submission import write_submission
from runner.session import Session
from runner.training.run import Run


def write_results(
    session: Session, run: Run, members: Sequence[Member], sources: Sources, fit: Callable[[], Postprocess]
) -> Path:
    """Postprocess and submission, and what they were made from; those of exactly these sources are left as they are."""
    if has_result_of(session.workspace, run, sources):
        log.info(f"{run.name} is predicted already")
        return session.submission_file(run.name)
    tell_why_again(session.workspace, run)
    postprocess = fit()
    write_postprocess(postprocess_file(run), postprocess, members, sources.tta)
    path = write_run_submission(session, run, postprocess, members)
    write_sources(session.workspace, run, sources)
    return path


def write_run_submission(session: Session, run: Run, postprocess: Postprocess, members: Sequence[Member]) -> Path:
    """The path of the run's submission CSV, written from the members' predictions for the test rows."""
    classes = read_classes(members[0].test[0])
    ids = read_ids(members[0].test[0])
    return write_submission(
        session.submission_format,
        session.submission_file(run.name),
        classes=classes,
        ids=ids,
        values=postprocess.predict_test(members, ids, classes),
    )

"""From prediction files to score.json, postprocess.json and the submission: the end of `predict` and of `ensemble`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.prediction.out_of_fold import Member
from runner.prediction.postprocess import Postprocess
from runner.prediction.predictions import read_classes, read_ids
from runner.prediction.submission import write_submission
from runner.session import Session
from runner.training.run import Run


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

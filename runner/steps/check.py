"""Whether the host would accept a submission file."""

from __future__ import annotations

from pathlib import Path

from runner.prediction.sources import warn_if_stale
from runner.prediction.submission import check_submission
from runner.session import Session
from runner.training.run import find_runs


def check(session: Session, path: Path) -> int:
    """The number of rows of a submission file with a valid format; else a SubmissionFormatError lists its problems."""
    check_submission(session.submission_format, path, session.index.classes)
    for run in find_runs(session.workspace, session.name):
        if path.resolve() == session.submission_file(run.name).resolve():
            warn_if_stale(session.workspace, run)
    return len(session.submission_format.ids)

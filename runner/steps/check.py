"""Whether the host would accept a submission file."""

from __future__ import annotations

from pathlib import Path

from runner.prediction.submission import check_submission
from runner.session import Session


def check(session: Session, path: Path) -> int:
    """The number of rows of a submission file with a valid format; else a SubmissionFormatError lists its problems."""
    check_submission(session.submission_format, path, session.index.classes)
    return len(session.submission_format.ids)

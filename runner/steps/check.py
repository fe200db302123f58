"""Whether the host would accept a submission file."""

from __future__ import annotations

from pathlib import Path

from runner.console import log
from runner.errors import SubmissionFormatError
from runner.prediction.sources import warn_if_stale
from runner.prediction.submission import check_submission
from runner.problems import describe
from runner.session import Session
from runner.training.run import find_runs


def check(session: Session, path: Path, *, strict: bool = False) -> int:
    """The number of rows of a submission file with a valid format; else a SubmissionFormatError lists its problems.

    `strict`: warnings count as errors.
    """
    warnings = check_submission(session.submission_format, path, session.index.classes).warnings
    if warnings and strict:
        raise SubmissionFormatError(
            f"the file has warnings:\n{describe(warnings)}",
            where=path,
            fix="fix what is listed, or leave --strict out: the host is believed to take the file",
        )
    if warnings:
        log.warning(f"{path}: the host is believed to take the file, but:\n{describe(warnings)}")
    for run in find_runs(session.workspace, session.name):
        if path.resolve() == session.submission_file(run.name).resolve():
            warn_if_stale(session.workspace, run)
    return len(session.submission_format.ids)

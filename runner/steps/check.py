"""Whether the host would accept a submission file."""

from __future__ import annotations

from pathlib import Path

from runner.commands import command
from runner.console import log
from runner.data.checksums import replaced_files
from runner.data.image_names import all_files_of
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
    warn_of_replaced_images(session)
    for run in find_runs(session.workspace, session.name):
        if path.resolve() == session.submission_file(run.name).resolve():
            warn_if_stale(session.workspace, run)
    return len(session.submission_format.ids)


def warn_of_replaced_images(session: Session) -> None:
    """Warn of test images that are not those that arrived: what was predicted from them would be different now."""
    index = session.index
    if replaced := replaced_files(index.data_dir, all_files_of(index.test["path"])):
        shown = ", ".join(replaced[:3]) + (", ..." if len(replaced) > 3 else "")
        accept = command(session.name, "download", "--accept-changes")
        log.warning(f"test images have changed since they were downloaded, {len(replaced):,}: {shown}\n  fix: {accept}")

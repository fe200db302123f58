"""The errors a user can meet: a message, where it happened, and the command or action that fixes it."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path


class _ShownInNotebooks(BaseException):
    """An error whose message says all: a notebook shows it, and the line of the cell, instead of a traceback."""

    def _render_traceback_(self) -> list[str]:
        # Whoever wants messages of every kind wants the traceback too, as with -v.
        if logging.getLogger("runner").isEnabledFor(logging.DEBUG):
            return traceback.format_exception(self)
        frames = [frame for frame in traceback.extract_tb(self.__traceback__) if "ipykernel_" in frame.filename]
        lines = [f"line {frame.lineno}: {frame.line}" for frame in frames[-1:] if frame.line]
        return [*lines, f"{type(self).__name__}: {self}"]


class RunnerError(_ShownInNotebooks, Exception):
    """An error that its message explains. The command line prints it and exits with `exit_code`."""

    exit_code = 1

    def __init__(self, message: str, *, where: str | Path | None = None, fix: str | None = None):
        self.message = message
        self.where = None if where is None else str(where)
        self.fix = fix
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [self.message]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)


class UsageError(RunnerError):
    """Wrong usage of a command or a function: exit code 2."""

    exit_code = 2


class PluginError(RunnerError):
    """A competition file that cannot be loaded."""


class DataError(RunnerError):
    """Competition data that is missing, damaged or contradicts itself."""


class MissingPackageError(DataError):
    """Files that only a package reads that is not installed."""


class WrongDataError(DataError):
    """Files that are not the data of the competition."""


class ArchiveError(DataError):
    """An archive that is damaged, unsafe or cannot be extracted here."""


class SubmissionFormatError(RunnerError):
    """A submission file that the host would reject for its format."""


class HostError(RunnerError):
    """The host refused, or could not be reached."""


class Interrupted(_ShownInNotebooks, KeyboardInterrupt):
    """Ctrl-C during the work on a run; the message says what is kept."""

    def __init__(self, message: str, *, is_kept: bool = True):
        self.is_kept = is_kept
        super().__init__(message)


class TrainingError(RunnerError):
    """Training cannot start or cannot continue."""


class InUseError(RunnerError):
    """Another process is writing what this command would write."""


class DamagedFileError(RunnerError):
    """A file of the runner's own that does not hold what was written into it."""

"""The few errors a user can meet. Each says what was found, where, and what to type next."""

from __future__ import annotations

from pathlib import Path


class RunnerError(Exception):
    """A fault that the message explains. The command line prints it and exits with `exit_code`."""

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
            lines.append(f"  fix:  {self.fix}")
        return "\n".join(lines)


class UsageError(RunnerError):
    """The command was typed in a way that cannot be meant: exit code 2."""

    exit_code = 2


class PluginError(RunnerError):
    """A competition file that cannot be loaded."""


class DataError(RunnerError):
    """Competition data that is missing, broken or contradicts itself."""


class ArchiveError(DataError):
    """An archive that is broken, hostile or cannot be unpacked here."""


class SubmissionFormatError(RunnerError):
    """A submission file whose form the host would reject."""


class HostError(RunnerError):
    """The host refused, or could not be reached."""


class TrainingError(RunnerError):
    """Training cannot start or cannot go on."""

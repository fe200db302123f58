"""The few errors a user can meet. Each says what was found, where, and what to type next."""

from __future__ import annotations

from pathlib import Path


class RunnerError(Exception):
    """A fault that the message explains. The command line prints it and exits with `exit_code`."""

    exit_code = 1

    def __init__(self, found: str, *, where: str | Path | None = None, cure: str | None = None):
        self.found = found
        self.where = None if where is None else str(where)
        self.cure = cure
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [self.found]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.cure:
            lines.append(f"  cure:  {self.cure}")
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

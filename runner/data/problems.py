"""What is wrong with the data: each fault with its file, its row and its fix, all told at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.errors import DataError

SHOWN_PER_KIND = 10  # the eleventh of a kind teaches nothing that the first ten did not


@dataclass(frozen=True)
class Problem:
    """One fault, or one remark where `fatal` is false."""

    kind: str
    file: str  # relative to the raw folder
    row: int | None  # the line as an editor counts: the header is line 1
    message: str
    fix: str
    fatal: bool

    @property
    def place(self) -> str:
        """`labels.csv:12`, or the file alone."""
        return self.file if self.row is None else f"{self.file}:{self.row}"

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass
class Problems:
    """What has been found so far; nothing stops until everything was looked at."""

    command: str  # the competition's command name, for the fixes
    # In the order of finding; what is found again, where a table is read for two purposes, is told once.
    entries: dict[Problem, None] = field(default_factory=dict)

    @property
    def download_again(self) -> str:
        """The fix for whatever a download has spoiled."""
        return f"runner {self.command} download --force"

    @property
    def fatal(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.entries if problem.fatal)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.entries if not problem.fatal)

    def error(self, kind: str, file: str, row: int | None, found: str, fix: str) -> None:
        """Something that must be mended first."""
        self.entries[Problem(kind, file, row, found, fix, fatal=True)] = None

    def warn(self, kind: str, file: str, row: int | None, found: str, fix: str) -> None:
        """Something to know, that stops nothing."""
        self.entries[Problem(kind, file, row, found, fix, fatal=False)] = None

    def raise_if_errors(self, raw: Path) -> None:
        """Raise everything at once, if anything is fatal."""
        if self.fatal:
            count = _counted(len(self.fatal), "fault")
            raise DataError(
                f"the data of {self.command} has {count}\n{describe(self.fatal)}",
                where=raw,
                fix="mend what is listed, then type the same command again",
            )


def describe(problems: Sequence[Problem]) -> str:
    """The problems as text, kind by kind, each kind with its number and its first few."""
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind, []).append(problem)
    return "\n".join(line for kind, alike in kinds.items() for line in _kind_lines(kind, alike))


def _kind_lines(kind: str, alike: Sequence[Problem]) -> list[str]:
    shown, rest = alike[:SHOWN_PER_KIND], len(alike) - SHOWN_PER_KIND
    lines = [f"- {kind}: {len(alike):,}"]
    for number, problem in enumerate(shown):
        lines.append(f"    {problem}")
        # A fix that several share is said once, below the last of them.
        if number + 1 == len(shown) or shown[number + 1].fix != problem.fix:
            lines.append(f"      fix: {problem.fix}")
    if rest > 0:
        lines.insert(-1, f"    and {rest:,} more like this")
    return lines


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean 'breed'? `, or nothing where no known word is near."""
    by_folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return f"did you mean {by_folded[near[0]]!r}? " if near else ""


def _counted(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number:,} {noun}s"

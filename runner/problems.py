"""Problems of files: errors and warnings, each with its place and fix, collected and described together."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner.errors import DataError

# Names among which one that was meant is searched: each takes a hundredth of a millisecond or more.
_MAX_CANDIDATES = 10_000
_MAX_LENGTH = 200  # characters: longer ones are no names
KEPT_PER_KIND = 5  # the sixth problem of a kind is only counted, so that it does not bury another kind


@dataclass(frozen=True)
class Problem:
    """One error, or one warning, about a file."""

    kind: str
    message: str
    file: str = ""  # relative to the data folder; empty if the error that lists the problem names the file
    line: int | None = None  # as an editor counts: the header is on line 1
    fix: str | None = None
    is_error: bool = True
    more: int = 0  # on the last one listed of a kind: how many more were only counted

    @property
    def place(self) -> str:
        """`labels.csv:12`, `labels.csv`, `line 12`, or nothing."""
        if self.line is None:
            return self.file
        return f"{self.file}:{self.line}" if self.file else f"line {self.line}"

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class ProblemsError(DataError):
    """Data with errors; `problems` are those that the message lists."""

    def __init__(self, name: str, problems: Sequence[Problem], where: Path):
        self.problems = tuple(problems)
        count = sum(1 + problem.more for problem in problems)
        super().__init__(
            f"{name}: {count:,} {'error' if count == 1 else 'errors'} in the data\n{describe(problems)}",
            where=where,
            fix="fix what is listed, then: `...`",
        )


class ProblemList:
    """The first few problems of each kind, in the order of the kinds, and the number of the others."""

    def __init__(self, default_fix: str | None = None) -> None:
        self.default_fix = default_fix  # of an error that names no other
        self._kept: dict[tuple[str, bool], list[Problem]] = {}
        self._more: Counter[tuple[str, bool]] = Counter()

    def error(
        self, kind: str, message: str, *, file: str = "", line: int | None = None, fix: str | None = None
    ) -> None:
        """Add a problem that makes the file unusable."""
        if self._has_room(kind, is_error=True):
            self._keep(Problem(kind, message, file, line, fix or self.default_fix))

    def warn(self, kind: str, message: str, *, file: str = "", line: int | None = None, fix: str | None = None) -> None:
        """Add a problem that does not make the file unusable."""
        if self._has_room(kind, is_error=False):
            self._keep(Problem(kind, message, file, line, fix, is_error=False))

    def _has_room(self, kind: str, *, is_error: bool) -> bool:
        """Whether a problem of this kind is still kept; if not, it is counted."""
        has_room = len(self._kept.setdefault((kind, is_error), [])) < KEPT_PER_KIND
        self._more[kind, is_error] += not has_room
        return has_room

    def _keep(self, problem: Problem) -> None:
        kept = self._kept[problem.kind, problem.is_error]
        if problem not in kept:  # it is there already if a file is read for two purposes
            kept.append(problem)

    def extend(self, other: ProblemList) -> None:
        """Add the problems of another list."""
        for key, problems in other._kept.items():
            kept = self._kept.setdefault(key, [])
            free = KEPT_PER_KIND - len(kept)
            kept += problems[:free]
            self._more[key] += len(problems[free:]) + other._more[key]

    @property
    def errors(self) -> tuple[Problem, ...]:
        return self._listed(is_error=True)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return self._listed(is_error=False)

    def _listed(self, is_error: bool) -> tuple[Problem, ...]:
        return tuple(
            replace(problem, more=self._more[key]) if problem is kept[-1] else problem
            for key, kept in self._kept.items()
            if key[1] is is_error
            for problem in kept
        )

    def raise_if_errors(self, name: str, where: Path) -> None:
        """Raise one ProblemsError with all errors, if there are any."""
        if errors := self.errors:
            raise ProblemsError(name, errors, where)


def describe(problems: Sequence[Problem]) -> str:
    """The problems as text: each kind with its number, its first few, and their fixes."""
    kinds: dict[str, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind, []).append(problem)
    return "\n".join(line for kind, of_kind in kinds.items() for line in _describe_kind(kind, of_kind))


def _describe_kind(kind: str, problems: Sequence[Problem]) -> Iterator[str]:
    yield f"- {kind}: {sum(1 + problem.more for problem in problems):,}"
    for number, problem in enumerate(problems):
        yield f"    {problem}"
        if problem.more:
            yield f"    and {problem.more:,} more"
        # A fix that several share is given once, below the last of them.
        if problem.fix and (number + 1 == len(problems) or problems[number + 1].fix != problem.fix):
            yield f"      fix: {problem.fix}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean 'breed'?`, or nothing if no known word is near, or too many are known to compare."""
    by_folded = {name.casefold(): name for name in known}
    if len(by_folded) > _MAX_CANDIDATES or len(word) > _MAX_LENGTH:
        return ""
    near = difflib.get_close_matches(word.strip().casefold(), by_folded, n=1)
    return f"did you mean {quote(by_folded[near[0]])}?" if near else ""


def quote(text: str) -> str:
    """The text in quotes, on one line, cut at 60 characters."""
    return repr(text if len(text) <= 60 else text[:57] + "...")

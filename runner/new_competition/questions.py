"""What was concluded from which evidence, what has to be asked, and what stops."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from runner.errors import DataError

_TOPICS = (
    *("sample submission", "test images", "training images", "validation images", "images", "labels", "positive"),
    *("groups", "metric", "preset"),
)


class UnclearError(DataError):
    """Files that do not say what a competition is, or that contradict themselves: nothing is written."""


@dataclass(frozen=True)
class Conclusion:
    """One thing that was inferred or assumed, and from what."""

    topic: str  # test images, labels, metric
    text: str
    is_assumed: bool = False


@dataclass(frozen=True)
class Question:
    """What the files do not say."""

    flag: str  # that answers it: --positive
    text: str
    choices: tuple[str, ...] = ()
    assumed: str | None = None  # taken if nobody answers; None: nothing can be assumed


# The answer, or None if nobody answers.
Ask = Callable[[Question], str | None]


@dataclass(frozen=True)
class Answers:
    """What the flags say."""

    metric: str | None = None
    preset: str | None = None
    label: tuple[str, ...] = ()
    id: str | None = None
    group: str | None = None
    positive: str | None = None
    sample: str | None = None
    table: str | None = None


@dataclass
class Findings:
    """The conclusions so far, and whoever answers questions."""

    answers: Answers
    ask: Ask
    conclusions: list[Conclusion] = field(default_factory=list)

    def conclude(self, topic: str, text: str) -> None:
        """Keep what the evidence says."""
        self.conclusions.append(Conclusion(topic, text))

    def assume(self, topic: str, text: str) -> None:
        """Keep what no evidence says."""
        self.conclusions.append(Conclusion(topic, text, is_assumed=True))

    def in_order(self) -> tuple[Conclusion, ...]:
        """The conclusions by topic, the evidence on the images first."""
        return tuple(sorted(self.conclusions, key=lambda each: _TOPICS.index(each.topic)))

    def answer(self, question: Question) -> tuple[str, bool]:
        """The answer, and whether it is only assumed; an UnclearError if it must be given and is not."""
        answer = self.ask(question)
        if answer is not None:
            return answer, False
        if question.assumed is None:
            raise UnclearError(f"the files do not say {question.text}", fix=_fix(question))
        return question.assumed, True


def _fix(question: Question) -> str:
    value = question.choices[0] if question.choices else question.flag.strip("-").upper()
    others = f", or another of {some(question.choices)}" if len(question.choices) > 1 else ""
    return f"say it, for example: `... {question.flag} {_quoted(value)}`{others}"


def _quoted(value: str) -> str:
    return shlex.quote(value.replace("`", "?"))


def some(names: Sequence[str], most: int = 5) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

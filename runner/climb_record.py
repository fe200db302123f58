"""climb.json: what a climb has tried, what each step cost and gained, and what is measured of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from pathlib import Path

from runner.workspace import Workspace, read_record, write_json

_FORMAT = 1


class StepKind(Enum):
    """What a step of a climb buys."""

    FEATURES = "features"  # a head on the features of a backbone that had none yet
    LARGER = "larger size"  # the same at a larger size
    UNFROZEN = "unfrozen stage"  # the backbone is trained too, in one fold
    FOLDS = "folds"  # the other folds of an unfrozen stage that helped
    LONGER = "longer training"
    VIEWS = "views"  # more test-time views of a run


class Decision(Enum):
    """What became of a step."""

    HELPED = "helped"  # by more than its standard error
    SAME = "no difference"
    WORSE = "worse"
    FIRST = "first"
    LEFT_OUT = "left out"  # one fold of it did not pay
    STOPPED = "stopped"  # the time was up
    FAILED = "failed"


@dataclass(frozen=True)
class Step:
    """One step that was finished or given up; scores are of the ensemble after it."""

    number: int
    kind: StepKind
    candidate: str  # the key of a backbone with its weights
    size: int
    run: str  # the run that it trained or predicted
    what: str
    planned_minutes: float
    minutes: float
    decision: Decision
    why: str = ""
    ensemble: str = ""  # the run with the submission after it; empty if the one before stays
    score: float | None = None
    error: float | None = None
    rows: int = 0  # that the score is of
    gain: float | None = None  # over the ensemble before, on the same rows; above 0 is better
    gain_error: float | None = None
    own_score: float | None = None  # of the step's run alone
    share: float | None = None  # the gain as a share of the score that was left to gain
    loss: float | None = None  # validation loss of the first fold as a share of the loss of guessing
    epochs: int = 0  # of the unfrozen stages

    @property
    def has_helped(self) -> bool:
        """Whether it was worth its time: then more of the same kind may be."""
        return self.decision in (Decision.HELPED, Decision.FIRST)


@dataclass(frozen=True)
class Speed:
    """Seconds of a backbone on this machine, an image of one million pixels."""

    inference: float
    training: float | None = None
    head: float | None = None  # seconds of a regression on its features, in one fold


@dataclass(frozen=True)
class Pending:
    """The step under way, by which an interrupted climb knows what it was."""

    kind: StepKind
    candidate: str
    size: int
    run: str
    what: str
    planned_minutes: float
    began: float  # seconds since 1970
    epochs: int = 0


@dataclass(frozen=True)
class ClimbRecord:
    """Everything that a climb knows; written after every change of it."""

    data: str = ""  # a digest of the data that it is about
    prefix: str = "climb"  # of the names of its runs
    folds: int = 0  # of its runs; 0: a holdout
    candidates: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    speeds: dict[str, Speed] = field(default_factory=dict)  # by candidate
    seconds: float = 0.0  # spent in all
    blend_seconds: float = 0.0  # of the last ensemble
    pending: Pending | None = None
    refit: str = ""  # the run that refits the last ensemble's heads on all labelled rows, if there was time for it

    @property
    def submission(self) -> str:
        """The run to submit: the last ensemble, or its refit; empty before the first."""
        best = self.best
        return (self.refit or best.ensemble) if best is not None else ""

    @property
    def best(self) -> Step | None:
        """The last step that wrote a submission: its ensemble is the one to submit."""
        return next((step for step in reversed(self.steps) if step.ensemble), None)

    def of(self, *kinds: StepKind) -> Iterator[Step]:
        """The steps of these kinds that were finished, oldest first."""
        ended = (Decision.STOPPED, Decision.FAILED)
        return (step for step in self.steps if step.kind in kinds and step.decision not in ended)

    def has_tried(self, kind: StepKind, candidate: str, size: int) -> bool:
        """Whether there is such a step, whatever came of it, that will not be tried again."""
        return any(
            (step.kind, step.candidate, step.size) == (kind, candidate, size)
            for step in self.steps
            if step.decision is not Decision.STOPPED
        )

    def with_step(self, step: Step) -> ClimbRecord:
        """The record with a step that has ended."""
        refit = "" if step.ensemble else self.refit
        return replace(self, steps=(*self.steps, step), pending=None, refit=refit)

    def with_speed(self, candidate: str, speed: Speed) -> ClimbRecord:
        """The record with a speed that was measured."""
        return replace(self, speeds={**self.speeds, candidate: speed})


def climb_file(workspace: Workspace, competition: str) -> Path:
    """The file of a competition's climb."""
    return workspace.runs_dir(competition) / "climb.json"


def read_climb(workspace: Workspace, competition: str) -> ClimbRecord | None:
    """The competition's climb; None if there was none."""
    path = climb_file(workspace, competition)
    if not path.exists():
        return None
    fix = workspace.command_line(competition, "climb", "--new", "--time-budget", "10")
    return read_record(path, ClimbRecord, format=_FORMAT, fix=fix, name="climb")


def write_climb(workspace: Workspace, competition: str, record: ClimbRecord) -> None:
    """Write climb.json."""
    write_json(climb_file(workspace, competition), _plain(asdict(record)), format=_FORMAT)


def _plain(value: object) -> dict[str, object]:
    plain = _without_enums(value)
    assert isinstance(plain, dict)
    return plain


def _without_enums(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {name: _without_enums(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_enums(each) for each in value]
    return value

"""What score.json holds: the CV score and how it was computed."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class ScoreRecord(TypedDict):
    """A metric on validation rows, with its standard error."""

    metric: str
    value: float
    error: float
    rows: int


class TTARecord(TypedDict):
    """How views are averaged, and what that gains; None without views."""

    mode: str
    gain: float | None
    error: float | None


class MethodRecord(TypedDict):
    """The nested score of one ensemble method."""

    method: str
    score: float
    error: float
    chosen: bool


class MemberRecord(TypedDict):
    """One model of the ensemble."""

    name: str
    weight: float
    solo_score: float
    gain: float


class RunScore(TypedDict):
    """The content of score.json."""

    cv: ScoreRecord
    extra_metrics: dict[str, ScoreRecord]
    folds: NotRequired[dict[str, float]]
    in_sample: NotRequired[float]
    postprocess: NotRequired[str]
    tta: NotRequired[TTARecord]
    methods: NotRequired[list[MethodRecord]]
    members: NotRequired[list[MemberRecord]]
    refit_of: NotRequired[str]

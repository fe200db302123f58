"""Where a score is on a leaderboard: its place, its percentile, its medal line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from runner.contract.metrics import Metric
from runner.hosts.protocol import Leaderboard


class Medal(Enum):
    """The three medals, best first."""

    GOLD = "gold"
    SILVER = "silver"
    BRONZE = "bronze"


@dataclass(frozen=True)
class MedalCutoff:
    """How many places win a medal: some outright, and some more per thousand teams (rounded down)."""

    places: int
    per_thousand: int

    def last_place(self, teams: int) -> int:
        """The last place that wins it. Even the smallest board has a first place that does."""
        return max(self.places + teams * self.per_thousand // 1000, 1)


# Kaggle's rule: each row holds from that many teams on.
_LINES: tuple[tuple[int, dict[Medal, MedalCutoff]], ...] = (
    (1000, {Medal.GOLD: MedalCutoff(10, 2), Medal.SILVER: MedalCutoff(0, 50), Medal.BRONZE: MedalCutoff(0, 100)}),
    (250, {Medal.GOLD: MedalCutoff(10, 2), Medal.SILVER: MedalCutoff(50, 0), Medal.BRONZE: MedalCutoff(100, 0)}),
    (100, {Medal.GOLD: MedalCutoff(10, 0), Medal.SILVER: MedalCutoff(0, 200), Medal.BRONZE: MedalCutoff(0, 400)}),
    (0, {Medal.GOLD: MedalCutoff(0, 100), Medal.SILVER: MedalCutoff(0, 200), Medal.BRONZE: MedalCutoff(0, 400)}),
)


@dataclass(frozen=True)
class NextMedal:
    """The nearest better medal: the score that holds its last place, and how far off that is."""

    medal: Medal
    score: float
    distance: float


@dataclass(frozen=True)
class Standing:
    """The place that a score has, or would have had, on one board."""

    score: float
    rank: int
    teams: int
    medal: Medal | None
    next_line: NextMedal | None
    awarded: bool  # False: the competition gives no medals, and `medal` is what it would be
    private: bool
    late: bool = False  # the competition was over: the place is what it would have been

    @property
    def percentile(self) -> float | None:
        """The share of the board, in percent, at or above this place; None on an empty board."""
        return min(100 * self.rank / self.teams, 100.0) if self.teams else None

    def __str__(self) -> str:
        board = "private" if self.private else "public"
        if not self.teams:
            return f"{self.score:.5f} on the {board} board, which is empty"
        would = "would have been " if self.late else ""
        place = f"{self.score:.5f} on the {board} board: {would}place {self.rank:,} of {self.teams:,}"
        return f"{place} (top {self.percentile:.1f} %), {self._medal_text()}{self._next_text()}"

    def _medal_text(self) -> str:
        if self.medal is None:
            return "no medal"
        return self.medal.value if self.awarded and not self.late else f"would be {self.medal.value}"

    def _next_text(self) -> str:
        if self.next_line is None:
            return ""
        line = self.next_line
        return f"; {line.distance:.5f} short of {line.medal.value} ({line.score:.5f})"


def find_standing(
    board: Leaderboard,
    score: float,
    metric: Metric,
    *,
    awards_medals: bool = True,
    submitted: datetime | None = None,
    team: str = "",
    late: bool = False,
) -> Standing:
    """Where a score stands on a board. The row of one's own team is not in its own way."""
    others = Leaderboard(tuple(row for row in board.rows if not team or row.team != team), board.private)
    rank, teams = rank_of(others, score, metric, submitted=submitted), len(board.rows)
    return Standing(
        score=score,
        rank=rank,
        teams=teams,
        medal=medal_at(rank, teams),
        next_line=_next_line(board, score, rank),
        awarded=awards_medals,
        private=board.private,
        late=late,
    )


def rank_of(board: Leaderboard, score: float, metric: Metric, *, submitted: datetime | None = None) -> int:
    """The place of a score: 1 and the rows before it. Where scores tie, the earlier is before."""
    return 1 + sum(
        metric.is_better(row.score, score) or (row.score == score and (submitted is None or row.submitted <= submitted))
        for row in board.rows
    )


def medal_lines(teams: int) -> dict[Medal, int]:
    """The last place that wins each medal on a board of that size."""
    lines = next(lines for least, lines in _LINES if teams >= least)
    return {medal: line.last_place(teams) for medal, line in lines.items()}


def medal_at(rank: int, teams: int) -> Medal | None:
    """The medal of a place, if any. A board without teams has none to give."""
    if teams == 0:
        return None
    return next((medal for medal, last in medal_lines(teams).items() if rank <= last), None)


def _next_line(board: Leaderboard, score: float, rank: int) -> NextMedal | None:
    teams = len(board.rows)
    better = [last for last in medal_lines(teams).values() if last < rank and last <= teams]
    if not better:
        return None
    # On a short board two lines fall on one place: whoever gets there has the better of them.
    last = max(better)
    medal = medal_at(last, teams)
    assert medal is not None
    return NextMedal(medal, board.rows[last - 1].score, abs(score - board.rows[last - 1].score))

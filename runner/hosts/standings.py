"""Standings on a leaderboard: rank, top_percent, medal; their change; and how well CV predicts the scores."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path

from runner.contract import Competition, Metric
from runner.hosts.leaderboards import SavedLeaderboard, latest_leaderboards
from runner.hosts.ledger import Entry
from runner.hosts.protocol import Leaderboard, leaderboard_kind


class Medal(Enum):
    """The three medals, best first."""

    GOLD = "gold"
    SILVER = "silver"
    BRONZE = "bronze"


@dataclass(frozen=True)
class MedalCutoff:
    """How many ranks win a medal: a fixed number, and some per thousand teams (rounded down)."""

    ranks: int
    per_thousand: int

    def last_rank(self, teams: int) -> int:
        """The last rank that wins the medal; at least 1."""
        return max(self.ranks + teams * self.per_thousand // 1000, 1)


# Kaggle's rule: each row holds from that number of teams on.
_CUTOFFS: tuple[tuple[int, dict[Medal, MedalCutoff]], ...] = (
    (1000, {Medal.GOLD: MedalCutoff(10, 2), Medal.SILVER: MedalCutoff(0, 50), Medal.BRONZE: MedalCutoff(0, 100)}),
    (250, {Medal.GOLD: MedalCutoff(10, 2), Medal.SILVER: MedalCutoff(50, 0), Medal.BRONZE: MedalCutoff(100, 0)}),
    (100, {Medal.GOLD: MedalCutoff(10, 0), Medal.SILVER: MedalCutoff(0, 200), Medal.BRONZE: MedalCutoff(0, 400)}),
    (0, {Medal.GOLD: MedalCutoff(0, 100), Medal.SILVER: MedalCutoff(0, 200), Medal.BRONZE: MedalCutoff(0, 400)}),
)


@dataclass(frozen=True)
class NextMedal:
    """The nearest better medal, the score at its last rank, and the distance to that score."""

    medal: Medal
    score: float
    distance: float


@dataclass(frozen=True)
class Standing:
    """The rank that a score has, or would have had, on one leaderboard."""

    score: float
    rank: int
    teams: int
    medal: Medal | None
    next_medal: NextMedal | None
    awards_medals: bool  # False: the competition gives no medals, and `medal` is what it would be
    private: bool
    late: bool = False  # submitted after the deadline: the rank is what it would have been

    @property
    def top_percent(self) -> float | None:
        """Percent of the teams at or above this rank; None on an empty leaderboard."""
        return 100 * self.rank / self.teams if self.teams else None

    def __str__(self) -> str:
        leaderboard = f"{self.score:.5f} on the {leaderboard_kind(self.private)} leaderboard"
        if not self.teams:
            return f"{leaderboard}, which is empty"
        would = "would have been " if self.late else ""
        rank = f"{would}rank {self.rank:,} of {self.teams:,} (top {self.top_percent:.1f} %)"
        return f"{leaderboard}: {rank}, {self._medal_text()}{self._next_medal_text()}"

    def _medal_text(self) -> str:
        if self.medal is None:
            return "no medal"
        return self.medal.value if self.awards_medals and not self.late else f"would be {self.medal.value}"

    def _next_medal_text(self) -> str:
        if self.next_medal is None:
            return ""
        return f"; {self.next_medal.distance:.5f} short of {self.next_medal.medal.value} ({self.next_medal.score:.5f})"


@dataclass(frozen=True)
class CurrentStanding:
    """The best submission's standing on the last saved leaderboard, and the change since the one before."""

    ref: str
    standing: Standing
    saved_at: datetime
    rank_change: int | None = None  # ranks gained since then; negative: lost
    since: datetime | None = None

    def __str__(self) -> str:
        return f"{self.standing}{self._change_text()} (leaderboard of {self.saved_at:%Y-%m-%d %H:%M} UTC)"

    def _change_text(self) -> str:
        if self.rank_change is None or self.since is None:
            return ""
        if self.rank_change == 0:
            return f"; unchanged since {self.since:%Y-%m-%d}"
        ranks = "1 rank" if abs(self.rank_change) == 1 else f"{abs(self.rank_change):,} ranks"
        return f"; {ranks} {'up' if self.rank_change > 0 else 'down'} since {self.since:%Y-%m-%d}"


@dataclass(frozen=True)
class CvCorrelation:
    """How well CV predicts a leaderboard's scores, over all submitted files that have both."""

    leaderboard: str  # public or private
    submissions: int
    rank_correlation: (
        float | None
    )  # Spearman's; 1: a better CV always means a better score; None: fewer than three files
    gap: float | None  # median of how much worse the score is than CV, in standard errors of CV

    def __str__(self) -> str:
        count = f"{self.submissions} file{'s' * (self.submissions != 1)}"
        statements = []
        if self.rank_correlation is not None:
            statements.append(f"rank correlation {self.rank_correlation:.2f} over {count}")
        if self.gap is not None:
            direction = "worse" if self.gap > 0 else "better"
            statements.append(f"scores are {abs(self.gap):.1f} standard errors {direction} than CV")
        return f"CV and {self.leaderboard} leaderboard: {'; '.join(statements) or f'too few to compare ({count})'}"


def find_standing(
    competition: Competition,
    leaderboard: Leaderboard,
    score: float,
    *,
    submitted: datetime | None = None,
    team: str = "",
    late: bool = False,
) -> Standing:
    """The standing of a score. The row of the user's own team does not count against it."""
    rivals = Leaderboard(tuple(row for row in leaderboard.rows if not team or row.team != team), leaderboard.private)
    rank = rank_of(rivals, score, competition.metric, submitted=submitted)
    # Behind all of them it is one more; no rank is below the last.
    teams = max(len(leaderboard.rows), rank) if leaderboard.rows else 0
    return Standing(
        score=score,
        rank=rank,
        teams=teams,
        medal=medal_at(rank, len(leaderboard.rows)),
        next_medal=_next_medal(leaderboard, score, rank),
        awards_medals=competition.awards_medals,
        private=leaderboard.private,
        late=late,
    )


def best_standing(
    competition: Competition, entries: Sequence[Entry], saved: SavedLeaderboard
) -> tuple[Entry, Standing] | None:
    """The entry with the best score on that leaderboard, and its standing; None if no entry has a score."""
    private = saved.leaderboard.private
    scored = [(entry, score) for entry in entries if (score := entry.score(private=private)) is not None]
    if not scored:
        return None
    entry, score = competition.metric.best(scored, key=lambda pair: pair[1])
    standing = find_standing(
        competition,
        saved.leaderboard,
        score,
        submitted=entry.submitted_at,
        team=saved.context.team,
        late=saved.context.is_late(entry.submitted_at),
    )
    return entry, standing


def find_current_standings(
    competition: Competition, entries: Sequence[Entry], leaderboards_dir: Path
) -> tuple[CurrentStanding, ...]:
    """The best submission's standing on each saved leaderboard, public first."""
    standings = (
        _current_standing(competition, entries, latest_leaderboards(leaderboards_dir, private=private))
        for private in (False, True)
    )
    return tuple(standing for standing in standings if standing is not None)


def _current_standing(
    competition: Competition, entries: Sequence[Entry], saved: Sequence[SavedLeaderboard]
) -> CurrentStanding | None:
    best = best_standing(competition, entries, saved[-1]) if saved else None
    if best is None:
        return None
    entry, standing = best
    if len(saved) == 1:
        return CurrentStanding(entry.ref, standing, saved[-1].saved_at)
    earlier = best_standing(competition, [entry], saved[0])
    assert earlier is not None
    return CurrentStanding(entry.ref, standing, saved[-1].saved_at, earlier[1].rank - standing.rank, saved[0].saved_at)


def rank_of(leaderboard: Leaderboard, score: float, metric: Metric, *, submitted: datetime | None = None) -> int:
    """The rank of a score, 1 for the best. If scores tie, the earlier submission ranks first."""
    return 1 + sum(
        metric.is_better(row.score, score) or (row.score == score and (submitted is None or row.submitted <= submitted))
        for row in leaderboard.rows
    )


def medal_cutoffs(teams: int) -> dict[Medal, int]:
    """The last rank that wins each medal, on a leaderboard with that many teams."""
    cutoffs = next(cutoffs for minimum, cutoffs in _CUTOFFS if teams >= minimum)
    return {medal: cutoff.last_rank(teams) for medal, cutoff in cutoffs.items()}


def medal_at(rank: int, teams: int) -> Medal | None:
    """The medal of a rank, if any; none on an empty leaderboard."""
    if teams == 0:
        return None
    return next((medal for medal, last_rank in medal_cutoffs(teams).items() if rank <= last_rank), None)


def _next_medal(leaderboard: Leaderboard, score: float, rank: int) -> NextMedal | None:
    teams = len(leaderboard.rows)
    better = [last_rank for last_rank in medal_cutoffs(teams).values() if last_rank < rank and last_rank <= teams]
    if not better:
        return None
    # On a short leaderboard two medals share a last rank: that rank wins the better one.
    last_rank = max(better)
    medal = medal_at(last_rank, teams)
    assert medal is not None
    cutoff = leaderboard.rows[last_rank - 1].score
    return NextMedal(medal, cutoff, abs(score - cutoff))


def find_cv_correlations(metric: Metric, entries: Sequence[Entry]) -> tuple[CvCorrelation, ...]:
    """CV against the public and the private scores, for each leaderboard that has scores."""
    correlations = []
    for private in (False, True):
        # A file that was sent twice has one score: it counts once.
        scored = {
            entry.tag or f"{entry.host} {entry.ref}": entry
            for entry in entries
            if entry.cv and entry.score(private=private) is not None
        }
        if scored:
            correlations.append(_cv_correlation(metric, list(scored.values()), private))
    return tuple(correlations)


def _cv_correlation(metric: Metric, entries: Sequence[Entry], private: bool) -> CvCorrelation:
    cv = [float(entry.cv) for entry in entries]
    scores = [float(entry.private if private else entry.public) for entry in entries]
    gaps = [
        metric.gain(own, score) / float(entry.cv_error)
        for entry, own, score in zip(entries, cv, scores, strict=True)
        if entry.cv_error and float(entry.cv_error) > 0
    ]
    gap = statistics.median(gaps) if gaps else None
    # Two points are always in order, or in reverse.
    correlation = rank_correlation(cv, scores) if len(entries) > 2 else None
    return CvCorrelation(leaderboard_kind(private), len(entries), correlation, gap)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation; None if either has fewer than two different values."""
    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    from scipy.stats import spearmanr  # here: scipy takes half a second to import

    return float(spearmanr(first, second).statistic)

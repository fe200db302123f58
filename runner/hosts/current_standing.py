"""What the ledger and the kept boards tell together: your place, how it moved, and whether CV can be believed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from runner.contract import Competition, Metric
from runner.hosts.leaderboards import latest_snapshots, read_terms
from runner.hosts.ledger import Entry
from runner.hosts.standings import Standing, find_standing


@dataclass(frozen=True)
class Place:
    """The best submission's place on one board, and how it moved since the board was kept before."""

    ref: str
    standing: Standing
    taken: datetime
    moved: int | None = None  # places won since then; negative: lost
    since: datetime | None = None

    def __str__(self) -> str:
        return f"{self.standing}{self._movement} (board of {self.taken:%Y-%m-%d %H:%M} UTC)"

    @property
    def _movement(self) -> str:
        if self.moved is None or self.since is None:
            return ""
        if self.moved == 0:
            return f"; as on {self.since:%Y-%m-%d}"
        way = "up" if self.moved > 0 else "down"
        return f"; {abs(self.moved)} place{'s' * (abs(self.moved) > 1)} {way} since {self.since:%Y-%m-%d}"


@dataclass(frozen=True)
class CvCorrelation:
    """How well CV foretold a board's scores, over all submissions that have both."""

    board: str
    submissions: int
    rank_correlation: float | None  # Spearman's; 1: the better CV was always the better score
    gap: float | None  # how much worse the board is than CV, in standard errors of CV; the median

    def __str__(self) -> str:
        order = "" if self.rank_correlation is None else f"rank correlation {self.rank_correlation:.2f}"
        worse = "worse" if (self.gap or 0) > 0 else "better"
        gap = "" if self.gap is None else f"{self.board} is {abs(self.gap):.1f} standard errors {worse} than CV"
        said = ", ".join(one for one in (order, gap) if one)
        count = f"{self.submissions} submission{'s' * (self.submissions != 1)}"
        return f"CV and {self.board}, {count}: {said or 'too few to tell'}"


def find_current_standings(competition: Competition, entries: Sequence[Entry], folder: Path) -> tuple[Place, ...]:
    """The best submission's place on each board that was kept, public first."""
    found = (_find_place(competition, entries, folder, private) for private in (False, True))
    return tuple(place for place in found if place is not None)


def _find_place(competition: Competition, entries: Sequence[Entry], folder: Path, private: bool) -> Place | None:
    scored = [(float(text), entry) for entry in entries if (text := entry.private if private else entry.public)]
    snapshots = latest_snapshots(folder, private=private)
    if not scored or not snapshots:
        return None
    sign = 1 if competition.metric.higher_is_better else -1
    score, entry = max(scored, key=lambda one: sign * one[0])
    submitted = datetime.fromisoformat(entry.submitted)
    terms, now = read_terms(folder), snapshots[-1]
    standings = [
        find_standing(
            one.board,
            score,
            competition.metric,
            awards_medals=competition.awards_medals,
            submitted=submitted,
            team=terms.team,
            late=terms.is_late(submitted),
        )
        for one in snapshots
    ]
    if len(standings) == 1:
        return Place(entry.ref, standings[0], now.taken)
    return Place(entry.ref, standings[1], now.taken, standings[0].rank - standings[1].rank, snapshots[0].taken)


def find_cv_correlations(metric: Metric, entries: Sequence[Entry]) -> tuple[CvCorrelation, ...]:
    """CV against public and private, for the boards that have scores."""
    found = []
    for board in ("public", "private"):
        pairs = [one for one in entries if one.cv and getattr(one, board)]
        if pairs:
            found.append(_agreement(metric, board, pairs))
    return tuple(found)


def _agreement(metric: Metric, board: str, entries: Sequence[Entry]) -> CvCorrelation:
    cv = [float(one.cv) for one in entries]
    scores = [float(getattr(one, board)) for one in entries]
    sign = -1 if metric.higher_is_better else 1
    gaps = [
        sign * (score - own) / float(one.cv_error)
        for one, own, score in zip(entries, cv, scores, strict=True)
        if one.cv_error and float(one.cv_error) > 0
    ]
    return CvCorrelation(board, len(entries), rank_correlation(cv, scores), statistics.median(gaps) if gaps else None)


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's: the correlation of the ranks, ties sharing theirs; None where there is no order to compare."""
    if len(first) < 2 or len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return statistics.correlation(_ranks(first), _ranks(second))


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    last = {value: place for place, value in enumerate(ordered)}
    first = {value: len(ordered) - 1 - place for place, value in enumerate(reversed(ordered))}
    return [(first[value] + last[value]) / 2 for value in values]

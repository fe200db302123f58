"""What a rehearsal says: the hidden score beside the one that was promised, and the place it would have had."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import hypot
from pathlib import Path
from typing import Any

from runner.contract import Competition
from runner.contract.labels import targets_of
from runner.hosts.leaderboards import latest_snapshots, read_board_file
from runner.hosts.protocol import Leaderboard
from runner.hosts.standings import Standing, find_standing
from runner.practice.rehearsal import HiddenRows
from runner.prediction.score import Score, score_rows
from runner.submission_format.submission_format import read_submission, read_submission_format


@dataclass(frozen=True)
class RehearsalResult:
    """Both scores; each has its standard error."""

    promised: Score
    hidden: Score
    worse: float  # how much worse the hidden score is, whichever way the metric goes; below 0: better
    standing: Standing | None

    @property
    def standard_errors(self) -> float:
        """The difference in standard errors of both scores together; above 0 the hidden score is worse."""
        return self.worse / max(hypot(self.promised.error, self.hidden.error), 1e-12)

    def to_dict(self) -> dict[str, Any]:
        """A value that JSON can hold."""
        return {
            "promised": asdict(self.promised),
            "hidden": asdict(self.hidden),
            "standard_errors": self.standard_errors,
            "standing": None if self.standing is None else str(self.standing),
        }

    def __str__(self) -> str:
        way = "worse" if self.worse > 0 else "better"
        lines = [
            f"out of fold  {self.promised} ({self.promised.rows:,} rows)",
            f"hidden       {self.hidden} ({self.hidden.rows:,} rows)",
            f"difference   {abs(self.worse):.5f} {way}: {abs(self.standard_errors):.1f} standard errors of both",
        ]
        return "\n".join([*lines, *([str(self.standing)] if self.standing else [])])


def score_rehearsal(
    competition: Competition,
    promised: Score,
    submission: Path,
    rows: HiddenRows,
    *,
    sample: Path,
    classes: tuple[str, ...],
    board: Leaderboard | None,
) -> RehearsalResult:
    """The verdict on a submission for the hidden rows."""
    ids, predicted = read_submission(read_submission_format(competition.labels, sample), submission, classes=classes)
    place = {name: row for row, name in enumerate(ids)}
    predicted = predicted[[place[name] for name in rows.names]]
    targets = targets_of(competition.labels, classes, rows.labels)
    metric = competition.metric
    hidden = score_rows(metric, targets, predicted, groups=rows.groups)
    sign = -1 if metric.higher_is_better else 1
    standing = None
    if board is not None:
        standing = find_standing(board, hidden.value, metric, awards_medals=competition.awards_medals, late=True)
    return RehearsalResult(promised, hidden, sign * (hidden.value - promised.value), standing)


def find_board(competition: Competition, file: Path | None, kept: Path) -> Leaderboard | None:
    """The board to stand on: a file's, else the one that was downloaded last; best first."""
    if file is not None:
        board = read_board_file(file)
    else:
        snapshots = latest_snapshots(kept, private=True, count=1) or latest_snapshots(kept, private=False, count=1)
        if not snapshots:
            return None
        board = snapshots[-1].board
    sign = -1 if competition.metric.higher_is_better else 1
    return Leaderboard(tuple(sorted(board.rows, key=lambda row: (sign * row.score, row.submitted))), board.private)

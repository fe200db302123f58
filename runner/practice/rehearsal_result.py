"""The result of a rehearsal: the score on the hidden rows beside the cross-validation score, and its standing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import hypot
from pathlib import Path
from typing import Any

from runner.contract.targets import targets_of
from runner.hosts.leaderboards import latest_leaderboards, read_leaderboard_file, sort_leaderboard
from runner.hosts.protocol import Leaderboard
from runner.hosts.standings import Standing, find_standing
from runner.practice.rehearsal import HiddenRows
from runner.prediction.score import Score, group_codes, score_rows
from runner.session import Session
from runner.submission_format.values import read_submission


@dataclass(frozen=True)
class RehearsalResult:
    """Both scores with their standard errors; `gap` is how much worse the hidden score is, negative if it is better."""

    cv: Score
    hidden: Score
    gap: float
    standing: Standing | None

    @property
    def gap_in_standard_errors(self) -> float:
        """The gap divided by the standard error of the difference."""
        return self.gap / max(hypot(self.cv.error, self.hidden.error), 1e-12)

    def to_dict(self) -> dict[str, Any]:
        """The content of rehearsal.json."""
        return {
            "cv": asdict(self.cv),
            "hidden": asdict(self.hidden),
            "gap": self.gap,
            "gap_in_standard_errors": self.gap_in_standard_errors,
            "standing": None if self.standing is None else str(self.standing),
        }

    def __str__(self) -> str:
        direction = "worse" if self.gap > 0 else "better"
        lines = [
            f"CV        {self.cv} ({self.cv.rows:,} rows)",
            f"hidden    {self.hidden} ({self.hidden.rows:,} rows)",
            f"gap       {abs(self.gap):.5f} {direction}: {abs(self.gap_in_standard_errors):.1f} standard errors",
        ]
        return "\n".join([*lines, *([f"standing  {self.standing}"] if self.standing else [])])


def score_rehearsal(
    rehearsal: Session, submission: Path, cv: Score, rows: HiddenRows, leaderboard: Leaderboard | None
) -> RehearsalResult:
    """Score the rehearsal's submission on the hidden rows, and rank it on the leaderboard if there is one."""
    competition, metric = rehearsal.competition, rehearsal.competition.metric
    ids, predicted = read_submission(rehearsal.submission_format, submission, classes=rows.classes)
    position = {id: row for row, id in enumerate(ids)}
    predicted = predicted[[position[id] for id in rows.ids]]
    targets = targets_of(competition.labels, rows.classes, rows.labels)
    hidden = score_rows(metric, targets, predicted, codes=group_codes(rows.groups))
    standing = None
    if leaderboard is not None:
        standing = find_standing(competition, leaderboard, hidden.value, late=True)
    return RehearsalResult(cv, hidden, metric.gain(cv.value, hidden.value), standing)


def find_leaderboard(session: Session, file: Path | None = None) -> Leaderboard | None:
    """The leaderboard in a file, else the private or else the public one downloaded last; best first."""
    if file is not None:
        leaderboard = read_leaderboard_file(file)
    else:
        folder = session.leaderboards_dir
        saved = [one for private in (True, False) for one in latest_leaderboards(folder, private=private, count=1)]
        if not saved:
            return None
        leaderboard = saved[0].leaderboard
    return sort_leaderboard(session.competition.metric, leaderboard.rows, private=leaderboard.private)

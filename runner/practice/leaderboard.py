"""The leaderboard of a practice competition: fitted baselines, or the recorded scores of the default practice data.

`recorded/` has a file for each competition whose slow teams have been fitted once. It is used if it was made from the
same rows and images; `python -m runner.practice.record` makes it again.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runner.console import track
from runner.contract.competition import Competition
from runner.hosts.grading import Grader, Scores
from runner.hosts.practice import PracticeTeam
from runner.practice.baselines import BaselineModels, Team
from runner.practice.synthetic_data import SyntheticData
from runner.practice.teams import QUICK_TEAMS
from runner.prediction.submission import write_submission
from runner.submission_format.submission_format import read_submission_format
from runner.workspace import read_json, write_json

SAMPLE_TEAM = "Sample submission"

_RECORDED_DIR, _RECORDED_FORMAT = Path(__file__).parent / "recorded", 1
_FIRST_SUBMITTED = datetime(2017, 11, 6, 9, 0, tzinfo=UTC)
_COMPARED_IMAGES = 16
_SAME_MEAN = 0.5  # of a pixel's value: another JPEG library may round differently

TeamScores = tuple[str, Scores]


@dataclass(frozen=True)
class Fingerprint:
    """What tells practice data from other data: a digest of its rows, and the mean of some of its images."""

    rows: str
    image_means: tuple[float, ...]

    @classmethod
    def of(cls, data: SyntheticData, grader: Grader) -> Fingerprint:
        """The fingerprint of generated data and its solution."""
        solution = [(row.id, row.label, row.usage.value) for row in grader.solution]
        rows = repr((data.train.ids, data.train.labels, solution, data.classes))
        images = (*data.train.images, *data.test.images)
        compared = images[:: max(len(images) // _COMPARED_IMAGES, 1)]
        means = tuple(round(float(image.mean(dtype=float)), 2) for image in compared)
        return cls(hashlib.sha256(rows.encode()).hexdigest(), means)

    def matches(self, other: Fingerprint) -> bool:
        """Whether both are of the same data."""
        return self.rows == other.rows and all(
            abs(own - mean) <= _SAME_MEAN for own, mean in zip(self.image_means, other.image_means, strict=True)
        )


def practice_leaderboard(competition: Competition, data: SyntheticData, grader: Grader) -> list[PracticeTeam]:
    """The teams with their recorded scores if those are of this data, else the quick ones, fitted now."""
    recorded = read_recorded(competition.name)
    if recorded is not None and recorded[0].matches(Fingerprint.of(data, grader)):
        return _dated(recorded[1])
    models = BaselineModels(competition, data)
    return _dated(score_teams(models, competition, grader, track("fitting baselines", QUICK_TEAMS, len(QUICK_TEAMS))))


def score_teams(
    models: BaselineModels, competition: Competition, grader: Grader, teams: Iterable[Team]
) -> list[TeamScores]:
    """The sample submission, class frequencies, and each team that beats them, graded as any submission is."""
    scores = [(SAMPLE_TEAM, grader.grade(grader.sample))]
    submission_format = read_submission_format(competition, grader.sample)
    data = models.data
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "submission.csv"
        for team in teams:
            if models.takes_part(team):
                values = models.submission(team)
                write_submission(submission_format, path, classes=data.classes, ids=data.test.ids, values=values)
                scores.append((models.display_name(team), grader.grade(path)))
    return scores


def read_recorded(name: str) -> tuple[Fingerprint, list[TeamScores]] | None:
    """The recorded scores of a competition, and the fingerprint of their data; None if there are none."""
    path = recorded_file(name)
    if not path.is_file():
        return None
    content = read_json(path, format=_RECORDED_FORMAT)
    fingerprint = Fingerprint(content["rows"], tuple(content["image_means"]))
    return fingerprint, [(team["team"], Scores(team["public"], team["private"])) for team in content["teams"]]


def write_recorded(name: str, fingerprint: Fingerprint, scores: Sequence[TeamScores]) -> None:
    """Write what `read_recorded` reads, with the five decimals that a leaderboard shows."""
    teams = [{"team": team, "public": round(one.public, 5), "private": round(one.private, 5)} for team, one in scores]
    content = {"rows": fingerprint.rows, "image_means": list(fingerprint.image_means), "teams": teams}
    write_json(recorded_file(name), content, format=_RECORDED_FORMAT)


def recorded_file(name: str) -> Path:
    """The file with a competition's recorded scores."""
    return _RECORDED_DIR / f"{name}.json"


def _dated(scores: Sequence[TeamScores]) -> list[PracticeTeam]:
    """The teams as if one had submitted each day."""
    return [
        PracticeTeam(team, one, _FIRST_SUBMITTED + timedelta(days=number)) for number, (team, one) in enumerate(scores)
    ]

"""Practice leaderboards: a field with a spread, guessing last, and recorded scores that can be made again."""

from __future__ import annotations

import statistics
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from competitions import load
from runner.contract import Competition
from runner.contract.targets import targets_of
from runner.hosts.grading import Grader, Scores, Usage
from runner.hosts.leaderboards import sort_leaderboard
from runner.hosts.protocol import Leaderboard, LeaderboardRow
from runner.hosts.standings import Medal, find_standing
from runner.practice.baselines import Baseline, BaselineModels
from runner.practice.build import create_grader, generate, practice_names
from runner.practice.leaderboard import (
    SAMPLE_TEAM,
    Fingerprint,
    practice_leaderboard,
    read_recorded,
    score_teams,
    write_recorded,
)
from runner.practice.synthetic_data import SyntheticData
from runner.practice.teams import QUICK_TEAMS, TEAMS
from tests.builders import SUBMITTED

CONSTANTS = {SAMPLE_TEAM, "Class frequencies"}
# What a network that trains for a minute scored: `runner demo` on one and on two threads.
DEMO_SCORES = {
    "dog-breed": [Scores(0.98387, 0.85587), Scores(1.07501, 0.92830)],
    "iceberg": [Scores(0.29718, 0.35416)],
    "planet": [Scores(0.94400, 0.93034)],
}


def recorded_scores(name: str) -> dict[str, Scores]:
    recorded = read_recorded(name)
    assert recorded is not None
    return dict(recorded[1])


def leaderboard_of(competition: Competition, *, private: bool) -> Leaderboard:
    """The leaderboard of the recorded scores."""
    scores = recorded_scores(competition.name)
    rows = [LeaderboardRow(team, one.private if private else one.public, SUBMITTED) for team, one in scores.items()]
    return sort_leaderboard(competition.metric, rows, private=private)


@pytest.fixture(params=practice_names())
def competition(request: pytest.FixtureRequest) -> Competition:
    """Each competition with practice data in turn."""
    return load(request.param)


@pytest.fixture(params=[False, True], ids=["public", "private"])
def leaderboard(request: pytest.FixtureRequest, competition: Competition) -> Leaderboard:
    """Each recorded leaderboard in turn."""
    return leaderboard_of(competition, private=request.param)


# --- the recorded field -------------------------------------------------------------------------


def test_the_names_of_the_teams_differ() -> None:
    assert len({team.name for team in TEAMS}) == len(TEAMS)


def test_every_recorded_team_is_a_model_that_can_be_fitted_again(competition: Competition) -> None:
    names = {team.name.format(channel=channel) for team in TEAMS for channel in ("colour", "band")}
    assert recorded_scores(competition.name).keys() <= names | {SAMPLE_TEAM}


def test_enough_teams_have_a_rank_for_medals_to_differ(leaderboard: Leaderboard) -> None:
    assert 40 <= len(leaderboard.rows) <= 100


def test_guessing_is_last(leaderboard: Leaderboard) -> None:
    assert {row.team for row in leaderboard.rows[-2:]} == CONSTANTS


def test_the_field_is_a_continuum(leaderboard: Leaderboard) -> None:
    scores = [row.score for row in leaderboard.rows[:-2]]  # all that do not guess
    gaps = [abs(better - worse) for better, worse in pairwise(scores)]
    assert len(set(scores)) > 0.9 * len(scores)
    assert max(gaps) < 0.2 * (max(scores) - min(scores))
    assert statistics.median(gaps) < 0.02 * (max(scores) - min(scores))


def test_a_network_that_guesses_wins_nothing(competition: Competition, leaderboard: Leaderboard) -> None:
    guess = next(row.score for row in leaderboard.rows if row.team == "Class frequencies")
    standing = find_standing(competition, leaderboard, guess)
    assert standing.medal is None
    assert standing.rank >= standing.teams - 1


def test_a_linear_model_wins_no_silver(competition: Competition, leaderboard: Leaderboard) -> None:
    linear = [row.score for row in leaderboard.rows if row.team.startswith("Logistic regression")]
    best = competition.metric.best(linear, key=float)
    assert find_standing(competition, leaderboard, best).medal in (None, Medal.BRONZE)


@pytest.mark.parametrize("private", [False, True], ids=["public", "private"])
def test_a_quick_network_wins_a_medal_but_no_gold(competition: Competition, private: bool) -> None:
    leaderboard = leaderboard_of(competition, private=private)
    for scores in DEMO_SCORES[competition.name]:
        standing = find_standing(competition, leaderboard, scores.private if private else scores.public)
        assert standing.medal in (Medal.SILVER, Medal.BRONZE)


# --- recorded and fitted ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dogs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Competition, SyntheticData, Grader]:
    """Dog-breed's practice data at the smallest scale, with its grader."""
    competition = load("dog-breed")
    data = generate(competition, scale=0.01)
    return competition, data, create_grader(competition, data, tmp_path_factory.mktemp("grader"))


def test_recorded_scores_are_used_for_their_own_data_only(
    dogs: tuple[Competition, SyntheticData, Grader], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    competition, data, grader = dogs
    monkeypatch.setattr("runner.practice.leaderboard._RECORDED_DIR", tmp_path)
    write_recorded("dog-breed", Fingerprint.of(data, grader), [("Recorded", Scores(0.123456, 0.2))])
    assert [(team.team, team.scores) for team in practice_leaderboard(competition, data, grader)] == [
        ("Recorded", Scores(0.12346, 0.2))
    ]
    images = tuple(255 - image for image in data.train.images)
    other_images = replace(data, train=replace(data.train, images=images))
    assert len(practice_leaderboard(competition, other_images, grader)) > 1
    other_solution = replace(grader, solution=(*grader.solution[1:], grader.solution[0]))
    assert not Fingerprint.of(data, grader).matches(Fingerprint.of(data, other_solution))


def test_a_rounding_of_the_images_leaves_the_fingerprint_the_same(
    dogs: tuple[Competition, SyntheticData, Grader],
) -> None:
    _, data, grader = dogs
    images = tuple(np.where(np.indices(image.shape)[0] % 9 == 0, image ^ 1, image) for image in data.train.images)
    rounded = replace(data, train=replace(data.train, images=images))
    assert Fingerprint.of(data, grader).matches(Fingerprint.of(rounded, grader))


def test_a_model_that_does_not_beat_guessing_is_no_team(tmp_path: Path) -> None:
    competition = load("iceberg")  # its data is drawn in a second or two
    data = generate(competition)
    blind = Baseline("Blind", lambda images: np.zeros((len(images), 1), np.float32), QUICK_TEAMS[1].fit)
    grader = create_grader(competition, data, tmp_path)
    scores = score_teams(BaselineModels(competition, data), competition, grader, [QUICK_TEAMS[0], blind])
    assert {name for name, _ in scores} == CONSTANTS


# --- the recorded scores are what the models score ----------------------------------------------

# scikit-learn's models are the same everywhere to three decimals. A network's rounding errors grow while it trains, so
# that on another processor it is another network of the same strength.
TOLERANCE, NETWORK_TOLERANCE = 0.01, 0.15


@pytest.fixture(scope="module")
def all_models() -> dict[str, BaselineModels]:
    """The models of each competition, fitted when they are asked for."""
    return {}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("team", TEAMS, ids=lambda team: team.name)
def test_a_team_scores_as_recorded(
    competition: Competition, team: Baseline, all_models: dict[str, BaselineModels], tmp_path: Path
) -> None:
    name = competition.name
    if name not in all_models:
        all_models[name] = BaselineModels(competition, generate(competition))
    models, recorded = all_models[name], recorded_scores(name)
    grader = create_grader(competition, models.data, tmp_path)
    fingerprint = read_recorded(name)
    assert fingerprint is not None and fingerprint[0].matches(Fingerprint.of(models.data, grader))
    shown = models.display_name(team)
    scores = dict(score_teams(models, competition, grader, [team]))
    assert (shown in scores) == (shown in recorded)
    if shown in scores:
        trained = "etwork" in shown or "ResNet" in shown
        tolerance = (NETWORK_TOLERANCE if trained else TOLERANCE) * spread(competition)
        assert scores[shown].public == pytest.approx(recorded[shown].public, abs=tolerance)
        assert scores[shown].private == pytest.approx(recorded[shown].private, abs=tolerance)


def spread(competition: Competition) -> float:
    """From the best to the worst private score."""
    rows = leaderboard_of(competition, private=True).rows
    return abs(rows[0].score - rows[-1].score)


def test_class_frequencies_score_as_computed_from_the_labels_alone(tmp_path: Path) -> None:
    competition = load("iceberg")  # its data is drawn in a second or two
    data = generate(competition)
    grader = create_grader(competition, data, tmp_path)
    recorded = read_recorded("iceberg")
    assert recorded is not None and recorded[0].matches(Fingerprint.of(data, grader))
    models = BaselineModels(competition, data)
    share = models.predict(QUICK_TEAMS[0]).test[0, 0]
    labels = [row.label for row in grader.solution if row.usage is Usage.PRIVATE]
    targets = targets_of(competition.labels, data.classes, labels)
    expected = -np.mean(np.where(targets == 1, np.log(share), np.log1p(-share)))
    assert recorded_scores("iceberg")["Class frequencies"].private == pytest.approx(expected, abs=1e-5)

"""Places, percentiles and medal lines, on boards written out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import LOG_LOSS, MEAN_F2
from runner.hosts.protocol import BoardRow, Leaderboard
from runner.hosts.standings import Medal, find_standing, medal_at, medal_lines, rank_of

START = datetime(2017, 11, 6, tzinfo=UTC)


def board_of(*scores: float, private: bool = True) -> Leaderboard:
    rows = [BoardRow(f"team {n}", score, START + timedelta(hours=n)) for n, score in enumerate(scores)]
    return Leaderboard(tuple(rows), private)


def test_a_score_takes_the_place_after_every_better_one() -> None:
    losses = board_of(0.1, 0.2, 0.3)
    assert [rank_of(losses, score, LOG_LOSS) for score in (0.05, 0.15, 0.25, 0.35)] == [1, 2, 3, 4]


def test_the_metric_says_which_way_is_better() -> None:
    assert rank_of(board_of(0.9, 0.8), 0.85, MEAN_F2) == 2
    assert rank_of(board_of(0.8, 0.9), 0.95, LOG_LOSS) == 3


def test_where_scores_tie_the_earlier_one_is_ahead() -> None:
    board = board_of(0.1, 0.2, 0.2, 0.3)
    assert rank_of(board, 0.2, LOG_LOSS) == 4
    assert rank_of(board, 0.2, LOG_LOSS, submitted=START + timedelta(hours=1, minutes=30)) == 3
    assert rank_of(board, 0.2, LOG_LOSS, submitted=START) == 2


@pytest.mark.parametrize(
    ("teams", "gold", "silver", "bronze"),
    [
        (1, 1, 1, 1),
        (50, 5, 10, 20),
        (99, 9, 19, 39),
        (100, 10, 20, 40),
        (249, 10, 49, 99),
        (250, 10, 50, 100),
        (500, 11, 50, 100),
        (938, 11, 50, 100),
        (999, 11, 50, 100),
        (1000, 12, 50, 100),
        (1286, 12, 64, 128),
        (3343, 16, 167, 334),
    ],
)
def test_medal_lines_follow_kaggles_table(teams: int, gold: int, silver: int, bronze: int) -> None:
    assert medal_lines(teams) == {Medal.GOLD: gold, Medal.SILVER: silver, Medal.BRONZE: bronze}


def test_the_last_place_of_a_medal_still_wins_it_and_the_next_does_not() -> None:
    assert [medal_at(place, 1000) for place in (12, 13, 50, 51, 100, 101)] == [
        Medal.GOLD,
        Medal.SILVER,
        Medal.SILVER,
        Medal.BRONZE,
        Medal.BRONZE,
        None,
    ]


def test_an_empty_board_has_no_medal_and_no_percentile() -> None:
    standing = find_standing(board_of(), 0.5, LOG_LOSS)
    assert (standing.rank, standing.medal, standing.percentile, standing.next_line) == (1, None, None, None)
    assert str(standing) == "0.50000 on the private board, which is empty"


def test_the_distance_is_to_the_score_that_holds_the_next_better_line() -> None:
    board = board_of(*(place / 100 for place in range(1, 51)))  # 50 teams: lines at 5, 10 and 20
    standing = find_standing(board, 0.155, LOG_LOSS)
    assert (standing.rank, standing.medal) == (16, Medal.BRONZE)
    assert standing.next_line is not None
    assert (standing.next_line.medal, standing.next_line.score) == (Medal.SILVER, 0.10)
    assert standing.next_line.distance == pytest.approx(0.055)


def test_the_distance_is_positive_where_higher_is_better_too() -> None:
    board = board_of(*(1 - place / 100 for place in range(1, 51)))
    standing = find_standing(board, 0.5, MEAN_F2)
    assert standing.next_line is not None
    assert standing.next_line.medal is Medal.BRONZE
    assert standing.next_line.distance == pytest.approx(0.3)


def test_gold_has_no_line_above_it() -> None:
    assert find_standing(board_of(0.1, 0.2, 0.3), 0.05, LOG_LOSS).next_line is None


def test_where_two_lines_fall_on_one_place_the_better_medal_is_the_next() -> None:
    standing = find_standing(board_of(0.1, 0.2, 0.3, 0.4, 0.5, 0.6), 0.15, LOG_LOSS)
    assert standing.medal is Medal.BRONZE
    assert standing.next_line is not None
    assert (standing.next_line.medal, standing.next_line.score) == (Medal.GOLD, 0.1)


def test_a_standing_is_one_sentence() -> None:
    board = board_of(*(place / 100 for place in range(1, 51)), private=False)
    assert str(find_standing(board, 0.155, LOG_LOSS)) == (
        "0.15500 on the public board: place 16 of 50 (top 32.0 %), bronze; 0.05500 short of silver (0.10000)"
    )
    assert "no medal" in str(find_standing(board, 0.9, LOG_LOSS))


def test_a_competition_without_medals_says_what_it_would_be() -> None:
    standing = find_standing(board_of(0.1, 0.2), 0.05, LOG_LOSS, awards_medals=False)
    assert "would be gold" in str(standing)


def test_behind_everyone_is_the_whole_board_and_not_more() -> None:
    standing = find_standing(board_of(0.1, 0.2), 0.3, LOG_LOSS)
    assert (standing.rank, standing.percentile) == (3, 100.0)


@settings(deadline=None, max_examples=60)
@given(teams=st.integers(1, 5000))
def test_a_better_medal_never_reaches_further_down(teams: int) -> None:
    gold, silver, bronze = medal_lines(teams).values()
    assert 1 <= gold <= silver <= bronze <= teams


@settings(deadline=None, max_examples=60)
@given(scores=st.lists(st.floats(0, 10), max_size=30), better=st.floats(0, 10), worse=st.floats(0, 10))
def test_a_better_score_is_never_placed_behind_a_worse_one(scores: list[float], better: float, worse: float) -> None:
    better, worse = sorted((better, worse))
    board = board_of(*sorted(scores))
    assert rank_of(board, better, LOG_LOSS) <= rank_of(board, worse, LOG_LOSS)

"""Ranks, percentiles and medals; their change between saved leaderboards; CV against the scores."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import correlation as pearson_correlation

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from competitions import load
from runner.contract import LOG_LOSS, MEAN_F2
from runner.hosts.leaderboards import (
    LeaderboardContext,
    SavedLeaderboard,
    read_context,
    save_leaderboard,
    sort_leaderboard,
    write_context,
)
from runner.hosts.ledger import Entry
from runner.hosts.protocol import Leaderboard
from runner.hosts.standings import (
    CvCorrelation,
    Medal,
    best_standing,
    find_current_standings,
    find_cv_correlations,
    find_standing,
    medal_at,
    medal_cutoffs,
    rank_correlation,
    rank_of,
)
from tests.hosts.conftest import START, hourly_leaderboard, make_entry

DOGS = replace(load("dog-breed"), awards_medals=True)
PLANET = load("planet")


def fifty_teams(*, private: bool = True) -> Leaderboard:
    """Scores 0.01 to 0.50; the last ranks of the medals are 5, 10 and 20."""
    return hourly_leaderboard(*(rank / 100 for rank in range(1, 51)), private=private)


# --- rank ----------------------------------------------------------------------------------------


def test_a_score_ranks_behind_every_better_one() -> None:
    leaderboard = hourly_leaderboard(0.1, 0.2, 0.3)
    assert [rank_of(leaderboard, score, LOG_LOSS) for score in (0.05, 0.15, 0.25, 0.35)] == [1, 2, 3, 4]


def test_the_metric_decides_which_score_is_better() -> None:
    assert rank_of(hourly_leaderboard(0.9, 0.8), 0.85, MEAN_F2) == 2
    assert rank_of(hourly_leaderboard(0.8, 0.9), 0.95, LOG_LOSS) == 3


def test_of_tied_scores_the_earlier_ranks_first() -> None:
    leaderboard = hourly_leaderboard(0.1, 0.2, 0.2, 0.3)
    assert rank_of(leaderboard, 0.2, LOG_LOSS) == 4
    assert rank_of(leaderboard, 0.2, LOG_LOSS, submitted=START + timedelta(hours=1, minutes=30)) == 3
    assert rank_of(leaderboard, 0.2, LOG_LOSS, submitted=START) == 2


def test_a_leaderboard_is_sorted_by_score_then_time() -> None:
    rows = hourly_leaderboard(0.2, 0.1, 0.2).rows
    assert [row.team for row in sort_leaderboard(LOG_LOSS, rows, private=False).rows] == ["team 1", "team 0", "team 2"]
    assert [row.team for row in sort_leaderboard(MEAN_F2, rows, private=False).rows] == ["team 0", "team 2", "team 1"]


@settings(deadline=None, max_examples=60)
@given(scores=st.lists(st.floats(0, 10), max_size=30), better=st.floats(0, 10), worse=st.floats(0, 10))
def test_a_better_score_never_ranks_behind_a_worse_one(scores: list[float], better: float, worse: float) -> None:
    better, worse = sorted((better, worse))
    leaderboard = hourly_leaderboard(*sorted(scores))
    assert rank_of(leaderboard, better, LOG_LOSS) <= rank_of(leaderboard, worse, LOG_LOSS)


@settings(deadline=None, max_examples=60)
@given(scores=st.lists(st.floats(0, 10), max_size=8), score=st.floats(0, 10), own=st.booleans())
def test_no_rank_is_below_the_number_of_teams(scores: list[float], score: float, own: bool) -> None:
    leaderboard = hourly_leaderboard(*sorted(scores))
    standing = find_standing(DOGS, leaderboard, score, team="team 0" if own else "")
    assert standing.rank <= standing.teams or not scores


# --- medals --------------------------------------------------------------------------------------


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
def test_medal_cutoffs_are_those_of_kaggles_table(teams: int, gold: int, silver: int, bronze: int) -> None:
    assert medal_cutoffs(teams) == {Medal.GOLD: gold, Medal.SILVER: silver, Medal.BRONZE: bronze}


def test_the_last_rank_of_a_medal_wins_it_and_the_next_does_not() -> None:
    assert [medal_at(rank, 1000) for rank in (12, 13, 50, 51, 100, 101)] == [
        Medal.GOLD,
        Medal.SILVER,
        Medal.SILVER,
        Medal.BRONZE,
        Medal.BRONZE,
        None,
    ]


@settings(deadline=None, max_examples=60)
@given(teams=st.integers(1, 5000))
def test_a_better_medal_never_reaches_further_down(teams: int) -> None:
    gold, silver, bronze = medal_cutoffs(teams).values()
    assert 1 <= gold <= silver <= bronze <= teams


def test_the_next_medal_is_the_nearest_better_one() -> None:
    standing = find_standing(DOGS, fifty_teams(), 0.155)
    assert (standing.rank, standing.medal) == (16, Medal.BRONZE)
    assert standing.next_medal is not None
    assert (standing.next_medal.medal, standing.next_medal.score) == (Medal.SILVER, 0.10)
    assert standing.next_medal.distance == pytest.approx(0.055)


def test_the_distance_to_a_medal_is_positive_if_higher_is_better() -> None:
    standing = find_standing(PLANET, hourly_leaderboard(*(1 - rank / 100 for rank in range(1, 51))), 0.5)
    assert standing.next_medal is not None
    assert standing.next_medal.medal is Medal.BRONZE
    assert standing.next_medal.distance == pytest.approx(0.3)


def test_no_medal_is_better_than_gold() -> None:
    assert find_standing(DOGS, hourly_leaderboard(0.1, 0.2, 0.3), 0.05).next_medal is None


def test_if_two_medals_share_a_last_rank_the_better_is_the_next() -> None:
    standing = find_standing(DOGS, hourly_leaderboard(0.1, 0.2, 0.3, 0.4, 0.5, 0.6), 0.15)
    assert standing.medal is Medal.BRONZE
    assert standing.next_medal is not None
    assert (standing.next_medal.medal, standing.next_medal.score) == (Medal.GOLD, 0.1)


# --- one standing --------------------------------------------------------------------------------


def test_an_empty_leaderboard_has_no_medal_and_no_percentile() -> None:
    standing = find_standing(DOGS, hourly_leaderboard(private=True), 0.5)
    assert (standing.rank, standing.medal, standing.top_percent, standing.next_medal) == (1, None, None, None)
    assert str(standing) == "0.50000 on the private leaderboard, which is empty"


def test_the_percentile_of_the_last_rank_is_at_most_100() -> None:
    standing = find_standing(DOGS, hourly_leaderboard(0.1, 0.2), 0.3)
    assert (standing.rank, standing.teams, standing.top_percent) == (3, 3, 100.0)


def test_a_standing_prints_rank_percentile_medal_and_distance() -> None:
    assert str(find_standing(DOGS, fifty_teams(private=False), 0.155)) == (
        "0.15500 on the public leaderboard: rank 16 of 50 (top 32.0 %), bronze; 0.05500 short of silver (0.10000)"
    )
    assert str(find_standing(DOGS, fifty_teams(), 0.005, late=True)) == (
        "0.00500 on the private leaderboard: would have been rank 1 of 50 (top 2.0 %), would be gold"
    )
    assert "no medal" in str(find_standing(DOGS, fifty_teams(), 0.9))


def test_a_competition_without_medals_prints_what_the_medal_would_be() -> None:
    standing = find_standing(replace(DOGS, awards_medals=False), hourly_leaderboard(0.1, 0.2), 0.05)
    assert standing.medal is Medal.GOLD
    assert "would be gold" in str(standing)


# --- the best submission -------------------------------------------------------------------------


def test_a_best_standing_uses_the_submissions_own_time() -> None:
    """Lateness and ties depend on when the file was submitted, not on when the leaderboard was saved."""
    context = LeaderboardContext(deadline=START + timedelta(days=1))
    saved = SavedLeaderboard(hourly_leaderboard(0.1, 0.2, 0.3, 0.3, 0.4), START + timedelta(days=9), context)
    in_time = make_entry(public="0.3", submitted=f"{START + timedelta(hours=2, minutes=30):%Y-%m-%dT%H:%M:%SZ}")
    best = best_standing(DOGS, [make_entry(public="0.35"), in_time, make_entry()], saved)
    assert best is not None
    assert best[0] is in_time
    assert (best[1].rank, best[1].teams, best[1].late) == (4, 5, False)
    late = replace(in_time, submitted="2026-03-08T00:00:00Z")
    best = best_standing(DOGS, [late], saved)
    assert best is not None
    assert (best[1].rank, best[1].late) == (5, True)


def test_the_best_score_is_the_highest_if_higher_is_better() -> None:
    saved = SavedLeaderboard(hourly_leaderboard(0.9, 0.8), START)
    best = best_standing(PLANET, [make_entry(ref="1", public="0.7"), make_entry(ref="2", public="0.85")], saved)
    assert best is not None
    assert (best[0].ref, best[1].rank) == ("2", 2)


def test_the_best_submission_has_the_current_standing_and_its_change(tmp_path: Path) -> None:
    entries = [make_entry(ref="1", public="0.35"), make_entry(ref="2", public="0.25"), make_entry(ref="3")]
    save_leaderboard(tmp_path, hourly_leaderboard(0.1, 0.2, 0.3), START)
    save_leaderboard(tmp_path, hourly_leaderboard(0.1, 0.2, 0.21, 0.24, 0.3), START + timedelta(days=2))
    (current,) = find_current_standings(DOGS, entries, tmp_path)
    assert (current.ref, current.standing.rank, current.rank_change) == ("2", 5, -2)
    assert str(current) == (f"{current.standing}; 2 ranks down since 2026-03-01 (leaderboard of 2026-03-03 12:00 UTC)")


@pytest.mark.parametrize(
    ("rank_change", "text"), [(0, "unchanged since"), (1, "1 rank up since"), (-3, "3 ranks down since")]
)
def test_a_change_of_rank_is_printed_with_its_direction(rank_change: int, text: str, tmp_path: Path) -> None:
    save_leaderboard(tmp_path, hourly_leaderboard(0.1), START)
    (current,) = find_current_standings(DOGS, [make_entry(public="0.2")], tmp_path)
    assert "since" not in str(current)
    assert f"; {text} 2026-03-01" in str(replace(current, rank_change=rank_change, since=START))


def test_after_the_deadline_the_rank_is_what_it_would_have_been(tmp_path: Path) -> None:
    write_context(tmp_path, LeaderboardContext(START - timedelta(days=1), "me"))
    for private in (False, True):
        save_leaderboard(tmp_path, hourly_leaderboard(0.1, 0.2, 0.3, private=private), START)
    standings = find_current_standings(DOGS, [make_entry(ref="1", public="0.25", private="0.05")], tmp_path)
    assert [(current.standing.rank, current.standing.late) for current in standings] == [(3, True), (1, True)]
    assert standings[1].standing.medal is Medal.GOLD


def test_the_users_own_row_does_not_count_against_the_rank(tmp_path: Path) -> None:
    write_context(tmp_path, LeaderboardContext(START + timedelta(days=900), "team 1"))
    save_leaderboard(tmp_path, hourly_leaderboard(0.1, 0.25, 0.3), START)
    entry = make_entry(ref="1", public="0.25", submitted="2026-05-01T00:00:00Z")
    (current,) = find_current_standings(DOGS, [entry], tmp_path)
    assert (current.standing.rank, current.standing.teams, current.standing.late) == (2, 3, False)


def test_without_a_leaderboard_or_a_score_there_is_no_standing(tmp_path: Path) -> None:
    assert find_current_standings(DOGS, [make_entry(public="0.1")], tmp_path) == ()
    save_leaderboard(tmp_path, hourly_leaderboard(0.1), START)
    assert find_current_standings(DOGS, [make_entry()], tmp_path) == ()
    assert read_context(tmp_path) == LeaderboardContext()


# --- CV and the scores ---------------------------------------------------------------------------


def scored(*pairs: tuple[str, str]) -> list[Entry]:
    return [make_entry(ref=str(n), cv=cv, cv_error="0.01", public=public) for n, (cv, public) in enumerate(pairs)]


def test_cv_and_scores_are_compared_by_rank_and_by_gap() -> None:
    entries = scored(("0.20", "0.23"), ("0.30", "0.32"), ("0.40", "0.41"), ("0.1", ""))
    (correlation,) = find_cv_correlations(LOG_LOSS, entries)
    assert (correlation.leaderboard, correlation.submissions) == ("public", 3)
    assert correlation.rank_correlation == pytest.approx(1)
    assert correlation.gap == pytest.approx(2)


def test_a_lower_score_is_worse_if_higher_is_better() -> None:
    (correlation,) = find_cv_correlations(MEAN_F2, scored(("0.90", "0.92"), ("0.91", "0.90"), ("0.92", "0.88")))
    assert correlation.rank_correlation == pytest.approx(-1)
    assert correlation.gap == pytest.approx(1)


def test_a_file_that_was_submitted_twice_counts_once() -> None:
    first, second = scored(("0.20", "0.23"), ("0.30", "0.32"))
    entries = [replace(first, sha256="a" * 64), replace(first, ref="9", sha256="a" * 12), second]
    (correlation,) = find_cv_correlations(LOG_LOSS, entries)
    assert correlation.submissions == 2


def test_nine_submissions_of_two_files_have_no_rank_correlation() -> None:
    """Two points are always in order, or in reverse."""
    pairs = scored(("0.20", "0.23"), ("0.30", "0.32"))
    entries = [
        replace(entry, ref=str(number), sha256=name * 64)
        for number in range(9)
        for entry, name in [(pairs[number % 2], "ab"[number % 2])]
    ]
    (correlation,) = find_cv_correlations(LOG_LOSS, entries)
    assert (correlation.submissions, correlation.rank_correlation) == (2, None)


def test_one_submission_has_no_rank_correlation() -> None:
    (correlation,) = find_cv_correlations(LOG_LOSS, [make_entry(cv="0.2", public="0.3")])
    assert (correlation.rank_correlation, correlation.gap) == (None, None)


@pytest.mark.parametrize(
    ("correlation", "text"),
    [
        (CvCorrelation("public", 5, 0.9, None), "rank correlation 0.90 over 5 files"),
        (
            CvCorrelation("public", 3, 1.0, 2.0),
            "rank correlation 1.00 over 3 files; scores are 2.0 standard errors worse than CV",
        ),
        (CvCorrelation("public", 1, None, -0.5), "scores are 0.5 standard errors better than CV"),
        (CvCorrelation("public", 1, None, None), "too few to compare (1 file)"),
    ],
)
def test_a_correlation_prints_one_line(correlation: CvCorrelation, text: str) -> None:
    assert str(correlation) == f"CV and public leaderboard: {text}"


values = st.integers(0, 6).map(float)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(values, values), min_size=2, max_size=12))
def test_the_rank_correlation_is_pearsons_of_the_ranks(pairs: list[tuple[float, float]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]

    def ranks(values: list[float]) -> list[float]:
        return [sum(other < value for other in values) + values.count(value) / 2 for value in values]

    if len(set(first)) < 2 or len(set(second)) < 2:
        assert rank_correlation(first, second) is None
    else:
        assert rank_correlation(first, second) == pytest.approx(
            pearson_correlation(ranks(first), ranks(second)), abs=1e-9
        )

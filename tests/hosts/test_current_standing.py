"""Boards as they were kept, the place on them, how it moved, and whether CV foretold it."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runner.hosts.current_standing import find_current_standings, find_cv_correlations, rank_correlation
from scipy.stats import spearmanr

from competitions import load
from runner.contract import LOG_LOSS, MEAN_F2
from runner.hosts.leaderboards import (
    LeaderboardContext,
    keep_snapshot,
    keep_terms,
    latest_snapshots,
    read_board,
    read_terms,
)
from runner.hosts.ledger import Entry
from runner.hosts.protocol import BoardRow, Leaderboard
from tests.hosts.test_ledger import entry

DOGS = load("dog-breed")
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def board_of(*scores: float, private: bool = False, names: str = "team {}") -> Leaderboard:
    rows = (BoardRow(names.format(n), score, START + timedelta(hours=n)) for n, score in enumerate(scores))
    return Leaderboard(tuple(rows), private)


# --- the host's own table ------------------------------------------------------------------------

OLD = 'TeamId,TeamName,SubmissionDate,Score\n1,A,2018-02-01 10:00:00,0.1\n2,"B, and c",2018-02-02 10:00:00,0.2\n'
NEW = (
    "Rank,TeamId,TeamName,LastSubmissionDate,Score,SubmissionCount,TeamMemberUserNames\n"
    '1,1,A,2018-02-01T10:00:00.123,0.1,3,a\n2,2,"B, and c",2018-02-02T10:00:00,0.2,9,"b,c"\n3,3,No score,,,0,d\n'
)


@pytest.mark.parametrize(
    "text", [OLD, NEW, "\ufeff" + OLD, NEW.replace("\n", "\r\n")], ids=["old", "new", "bom", "crlf"]
)
def test_the_hosts_table_is_read_in_every_vintage(text: str, tmp_path: Path) -> None:
    path = tmp_path / "board.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("dogs-publicleaderboard-2018.csv", text)
        archive.writestr("dogs-privateleaderboard-2018.csv", "something else")
    name, rows = read_board(path)
    assert "public" in name
    assert [(row.team, row.score) for row in rows] == [("A", 0.1), ("B, and c", 0.2)]
    assert rows[0].submitted.replace(microsecond=0) == datetime(2018, 2, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("content", [b"no zip", b""])
def test_a_table_that_is_none_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "board.zip").write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read"):
        read_board(tmp_path / "board.zip")


def test_a_zip_without_a_table_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "board.zip", "w") as archive:
        archive.writestr("readme.txt", "")
    with pytest.raises(ValueError, match="holds no table"):
        read_board(tmp_path / "board.zip")


# --- what is kept --------------------------------------------------------------------------------


def test_each_board_is_kept_under_its_date_and_a_second_of_the_same_is_not(tmp_path: Path) -> None:
    for hours, scores in ((0, (0.1, 0.2)), (1, (0.1, 0.2)), (2, (0.1, 0.15))):
        keep_snapshot(tmp_path, board_of(*scores), START + timedelta(hours=hours))
    keep_snapshot(tmp_path, board_of(0.3, private=True), START)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "2026-03-01T12-00-00Z-private.csv",
        "2026-03-01T12-00-00Z-public.csv",
        "2026-03-01T14-00-00Z-public.csv",
    ]
    kept = latest_snapshots(tmp_path, private=False)
    assert [one.board for one in kept] == [board_of(0.1, 0.2), board_of(0.1, 0.15)]
    assert [one.taken.hour for one in kept] == [12, 14]


def test_no_teams_name_is_a_formula_in_a_kept_board(tmp_path: Path) -> None:
    board = board_of(0.1, 0.2, names="=cmd{}")
    path = keep_snapshot(tmp_path, board, START)
    assert ",=cmd" not in path.read_text()
    assert "\n=cmd" not in path.read_text()
    assert latest_snapshots(tmp_path, private=False)[0].board == board


# --- the place -----------------------------------------------------------------------------------


def test_the_best_submission_has_the_place_and_its_movement_is_told(tmp_path: Path) -> None:
    entries = [entry(ref="1", public="0.35"), entry(ref="2", public="0.25"), entry(ref="3")]
    keep_snapshot(tmp_path, board_of(0.1, 0.2, 0.3), START)
    keep_snapshot(tmp_path, board_of(0.1, 0.2, 0.21, 0.24, 0.3), START + timedelta(days=2))
    (place,) = find_current_standings(DOGS, entries, tmp_path)
    assert (place.ref, place.standing.rank, place.moved) == ("2", 5, -2)
    assert "place 5 of 5" in str(place)
    assert "2 places down since 2026-03-01" in str(place)


def test_on_a_closed_board_the_place_is_what_it_would_have_been(tmp_path: Path) -> None:
    keep_terms(tmp_path, LeaderboardContext(START - timedelta(days=1), "me"))
    for private in (False, True):
        keep_snapshot(tmp_path, board_of(0.1, 0.2, 0.3, private=private), START)
    places = find_current_standings(DOGS, [entry(ref="1", public="0.25", private="0.05")], tmp_path)
    assert [place.standing.rank for place in places] == [3, 1]
    assert all("would have been place" in str(place) for place in places)
    assert "would be gold" in str(places[1])


def test_ones_own_row_is_not_in_ones_own_way(tmp_path: Path) -> None:
    keep_terms(tmp_path, LeaderboardContext(START + timedelta(days=900), "team 1"))
    keep_snapshot(tmp_path, board_of(0.1, 0.25, 0.3), START)
    late = "2026-05-01T00:00:00Z"
    (place,) = find_current_standings(DOGS, [entry(ref="1", public="0.25", submitted=late)], tmp_path)
    assert (place.standing.rank, place.standing.teams) == (2, 3)
    assert "would" not in str(place).replace("would be", "")


def test_without_a_board_or_a_score_there_is_no_place(tmp_path: Path) -> None:
    assert find_current_standings(DOGS, [entry(public="0.1")], tmp_path) == ()
    keep_snapshot(tmp_path, board_of(0.1), START)
    assert find_current_standings(DOGS, [entry()], tmp_path) == ()
    assert read_terms(tmp_path) == LeaderboardContext()


# --- whether CV can be believed ------------------------------------------------------------------


def scored(*pairs: tuple[str, str]) -> list[Entry]:
    return [entry(ref=str(n), cv=cv, cv_error="0.01", public=public) for n, (cv, public) in enumerate(pairs)]


def test_the_order_and_the_gap_of_cv_and_public_are_told() -> None:
    (told,) = find_cv_correlations(LOG_LOSS, scored(("0.20", "0.23"), ("0.30", "0.32"), ("0.40", "0.41"), ("0.1", "")))
    assert (told.board, told.submissions, told.rank_correlation) == ("public", 3, pytest.approx(1))
    assert told.gap == pytest.approx(2)
    assert (
        str(told) == "CV and public, 3 submissions: rank correlation 1.00, public is 2.0 standard errors worse than CV"
    )


def test_worse_is_less_where_more_is_better() -> None:
    (told,) = find_cv_correlations(MEAN_F2, scored(("0.90", "0.92"), ("0.91", "0.90")))
    assert told.rank_correlation == pytest.approx(-1)
    assert told.gap == pytest.approx(-0.5)
    assert "better than CV" in str(told)


def test_one_submission_has_no_order() -> None:
    (told,) = find_cv_correlations(LOG_LOSS, [entry(cv="0.2", public="0.3")])
    assert (told.rank_correlation, told.gap) == (None, None)
    assert str(told) == "CV and public, 1 submission: too few to tell"


values = st.integers(0, 6).map(float)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(values, values), min_size=2, max_size=12))
def test_the_rank_correlation_is_spearmans(pairs: list[tuple[float, float]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    told = rank_correlation(first, second)
    if len(set(first)) < 2 or len(set(second)) < 2:
        assert told is None
    else:
        assert told == pytest.approx(spearmanr(first, second).statistic, abs=1e-9)

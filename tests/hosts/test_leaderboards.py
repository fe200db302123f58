"""Leaderboard files: the host's zip in every vintage, and saved leaderboards."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runner.errors import RunnerError, UsageError
from runner.hosts.leaderboards import (
    LeaderboardContext,
    latest_leaderboards,
    read_context,
    read_leaderboard_file,
    read_leaderboard_zip,
    save_leaderboard,
    write_context,
)
from tests.hosts.conftest import START, hourly_leaderboard

OLD = 'TeamId,TeamName,SubmissionDate,Score\n1,A,2018-02-01 10:00:00,0.1\n2,"B, and c",2018-02-02 10:00:00,0.2\n'
NEW = (
    "Rank,TeamId,TeamName,LastSubmissionDate,Score,SubmissionCount,TeamMemberUserNames\n"
    '1,1,A,2018-02-01T10:00:00.123,0.1,3,a\n2,2,"B, and c",2018-02-02T10:00:00,0.2,9,"b,c"\n3,3,No score,,,0,d\n'
)


@pytest.mark.parametrize(
    "text", [OLD, NEW, "\ufeff" + OLD, NEW.replace("\n", "\r\n")], ids=["old", "new", "bom", "crlf"]
)
def test_the_public_table_in_the_zip_is_read_in_every_vintage(text: str, tmp_path: Path) -> None:
    path = tmp_path / "leaderboard.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("dogs-publicleaderboard-2018.csv", text)
        archive.writestr("dogs-privateleaderboard-2018.csv", "something else")
    name, rows = read_leaderboard_zip(path)
    assert "public" in name
    assert [(row.team, row.score) for row in rows] == [("A", 0.1), ("B, and c", 0.2)]
    assert rows[0].submitted.replace(microsecond=0) == datetime(2018, 2, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("content", [b"no zip", b""])
def test_a_file_that_is_no_zip_is_an_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "leaderboard.zip").write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read"):
        read_leaderboard_zip(tmp_path / "leaderboard.zip")


def test_a_zip_without_a_table_is_an_error(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "leaderboard.zip", "w") as archive:
        archive.writestr("readme.txt", "")
    with pytest.raises(ValueError, match="contains no CSV file"):
        read_leaderboard_zip(tmp_path / "leaderboard.zip")


def test_a_file_of_the_users_is_a_zip_a_table_or_a_saved_leaderboard(tmp_path: Path) -> None:
    (tmp_path / "private.csv").write_text(OLD)
    with zipfile.ZipFile(tmp_path / "private.zip", "w") as archive:
        archive.write(tmp_path / "private.csv", "private.csv")
    from_table, from_zip = (read_leaderboard_file(tmp_path / f"private.{suffix}") for suffix in ("csv", "zip"))
    assert from_table == from_zip
    assert from_table.private
    saved = save_leaderboard(tmp_path / "saved", from_table, START)
    assert read_leaderboard_file(saved) == from_table


def test_a_file_without_team_and_score_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("id,breed\n1,collie\n")
    with pytest.raises(UsageError, match="no team and score among the columns: id, breed") as caught:
        read_leaderboard_file(tmp_path / "other.csv")
    assert caught.value.where == str(tmp_path / "other.csv")


def test_a_leaderboard_is_saved_under_its_date_unless_it_is_unchanged(tmp_path: Path) -> None:
    for hours, scores in ((0, (0.1, 0.2)), (1, (0.1, 0.2)), (2, (0.1, 0.15))):
        save_leaderboard(tmp_path, hourly_leaderboard(*scores), START + timedelta(hours=hours))
    save_leaderboard(tmp_path, hourly_leaderboard(0.3, private=True), START)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "2026-03-01T12-00-00Z-private.csv",
        "2026-03-01T12-00-00Z-public.csv",
        "2026-03-01T14-00-00Z-public.csv",
    ]
    saved = latest_leaderboards(tmp_path, private=False)
    assert [one.leaderboard for one in saved] == [hourly_leaderboard(0.1, 0.2), hourly_leaderboard(0.1, 0.15)]
    assert [one.saved_at.hour for one in saved] == [12, 14]


@pytest.mark.parametrize("team", ["=cmd{}", "'=cmd{}", "＝cmd{}", "-1+{}", "'{}", "-{}"])
def test_no_team_name_is_a_formula_in_a_saved_leaderboard(team: str, tmp_path: Path) -> None:
    leaderboard = hourly_leaderboard(0.1, 0.2, team=team)
    lines = save_leaderboard(tmp_path, leaderboard, START).read_text().splitlines()[1:]
    assert all(line[0] not in "=＝" and not line.startswith("-1+") for line in lines)
    assert latest_leaderboards(tmp_path, private=False)[0].leaderboard == leaderboard


def test_the_context_is_read_as_written_and_travels_with_the_leaderboard(tmp_path: Path) -> None:
    assert read_context(tmp_path) == LeaderboardContext()
    context = LeaderboardContext(START, "team 1")
    write_context(tmp_path, context)
    save_leaderboard(tmp_path, hourly_leaderboard(0.1), START)
    (saved,) = latest_leaderboards(tmp_path, private=False)
    assert read_context(tmp_path) == saved.context == context


def test_a_context_of_another_format_is_refused_with_a_fix(tmp_path: Path) -> None:
    (tmp_path / "context.json").write_text('{"format": 99}')
    with pytest.raises(RunnerError, match="format 99") as caught:
        read_context(tmp_path)
    assert "standings --refresh" in str(caught.value.fix)

"""Leaderboard files: the host's zip in every vintage, and saved leaderboards."""

from __future__ import annotations

import math
import re
import resource
import zipfile
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def bomb(path: Path, size: int) -> Path:
    """A zip with a table of one endless line."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("public.csv", "w") as file:
        file.write(OLD.encode())
        for _ in range(size >> 20):
            file.write(b"7" * (1 << 20))
    return path


def test_a_zip_that_holds_gigabytes_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = bomb(tmp_path / "leaderboard.zip", 200 << 20)
    assert path.stat().st_size < 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"the table has more than 67\.1 MB"):
        read_leaderboard_zip(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # kilobytes


TABLES = {
    "a score of NaN": (OLD.replace(",0.2", ",NaN"), "line 3: the score is 'NaN', not a number"),
    "an infinite score": (OLD.replace(",0.2", ",-inf"), "line 3: the score is '-inf', not a number"),
    "a word": (OLD.replace(",0.2", ",high"), "line 3: the score is 'high', not a number"),
    "a short line": (OLD + "3,C\n", "line 4: 2 values under 4 columns"),
    "a long field": (OLD + f"3,{'x' * 200_000},,0.3\n", "line 4: field larger than field limit"),
    "nothing": ("", "no team and score among the columns"),
}


@pytest.mark.parametrize(("text", "message"), TABLES.values(), ids=list(TABLES))
def test_a_table_that_is_not_understood_is_an_error_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "public.csv").write_text(text)
    with zipfile.ZipFile(tmp_path / "public.zip", "w") as archive:
        archive.write(tmp_path / "public.csv", "public.csv")
    for suffix in ("csv", "zip"):
        with pytest.raises(UsageError, match=re.escape(message)):
            read_leaderboard_file(tmp_path / f"public.{suffix}")


def test_what_is_no_zip_is_told_with_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "leaderboard.zip"
    path.write_bytes(b"<!DOCTYPE html><html>")
    with pytest.raises(ValueError, match="it begins with '<!DOCTYPE html><html'"):
        read_leaderboard_zip(path)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_damage_to_a_zip_or_a_table_is_an_error_of_its_own(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / "leaderboard.zip"
    with zipfile.ZipFile(path, "w", data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as archive:
        archive.writestr("dogs-publicleaderboard.csv", NEW)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    with suppress(ValueError):
        _, rows = read_leaderboard_zip(path)
        assert all(math.isfinite(row.score) for row in rows)
    (folder / "table.csv").write_bytes(data.draw(st.binary(max_size=80)) + NEW.encode() + data.draw(st.binary()))
    with suppress(UsageError):
        read_leaderboard_file(folder / "table.csv")


@settings(max_examples=80, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_changes_a_saved_leaderboard_in_silence(
    tmp_path_factory: pytest.TempPathFactory, at: float, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("saved")
    first = save_leaderboard(folder, hourly_leaderboard(0.1, 0.2), START)
    path = save_leaderboard(folder, hourly_leaderboard(0.1, 0.25, 0.3), START + timedelta(hours=1))
    saved = latest_leaderboards(folder, private=False)
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 1 << bit
    path.write_bytes(content)
    assert latest_leaderboards(folder, private=False) in (saved, saved[:1])
    assert first.exists()


def test_a_damaged_leaderboard_is_named_and_the_one_before_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "practice" / "leaderboards" / "dogs"
    save_leaderboard(folder, hourly_leaderboard(0.1, 0.2), START)
    path = save_leaderboard(folder, hourly_leaderboard(0.1, 0.25), START + timedelta(hours=1))
    path.write_text(path.read_text().replace("0.25", "0.05"))
    (saved,) = latest_leaderboards(folder, private=False)
    assert saved.saved_at == START
    message = capsys.readouterr().err
    assert f"damaged and left out: {path}: its rows are not those that were written" in message
    assert f"(fix: remove {path}, then: `runner --host practice dogs standings --refresh`)" in message


def test_a_saved_leaderboard_without_a_checksum_is_read(tmp_path: Path) -> None:
    (tmp_path / "2026-03-01T12-00-00Z-public.csv").write_text("team,score,submitted\nA,0.1,2026-03-01T12:00:00+00:00\n")
    (saved,) = latest_leaderboards(tmp_path, private=False)
    assert saved.leaderboard == hourly_leaderboard(0.1, team="A")


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"format": 1}',
        '{"format": 1, "deadline": 7, "team": ""}',
        '{"format": 1, "deadline": null, "team": "me", "check": "crc32:00000000"}',
        '{"format": 1, "deadline": "2027-01-01T00:00:00+00:00", "team": "me", "check": "crc32:00000000"}',
    ],
)
def test_a_damaged_context_is_named_and_no_standing_is_shown(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_leaderboard(tmp_path, hourly_leaderboard(0.1), START)
    (tmp_path / "context.json").write_text(content)
    with pytest.raises(RunnerError):
        read_context(tmp_path)
    assert latest_leaderboards(tmp_path, private=False) == ()
    assert str(tmp_path / "context.json") in capsys.readouterr().err


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

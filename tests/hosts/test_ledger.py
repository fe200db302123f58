"""The ledger: one row a submission, safe under concurrent writers, and plain text to any spreadsheet."""

from __future__ import annotations

import csv
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.csv_file import guard_formula, unguard_formula
from runner.errors import RunnerError
from runner.hosts.ledger import (
    COLUMNS,
    DamagedLedgerError,
    Entry,
    RunInfo,
    add_missing,
    entry_from_submission,
    fill_missing,
    parse_file_tag,
    read_ledger,
    readable_entries,
    record_entry,
    submission_message,
)
from runner.hosts.practice import PracticeHost
from runner.hosts.protocol import Status, Submission
from tests.competitions import SHAPES
from tests.hosts.conftest import START, make_entry


def test_an_entry_that_is_recorded_again_replaces_the_first(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    for ref in ("1", "2"):
        record_entry(path, make_entry(ref=ref, submitted=f"2026-03-0{ref}T12:00:00Z"))
    record_entry(path, make_entry(ref="1", public="0.5", submitted="2026-03-09T12:00:00Z"))
    assert [(entry.ref, entry.public, entry.submitted[:10]) for entry in read_ledger(path)] == [
        ("1", "0.5", "2026-03-01"),
        ("2", "", "2026-03-02"),
    ]


def test_one_reference_of_two_competitions_or_hosts_is_two_entries(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    for entry in (make_entry(ref="1"), make_entry(ref="1", competition="planet"), make_entry(ref="1", host="practice")):
        record_entry(path, entry)
    assert len(read_ledger(path)) == 3


def test_missing_entries_are_added_and_others_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    record_entry(path, make_entry(ref="1", run="mine", cv="0.1"))
    added = add_missing(path, [make_entry(ref="1", run="other"), make_entry(ref="2", run="new")])
    assert [entry.run for entry in added] == ["new"]
    assert [entry.run for entry in read_ledger(path)] == ["mine", "new"]


def test_empty_fields_are_filled_from_the_earlier_entry() -> None:
    filled = fill_missing(make_entry(public="0.2"), make_entry(run="mine", public="0.1"))
    assert (filled.run, filled.public) == ("mine", "0.2")


def test_scores_and_times_have_types() -> None:
    entry = make_entry(public="0.25", submitted="2026-03-01T12:00:00Z")
    assert (entry.score(private=False), entry.score(private=True)) == (0.25, None)
    assert entry.submitted_at == datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("message", ["", "run fast | cv great", "sha256:12", "sha256:0123456789abcdef"])
def test_a_message_without_a_tag_has_none(message: str) -> None:
    assert parse_file_tag(message) == ""


def test_the_file_tag_is_found_behind_any_message() -> None:
    message = submission_message("sha256:no | \n tag", RunInfo("run-1", cv="0.25"), "0123456789abcdef")
    assert message == "sha256:no | tag | run run-1 | cv 0.25 | sha256:0123456789ab"
    assert parse_file_tag(message) == "sha256:0123456789ab"


WRITER = """
import sys
from dataclasses import fields
from pathlib import Path
from runner.hosts.ledger import Entry, record_entry
empty = dict.fromkeys((field.name for field in fields(Entry)), "")
empty |= {"submitted": "2026-03-01T12:00:00Z", "competition": "dogs", "host": "kaggle", "status": "pending"}
for number in range(10, 35):
    record_entry(Path(sys.argv[1]), Entry(**(empty | {"ref": f"{sys.argv[2]}{number}"})))
"""


def test_two_processes_that_write_at_once_lose_no_entry(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in ("1", "2")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert {entry.ref for entry in read_ledger(path)} == {
        f"{name}{number}" for name in "12" for number in range(10, 35)
    }
    assert [file.name for file in tmp_path.iterdir() if "part" in file.name] == []


# --- a damaged ledger ----------------------------------------------------------------------------


def written(path: Path, count: int = 3) -> tuple[Entry, ...]:
    """A ledger with some entries."""
    for number in range(1, count + 1):
        record_entry(
            path, make_entry(ref=str(number), cv=f"0.{number}", public="0.5", run=f"run-{number}", note="a, b")
        )
    return read_ledger(path)


@settings(max_examples=100, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_changes_an_entry_in_silence(
    tmp_path_factory: pytest.TempPathFactory, at: float, bit: int
) -> None:
    path = tmp_path_factory.mktemp("flips") / "ledger.csv"
    entries = written(path)
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 1 << bit
    path.write_bytes(content)
    before = path.read_bytes()
    try:
        assert read_ledger(path) == entries  # a space became no space that matters, such as an end of the line
    except DamagedLedgerError as error:
        assert error.fix
    kept = readable_entries(path, "dogs", refresh="")
    assert set(kept) <= set(entries)
    assert len(kept) >= 1
    record_entry(path, make_entry(ref="9"))
    assert set(read_ledger(path)) <= {*entries, make_entry(ref="9")}
    aside = list(path.parent.glob("ledger.damaged-*.csv"))
    assert [file.read_bytes() for file in aside] == [before][: len(aside)]
    if not aside:
        assert len(read_ledger(path)) == 4


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_a_ledger_or_a_damaged_one(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "ledger.csv"
    for text in (content, ",".join(COLUMNS).encode() + b",check\n" + content):
        path.write_bytes(text)
        with suppress(DamagedLedgerError):
            read_ledger(path)
        record_entry(path, make_entry(ref="9"))
        assert read_ledger(path) == (make_entry(ref="9"),)
        path.unlink()


def test_a_damaged_header_loses_no_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "ledger.csv"
    entries = written(path)
    damaged = path.read_text().replace("submitted,", "suBmitted,", 1)
    path.write_text(damaged)
    with pytest.raises(DamagedLedgerError, match="line 1: the columns are") as caught:
        read_ledger(path, refresh="runner dogs standings --refresh")
    assert str(caught.value.fix).startswith("`runner dogs standings --refresh` ")
    assert path.read_text() == damaged  # reading changes nothing
    assert add_missing(path, []) == ()
    assert read_ledger(path) == entries
    (aside,) = tmp_path.glob("ledger.damaged-*.csv")
    assert aside.read_text() == damaged


def test_what_a_message_begins_with_by_default_is_no_note(tmp_path: Path) -> None:
    host = PracticeHost(SHAPES, tmp_path)
    sent = Submission("1", START, "a.csv", "a | run a | sha256:0123456789ab", Status.PENDING)
    assert entry_from_submission(host, SHAPES, sent).note == ""
    assert entry_from_submission(host, SHAPES, replace(sent, message="b | sha256:0123456789ab")).note == "b"


def test_a_line_that_was_changed_is_left_out_and_the_others_go_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    entries = written(path)
    path.write_text(path.read_text().replace(",0.2,", ",0.9,"))
    with pytest.raises(DamagedLedgerError, match=r"line 3: a value was changed since the line was written"):
        read_ledger(path)
    add_missing(path, [])
    assert read_ledger(path) == (entries[0], entries[2])


def test_a_line_that_is_there_twice_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    record_entry(path, make_entry(ref="1"))
    record_entry(path, make_entry(ref="2"))
    header, first, second = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(header + first + second + first)
    with pytest.raises(DamagedLedgerError, match="line 4: the submission 1 is there already"):
        read_ledger(path)
    assert len(readable_entries(path, make_entry().competition, refresh="runner dogs standings --refresh")) == 2


def test_a_change_on_purpose_is_accepted_without_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    written(path)
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace("run-2", "renamed").rsplit(",", 1)[0] + ","
    path.write_text("\n".join(lines))
    assert [entry.run for entry in read_ledger(path)] == ["run-1", "renamed", "run-3"]


IMPOSSIBLE = [
    {"ref": "-1"},
    {"ref": "0"},
    {"ref": ""},
    {"ref": "1.5"},
    {"submitted": "1970-01-01T00:00:00Z"},
    {"submitted": "2026-02-30T00:00:00Z"},
    {"submitted": ""},
    {"public": "nan"},
    {"private": "inf"},
    {"cv": "1e999"},
    {"cv": "high"},
    {"status": "done"},
    {"rank": "0/5"},
    {"sha256": "xyz"},
]


@pytest.mark.parametrize("fields", IMPOSSIBLE, ids=str)
def test_an_impossible_value_is_neither_written_nor_read(fields: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    with pytest.raises(RunnerError, match="cannot be written"):
        record_entry(path, make_entry(**fields))
    assert not path.exists()
    entry = make_entry(**fields)
    header = ",".join(COLUMNS[:-1])
    path.write_text(f"{header}\n{','.join(getattr(entry, name) for name in COLUMNS[:-1])}\n")
    (name,) = fields
    with pytest.raises(DamagedLedgerError, match=f"line 2: {name} is"):
        read_ledger(path)


@pytest.mark.parametrize("cut", range(0, 700, 13))
def test_a_ledger_that_was_cut_off_keeps_its_whole_lines(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    entries = written(path)
    path.write_bytes(path.read_bytes()[:cut])
    add_missing(path, [])
    assert read_ledger(path) == entries[: len(read_ledger(path))]


def test_a_field_longer_than_the_csv_modules_limit_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    entries = written(path)
    path.write_text(path.read_text() + "x" * 200_000 + "\n")
    with pytest.raises(DamagedLedgerError, match="field larger than field limit"):
        read_ledger(path)
    assert readable_entries(path, "dogs", refresh="") == entries


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.csv").mkdir()
    with pytest.raises(RunnerError, match="the ledger cannot be read"):
        read_ledger(tmp_path / "ledger.csv")


def test_two_entries_with_one_reference_and_two_files_are_two(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    record_entry(path, make_entry(ref="1", sha256="a" * 64, run="of the practice host before"))
    record_entry(path, make_entry(ref="1", sha256="b" * 64))
    record_entry(path, make_entry(ref="1", sha256="b" * 12, public="0.5"))
    assert [(entry.sha256[0], entry.public) for entry in read_ledger(path)] == [("a", ""), ("b", "0.5")]


# --- the CSV file --------------------------------------------------------------------------------


TEXTS = ("run", "file", "recipe", "note")
cells = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)
hostile = st.builds("".join, st.tuples(st.sampled_from(["=", "+", "-", "@", "\t", "\n", "'", "＝", "-1+"]), cells))


@settings(max_examples=200, deadline=None)
@given(values=st.lists(cells | hostile, min_size=len(TEXTS), max_size=len(TEXTS)))
def test_any_text_reads_back_and_is_no_formula_in_the_file(
    tmp_path_factory: pytest.TempPathFactory, values: list[str]
) -> None:
    path = tmp_path_factory.mktemp("cells") / "ledger.csv"
    entry = make_entry(**dict(zip(TEXTS, values, strict=True)))
    record_entry(path, entry)
    assert read_ledger(path) == (entry,)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    for cell in rows[1]:
        is_number = cell[1:].replace(".", "").replace("e", "").isdigit() or not cell
        assert is_number or cell[0] not in "=+-@\t\r\n＝＋－＠", cell


@given(cell=cells | hostile)
def test_a_guarded_cell_is_unguarded_to_itself(cell: str) -> None:
    assert unguard_formula(guard_formula(cell)) == cell


def test_negative_scores_stay_numbers(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    record_entry(path, make_entry(public="-0.25", run="-1+cmd|' /C calc'!A0"))
    text = path.read_text()
    assert ",-0.25," in text
    assert ",'-1+cmd" in text
    assert read_ledger(path)[0].run == "-1+cmd|' /C calc'!A0"


def test_a_ledger_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    record_entry(path, make_entry(ref="1", cv="0.1"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_ledger(path) == (make_entry(ref="1", cv="0.1"),)


def test_a_ledger_with_the_column_standing_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    record_entry(path, make_entry(ref="1", rank="3/57"))
    header, row = path.read_text().splitlines()
    # Two columns are new: the note and the checksum.
    path.write_text(f"{header.removesuffix(',rank,note,check')},standing\n{row.rsplit(',', 2)[0]}\n")
    assert read_ledger(path) == (make_entry(rank="3/57"),)
    record_entry(path, make_entry(ref="2"))
    assert [entry.rank for entry in read_ledger(path)] == ["3/57", ""]


def test_the_columns_are_those_of_the_documented_file() -> None:
    assert ",".join(COLUMNS) == (
        "submitted,competition,host,run,file,sha256,recipe,commit,cv,cv_error,public,private,status,ref,rank,note"
    )

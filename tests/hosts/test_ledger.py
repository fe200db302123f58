"""The ledger: one row a submission, safe under concurrent writers, and plain text to any spreadsheet."""

from __future__ import annotations

import csv
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.csv_file import guard_formula, unguard_formula
from runner.hosts.ledger import (
    COLUMNS,
    Entry,
    RunInfo,
    add_missing,
    fill_missing,
    parse_file_tag,
    read_ledger,
    record_entry,
    submission_message,
)
from tests.hosts.conftest import make_entry


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
for number in range(25):
    record_entry(Path(sys.argv[1]), Entry(**(empty | {"ref": f"{sys.argv[2]}{number}", "host": "kaggle"})))
"""


def test_two_processes_that_write_at_once_lose_no_entry(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in ("a", "b")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert {entry.ref for entry in read_ledger(path)} == {f"{name}{number}" for name in "ab" for number in range(25)}
    assert [file.name for file in tmp_path.iterdir() if "part" in file.name] == []


# --- the CSV file --------------------------------------------------------------------------------


cells = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)
hostile = st.builds("".join, st.tuples(st.sampled_from(["=", "+", "-", "@", "\t", "\n", "'", "＝", "-1+"]), cells))


@settings(max_examples=200, deadline=None)
@given(values=st.lists(cells | hostile, min_size=len(COLUMNS), max_size=len(COLUMNS)))
def test_any_text_reads_back_and_is_no_formula_in_the_file(
    tmp_path_factory: pytest.TempPathFactory, values: list[str]
) -> None:
    path = tmp_path_factory.mktemp("cells") / "ledger.csv"
    entry = Entry(*values)
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


def test_negative_scores_stay_numbers_and_infinities_do_not(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    record_entry(path, make_entry(public="-0.25", private="-inf", run="-1+cmd|' /C calc'!A0"))
    text = path.read_text()
    assert ",-0.25," in text
    assert ",'-inf," in text
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
    path.write_text(path.read_text().replace(",rank\n", ",standing\n"))
    assert read_ledger(path)[0].rank == "3/57"


def test_the_columns_are_those_of_the_documented_file() -> None:
    assert ",".join(COLUMNS) == (
        "submitted,competition,host,run,file,sha256,recipe,commit,cv,cv_error,public,private,status,ref,rank"
    )

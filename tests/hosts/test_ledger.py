"""The ledger: one line a submission, whole under any hands, and plain text to any spreadsheet."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import astuple, fields, replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.hosts.ledger import COLUMNS, Entry, add_missing, read_ledger, record_entry


def entry(**more: str) -> Entry:
    plain = dict.fromkeys((field.name for field in fields(Entry)), "")
    return Entry(**(plain | {"submitted": "2026-03-01T12:00:00Z", "competition": "dogs", "host": "kaggle"} | more))


def test_a_line_that_is_recorded_again_takes_its_own_place(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    for ref in ("1", "2"):
        record_entry(path, entry(ref=ref, submitted=f"2026-03-0{ref}T12:00:00Z"))
    record_entry(path, entry(ref="1", public="0.5", submitted="2026-03-09T12:00:00Z"))
    assert [(one.ref, one.public, one.submitted[:10]) for one in read_ledger(path)] == [
        ("1", "0.5", "2026-03-01"),
        ("2", "", "2026-03-02"),
    ]


def test_one_reference_of_two_competitions_or_hosts_is_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    for one in (entry(ref="1"), entry(ref="1", competition="planet"), entry(ref="1", host="practice")):
        record_entry(path, one)
    assert len(read_ledger(path)) == 3


def test_what_is_missing_is_added_and_what_is_there_is_left(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    record_entry(path, entry(ref="1", run="mine", cv="0.1"))
    added = add_missing(path, [entry(ref="1", run="other"), entry(ref="2", run="found")])
    assert [one.run for one in added] == ["found"]
    assert [one.run for one in read_ledger(path)] == ["mine", "found"]


WRITE = """
import sys
from dataclasses import fields
from pathlib import Path
from runner.hosts.ledger import Entry, record_entry
plain = dict.fromkeys((field.name for field in fields(Entry)), "")
for number in range(25):
    record_entry(Path(sys.argv[1]), Entry(**(plain | {"ref": f"{sys.argv[2]}{number}", "host": "kaggle"})))
"""


def test_two_processes_that_write_at_once_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, str(path), name]) for name in ("a", "b")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert {one.ref for one in read_ledger(path)} == {f"{name}{number}" for name in "ab" for number in range(25)}
    assert [one.name for one in tmp_path.iterdir() if "part" in one.name] == []


cells = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)
hostile = st.builds("".join, st.tuples(st.sampled_from(["=", "+", "-", "@", "\t", "\n", "'", "＝", "-1+"]), cells))


@settings(max_examples=200, deadline=None)
@given(values=st.lists(cells | hostile, min_size=len(COLUMNS), max_size=len(COLUMNS)))
def test_any_text_reads_back_and_is_no_formula_in_the_file(tmp_path_factory: object, values: list[str]) -> None:
    folder = Path(tmp_path_factory.mktemp("cells"))  # type: ignore[attr-defined]
    one = Entry(*values)
    record_entry(folder / "ledger.csv", one)
    assert read_ledger(folder / "ledger.csv") == (one,)
    with (folder / "ledger.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    for cell in rows[1]:
        is_number = cell[1:].replace(".", "").replace("e", "").isdigit() or not cell
        assert is_number or cell[0] not in "=+-@\t\r\n＝＋－＠", cell


def test_negative_scores_stay_numbers_and_infinities_do_not(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    record_entry(path, entry(public="-0.25", private="-inf", run="-1+cmd|' /C calc'!A0"))
    text = path.read_text()
    assert ",-0.25," in text
    assert ",'-inf," in text
    assert ",'-1+cmd" in text
    assert read_ledger(path)[0].run == "-1+cmd|' /C calc'!A0"


def test_a_ledger_that_a_spreadsheet_saved_still_reads(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    record_entry(path, entry(ref="1", cv="0.1"))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_ledger(path) == (entry(ref="1", cv="0.1"),)


def test_columns_are_those_that_the_design_names() -> None:
    assert COLUMNS[:5] == ("submitted", "competition", "host", "run", "file")
    assert len(astuple(replace(entry(), ref="x"))) == 15

"""One reader and writer of CSV files; problems are kept by kind, and described together."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.csv_file import (
    csv_text,
    guard_formula,
    read_columns,
    read_csv,
    unguard_formula,
    write_csv,
)
from runner.problems import KEPT_PER_KIND, ProblemList, describe, did_you_mean

# Without a lone carriage return, which the csv module does not quote.
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8)


@settings(deadline=None, max_examples=100)
@given(rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=6))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    write_csv(path, ["id", "label"], rows)
    assert [row for _, row in read_csv(path)] == rows
    assert path.read_bytes().decode() == csv_text(["id", "label"], rows)


def test_a_written_file_has_plain_newlines_and_no_litter(tmp_path: Path) -> None:
    write_csv(tmp_path / "new" / "a.csv", ("id", "value"), [("é", 0.1), ("b", 2)])
    assert (tmp_path / "new" / "a.csv").read_bytes() == "id,value\né,0.1\nb,2\n".encode()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.csv"]


def test_an_error_in_the_rows_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_csv(path, ["id"], [["old"]])
    with pytest.raises(ZeroDivisionError):
        write_csv(path, ["id"], ([1 // number] for number in (1, 0)))
    assert path.read_text() == "id\nold\n"
    assert list(tmp_path.iterdir()) == [path]


def test_each_row_comes_with_the_line_it_begins_on(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,note\na,"two\nlines"\n\nb,one\n')
    assert list(read_csv(tmp_path / "a.csv")) == [(2, ["a", "two\nlines"]), (4, []), (5, ["b", "one"])]
    assert [line for line, _ in read_csv(tmp_path / "a.csv", lenient=True)] == [2, 5]


def test_a_row_of_another_length_is_told_wherever_it_is(tmp_path: Path) -> None:
    lines = [f"{number}, {number % 3}" if number % 10 else f"{number},1,," for number in range(1000)]
    lines[321] = "321"
    (tmp_path / "a.csv").write_text("\n".join(["id,x", *lines]))
    problems = ProblemList()
    columns = read_columns(read_csv(tmp_path / "a.csv", lenient=True), ["x", "id"], problems)
    assert columns is not None
    assert columns.values["id"] == [str(number) for number in range(1000) if number != 321]
    assert set(columns.values["x"]) == {"0", "1", "2"}
    assert columns.lines == [line for line in range(2, 1002) if line != 323]
    assert [problem.line for problem in problems.errors] == [323]
    assert [problem.kind for problem in problems.warnings] == ["blanks around values"]


def test_numbers_are_plain_and_missing_ones_are_nan(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,x\na,1.5\nb,\nc,NA\nd,-2e3\ne,1_0\nf,inf\n")
    problems = ProblemList()
    columns = read_columns(read_csv(tmp_path / "a.csv", lenient=True), ["x"], problems)
    assert columns is not None
    numbers = columns.numbers("x", problems)
    assert [numbers[0], numbers[3]] == [1.5, -2000]
    assert all(math.isnan(number) for number in numbers[1:3])
    assert [(problem.kind, problem.place) for problem in problems.errors] == [
        ("not a number", "a.csv:6"),
        ("not a number", "a.csv:7"),
    ]


@given(cell=CELLS)
def test_a_guarded_cell_reads_back(cell: str) -> None:
    assert unguard_formula(guard_formula(cell)) == cell


@pytest.mark.parametrize(
    ("cell", "guarded"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("＝1", "'＝1"),
        ("'quoted", "''quoted"),
        ("-team-", "'-team-"),
        ("-0.25", "-0.25"),
        ("+1e-3", "+1e-3"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_a_cell_that_a_spreadsheet_would_run_is_guarded(cell: str, guarded: str) -> None:
    assert guard_formula(cell) == guarded


def test_the_first_problems_of_a_kind_are_kept_and_the_others_counted() -> None:
    problems = ProblemList()
    for number in range(47):
        problems.error("id without an image", f"no {number}", file="labels.csv", line=number, fix="download it")
    problems.error("empty label", "none", file="labels.csv", line=9, fix="fill it in")
    problems.warn("empty label", "a warning is listed apart")
    assert describe(problems.errors).splitlines() == [
        "- id without an image: 47",
        *(f"    labels.csv:{number}: no {number}" for number in range(KEPT_PER_KIND)),
        f"    and {47 - KEPT_PER_KIND} more",
        "      fix: download it",
        "- empty label: 1",
        "    labels.csv:9: none",
        "      fix: fill it in",
    ]
    assert describe(problems.warnings) == "- empty label: 1\n    a warning is listed apart"


def test_a_problem_found_twice_is_listed_once() -> None:
    problems = ProblemList("runner planet download")
    for _ in range(2):
        problems.error("missing column", "no column is named 'id'", file="a.csv", line=1)
    (problem,) = problems.errors
    assert (problem.fix, problem.more) == ("runner planet download", 0)


def test_the_problems_of_another_list_are_added_and_counted() -> None:
    first, second = ProblemList(), ProblemList()
    for number in range(4):
        first.error("ragged", f"{number}")
        second.error("ragged", f"{number + 4}")
    second.error("empty", "it is empty")
    first.extend(second)
    assert [(problem.kind, problem.more) for problem in first.errors] == [
        *[("ragged", 0)] * 4,
        ("ragged", 3),
        ("empty", 0),
    ]


def test_a_guess_is_made_only_if_a_known_word_is_near() -> None:
    assert did_you_mean(" Beagel", ["boxer", "beagle"]) == "did you mean 'beagle'?"
    assert did_you_mean("zzz", ["boxer", "beagle"]) == ""

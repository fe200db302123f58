"""Everything that makes a host reject the format of a submission is found, with its line and a fix."""

from __future__ import annotations

import re
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import ACCURACY, MEAN_F2, Binary, Multiclass, Multilabel
from runner.errors import DataError, SubmissionFormatError
from runner.problems import KEPT_PER_KIND, Problem
from runner.submission_format.check import check_file, find_problems
from runner.submission_format.forms import CellKind
from runner.submission_format.submission_format import SubmissionFormat, read_submission_format
from runner.submission_format.values import read_submission
from tests.competitions import competition_of

BREEDS = competition_of(Multiclass(csv="labels.csv", label="breed"))
ONE_BREED = competition_of(BREEDS.labels, ACCURACY)
ICE = competition_of(Binary(csv="train.csv", label="is_iceberg"))
TAGS = competition_of(Multilabel(csv="train_v2.csv", id="image_name"), MEAN_F2)
NAMES = ("clear", "cloudy", "primary", "slash_burn", "water")

DOG_SAMPLE = "id,boxer,pug,whippet\n" + "".join(f"d{row},0.33,0.33,0.34\n" for row in range(4))
ICE_SAMPLE = "id,is_iceberg\n" + "".join(f"i{row},0.5\n" for row in range(4))
TAG_SAMPLE = "image_name,tags\n" + "".join(f"test_{row},primary clear\n" for row in range(4))
CLASS_SAMPLE = "id,breed\n" + "".join(f"d{row},pug\n" for row in range(4))

CASES = {
    CellKind.CLASS_PROBABILITIES: (BREEDS, DOG_SAMPLE, None),
    CellKind.ONE_PROBABILITY: (ICE, ICE_SAMPLE, None),
    CellKind.TAG_LIST: (TAGS, TAG_SAMPLE, NAMES),
    CellKind.ONE_CLASS: (ONE_BREED, CLASS_SAMPLE, ("boxer", "pug")),
}
DOG, CHANCE, TAG, ONE = CASES


def format_of(kind: CellKind, folder: Path) -> SubmissionFormat:
    competition, text, _ = CASES[kind]
    sample = folder / "sample.csv"
    sample.write_text(text)
    return read_submission_format(competition, sample)


def check(kind: CellKind, folder: Path, content: str | bytes) -> tuple[Problem, ...]:
    path = folder / "mine.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return find_problems(format_of(kind, folder), path, names=CASES[kind][2])


def swap(kind: CellKind, old: str, new: str) -> str:
    """The sample with its first `old` changed."""
    text = CASES[kind][1]
    assert old in text
    return text.replace(old, new, 1)


def reordered(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join([lines[0], lines[2], lines[1], *lines[3:]])


# The name of the case, the sample, the file, then of its first problem: kind, line, words of the message and fix.
WRONG = [
    ("missing id", DOG, swap(DOG, "d2,0.33,0.33,0.34\n", ""), "missing id", None, "'d2' is missing"),
    ("extra id", CHANCE, ICE_SAMPLE + "i9,0.5\n", "extra id", 6, "'i9' is not in the sample submission"),
    ("duplicate id", TAG, TAG_SAMPLE + "test_1,clear\n", "duplicate id", 6, "'test_1' is on line 3 already"),
    ("ids reordered", DOG, reordered(DOG_SAMPLE), "id order", 2, "order: 'd1' instead of 'd0'"),
    ("id with a suffix", DOG, swap(DOG, "d2,", "d2.jpg,"), "extra id", 4, "'d2.jpg' is not in.*did you mean 'd2'"),
    ("id with a blank", TAG, swap(TAG, "test_2,", "test_2 ,"), "extra id", 4, "did you mean 'test_2'"),
    ("no rows", CHANCE, "id,is_iceberg\n", "missing id", None, "'i0' is missing"),
    (
        "missing column",
        DOG,
        "id,boxer,pug\n" + "d0,.5,.5\nd1,.5,.5\nd2,.5,.5\nd3,.5,.5\n",
        "missing column",
        1,
        "'whippet' is missing",
    ),
    ("missing id column", CHANCE, "is_iceberg\n0.5\n", "missing column", 1, "column 'id' is missing"),
    (
        "extra column",
        CHANCE,
        ICE_SAMPLE.replace("\n", ",7\n").replace(",7", ",extra", 1),
        "extra column",
        1,
        "'extra' is not in",
    ),
    (
        "renamed column",
        DOG,
        swap(DOG, "whippet", "wippet"),
        "renamed column",
        1,
        "named 'wippet'.*did you mean 'whippet'",
    ),
    (
        "column in capitals",
        DOG,
        swap(DOG, "whippet", "Whippet"),
        "renamed column",
        1,
        "did you mean 'whippet'",
    ),
    (
        "columns reordered",
        DOG,
        swap(DOG, "boxer,pug", "pug,boxer"),
        "column order",
        1,
        "order: 'pug' instead of 'boxer'",
    ),
    (
        "duplicate column",
        CHANCE,
        ICE_SAMPLE.replace("\n", ",.5\n").replace(",.5", ",is_iceberg", 1),
        "duplicate column",
        1,
        "two columns 'is_iceberg'",
    ),
    ("no header", CHANCE, ICE_SAMPLE.removeprefix("id,is_iceberg\n"), "missing header", 1, "names are missing"),
    ("NaN", DOG, swap(DOG, "d1,0.33", "d1,nan"), "NaN", 3, "column 'boxer' is 'nan'"),
    ("NA", CHANCE, swap(CHANCE, "i1,0.5", "i1,NA"), "NaN", 3, "is 'NA'"),
    ("infinity", DOG, swap(DOG, "d1,0.33", "d1,inf"), "infinity", 3, "column 'boxer' is 'inf'"),
    ("a number too large", CHANCE, swap(CHANCE, "i1,0.5", "i1,1e999"), "infinity", 3, "is '1e999'"),
    ("negative", CHANCE, swap(CHANCE, "i3,0.5", "i3,-0.1"), "negative number", 5, "is -0.1, which is negative"),
    ("above 1", CHANCE, swap(CHANCE, "i3,0.5", "i3,1.0001"), "number above 1", 5, "is 1.0001, which is above 1"),
    ("no number", CHANCE, swap(CHANCE, "i0,0.5", "i0,half"), "not a number", 2, "'half', not a plain number"),
    ("underscores", CHANCE, swap(CHANCE, "i0,0.5", "i0,0_1"), "not a number", 2, "'0_1', not a plain number"),
    ("foreign digits", CHANCE, swap(CHANCE, "i0,0.5", "i0,٠"), "not a number", 2, "not a plain number"),
    ("percent", CHANCE, swap(CHANCE, "i0,0.5", "i0,50%"), "not a number", 2, "'50%', not a plain number"),
    ("empty cell", DOG, swap(DOG, "d1,0.33,0.33", "d1,0.33,"), "empty cell", 3, "column 'pug' is empty"),
    (
        "unknown tag",
        TAG,
        swap(TAG, "primary clear", "primary clera"),
        "unknown tag",
        2,
        "no tag is named 'clera'.*did you mean 'clear'",
    ),
    (
        "duplicate tag",
        TAG,
        swap(TAG, "primary clear", "primary primary"),
        "duplicate tag",
        2,
        "'primary' is repeated",
    ),
    (
        "commas for blanks",
        TAG,
        swap(TAG, "primary clear", "primary,clear"),
        "commas between tags",
        2,
        "commas between the tags.*blanks",
    ),
    (
        "quoted commas",
        TAG,
        swap(TAG, "primary clear", '"primary,clear"'),
        "commas between tags",
        2,
        "no blanks between its tags",
    ),
    ("two blanks", TAG, swap(TAG, "primary clear", "primary  clear"), "blanks", 2, "more blanks than needed"),
    ("blank at the end", TAG, swap(TAG, "primary clear", "primary clear "), "blanks", 2, "more blanks than needed"),
    ("empty tag list", TAG, swap(TAG, "primary clear", ""), "no tags", 2, "tag list is empty"),
    ("blank tag list", TAG, swap(TAG, "primary clear", "  "), "no tags", 2, "tag list is empty"),
    (
        "unknown class",
        ONE,
        swap(ONE, "d0,pug", "d0,pgu"),
        "unknown class",
        2,
        "no class is named 'pgu'.*did you mean 'pug'",
    ),
    ("empty class", ONE, swap(ONE, "d0,pug", "d0,"), "empty cell", 2, "the class is empty"),
    ("BOM", DOG, b"\xef\xbb\xbf" + DOG_SAMPLE.encode(), "byte order mark", 1, "byte order mark"),
    (
        "named index",
        CHANCE,
        swap(CHANCE, "id,", "Unnamed: 0,id,").replace("\ni", "\n0,i"),
        "index column",
        1,
        "is an index",
    ),
    ("semicolons", DOG, DOG_SAMPLE.replace(",", ";"), "wrong separator", 1, "separated by semicolons"),
    ("tabs", CHANCE, ICE_SAMPLE.replace(",", "\t"), "wrong separator", 1, "separated by tabs"),
    ("decimal commas", CHANCE, ICE_SAMPLE.replace("0.5", "0,5"), "decimal commas", 2, "decimal commas"),
    ("quoted decimal commas", CHANCE, ICE_SAMPLE.replace("0.5", '"0,5"'), "decimal commas", 2, "a decimal comma"),
    (
        "semicolons, decimal commas",
        CHANCE,
        ICE_SAMPLE.replace(",", ";").replace(".", ","),
        "wrong separator",
        1,
        "semicolons",
    ),
    ("old Excel", CHANCE, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "not a CSV", None, "old Excel workbook"),
    ("gzip", CHANCE, b"\x1f\x8b\x08\x00", "not a CSV", None, "a gzip archive"),
    ("HTML", CHANCE, "\n<!DOCTYPE html><html><body>403</body></html>", "not a CSV", None, "an HTML page"),
    ("UTF-16", CHANCE, ICE_SAMPLE.encode("utf-16"), "not a CSV", None, "UTF-16"),
    ("binary", CHANCE, ICE_SAMPLE + "\0", "not a CSV", None, "binary"),
    ("not UTF-8", TAG, TAG_SAMPLE.encode() + b"test_9,cle\xe4r\n", "not UTF-8", 6, "byte 0xe4"),
    ("empty file", CHANCE, "", "empty file", None, "the file is empty"),
    ("blank first line", CHANCE, "\n" + ICE_SAMPLE, "missing header", 1, "first line has no column names"),
    ("nothing but blank lines", CHANCE, "\n\r\n\n", "empty file", None, "the file is empty"),
    ("nothing but a BOM", CHANCE, b"\xef\xbb\xbf", "empty file", None, "the file is empty"),
    (
        "short row",
        DOG,
        swap(DOG, "d1,0.33,0.33,0.34", "d1,0.33"),
        "rows of the wrong length",
        3,
        "2 cells, but 4 columns",
    ),
    (
        "long row",
        CHANCE,
        swap(CHANCE, "i1,0.5", "i1,0.5,0.5"),
        "rows of the wrong length",
        3,
        "3 cells, but 2 columns",
    ),
    ("blank line", CHANCE, ICE_SAMPLE + "\n", "blank line", 6, "the line is blank"),
    ("open quote", CHANCE, swap(CHANCE, "i1,0.5", 'i1,"0.5'), "open quote", 3, "never closed"),
    ("text after a quote", CHANCE, swap(CHANCE, "i1,0.5", 'i1,"0".5'), "wrong quotes", 3, "not readable as CSV"),
]


@pytest.mark.parametrize(
    ("sample", "content", "kind", "line", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_a_wrong_file_is_refused_with_kind_line_and_fix(tmp_path, sample, content, kind, line, words):
    first = check(sample, tmp_path, content)[0]
    assert (first.kind, first.line) == (kind, line)
    assert re.search(words, f"{first.message}; {first.fix}"), first
    assert first.fix or first.kind in ("empty file", "not a CSV")
    assert "\n" not in str(first)


def test_a_csv_that_pandas_wrote_with_its_index_is_refused(tmp_path):
    format_of(DOG, tmp_path)
    pd.read_csv(tmp_path / "sample.csv").to_csv(tmp_path / "mine.csv")
    problems = check(DOG, tmp_path, (tmp_path / "mine.csv").read_bytes())
    assert [(problem.kind, problem.fix) for problem in problems] == [
        ("index column", "write it without: to_csv(..., index=False)")
    ]


def test_a_workbook_with_a_csv_name_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "book.xlsx", "w") as book:
        book.writestr("xl/workbook.xml", "<workbook/>")
    (problem,) = check(DOG, tmp_path, (tmp_path / "book.xlsx").read_bytes())
    assert "Excel workbook" in problem.message


@pytest.mark.parametrize(("name", "kind"), [("nowhere.csv", "missing file"), (".", "unreadable file")])
def test_a_path_that_is_not_a_file_is_a_problem(tmp_path, name, kind):
    (problem,) = find_problems(format_of(DOG, tmp_path), tmp_path / name)
    assert problem.kind == kind


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.removesuffix("\n"),
        lambda text: re.sub(r"[^,\n]+", r'"\g<0>"', text),
    ],
    ids=["as it is", "CRLF", "no last newline", "quoted"],
)
def test_the_sample_submission_has_no_problem_in_any_spelling(tmp_path, kind, rewrite):
    assert check(kind, tmp_path, rewrite(CASES[kind][1])) == ()


def test_all_problems_are_found_at_once(tmp_path):
    rows = ["id,boxer,pug,whipet", "d0,0.33,0.33,0.34", "d0,1.5,0,0", "d9,0,x,1"]
    problems = check(DOG, tmp_path, "\n".join(rows))
    assert [(problem.kind, problem.line) for problem in problems] == [
        ("renamed column", 1),
        ("duplicate id", 3),
        ("extra id", 4),
        ("missing id", None),
        ("missing id", None),
        ("missing id", None),
        ("number above 1", 3),
        ("not a number", 4),
    ]


def test_the_error_of_a_submission_lists_its_problems(tmp_path):
    path = tmp_path / "submission.csv"
    path.write_text(ICE_SAMPLE.replace("i0,0.5", "i0,1.5").replace("i2,0.5", "i2,half"))
    expected = replace(format_of(CHANCE, tmp_path), competition="iceberg")
    with pytest.raises(SubmissionFormatError) as caught:
        read_submission(expected, path, classes=["is_iceberg"])
    assert str(caught.value) == (
        "the host would reject the format of the submission:\n"
        "- number above 1: 1\n"
        "    line 2: column 'is_iceberg' is 1.5, which is above 1\n"
        "      fix: write probabilities, not percentages or logits\n"
        "- not a number: 1\n"
        "    line 4: column 'is_iceberg' is 'half', not a plain number\n"
        "      fix: write it as 0.25 or 2.5e-7\n"
        f"  where: {path}\n"
        "  fix: fix what is listed, or write the file again: `runner iceberg predict`"
    )


def test_ten_thousand_problems_of_one_kind_are_counted(tmp_path):
    sample = tmp_path / "sample.csv"
    sample.write_text("id,p\n" + "".join(f"{row},0.5\n" for row in range(10_357)))
    bad = tmp_path / "bad.csv"
    bad.write_text("id,p\n" + "".join(f"{row},NaN\n" for row in range(10_357)))
    problems = find_problems(read_submission_format(ICE, sample), bad)
    assert [problem.line for problem in problems] == [2, 3, 4, 5, 6]
    assert sum(1 + problem.more for problem in problems) == 10_357
    assert [problem.more for problem in problems] == [0, 0, 0, 0, 10_352]


def test_decimal_commas_are_one_kind_with_and_without_quotes(tmp_path):
    sample, bad = tmp_path / "sample.csv", tmp_path / "bad.csv"
    sample.write_text("id,p\n" + "".join(f"{row},0.5\n" for row in range(8)))
    # A decimal comma makes two cells of one, unless it is between quotes.
    bad.write_text("id,p\n" + "".join(f'{row},"0,25"\n' if row < 6 else f"{row},0,25\n" for row in range(8)))
    problems = find_problems(read_submission_format(ICE, sample), bad)
    assert sum(1 + problem.more for problem in problems) == 8
    assert len(problems) == KEPT_PER_KIND
    assert [problem.line for problem in problems] == [8, 9, 2, 3, 4]


def test_a_value_with_a_newline_is_quoted_on_one_line(tmp_path):
    content = swap(TAG, "primary clear", '"primary\nclear"').replace("test_2,primary clear", "test_2,fog")
    blanks, fog = check(TAG, tmp_path, content)
    assert (blanks.line, fog.line) == (2, 5)
    assert "\n" not in str(blanks)


def test_without_known_names_any_tag_is_accepted(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(swap(TAG, "primary clear", "submarine"))
    assert find_problems(format_of(TAG, tmp_path), path) == ()


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("0.34", "sum to 1.01: the host is believed to divide each row by its sum"),
        ("0.3", "sum to 0.97: the host is believed to divide each row by its sum"),
        ("0.3305", r"sum to 1.0005: some graders refuse more than 1e-05 off 1"),
    ],
)
def test_rows_that_do_not_sum_to_one_are_warned_of_and_not_refused(tmp_path, cell, words):
    path = tmp_path / "mine.csv"
    path.write_text(swap(DOG, "d1,0.33", f"d1,{cell}"))
    found = check_file(format_of(DOG, tmp_path), path)
    assert found.errors == ()
    (warning,) = found.warnings
    assert (warning.kind, warning.line, warning.fix) == ("sum is not 1", 3, "divide the row by its sum")
    assert words in warning.message


def test_rows_that_sum_to_one_within_the_strictest_graders_are_not_warned_of(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(swap(DOG, "d1,0.33", "d1,0.330009"))
    assert check_file(format_of(DOG, tmp_path), path).warnings == ()


def test_rows_rounded_to_five_decimals_are_not_refused(tmp_path):
    names = [f"breed_{number:03d}" for number in range(120)]
    sample = tmp_path / "sample.csv"
    # 120 x 0.00833 is 0.9996: the worst that rounding a uniform guess to five decimals does.
    sample.write_text(",".join(["id", *names]) + "\nd0" + ",0.00833" * 120 + "\n")
    assert find_problems(read_submission_format(BREEDS, sample), sample) == ()


@settings(deadline=None, max_examples=60)
@given(content=st.binary(max_size=200) | st.text(alphabet='id,b0.1"\n;-e ', max_size=120).map(str.encode))
def test_any_other_content_has_a_problem(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("fuzz")
    for kind in CASES:
        assert check(kind, folder, content)


@settings(deadline=None, max_examples=40)
@given(order=st.permutations(range(4)))
def test_only_the_order_of_the_sample_has_no_problem(tmp_path_factory, order):
    folder = tmp_path_factory.mktemp("order")
    lines = DOG_SAMPLE.splitlines()
    content = "\n".join([lines[0], *(lines[1 + row] for row in order)])
    assert bool(check(DOG, folder, content)) == (list(order) != sorted(order))


# --- the sample ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CASES)
def test_labels_and_columns_decide_the_cell_kind(tmp_path, kind):
    assert format_of(kind, tmp_path).kind is kind


def test_ids_and_columns_are_in_the_order_of_the_sample(tmp_path):
    sample = tmp_path / "sample.csv"
    sample.write_bytes(b"\xef\xbb\xbfid,pug,boxer\r\nz,.5,.5\r\na,.5,.5\r\n")
    expected = read_submission_format(BREEDS, sample)
    assert (expected.ids, expected.columns, expected.id_column) == (("z", "a"), ("pug", "boxer"), "id")


def test_the_id_column_is_named_in_the_labels_or_is_the_first(tmp_path):
    sample = tmp_path / "sample.csv"
    sample.write_text("is_iceberg,id\n0.5,a\n")
    assert read_submission_format(ICE, sample).id_column == "id"
    sample.write_text("image,is_iceberg\na,0.5\n")
    assert read_submission_format(ICE, sample).id_column == "image"


@pytest.mark.parametrize(
    ("competition", "content", "words"),
    [
        (ICE, None, "does not exist"),
        (ICE, b"", "is empty"),
        (ICE, b"PK\x03\x04", "Excel"),
        (ICE, b"id,is_iceberg\n", "no rows"),
        (ICE, b"id\na\n", "no column beside the ids"),
        (BREEDS, b"id,pug,pug\na,1,2\n", "two columns 'pug'"),
        (ICE, b"id,is_iceberg\na,1\nb,1\na,1\n", "two rows with the id 'a'"),
        (ICE, b"id,is_iceberg\na,1\n,1\n", "line 3 has no id"),
        (ICE, b"id,is_iceberg\na,1\nb\n", "line 3 does not have 2 cells"),
    ],
)
def test_a_damaged_sample_is_refused_with_the_command_that_fixes_it(tmp_path, competition, content, words):
    sample = tmp_path / "sample.csv"
    if content is not None:
        sample.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_submission_format(replace(competition, name="iceberg"), sample)
    assert caught.value.fix == "runner iceberg download --force"
    assert caught.value.where == str(sample)


def test_a_submission_that_does_not_exist_has_an_error_of_its_own(tmp_path):
    expected = replace(format_of(CHANCE, tmp_path), competition="iceberg")
    with pytest.raises(SubmissionFormatError, match="the submission does not exist") as caught:
        read_submission(expected, tmp_path / "none.csv", classes=["is_iceberg"])
    assert caught.value.fix == "runner iceberg predict"


# --- reading a submission -----------------------------------------------------------------------


def test_probabilities_are_matched_to_classes_by_name(tmp_path):
    expected = format_of(DOG, tmp_path)
    ids, matrix = read_submission(expected, tmp_path / "sample.csv", classes=["whippet", "boxer", "pug"])
    assert ids == ("d0", "d1", "d2", "d3")
    assert matrix.tolist() == [[0.34, 0.33, 0.33]] * 4


def test_tags_are_read_as_zeros_and_ones(tmp_path):
    expected = format_of(TAG, tmp_path)
    _, matrix = read_submission(expected, tmp_path / "sample.csv", classes=NAMES)
    assert matrix.tolist() == [[1, 0, 1, 0, 0]] * 4


def test_the_name_of_a_class_is_read_as_one_hot(tmp_path):
    expected = format_of(ONE, tmp_path)
    _, matrix = read_submission(expected, tmp_path / "sample.csv", classes=("boxer", "pug"))
    assert matrix.tolist() == [[0, 1]] * 4


def test_one_probability_is_read_as_one_column(tmp_path):
    expected = format_of(CHANCE, tmp_path)
    _, matrix = read_submission(expected, tmp_path / "sample.csv", classes=["is_iceberg"])
    assert matrix.tolist() == [[0.5]] * 4


@pytest.mark.parametrize("content", ["", DOG_SAMPLE.replace("d3", "d4").replace("0.34", "nan")])
def test_a_submission_with_problems_is_refused_with_all_of_them(tmp_path, content):
    path = tmp_path / "mine.csv"
    path.write_text(content)
    expected = format_of(DOG, tmp_path)
    with pytest.raises(SubmissionFormatError) as caught:
        read_submission(expected, path, classes=expected.columns)
    assert all(str(problem) in str(caught.value) for problem in find_problems(expected, path))
    assert caught.value.where == str(path)


def test_classes_that_differ_from_the_columns_are_refused(tmp_path):
    expected = format_of(DOG, tmp_path)
    with pytest.raises(SubmissionFormatError, match=r"without a class \['pug'\].*without a column \['corgi'\]"):
        read_submission(expected, tmp_path / "sample.csv", classes=["boxer", "corgi", "whippet"])


def test_a_file_of_a_million_columns_is_one_problem_within_seconds(tmp_path):
    names = ",".join(f"column {number}" for number in range(1_000_000))
    started = time.monotonic()
    problems = check(CellKind.ONE_PROBABILITY, tmp_path, f"id,{names}\na,0.5\n")
    assert time.monotonic() - started < 60
    assert "there are 1,000,001 columns, and 2 in the sample submission" in {problem.message for problem in problems}

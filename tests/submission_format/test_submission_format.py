"""Everything that would make a host reject a submission for its form is told, with its row and a fix."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.contract import Binary, Multiclass, Multilabel
from runner.csv_file import SPELT_OUT, Problem
from runner.errors import DataError, SubmissionFormatError
from runner.submission_format.submission_format import (
    Kind,
    SubmissionFormat,
    find_problems,
    read_submission,
    read_submission_format,
)

BREEDS = Multiclass(csv="labels.csv", label="breed")
ICE = Binary(csv="train.csv", label="is_iceberg")
TAGS = Multilabel(csv="train_v2.csv", id="image_name")
NAMES = ("clear", "cloudy", "primary", "slash_burn", "water")

DOG_SAMPLE = "id,boxer,pug,whippet\n" + "".join(f"d{row},0.33,0.33,0.34\n" for row in range(4))
ICE_SAMPLE = "id,is_iceberg\n" + "".join(f"i{row},0.5\n" for row in range(4))
TAG_SAMPLE = "image_name,tags\n" + "".join(f"test_{row},primary clear\n" for row in range(4))
CLASS_SAMPLE = "id,breed\n" + "".join(f"d{row},pug\n" for row in range(4))

CASES = {
    Kind.CLASS_PROBABILITIES: (BREEDS, DOG_SAMPLE, None),
    Kind.ONE_PROBABILITY: (ICE, ICE_SAMPLE, None),
    Kind.TAG_LIST: (TAGS, TAG_SAMPLE, NAMES),
    Kind.ONE_CLASS: (BREEDS, CLASS_SAMPLE, ("boxer", "pug")),
}
DOG, CHANCE, TAG, ONE = CASES


def form_of(kind: Kind, folder: Path) -> SubmissionFormat:
    labels, text, _ = CASES[kind]
    sample = folder / "sample.csv"
    sample.write_text(text)
    return read_submission_format(labels, sample)


def check(kind: Kind, folder: Path, content: str | bytes) -> list[Problem]:
    path = folder / "mine.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return find_problems(form_of(kind, folder), path, names=CASES[kind][2])


def swap(kind: Kind, old: str, new: str) -> str:
    """The sample with its first `old` changed."""
    text = CASES[kind][1]
    assert old in text
    return text.replace(old, new, 1)


def reordered(text: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join([lines[0], lines[2], lines[1], *lines[3:]])


# What is wrong, the kind of form, the file, the line it is told of, words of the message.
WRONG = [
    ("missing id", DOG, swap(DOG, "d2,0.33,0.33,0.34\n", ""), None, "id 'd2' is missing"),
    ("extra id", CHANCE, ICE_SAMPLE + "i9,0.5\n", 6, "id 'i9' is not in the sample submission"),
    ("id twice", TAG, TAG_SAMPLE + "test_1,clear\n", 6, "id 'test_1' was on line 3 already"),
    ("ids reordered", DOG, reordered(DOG_SAMPLE), 2, "reordered: 'd1' stands where 'd0' belongs"),
    ("id with a suffix", DOG, swap(DOG, "d2,", "d2.jpg,"), 4, "'d2.jpg' is not in.*did you mean 'd2'"),
    ("id with a blank", TAG, swap(TAG, "test_2,", "test_2 ,"), 4, "did you mean 'test_2'"),
    ("no rows", CHANCE, "id,is_iceberg\n", None, "id 'i0' is missing"),
    (
        "missing column",
        DOG,
        "id,boxer,pug\n" + "d0,.5,.5\nd1,.5,.5\nd2,.5,.5\nd3,.5,.5\n",
        1,
        "'whippet' is miss",
    ),
    ("missing id column", CHANCE, "is_iceberg\n0.5\n", 1, "column 'id' is missing"),
    (
        "extra column",
        CHANCE,
        ICE_SAMPLE.replace("\n", ",7\n").replace(",7", ",extra", 1),
        1,
        "'extra' is not in",
    ),
    ("renamed column", DOG, swap(DOG, "whippet", "wippet"), 1, "named 'wippet'.*did you mean 'whippet'"),
    ("column in capitals", DOG, swap(DOG, "whippet", "Whippet"), 1, "did you mean 'whippet'"),
    ("columns reordered", DOG, swap(DOG, "boxer,pug", "pug,boxer"), 1, "'pug' stands where 'boxer' belongs"),
    ("column twice", CHANCE, ICE_SAMPLE.replace("\n", ",.5\n").replace(",.5", ",is_iceberg", 1), 1, "twice"),
    ("no header", CHANCE, ICE_SAMPLE.removeprefix("id,is_iceberg\n"), 1, "columns' names are missing"),
    ("NaN", DOG, swap(DOG, "d1,0.33", "d1,nan"), 3, "column 'boxer' holds 'nan'"),
    ("NA", CHANCE, swap(CHANCE, "i1,0.5", "i1,NA"), 3, "holds 'NA'"),
    ("infinity", DOG, swap(DOG, "d1,0.33", "d1,inf"), 3, "column 'boxer' holds 'inf'"),
    ("a number too large to hold", CHANCE, swap(CHANCE, "i1,0.5", "i1,1e999"), 3, "holds '1e999'"),
    ("negative", CHANCE, swap(CHANCE, "i3,0.5", "i3,-0.1"), 5, "holds -0.1, which is negative"),
    ("above 1", CHANCE, swap(CHANCE, "i3,0.5", "i3,1.0001"), 5, "holds 1.0001, which is above 1"),
    ("no number", CHANCE, swap(CHANCE, "i0,0.5", "i0,half"), 2, "'half', not a plain number"),
    ("underscores", CHANCE, swap(CHANCE, "i0,0.5", "i0,0_1"), 2, "'0_1', not a plain number"),
    ("foreign digits", CHANCE, swap(CHANCE, "i0,0.5", "i0,٠"), 2, "not a plain number"),
    ("percent", CHANCE, swap(CHANCE, "i0,0.5", "i0,50%"), 2, "'50%', not a plain number"),
    ("empty cell", DOG, swap(DOG, "d1,0.33,0.33", "d1,0.33,"), 3, "column 'pug' is empty"),
    ("sum above 1", DOG, swap(DOG, "d1,0.33", "d1,0.34"), 3, "sum to 1.01.*divide the row"),
    ("sum below 1", DOG, swap(DOG, "d1,0.33", "d1,0.3"), 3, "sum to 0.97"),
    (
        "unknown tag",
        TAG,
        swap(TAG, "primary clear", "primary clera"),
        2,
        "no tag is named 'clera'; did you mean 'clear'",
    ),
    ("tag twice", TAG, swap(TAG, "primary clear", "primary primary"), 2, "tag 'primary' is there twice"),
    (
        "commas for blanks",
        TAG,
        swap(TAG, "primary clear", "primary,clear"),
        2,
        "commas between the tags.*blanks",
    ),
    ("quoted commas", TAG, swap(TAG, "primary clear", '"primary,clear"'), 2, "no blanks between its tags"),
    ("two blanks", TAG, swap(TAG, "primary clear", "primary  clear"), 2, "blanks too many"),
    ("blank at the end", TAG, swap(TAG, "primary clear", "primary clear "), 2, "blanks too many"),
    ("empty tag list", TAG, swap(TAG, "primary clear", ""), 2, "tag list is empty"),
    ("blank tag list", TAG, swap(TAG, "primary clear", "  "), 2, "tag list is empty"),
    ("unknown class", ONE, swap(ONE, "d0,pug", "d0,pgu"), 2, "no class is named 'pgu'; did you mean 'pug'"),
    ("empty class", ONE, swap(ONE, "d0,pug", "d0,"), 2, "the class is empty"),
    ("BOM", DOG, b"\xef\xbb\xbf" + DOG_SAMPLE.encode(), 1, "byte order mark"),
    ("named index", CHANCE, swap(CHANCE, "id,", "Unnamed: 0,id,").replace("\ni", "\n0,i"), 1, "index column"),
    ("semicolons", DOG, DOG_SAMPLE.replace(",", ";"), 1, "separated by semicolons"),
    ("tabs", CHANCE, ICE_SAMPLE.replace(",", "\t"), 1, "separated by tabs"),
    ("decimal commas", CHANCE, ICE_SAMPLE.replace("0.5", "0,5"), 2, "decimal commas"),
    ("quoted decimal commas", CHANCE, ICE_SAMPLE.replace("0.5", '"0,5"'), 2, "a decimal comma"),
    ("semicolons, decimal commas", CHANCE, ICE_SAMPLE.replace(",", ";").replace(".", ","), 1, "semicolons"),
    ("old Excel", CHANCE, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), None, "old Excel workbook"),
    ("gzip", CHANCE, b"\x1f\x8b\x08\x00", None, "a gzip file"),
    ("HTML", CHANCE, "\n<!DOCTYPE html><html><body>403</body></html>", None, "a web page"),
    ("UTF-16", CHANCE, ICE_SAMPLE.encode("utf-16"), None, "UTF-16"),
    ("not UTF-8", TAG, TAG_SAMPLE.encode() + b"test_9,cle\xe4r\n", 6, "byte 0xe4 is not UTF-8"),
    ("empty file", CHANCE, "", None, "the file is empty"),
    ("blank first line", CHANCE, "\n" + ICE_SAMPLE, 1, "first line is blank"),
    ("nothing but blank lines", CHANCE, "\n\r\n\n", None, "the file is empty"),
    ("nothing but a BOM", CHANCE, b"\xef\xbb\xbf", None, "the file is empty"),
    ("short row", DOG, swap(DOG, "d1,0.33,0.33,0.34", "d1,0.33"), 3, "2 cells where the header has 4"),
    ("long row", CHANCE, swap(CHANCE, "i1,0.5", "i1,0.5,0.5"), 3, "3 cells where the header has 2"),
    ("blank line", CHANCE, ICE_SAMPLE + "\n", 6, "the line is blank"),
    ("open quote", CHANCE, swap(CHANCE, "i1,0.5", 'i1,"0.5'), 3, "not readable as CSV"),
]


@pytest.mark.parametrize(
    ("kind", "content", "line", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_a_file_with_a_flaw_is_refused_with_its_row_and_reason(tmp_path, kind, content, line, words):
    first = check(kind, tmp_path, content)[0]
    assert first.row == line
    assert re.search(words, str(first)), str(first)
    assert first.fix
    assert "\n" not in str(first)


def test_a_csv_that_pandas_wrote_with_its_index_is_refused(tmp_path):
    form_of(DOG, tmp_path)
    pd.read_csv(tmp_path / "sample.csv").to_csv(tmp_path / "mine.csv")
    problems = check(DOG, tmp_path, (tmp_path / "mine.csv").read_bytes())
    assert [str(problem) for problem in problems] == [
        "line 1: an index column was left in; write it without: to_csv(..., index=False)"
    ]


def test_a_workbook_with_a_csv_name_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "book.xlsx", "w") as book:
        book.writestr("xl/workbook.xml", "<workbook/>")
    (problem,) = check(DOG, tmp_path, (tmp_path / "book.xlsx").read_bytes())
    assert "Excel workbook" in problem.message


@pytest.mark.parametrize("name", ["nowhere.csv", "."])
def test_a_path_that_is_no_file_is_a_flaw_and_not_a_crash(tmp_path, name):
    (problem,) = find_problems(form_of(DOG, tmp_path), tmp_path / name)
    assert "cannot be read" in problem.message


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
def test_the_sample_submission_has_no_flaw_however_it_is_typed(tmp_path, kind, rewrite):
    assert check(kind, tmp_path, rewrite(CASES[kind][1])) == []


def test_every_kind_of_flaw_is_told_at_once(tmp_path):
    rows = ["id,boxer,pug,whipet", "d0,0.33,0.33,0.34", "d0,1.5,0,0", "d9,0,x,1"]
    words = [problem.message for problem in check(DOG, tmp_path, "\n".join(rows))]
    for expected in ("'whipet'", "'d0' was on line 2", "'d9'", "'d1' is missing", "above 1", "'x'"):
        assert any(expected in found for found in words), (expected, words)


def test_ten_thousand_rows_with_one_fault_are_told_in_a_few_lines(tmp_path):
    sample = tmp_path / "sample.csv"
    sample.write_text("id,p\n" + "".join(f"{row},0.5\n" for row in range(10_357)))
    bad = tmp_path / "bad.csv"
    bad.write_text("id,p\n" + "".join(f"{row},NaN\n" for row in range(10_357)))
    problems = find_problems(read_submission_format(ICE, sample), bad)
    assert [problem.row for problem in problems] == [2, 3, 4]
    assert sum(1 + problem.more for problem in problems) == 10_357
    assert f"(and {10_357 - SPELT_OUT:,} more like it)" in str(problems[-1])


def test_one_fault_in_two_guises_is_counted_as_one_kind(tmp_path):
    sample, bad = tmp_path / "sample.csv", tmp_path / "bad.csv"
    sample.write_text("id,p\n" + "".join(f"{row},0.5\n" for row in range(8)))
    # A decimal comma makes two cells of one, unless it stands between quotes.
    bad.write_text("id,p\n" + "".join(f'{row},"0,25"\n' if row < 6 else f"{row},0,25\n" for row in range(8)))
    problems = find_problems(read_submission_format(ICE, sample), bad)
    assert sum(1 + problem.more for problem in problems) == 8
    assert len(problems) == SPELT_OUT
    assert [problem.row for problem in problems] == [8, 9, 2]


def test_a_value_with_a_newline_is_told_on_one_line_and_counted_by_file_lines(tmp_path):
    content = swap(TAG, "primary clear", '"primary\nclear"').replace("test_2,primary clear", "test_2,fog")
    blanks, fog = check(TAG, tmp_path, content)
    assert (blanks.row, fog.row) == (2, 5)
    assert "\n" not in str(blanks)


def test_without_known_names_any_tag_and_any_class_is_taken(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(swap(TAG, "primary clear", "submarine"))
    assert find_problems(form_of(TAG, tmp_path), path) == []


def test_rows_rounded_to_five_places_are_near_enough_to_one(tmp_path):
    names = [f"breed_{number:03d}" for number in range(120)]
    sample = tmp_path / "sample.csv"
    # 120 x 0.00833 is 0.9996: the worst that rounding a uniform guess to five places does.
    sample.write_text(",".join(["id", *names]) + "\nd0" + ",0.00833" * 120 + "\n")
    assert find_problems(read_submission_format(BREEDS, sample), sample) == []


@settings(deadline=None, max_examples=60)
@given(content=st.binary(max_size=200) | st.text(alphabet='id,b0.1"\n;-e ', max_size=120).map(str.encode))
def test_no_content_whatever_crashes_the_check_or_passes_it(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("fuzz")
    for kind in CASES:
        assert check(kind, folder, content)


@settings(deadline=None, max_examples=40)
@given(order=st.permutations(range(4)))
def test_only_the_order_of_the_sample_passes(tmp_path_factory, order):
    folder = tmp_path_factory.mktemp("order")
    lines = DOG_SAMPLE.splitlines()
    content = "\n".join([lines[0], *(lines[1 + row] for row in order)])
    assert bool(check(DOG, folder, content)) == (list(order) != sorted(order))


# --- the sample ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CASES)
def test_labels_and_columns_decide_the_kind_of_form(tmp_path, kind):
    assert form_of(kind, tmp_path).kind is kind


def test_the_form_has_the_ids_and_columns_in_the_order_of_the_sample(tmp_path):
    sample = tmp_path / "sample.csv"
    sample.write_bytes(b"\xef\xbb\xbfid,pug,boxer\r\nz,.5,.5\r\na,.5,.5\r\n")
    form = read_submission_format(BREEDS, sample)
    assert (form.ids, form.columns, form.id_column) == (("z", "a"), ("pug", "boxer"), "id")


def test_the_id_column_is_the_one_the_labels_name_and_else_the_first(tmp_path):
    sample = tmp_path / "sample.csv"
    sample.write_text("is_iceberg,id\n0.5,a\n")
    assert read_submission_format(ICE, sample).id_column == "id"
    sample.write_text("image,is_iceberg\na,0.5\n")
    assert read_submission_format(ICE, sample).id_column == "image"


@pytest.mark.parametrize(
    ("labels", "content", "words"),
    [
        (ICE, None, "cannot be read"),
        (ICE, b"", "is empty"),
        (ICE, b"PK\x03\x04", "Excel"),
        (ICE, b"id,is_iceberg\n", "no rows"),
        (ICE, b"id\na\n", "no column beside the ids"),
        (ICE, b"id,is_iceberg,other\na,1,2\n", "one column is expected"),
        (TAGS, b"image_name,a,b\na,1,2\n", "one column is expected"),
        (BREEDS, b"id,pug,pug\na,1,2\n", "'pug' is there twice"),
        (ICE, b"id,is_iceberg\na,1\nb,1\na,1\n", "'a' is there twice"),
        (ICE, b"id,is_iceberg\na,1\n,1\n", "line 3 has no id"),
        (ICE, b"id,is_iceberg\na,1\nb\n", "line 3 does not have 2 cells"),
    ],
)
def test_a_broken_sample_is_refused_with_the_command_that_mends_it(tmp_path, labels, content, words):
    sample = tmp_path / "sample.csv"
    if content is not None:
        sample.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_submission_format(labels, sample, competition="iceberg")
    assert caught.value.fix == "runner iceberg download --force"
    assert caught.value.where == str(sample)


# --- reading a submission -----------------------------------------------------------------------


def test_probabilities_are_matched_to_classes_by_name(tmp_path):
    form = form_of(DOG, tmp_path)
    ids, matrix = read_submission(form, tmp_path / "sample.csv", classes=["whippet", "boxer", "pug"])
    assert ids == ("d0", "d1", "d2", "d3")
    assert matrix.tolist() == [[0.34, 0.33, 0.33]] * 4


def test_tags_are_read_as_decisions(tmp_path):
    form = form_of(TAG, tmp_path)
    _, matrix = read_submission(form, tmp_path / "sample.csv", classes=NAMES)
    assert matrix.tolist() == [[1, 0, 1, 0, 0]] * 4


def test_the_name_of_a_class_is_read_as_one_hot(tmp_path):
    form = form_of(ONE, tmp_path)
    _, matrix = read_submission(form, tmp_path / "sample.csv", classes=("boxer", "pug"))
    assert matrix.tolist() == [[0, 1]] * 4


def test_one_probability_is_read_as_one_column(tmp_path):
    form = form_of(CHANCE, tmp_path)
    _, matrix = read_submission(form, tmp_path / "sample.csv", classes=["is_iceberg"])
    assert matrix.tolist() == [[0.5]] * 4


@pytest.mark.parametrize("content", ["", DOG_SAMPLE.replace("d3", "d4").replace("0.34", "nan")])
def test_a_flawed_submission_is_refused_with_all_its_flaws(tmp_path, content):
    path = tmp_path / "mine.csv"
    path.write_text(content)
    form = form_of(DOG, tmp_path)
    with pytest.raises(SubmissionFormatError) as caught:
        read_submission(form, path, classes=form.columns)
    assert all(str(problem) in str(caught.value) for problem in find_problems(form, path))
    assert caught.value.where == str(path)


def test_classes_that_are_not_the_columns_are_refused_by_name(tmp_path):
    form = form_of(DOG, tmp_path)
    with pytest.raises(SubmissionFormatError, match=r"without a class \['pug'\].*without a column \['corgi'\]"):
        read_submission(form, tmp_path / "sample.csv", classes=["boxer", "corgi", "whippet"])

"""Every form of a submission: what is written passes the check, and is graded as the values it was written from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.contract import (
    ACCURACY,
    GAP,
    KL_DIVERGENCE,
    LWLRAP,
    MACRO_F1,
    MACRO_F1_OF_TAGS,
    MEAN_COLUMNWISE_AUC,
    MEAN_F1,
    PF1,
    QWK,
    RMSE,
    ROC_AUC,
    Binary,
    Competition,
    Labels,
    Lookup,
    Metric,
    Multiclass,
    Multilabel,
    Ordinal,
    Regression,
    SeveralTargets,
    map_at,
    top_error,
    weighted_log_loss,
    weighted_r2,
    weighted_recall,
)
from runner.contract.targets import targets_of
from runner.errors import SubmissionFormatError
from runner.hosts.grading import Grader, SolutionRow, Usage
from runner.prediction.submission import write_submission
from runner.submission_format.check import check_file
from runner.submission_format.forms import CellKind
from runner.submission_format.submission_format import SubmissionFormat, read_submission_format
from runner.submission_format.values import read_submission
from tests.competitions import competition_of

IDS = ("z", "a", "m", "b", "k", "c")
CLASSES = ("boxer", "old dog", "pug", "whippet")
TAGS = ("cloud", "haze", "road")
ROOT, VOWEL = (Multiclass(csv="t.csv", label=name, classes=("0", "1", "2")) for name in ("root", "vowel"))


@dataclass(frozen=True)
class Form:
    """A competition, its sample submission, and the texts of the right answers."""

    labels: Labels
    metric: Metric
    classes: tuple[str, ...]
    header: str
    row: str  # of the sample, with {id}
    kind: CellKind
    answers: tuple[str, ...]
    written: str  # the first row that is written from the values of `values_of`
    fields: tuple[tuple[str, Any], ...] = ()

    @property
    def competition(self) -> Competition:
        return competition_of(self.labels, self.metric, **dict(self.fields))


DOG_ANSWERS = ("pug", "boxer", "whippet", "old dog", "pug", "pug")
TAG_ANSWERS = ("cloud", "haze road", "cloud haze", "road", "cloud", "haze")
ZERO_ONE = ("1", "0", "1", "0", "0", "1")
MULTICLASS, LISTED = Multiclass(csv="t.csv"), Multilabel(csv="t.csv")
COLUMNS = Multilabel(csv="t.csv", columns=TAGS)
COLUMN_ANSWERS = tuple(text.replace(" ", "|") for text in TAG_ANSWERS)
NUMBERS = Regression(csv="t.csv", columns=("x", "y"), low=0, high=1)
NUMBER_ANSWERS = ("0.1|0.2", "0.4|0.9", "0.5|0.5", "0.3|", "0.9|0.1", "0.2|0.8")
SHARES = Multiclass(csv="t.csv", columns=CLASSES, soft=True)
SHARE_ANSWERS = ("1|0|2|1", "1|0|0|0", "0|0|1|1", "3|1|0|0", "0|0|1|0", "1|1|1|1")
IN_COLUMNS = "id,pug,boxer,whippet,old dog", "{id},.25,.25,.25,.25"
LONG = (("submission_rows", "{id}_{column}"),)
LOOKUP = (("submission_rows", Lookup("lookup.csv", "RowId", "ImageId", "Feature")),)
TARGETS = SeveralTargets(ROOT, VOWEL)
RECALL = weighted_recall(2, 1, sizes=(3, 3))

FORMS = {
    "a column a class": Form(
        SHARES, KL_DIVERGENCE, CLASSES, *IN_COLUMNS, CellKind.CLASS_PROBABILITIES, SHARE_ANSWERS, "z,0.25,0.4,0.2,0.15"
    ),
    "a column a class, ranked": Form(
        MULTICLASS,
        MEAN_COLUMNWISE_AUC,
        CLASSES,
        *IN_COLUMNS,
        CellKind.CLASS_PROBABILITIES,
        DOG_ANSWERS,
        "z,0.25,0.4,0.2,0.15",
    ),
    "a column a tag": Form(
        COLUMNS,
        weighted_log_loss(2, 1, 1),
        TAGS,
        "id,road,cloud,haze",
        "{id},0,0,0",
        CellKind.TAG_PROBABILITIES,
        COLUMN_ANSWERS,
        "z,0.25,0.4,0.15",
    ),
    "a column a tag of a list": Form(
        Multilabel(csv="t.csv", sep=","),
        LWLRAP,
        TAGS,
        "id,haze,road,cloud",
        "{id},0,0,0",
        CellKind.TAG_PROBABILITIES,
        tuple(text.replace(" ", ",") for text in TAG_ANSWERS),
        "z,0.15,0.25,0.4",
    ),
    "0 and 1 a tag": Form(
        COLUMNS,
        MACRO_F1_OF_TAGS,
        TAGS,
        "id,road,cloud,haze",
        "{id},0,1,0",
        CellKind.ZERO_OR_ONE,
        COLUMN_ANSWERS,
        "z,0,1,0",
    ),
    "one probability": Form(
        Binary(csv="t.csv", label="ice"), PF1, ("ice",), "id,p", "{id},0.5", CellKind.ONE_PROBABILITY, ZERO_ONE, "z,0.4"
    ),
    "one ranked probability": Form(
        Binary(csv="t.csv", label="ice"),
        ROC_AUC,
        ("ice",),
        "p,id",
        "0.5,{id}",
        CellKind.ONE_PROBABILITY,
        ZERO_ONE,
        "0.4,z",
    ),
    "0 or 1": Form(
        Binary(csv="t.csv", label="ice"), ACCURACY, ("ice",), "id,ice", "{id},0", CellKind.ZERO_OR_ONE, ZERO_ONE, "z,0"
    ),
    "one class": Form(
        MULTICLASS, MACRO_F1, CLASSES, "id,breed", "{id},pug", CellKind.ONE_CLASS, DOG_ANSWERS, "z,boxer"
    ),
    "one class, by error": Form(
        MULTICLASS, top_error(1), CLASSES, "id,breed", "{id},", CellKind.ONE_CLASS, DOG_ANSWERS, "z,boxer"
    ),
    "a grade": Form(
        Ordinal(csv="t.csv", grades=4),
        QWK,
        ("0", "1", "2", "3"),
        "id,grade",
        "{id},0",
        CellKind.ONE_CLASS,
        ("2", "0", "3", "1", "2", "2"),
        "z,0",
    ),
    "a list of tags": Form(
        LISTED, MEAN_F1, TAGS, "id,tags", "{id},haze cloud", CellKind.TAG_LIST, TAG_ANSWERS, "z,cloud road"
    ),
    "a list with semicolons": Form(
        LISTED,
        MEAN_F1,
        TAGS,
        "id,tags",
        "{id},haze;cloud",
        CellKind.TAG_LIST,
        TAG_ANSWERS,
        "z,cloud;road",
        (("submission_sep", ";"),),
    ),
    "the likeliest three": Form(
        MULTICLASS,
        map_at(3),
        CLASSES,
        "id,breeds",
        '{id},"pug,boxer"',
        CellKind.TOP_CLASSES,
        DOG_ANSWERS,
        'z,"boxer,pug,whippet"',
        (("submission_sep", ","),),
    ),
    "the likeliest two, by error": Form(
        MULTICLASS,
        top_error(2),
        CLASSES,
        "id,breeds",
        "{id},pug|boxer",
        CellKind.TOP_CLASSES,
        DOG_ANSWERS,
        "z,boxer|pug",
        (("submission_sep", "|"),),
    ),
    "a class with confidence": Form(
        MULTICLASS, GAP, CLASSES, "id,breed", "{id},pug 0.5", CellKind.CLASS_WITH_CONFIDENCE, DOG_ANSWERS, "z,boxer 0.4"
    ),
    "numbers": Form(
        NUMBERS, weighted_r2(1, 3), ("x", "y"), "id,y,x", "{id},0,0", CellKind.NUMBERS, NUMBER_ANSWERS, "z,0.15,0.4"
    ),
    "one number": Form(
        Regression(csv="t.csv", label="Score"),
        RMSE,
        ("Score",),
        "id,target",
        "{id},0",
        CellKind.NUMBERS,
        ("1", "-2.5", "3", "1e3", "0", "7"),
        "z,0.4",
    ),
    "a row an id and tag": Form(
        COLUMNS,
        weighted_log_loss(2, 1, 1),
        TAGS,
        "id,Label",
        "{id}_road,0.5\n{id}_cloud,0.5\n{id}_haze,0.5",
        CellKind.TAG_PROBABILITIES,
        COLUMN_ANSWERS,
        "z_road,0.25",
        LONG,
    ),
    "a row an id and class": Form(
        MULTICLASS,
        MEAN_COLUMNWISE_AUC,
        CLASSES,
        "id,p",
        "{id}_pug,0\n{id}_old dog,0\n{id}_boxer,0\n{id}_whippet,0",
        CellKind.CLASS_PROBABILITIES,
        DOG_ANSWERS,
        "z_pug,0.25",
        LONG,
    ),
    "a row an id and target": Form(
        TARGETS,
        RECALL,
        TARGETS.class_names,
        "row_id,target",
        "{id}_vowel,0\n{id}_root,0",
        CellKind.ONE_CLASS,
        ("0|1", "1|1", "2|0", "0|2", "1|0", "2|2"),
        "z_vowel,2",
        LONG,
    ),
    "a row of a look-up table": Form(
        Regression(csv="t.csv", columns=("x", "y")),
        RMSE,
        ("x", "y"),
        "RowId,Location",
        "",
        CellKind.NUMBERS,
        NUMBER_ANSWERS,
        "1,0.15",
        LOOKUP,
    ),
}


def values_of(form: Form) -> np.ndarray:
    """Predictions of the form's kind; no row is alike."""
    if form.metric is RECALL:
        return np.random.default_rng(4).dirichlet((1,) * 6, len(IDS))
    first = [0.4, 0.15, 0.25, 0.2]
    others = np.random.default_rng(4).dirichlet((1,) * 4, len(IDS) - 1)
    values = np.array([first, *others])[:, : len(form.classes)]
    if form.metric.scores_tags:
        return (values > 0.22).astype(float) if form.kind is CellKind.TAG_LIST else (values > 0.3).astype(float)
    return values


def write_sample(form: Form, folder: Path) -> Path:
    rows = [form.row.format(id=id) for id in IDS]
    if form.fields == LOOKUP:
        # The last image has one of its two numbers, and the rows are not in the order of the images.
        cells = [(id, column) for column in ("y", "x") for id in IDS][:-1]
        lookup = [f"{row},{id},{column}," for row, (id, column) in enumerate(cells, 1)]
        lookup.insert(0, "RowId,ImageId,Feature,Location")
        (folder / "lookup.csv").write_text("\n".join(lookup) + "\n")
        rows = [f"{row}," for row in range(1, len(cells) + 1)]
    path = folder / "sample_submission.csv"
    path.write_text("\n".join([form.header, *rows]) + "\n")
    return path


def format_of(form: Form, folder: Path) -> SubmissionFormat:
    return read_submission_format(form.competition, write_sample(form, folder))


def write(form: Form, folder: Path) -> Path:
    backwards = values_of(form)[::-1]
    ids = IDS[::-1]
    return write_submission(
        format_of(form, folder), folder / "mine.csv", classes=form.classes, ids=ids, values=backwards
    )


every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@every_form
def test_labels_metric_and_sample_decide_the_cells(form: Form, tmp_path: Path) -> None:
    assert format_of(form, tmp_path).kind is form.kind


@every_form
def test_what_is_written_has_the_samples_rows_and_its_form(form: Form, tmp_path: Path) -> None:
    lines = write(form, tmp_path).read_text().splitlines()
    assert lines[0] == form.header
    if form.metric is not RECALL:
        assert lines[1] == form.written
    sample = (tmp_path / "sample_submission.csv").read_text().splitlines()
    assert len(lines) == len(sample)
    found = check_file(format_of(form, tmp_path), tmp_path / "mine.csv", names=form.classes)
    assert (found.errors, found.warnings) == ((), ())


@every_form
def test_a_file_is_graded_as_the_values_that_it_was_written_from(form: Form, tmp_path: Path) -> None:
    path = write(form, tmp_path)
    solution = [SolutionRow(id, text, Usage.PUBLIC) for id, text in zip(IDS, form.answers, strict=True)]
    solution.append(SolutionRow(IDS[0], form.answers[0], Usage.PRIVATE))
    grader = Grader(form.competition, form.classes, tmp_path / "sample_submission.csv", tuple(solution))
    targets, values = targets_of(form.labels, form.classes, form.answers), values_of(form)
    if form.fields == LOOKUP:
        targets[-1, 0] = np.nan  # the one that is not asked for
    assert grader.grade(path).public == pytest.approx(form.metric.score(targets, values), abs=1e-12)


@every_form
def test_a_number_is_read_back_as_it_was(form: Form, tmp_path: Path) -> None:
    ids, back = read_submission(format_of(form, tmp_path), write(form, tmp_path), classes=form.classes)
    assert ids == IDS
    if form.kind in (CellKind.NUMBERS, CellKind.CLASS_PROBABILITIES, CellKind.TAG_PROBABILITIES):
        asked = ~np.isnan(back)
        assert (back[asked] == values_of(form)[asked]).all()
    if form.kind in (CellKind.TAG_LIST, CellKind.ZERO_OR_ONE) and form.metric.scores_tags:
        assert (back == values_of(form)).all()


@every_form
def test_a_sample_submission_with_blank_cells_is_of_the_same_form(form: Form, tmp_path: Path) -> None:
    expected = format_of(form, tmp_path)
    sample = tmp_path / "sample_submission.csv"
    header, *rows = (line.split(",") for line in sample.read_text().splitlines())
    id = header.index(expected.id_column)
    blank = [[cell if place == id else "" for place, cell in enumerate(row[: len(header)])] for row in rows]
    sample.write_text("".join(",".join(row) + "\n" for row in [header, *blank]))
    again = read_submission_format(form.competition, sample)
    assert (again.kind, again.ids, again.columns) == (expected.kind, expected.ids, expected.columns)


# The form, the cell that is written in the second row, and the kind, message and fix of the error.
WRONG = [
    ("0 or 1", "0.7", "not 0 or 1", "is 0.7, not 0 or 1", "scores what is decided"),
    ("0 or 1", "yes", "not a number", "'yes', not a plain number", ""),
    ("0 or 1", "", "empty cell", "is empty", "write 0 or 1"),
    ("a grade", "4", "unknown class", "no class is named '4'", "known: 0, 1, 2, 3"),
    ("one class", "old  dog", "unknown class", "no class is named 'old  dog'", "did you mean 'old dog'"),
    ("a list with semicolons", "cloud haze", "unknown tag", "no tag is named 'cloud haze'", ""),
    ("a list with semicolons", "cloud;hase", "unknown tag", "no tag is named 'hase'", "did you mean 'haze'"),
    ("a list with semicolons", "cloud|haze", "commas between tags", "has no ';' between its tags", "write ';'"),
    (
        "the likeliest three",
        '"pug,boxer,whippet,old dog"',
        "too many classes",
        "4 classes",
        "3 likeliest",
    ),
    ("the likeliest three", '"pug,boxer,pug"', "duplicate class", "the class 'pug' is repeated", "once"),
    ("the likeliest three", '"pug,boxr,old dog"', "unknown class", "no class is named 'boxr'", "did you mean 'boxer'"),
    ("the likeliest three", "", "no classes", "the list of classes is empty", "at least one"),
    ("the likeliest three", "pug,boxer,whippet", "commas between classes", "there are commas", "in quotes"),
    ("a class with confidence", "pug", "no confidence", "'pug' has no confidence", "a class, a blank"),
    ("a class with confidence", "old dog", "no confidence", "'old dog' has no confidence", ""),
    ("a class with confidence", "pug high", "not a number", "the confidence is 'high'", ""),
    ("a class with confidence", "pugg 0.5", "unknown class", "no class is named 'pugg'", "did you mean 'pug'"),
    ("a class with confidence", "pug nan", "NaN", "the confidence is 'nan'", ""),
    ("one number", "inf", "infinity", "column 'target' is 'inf'", "finite"),
    ("one number", "12,5", "decimal commas", "decimal commas", "a point"),
    ("a row an id and tag", "1.5", "number above 1", "column 'Label' is 1.5", ""),
    ("a row an id and target", "3", "unknown class", "no class is named '3'", "known: 0, 1, 2"),
]


@pytest.mark.parametrize(("name", "cell", "kind", "message", "fix"), WRONG)
def test_a_wrong_cell_is_refused_with_its_line(
    name: str, cell: str, kind: str, message: str, fix: str, tmp_path: Path
) -> None:
    form = FORMS[name]
    path = write(form, tmp_path)
    lines = path.read_text().splitlines()
    lines[2] = f"{lines[2].split(',')[0]},{cell}"
    path.write_text("\n".join(lines) + "\n")
    problem = check_file(format_of(form, tmp_path), path, names=form.classes).errors[0]
    assert (problem.kind, problem.line) == (kind, 3)
    assert re.search(message, problem.message), problem.message
    assert fix in str(problem.fix)


def with_cell(form: Form, folder: Path, cell: str) -> tuple[SubmissionFormat, Path]:
    path = write(form, folder)
    lines = path.read_text().splitlines()
    lines[1] = f"z,{cell}"
    path.write_text("\n".join(lines) + "\n")
    return format_of(form, folder), path


def test_a_number_out_of_bounds_is_a_warning(tmp_path: Path) -> None:
    expected, path = with_cell(FORMS["numbers"], tmp_path, "-0.5,1.25")
    found = check_file(expected, path)
    assert found.errors == ()
    assert [(warning.line, warning.message) for warning in found.warnings] == [
        (2, "column 'y' is -0.5, below 0, the lowest that the labels can be"),
        (2, "column 'x' is 1.25, above 1, the highest that the labels can be"),
    ]


def test_a_short_list_of_classes_is_a_warning_and_its_empty_places_score_nothing(tmp_path: Path) -> None:
    form = FORMS["the likeliest three"]
    expected, path = with_cell(form, tmp_path, "whippet")
    (warning,) = check_file(expected, path, names=form.classes).warnings
    assert warning.message == "1 of 3 classes: each one more can only raise the score"
    # The right class is the first in the classes' order that the cell leaves out.
    solution = (SolutionRow("z", "boxer", Usage.PUBLIC), SolutionRow("z", "whippet", Usage.PRIVATE))
    scores = Grader(form.competition, form.classes, tmp_path / "sample_submission.csv", solution).grade(path)
    assert (scores.public, scores.private) == (0, 1)


def test_equal_values_are_written_in_the_order_of_the_classes(tmp_path: Path) -> None:
    form = FORMS["the likeliest three"]
    values = np.tile([0.2, 0.3, 0.2, 0.3], (len(IDS), 1))
    path = write_submission(
        format_of(form, tmp_path), tmp_path / "mine.csv", classes=form.classes, ids=IDS, values=values
    )
    assert path.read_text().splitlines()[1] == 'z,"old dog,whippet,boxer"'


def test_an_empty_list_is_valid_where_an_image_may_have_no_tag(tmp_path: Path) -> None:
    sample = tmp_path / "sample_submission.csv"
    sample.write_text("id,tags\na,cloud\nb,cloud\n")
    may = read_submission_format(competition_of(Multilabel(csv="t.csv", may_be_empty=True), MEAN_F1), sample)
    path = write_submission(
        may, tmp_path / "mine.csv", classes=TAGS, ids=("a", "b"), values=np.array([[0, 0, 0], [1, 0, 0]])
    )
    assert path.read_text() == "id,tags\na,\nb,cloud\n"
    _, back = read_submission(may, path, classes=TAGS)
    assert back.tolist() == [[0, 0, 0], [1, 0, 0]]


def test_ids_and_columns_that_hold_the_mark_between_them_are_told_apart(tmp_path: Path) -> None:
    labels = Multilabel(csv="t.csv", columns=("green", "dry_green"))
    sample = tmp_path / "sample_submission.csv"
    sample.write_text("id,p\nx_1_dry_green,0\nx_1_green,0\nx_dry_green,0\nx_green,0\n")
    expected = read_submission_format(
        competition_of(labels, MEAN_COLUMNWISE_AUC, submission_rows="{id}_{column}"), sample
    )
    assert expected.image_ids == ("x_1", "x")
    assert expected.asked_columns == ("dry_green", "green")


def test_nan_is_never_written_as_a_class(tmp_path: Path) -> None:
    form = FORMS["one class"]
    values = values_of(form)
    values[2, 1] = np.nan
    with pytest.raises(SubmissionFormatError, match="some predictions are NaN"):
        write_submission(format_of(form, tmp_path), tmp_path / "n.csv", classes=CLASSES, ids=IDS, values=values)


# --- decimals -----------------------------------------------------------------------------------


def write_rounded(values: list[list[float]], decimals: int, folder: Path, **fields: Any) -> str:
    competition = competition_of(MULTICLASS, decimals=decimals, **fields)
    sample = folder / "sample_submission.csv"
    sample.write_text("id,a,b,c\nx,0,0,0\n")
    form = read_submission_format(competition, sample)
    path = write_submission(form, folder / "mine.csv", classes=("a", "b", "c"), ids=("x",), values=np.array(values))
    return path.read_text().splitlines()[1]


def test_numbers_are_written_to_the_decimals_that_are_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert write_rounded([[0.25, 0.5, 0.25]], 3, tmp_path) == "x,0.250,0.500,0.250"
    assert caplog.messages == []


def test_rounding_that_can_change_the_score_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert write_rounded([[0.0001, 0.3333, 0.6666]], 2, tmp_path) == "x,0.00,0.33,0.67"
    assert caplog.messages == ["2 decimals can change the score: 1 probabilities become 0 or 1"]
    caplog.clear()
    write_rounded([[1 / 3, 1 / 3, 1 / 3]], 2, tmp_path)
    assert caplog.messages == ["2 decimals can change the score: 1 rows sum to 1 only within 0.01"]


def test_sums_of_half_precision_are_written_as_exactly_one(tmp_path: Path) -> None:
    values = np.array([[0.3333, 0.3333, 0.3333]])
    sample = tmp_path / "sample_submission.csv"
    sample.write_text("id,a,b,c\nx,0,0,0\n")
    form = read_submission_format(competition_of(MULTICLASS), sample)
    path = write_submission(form, tmp_path / "mine.csv", classes=("a", "b", "c"), ids=("x",), values=values)
    assert sum(map(float, path.read_text().splitlines()[1].split(",")[1:])) == pytest.approx(1, abs=1e-12)
    assert check_file(form, path).warnings == ()

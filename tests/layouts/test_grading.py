"""Submission files are graded as the public graders of these competitions grade them: scikit-learn, or the definition.

Log losses are clipped at 1e-15, as Kaggle's evaluation pages say; scikit-learn's own clips at 2.2e-16.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import rel_entr
from sklearn import metrics as sk

from competitions import load
from runner.contract import Competition, Multiclass, Multilabel, Ordinal, Regression, TagSet
from runner.contract.labels import aliases
from runner.data.download import download
from runner.data.index import build_index
from runner.hosts.grading import Grader, SolutionRow, Usage
from runner.submission_format.submission_format import SubmissionFormat, read_submission_format
from runner.submission_format.values import write_cells
from runner.workspace import Workspace
from tests.layouts import write_layout

Matrix = NDArray[Any]
# Of the submission's texts and the right ones, a row a line: the score.
Reference = Callable[[list[list[str]], list[list[str]]], float]


def numbers(rows: list[list[str]]) -> Matrix:
    return np.array(rows, dtype=float)


def clipped(rows: list[list[str]]) -> Matrix:
    return numbers(rows).clip(1e-15, 1 - 1e-15)


def texts(rows: list[list[str]]) -> list[str]:
    return [row[0] for row in rows]


def mean_loss(submitted: list[list[str]], right: list[list[str]]) -> float:
    return float(-(numbers(right) * np.log(clipped(submitted))).sum(axis=1).mean())


def two_sided_losses(submitted: list[list[str]], right: list[list[str]]) -> Matrix:
    chances, labels = clipped(submitted), numbers(right)
    return np.asarray(-np.where(labels == 1, np.log(chances), np.log(1 - chances)))


def of_spine(submitted: list[list[str]], right: list[list[str]]) -> float:
    """Rows of eight columns, of which the patient's, the first of the eight, counts seven times; a fracture twice."""
    weights = np.tile([7, 1, 1, 1, 1, 1, 1, 1], len(right) // 8) * (1 + numbers(right)[:, 0])
    losses = two_sided_losses(submitted, right)[:, 0] * weights
    return float((losses.reshape(-1, 8).sum(axis=1) / weights.reshape(-1, 8).sum(axis=1)).mean())


def area(submitted: list[list[str]], right: list[list[str]]) -> float:
    return float(sk.roc_auc_score(numbers(right)[:, 0], numbers(submitted)[:, 0]))


def area_of_columns(submitted: list[list[str]], right: list[list[str]]) -> float:
    return float(sk.roc_auc_score(numbers(right), numbers(submitted), average="macro"))


def area_in_bands(submitted: list[list[str]], right: list[list[str]]) -> float:
    """The area right of the curve, which counts twice up to a true positive rate of 0.4."""
    fpr, tpr, _ = sk.roc_curve(numbers(right)[:, 0], numbers(submitted)[:, 0], drop_intermediate=False)
    total = 0.0
    for pair in pairwise(zip(tpr, fpr, strict=True)):
        for low, high, weight in ((0, 0.4, 2), (0.4, 1, 1)):
            (begin, from_fpr), (end, to_fpr) = pair
            ends = np.clip((begin, end), low, high)
            if ends[1] > ends[0]:
                total += weight * (ends[1] - ends[0]) * (1 - np.interp(ends, (begin, end), (from_fpr, to_fpr)).mean())
    return total / (0.4 * 2 + 0.6)


def mean_average_precision(submitted: list[list[str]], right: list[list[str]]) -> float:
    places = [
        cell.split().index(label) if label in cell.split() else 99
        for [cell], [label] in zip(submitted, right, strict=True)
    ]
    return float(np.mean([1 / (place + 1) if place < 5 else 0 for place in places]))


def of_tags(average: str) -> Reference:
    def score(submitted: list[list[str]], right: list[list[str]]) -> float:
        cells = [[set(text.split()) for text in texts(rows)] for rows in (submitted, right)]
        names = sorted(set.union(*cells[0], *cells[1]))
        predicted, known = (np.array([[name in cell for name in names] for cell in column]) for column in cells)
        return float(sk.f1_score(known, predicted, average=average, zero_division=0))

    return score


def ranking_precision(submitted: list[list[str]], right: list[list[str]]) -> float:
    labels, scores = numbers(right), numbers(submitted)
    return float(sk.label_ranking_average_precision_score(labels, scores, sample_weight=labels.sum(axis=1)))


def probabilistic_f1(submitted: list[list[str]], right: list[list[str]]) -> float:
    chances, labels = numbers(submitted)[:, 0], numbers(right)[:, 0]
    right_ones = float(chances @ labels)
    precision, recall = right_ones / chances.sum(), right_ones / labels.sum()
    return 2 * precision * recall / (precision + recall)


def divergence(submitted: list[list[str]], right: list[list[str]]) -> float:
    votes = numbers(right)
    return float(rel_entr(votes / votes.sum(axis=1, keepdims=True), clipped(submitted)).sum(axis=1).mean())


REFERENCES: dict[str, tuple[Reference, tuple[str, ...]]] = {
    "area": (
        area,
        (
            *("aerial-cactus", "histopathologic-cancer", "invasive-species", "mlsp-birds", "rsna-brain-tumor", "seti"),
            "siim-melanoma",
        ),
    ),
    "area in bands": (area_in_bands, ("alaska2",)),
    "area of columns": (area_of_columns, ("plant-pathology-2020", "ranzcr-clip")),
    "accuracy": (
        lambda submitted, right: float(sk.accuracy_score(texts(right), texts(submitted))),
        ("cassava-leaf", "iwildcam-2020", "paddy-disease", "plant-seedlings"),
    ),
    "error": (
        lambda submitted, right: 1 - float(sk.accuracy_score(texts(right), texts(submitted))),
        ("inaturalist-2019",),
    ),
    "kappa": (
        lambda submitted, right: float(sk.cohen_kappa_score(texts(right), texts(submitted), weights="quadratic")),
        ("aptos-blindness",),
    ),
    "macro F1": (
        lambda submitted, right: float(sk.f1_score(texts(right), texts(submitted), average="macro")),
        ("herbarium-2020", "herbarium-2021", "herbarium-2022", "iwildcam-2019"),
    ),
    "log loss": (mean_loss, ("dog-breed", "leaf")),
    "binary log loss": (lambda *rows: float(two_sided_losses(*rows).mean()), ("dogs-vs-cats", "iceberg")),
    "loss of the spine": (of_spine, ("rsna-cervical-spine",)),
    "precision at five": (mean_average_precision, ("hotel-id-2021", "whale-playground")),
    "micro F1": (of_tags("micro"), ("imet-2020",)),
    "mean F1": (of_tags("samples"), ("plant-pathology-2021",)),
    "ranking precision": (ranking_precision, ("freesound-2019",)),
    "probabilistic F1": (probabilistic_f1, ("rsna-breast-cancer",)),
    "divergence": (divergence, ("hms-brain-activity",)),
    "error of numbers": (
        lambda submitted, right: float(sk.root_mean_squared_error(numbers(right), numbers(submitted))),
        ("petfinder-pawpularity",),
    ),
}
CASES = [(name, reference) for reference, names in REFERENCES.values() for name in names]


@pytest.mark.parametrize(("name", "reference"), CASES, ids=[name for name, _ in CASES])
def test_a_submission_is_graded_as_its_text_says(name: str, reference: Reference, tmp_path: Path) -> None:
    solution = write_layout(name, tmp_path / "downloads")
    competition = load(name)
    folder = download(competition, Workspace(tmp_path), tmp_path / "downloads")
    classes = build_index(competition, folder).classes
    sample = folder / aliases(competition.sample_submission)[0]
    form = read_submission_format(competition, sample)
    rows = [SolutionRow(id, solution[id], (Usage.PUBLIC, Usage.PRIVATE)[n > 0]) for n, id in enumerate(form.image_ids)]
    grader = Grader(competition, classes, sample, tuple(rows))
    of_private = [n for n, id in enumerate(_images_of_rows(form)) if id != form.image_ids[0]]
    for seed, digits in enumerate((17, 1, 0)):  # smooth, with equal values, certain
        values = _draw(competition, len(rows), len(classes), digits, np.random.default_rng(seed))
        cells = [list(map(str, row)) for row in write_cells(form, classes, values)]
        _write(tmp_path / "submission.csv", form, cells)
        right = _right_cells(competition, form, classes, solution)
        expected = reference([cells[n] for n in of_private], [right[n] for n in of_private])
        assert grader.grade(tmp_path / "submission.csv").private == pytest.approx(expected, abs=2e-5), digits


def _write(path: Path, form: SubmissionFormat, cells: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([form.id_column, *form.columns])
        writer.writerows([id, *row] for id, row in zip(form.ids, cells, strict=True))


def _images_of_rows(form: SubmissionFormat) -> list[str]:
    return list(form.ids) if form.long is None else [form.image_ids[image] for image in form.long.images]


def _draw(competition: Competition, rows: int, columns: int, digits: int, random: np.random.Generator) -> Matrix:
    """Random probabilities, numbers or tags, rounded; of classes, rows that sum to 1."""
    labels = competition.labels
    if isinstance(competition.metric.decision, TagSet):
        tags = (random.random((rows, columns)) < 0.4).astype(float)
        tags[~tags.any(axis=1), 0] = 1
        return tags
    if isinstance(labels, Regression):
        return random.uniform(1, 100, (rows, columns)).round(digits)
    if not isinstance(labels, Multiclass | Ordinal):
        return random.random((rows, columns)).round(digits)
    if digits == 0:
        return np.eye(columns)[random.integers(0, columns, rows)]
    values = np.maximum(random.dirichlet(np.ones(columns), rows).round(digits), 0.1)
    return np.asarray(values / values.sum(axis=1, keepdims=True))


def _right_cells(
    competition: Competition, form: SubmissionFormat, classes: tuple[str, ...], solution: dict[str, str]
) -> list[list[str]]:
    """What the rows of a right submission would have, from the labels' texts."""
    labels = competition.labels

    def cell(label: str, column: str) -> str:
        if isinstance(labels, Multiclass) and labels.soft:
            return label.split("|")[classes.index(column)]
        parts = label.split(labels.separator) if isinstance(labels, Multilabel) else [label]
        return str(int(column in parts))

    if form.long is not None:
        columns = [form.asked_columns[place] for place in form.long.places]
        return [[cell(solution[id], column)] for id, column in zip(_images_of_rows(form), columns, strict=True)]
    if len(form.columns) == 1:
        return [[solution[id]] for id in form.ids]
    return [[cell(solution[id], column) for column in form.columns] for id in form.ids]

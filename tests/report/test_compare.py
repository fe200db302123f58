"""Runs compared on the rows that both have predicted; different rows, folds and labels are told."""

from __future__ import annotations

import numpy as np
import pytest

from runner.contract import LOG_LOSS
from runner.errors import UsageError
from runner.prediction.predictions import predictions_file, read_view_predictions, write_view_predictions
from runner.report.compare.comparison import compare
from runner.report.compare.page import classes_table, runs_table, sentences, write_comparison
from runner.session import Session
from runner.training.run import Run
from tests.builders import start_run
from tests.report.conftest import Browser, MakeRun


def test_the_difference_is_that_of_the_scores_on_the_same_rows(session: Session, make_run: MakeRun) -> None:
    first, second = make_run("first"), make_run("second", draw=9)
    pair = compare(session, [first, second]).pairs[0]
    scores = [run.read_score() for run in (first, second)]
    assert pair.difference.first.value == pytest.approx(scores[0]["cv"]["value"], abs=1e-12)
    assert pair.difference.second.value == pytest.approx(scores[1]["cv"]["value"], abs=1e-12)
    difference = scores[0]["cv"]["value"] - scores[1]["cv"]["value"]
    assert pair.difference.gain.value == pytest.approx(difference, abs=1e-12)
    losses = [LOG_LOSS.row_scores(each.targets, each.values) for each in (pair.rows.first, pair.rows.second)]
    expected = (losses[0] - losses[1]).std() / np.sqrt(60)
    assert pair.difference.gain.error == pytest.approx(expected)


def test_a_run_and_its_copy_are_equal(session: Session, make_run: MakeRun) -> None:
    runs = [make_run("first"), make_run("second")]
    comparison = compare(session, runs)
    assert comparison.pairs[0].difference.verdict == "equal"
    assert comparison.recipes == ()
    assert comparison.pairs[0].only_right == ([], [])


def test_recipes_differ_by_their_fields(session: Session, make_run: MakeRun) -> None:
    comparison = compare(session, [make_run("first"), make_run("second", seed=7, lr=0.5)])
    assert {each.path: each.values for each in comparison.recipes} == {"lr": (0.01, 0.5), "seed": (42, 7)}


def test_rows_of_one_run_alone_are_told_and_left_out(session: Session, make_run: MakeRun) -> None:
    comparison = compare(session, [make_run("first"), make_run("second", rows=45)])
    pair = comparison.pairs[0]
    assert pair.difference.first.rows == 45
    assert list(pair.notes) == ["15 rows that only first has predicted, and second has not, are left out"]


def test_other_folds_are_told(session: Session, make_run: MakeRun) -> None:
    pair = compare(session, [make_run("first"), make_run("second", folds=3)]).pairs[0]
    assert pair.difference.first.rows == 60
    assert any("have other folds" in note for note in pair.notes)
    same = compare(session, [make_run("third", folds=3), make_run("fourth", folds=3)]).pairs[0]
    assert list(same.notes) == []
    assert sorted(same.difference.folds) == [0, 1, 2]


def test_an_ensemble_and_a_refit_are_compared_by_their_own_rows(session: Session, make_run: MakeRun) -> None:
    from runner.steps.ensemble import ensemble
    from runner.training.folds import copy_score

    first, second = make_run("first"), make_run("second", draw=9)
    both = ensemble(session, [first, second], name="both")
    refit = make_run("first-all", all_data=True, refit_of="first")
    copy_score(session, refit)
    comparison = compare(session, [first, both, refit])
    assert comparison.problems == ()
    of_both, of_refit = comparison.with_first
    assert of_both.difference.second.value == pytest.approx(both.read_score()["cv"]["value"], abs=1e-12)
    assert of_refit.difference.verdict == "equal"
    assert list(of_refit.notes) == ["first and first-all have one score: a refit has no validation rows of its own"]
    write_comparison(session, [first, both, refit])


def test_a_run_without_predictions_is_compared_by_its_recipe(session: Session, make_run: MakeRun) -> None:
    first = make_run("first")
    second = start_run(session.workspace, session.name, session.competition.recipe, "second")
    comparison = compare(session, [first, second])
    assert comparison.pairs == ()
    assert "second is not predicted yet" in comparison.problems[0]
    assert "predict --run second" in comparison.problems[0]
    assert write_comparison(session, [first, second]).path.exists()


def test_damaged_predictions_are_told(session: Session, make_run: MakeRun) -> None:
    runs = [make_run("first"), make_run("second")]
    predictions_file(runs[1].fold_dir(0), "snapshot-0", "valid").write_bytes(b"damaged")
    comparison = compare(session, runs)
    assert "second is not compared by its score: a damaged file" in comparison.problems[0]


def test_two_different_runs_are_needed(session: Session, make_run: MakeRun) -> None:
    first = make_run("first")
    with pytest.raises(UsageError, match="a comparison needs two runs"):
        compare(session, [first])
    with pytest.raises(UsageError, match="first is named twice"):
        compare(session, [first, first])


def _with_classes_reversed(run: Run) -> None:
    path = predictions_file(run.fold_dir(0), "snapshot-0", "valid")
    found = read_view_predictions(path)
    from dataclasses import replace

    write_view_predictions(
        path, replace(found, classes=found.classes[::-1], probabilities=found.probabilities[..., ::-1])
    )


def test_classes_change_by_recall(session: Session, make_run: MakeRun) -> None:
    first, second = make_run("first"), make_run("second", draw=9)
    _with_classes_reversed(second)  # the order of the columns in a file does not matter
    pair = compare(session, [first, second]).pairs[0]
    changes = {row.name: row for row in pair.classes.rows}
    assert pair.classes.measure == "recall, %"
    only_first, only_second = map(set, pair.only_right)
    for name, row in changes.items():
        label = pair.rows.first.classes.index(name)
        rows = {at for at, target in enumerate(pair.oofs[0].labels_and_predictions[0]) if target == label}
        gain = len(only_second & rows) - len(only_first & rows)
        assert row.change == pytest.approx(100 * gain / row.support)
    assert classes_table(pair).header[-1] == "±"


def test_the_page_opens_and_shows_the_images_that_only_one_gets_right(
    session: Session, make_run: MakeRun, browser: Browser
) -> None:
    report = write_comparison(
        session, [make_run("first"), make_run("second", draw=9, seed=7), make_run("third", draw=3)]
    )
    browser.open(report.path)
    text = browser.run("return document.body.innerText")
    assert "Only first is right" in text
    assert "Every two runs" in text
    assert browser.errors == []
    assert [request for request in browser.requests if request.startswith("http")] == []


def test_the_sentences_name_both_scores(session: Session, make_run: MakeRun) -> None:
    comparison = compare(session, [make_run("first"), make_run("second", draw=9)])
    assert sentences(comparison)[0].startswith("second beside first: ")
    assert "on 60 rows" in sentences(comparison)[0]
    assert len(runs_table(comparison).rows) == 2

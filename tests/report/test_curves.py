"""Figures of training, by their axes and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runner.report.run.curves import loss_figure, metric_figures, save_lr_finder_figure
from runner.report.run.data import LrFinderCurve, read_run_data
from runner.session import Session

CURVE = LrFinderCurve(0, 0, (1e-5, 1e-4, 1e-3, 1e-2), (1.0, 0.9, 0.5, 0.6), 1e-4, 1e-3, "a tenth of the minimum")


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_curves_of_all_stages_are_drawn_into_one_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"find-lr.{suffix}"
    save_lr_finder_figure([("64 px, frozen", CURVE), ("96 px, unfrozen", CURVE)], path)
    if suffix == "svg":
        assert path.read_text(encoding="utf-8").count("suggested: 0.0001") >= 1
    else:
        with Image.open(path) as image:
            assert image.height > image.width * 0.9


def test_the_axis_of_one_epoch_has_one_tick(make_run: Any, session: Session) -> None:
    figure = metric_figures(read_run_data(session, make_run(epochs=1)))[0].figure
    axes = figure.axes[0]
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


def test_a_metric_that_is_the_validation_loss_is_not_listed_twice(make_run: Any, session: Session) -> None:
    data = read_run_data(session, make_run())
    assert [metric.key for metric in data.metrics] == ["log_loss", "accuracy"]
    assert [metric.key for metric in data.metrics_except_loss] == ["accuracy"]


def test_the_validation_loss_is_drawn_once(make_run: Any, session: Session) -> None:
    assert [figure.title for figure in metric_figures(read_run_data(session, make_run()))] == [
        "Accuracy on validation rows, by epoch"
    ]


def test_the_legend_of_several_folds_names_each_once(make_run: Any, session: Session) -> None:
    figure = loss_figure(read_run_data(session, make_run(folds=5)))
    assert figure is not None
    names = [text.get_text() for text in figure.figure.legends[0].get_texts()]
    assert names == [f"fold {fold}" for fold in range(5)]

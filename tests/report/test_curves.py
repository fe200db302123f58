"""Figures of training, by their axes and files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runner.contract import Recipe, Stage, TrainMode
from runner.report.run.curves import metric_figures, save_lr_finder_figure
from runner.report.run.data import LrFinderCurve, read_run_data
from runner.report.run.summary import recipe_flags
from runner.session import Session

CURVE = LrFinderCurve(0, 0, (1e-5, 1e-4, 1e-3, 1e-2), (1.0, 0.9, 0.5, 0.6), 1e-4, 1e-3, "a tenth of the minimum")
DECLARED = Recipe("resnet18", (Stage(64, TrainMode.UNFROZEN), Stage(96, TrainMode.UNFROZEN)), lr=0.01)


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


@pytest.mark.parametrize(
    ("changes", "flags"),
    [
        ({}, []),
        ({"backbone": "resnet34"}, ["--backbone", "resnet34"]),
        ({"weights": "w.safetensors sha256:00"}, ["--weights", "w.safetensors"]),
        ({"pretrained": False}, ["--no-pretrained"]),
        ({"from_run": "first:snapshot-0"}, ["--from-run", "first:snapshot-0"]),
        ({"stages": (Stage(128, TrainMode.UNFROZEN),)}, ["--size", "128"]),
        (
            {"stages": tuple(Stage(size, TrainMode.FEATURES) for size in (64, 96))},
            ["--linear-probe"],
        ),
        ({"lr": 0.003}, ["--lr", "0.003"]),
        ({"lr": 0.01, "group_lrs": (1e-4, 1e-3, 0.01)}, ["--lr", "0.0001,0.001,0.01"]),
        ({"find_lr": True}, ["--lr", "find"]),
        ({"batch_size": 16}, ["--batch-size", "16"]),
        ({"auto_batch": True}, ["--batch-size", "auto"]),
        ({"oversample": 3.0}, ["--oversample", "3"]),
        ({"folds": 4}, ["--folds", "4"]),
        ({"seed": 1}, ["--seed", "1"]),
    ],
)
def test_flags_are_those_by_which_a_recipe_differs(changes: dict[str, Any], flags: list[str]) -> None:
    assert recipe_flags(replace(DECLARED, **changes), DECLARED) == flags


def test_flags_may_override_sizes_and_folds() -> None:
    assert recipe_flags(DECLARED, DECLARED, sizes=[64, 96, 128], folds=5) == ["--size", "64,96,128", "--folds", "5"]

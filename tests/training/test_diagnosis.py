"""The sentence after each stage, from the figures."""

from __future__ import annotations

from typing import Any

import pytest

from runner.training.diagnosis import diagnose


def log(train: list[float], valid: list[float | None], cycles: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    ends = {sum(cycles[: n + 1]) - 1 for n in range(len(cycles))} or {len(train) - 1}
    return [
        {"stage": 0, "epoch": epoch, "train_loss": one, "valid_loss": other, "ends_cycle": epoch in ends}
        for epoch, (one, other) in enumerate(zip(train, valid, strict=True))
    ]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (log([2.0, 1.5, 1.2], [1.6, 1.1, 0.9]), "underfits"),
        (log([1.0, 0.5, 0.2], [0.9, 0.6, 0.8]), "overfits"),
        (log([1.0, 0.8, 0.6], [1.0, 0.8, 0.6], (1, 2)), "still learning"),
        (log([0.9, 0.7, 0.4], [0.72, 0.7, 0.7], (1, 2)), "by heart"),
        (log([0.8, 0.6, 0.6], [0.8, 0.6, 0.6], (2, 1)), "fits"),
        (log([0.8], [None]), "no rows are held out"),
    ],
)
def test_the_figures_decide_what_is_said(lines: list[dict[str, Any]], told: str) -> None:
    assert told in diagnose(lines, 0)


def test_overfitting_names_the_epoch_it_began_after() -> None:
    assert "best at epoch 2 with 0.6000" in diagnose(log([1.0, 0.5, 0.2], [0.9, 0.6, 0.8]), 0)


def test_only_the_stages_own_lines_count() -> None:
    other = [{**line, "stage": 1} for line in log([9.0], [1.0])]
    assert "fits" in diagnose(log([0.8, 0.6], [0.8, 0.6]) + other, 0)

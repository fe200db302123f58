"""The sentence after each stage, from its losses."""

from __future__ import annotations

from typing import Any

import pytest

from runner.training.diagnosis import diagnose


def log(
    train: list[float], valid: list[float | None], cycles: tuple[int, ...] = (), prior: float | None = None
) -> list[dict[str, Any]]:
    ends = {sum(cycles[: n + 1]) - 1 for n in range(len(cycles))} or {len(train) - 1}
    return [
        {
            "stage": 0,
            "epoch": epoch,
            "train_loss": train_loss,
            "valid_loss": valid_loss,
            "prior_loss": prior,
            "ends_cycle": epoch in ends,
        }
        for epoch, (train_loss, valid_loss) in enumerate(zip(train, valid, strict=True))
    ]


@pytest.mark.parametrize(
    ("lines", "begins"),
    [
        (log([2.0, 1.5, 1.2], [1.6, 1.1, 0.9]), "underfitting"),
        (log([1.0, 0.5, 0.2], [0.9, 0.6, 0.8]), "overfitting"),
        (log([1.0, 0.8, 0.6], [1.0, 0.8, 0.6], (1, 2)), "still learning"),
        (log([0.9, 0.7, 0.4], [0.72, 0.7, 0.7], (1, 2)), "overfitting"),
        (log([0.8, 0.6, 0.6], [0.8, 0.6, 0.6], (2, 1)), "no over- or underfitting seen"),
        (log([0.8], [None]), "no validation rows"),
        (log([1.1], [1.08], prior=1.0986), "no better than guessing"),
        (log([1.1, 1.09, 1.09], [1.09, 1.09, 1.2], prior=1.0986), "no better than guessing"),
        (log([0.9728], [1.0935], prior=1.0986), "no better than guessing"),
        (log([0.9195], [1.0955], prior=1.0986), "no better than guessing"),
        (log([0.9, 0.3], [1.2, 1.3], prior=1.0986), "overfitting"),  # the training rows are memorised
        (log([0.9, 0.3], [1.1, 1.1], prior=1.0986), "overfitting"),
        (log([0.7], [0.7], prior=1.0986), "no over- or underfitting seen"),
    ],
)
def test_the_losses_decide_the_diagnosis(lines: list[dict[str, Any]], begins: str) -> None:
    assert diagnose(lines, 0).startswith(begins)


def test_more_epochs_help_while_validation_loss_falls_in_a_long_cycle() -> None:
    valid: list[float | None] = [0.95, 0.88, 0.83, 0.79, 0.76, 0.74, 0.72, 0.7, 0.69, 0.68, 0.67, 0.66]
    diagnosis = diagnose(log([0.9 - 0.035 * epoch for epoch in range(12)], valid), 0)
    assert diagnosis.startswith("still learning when the last cycle ended")
    assert "will not help" not in diagnosis


def test_overfitting_names_the_losses_and_what_to_try() -> None:
    assert diagnose(log([0.9, 0.48], [0.66, 0.66]), 0) == (
        "overfitting: training loss 0.4800, validation loss 0.6600; "
        "more epochs will not help, try a larger size or more dropout"
    )


def test_overfitting_names_the_epoch_of_the_lowest_validation_loss() -> None:
    assert "lowest in epoch 2 with 0.6000" in diagnose(log([1.0, 0.5, 0.2], [0.9, 0.6, 0.8]), 0)


def test_guessing_names_the_loss_of_the_class_frequencies() -> None:
    assert "the class frequencies alone give 1.0986" in diagnose(log([1.1], [1.08], prior=1.0986), 0)


def test_only_the_lines_of_the_stage_count() -> None:
    second = [{**line, "stage": 1} for line in log([9.0], [1.0])]
    assert diagnose(log([0.8, 0.6], [0.62, 0.6]) + second, 0).startswith("no over- or underfitting")

"""The verdict on a stage, from its losses: on synthetic curves of known kinds, and on single cases."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from runner.training.diagnosis import Diagnosis, Trend, Verdict, diagnose
from tests.training.loss_curves import Line, make_log

RIGHT = {
    "underfit, still falling": Verdict.UNDERFITTING,
    "high plateau": Verdict.UNDERFITTING,
    "still improving": Verdict.IMPROVING,
    "fine": Verdict.NEITHER,
    "gap at a plateau": Verdict.OVERFITTING,
    "overfit": Verdict.OVERFITTING,
    "learned by heart": Verdict.OVERFITTING,
    "diverged": Verdict.DIVERGED,
    "exploded": Verdict.DIVERGED,
    "chance": Verdict.GUESSING,
}
SETTINGS: tuple[dict[str, Any], ...] = (
    {"epochs": 12},
    {"epochs": 30, "noise": 0.003},
    {"cycles": (2, 4, 8), "noise": 0.002},
    {"epochs": 12, "rows": 5000},
    {"epochs": 12, "prior": math.log(120)},
    {"epochs": 12, "with_errors": False},  # a log without the errors of the losses
)


def verdicts(kind: str, **settings: Any) -> list[Verdict]:
    return [diagnose(make_log(kind, seed=seed, **settings), 0).verdict for seed in range(20)]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", RIGHT)
def test_a_curve_of_a_known_kind_has_the_right_verdict(kind: str, settings: dict[str, Any]) -> None:
    found = verdicts(kind, **settings)
    # With noise some cannot be told, which is no mistake; almost none may be told wrong.
    assert found.count(RIGHT[kind]) >= 14
    assert len([verdict for verdict in found if verdict not in (RIGHT[kind], Verdict.TOO_EARLY)]) <= 1


@pytest.mark.parametrize("kind", RIGHT)
def test_after_one_epoch_it_is_too_early_to_tell(kind: str) -> None:
    assert set(verdicts(kind, epochs=1)) == {Verdict.TOO_EARLY}


@pytest.mark.parametrize("kind", RIGHT)
def test_with_few_validation_rows_it_is_too_early_to_tell(kind: str) -> None:
    assert set(verdicts(kind, rows=12)) <= {Verdict.TOO_EARLY, Verdict.DIVERGED}


@pytest.mark.parametrize("kind", ["underfit, still falling", "high plateau", "fine"])
def test_a_curve_of_noise_is_mostly_too_early_to_tell(kind: str) -> None:
    found = verdicts(kind, epochs=8, noise=0.08)
    assert found.count(Verdict.TOO_EARLY) >= 13
    assert Verdict.NEITHER not in found


@pytest.mark.parametrize("noise", [0.0, 0.002, 0.004, 0.01])
@pytest.mark.parametrize("kind", RIGHT)
def test_chance_never_fits_and_more_epochs_help_a_falling_loss(kind: str, noise: float) -> None:
    for seed in range(20):
        diagnosis = diagnose(make_log(kind, seed=seed, noise=noise), 0)
        if kind in ("chance", "learned by heart", "exploded"):
            assert diagnosis.verdict is not Verdict.NEITHER
        if kind in ("underfit, still falling", "still improving"):
            assert "will not help" not in diagnosis.reason


@pytest.mark.parametrize("kind", RIGHT)
def test_folds_are_averaged(kind: str) -> None:
    folds = [line for fold in range(5) for line in make_log(kind, seed=fold, fold=fold)]
    assert diagnose(folds, 0).verdict is RIGHT[kind]


def test_the_error_of_several_folds_is_smaller_and_an_unfinished_fold_does_not_count() -> None:
    one, two = make_log("fine", seed=1, fold=0), make_log("fine", seed=2, fold=1)
    error_of_one, error_of_two = (_error(diagnose(lines, 0)) for lines in (one, one + two))
    assert error_of_two == pytest.approx(error_of_one / math.sqrt(2), rel=0.1)
    assert diagnose(one + two[:1], 0) == diagnose(one, 0)


def _error(diagnosis: Diagnosis) -> float:
    found = re.search(r"validation loss [\d.]+ ± ([\d.]+)", diagnosis.reason)
    assert found is not None
    return float(found[1])


def log(train: list[float], valid: list[float], cycles: tuple[int, ...] = (), **more: Any) -> list[Line]:
    """Lines of 400 validation rows and an error of 0.02, without the losses of mini-batches."""
    ends = {sum(cycles[: n + 1]) - 1 for n in range(len(cycles))} or {len(train) - 1}
    common = {"stage": 0, "prior_loss": 1.6, "prior_error": 0.02, "valid_rows": 400, "valid_error": 0.02}
    pairs = enumerate(zip(train, valid, strict=True))
    return [
        common | {"epoch": epoch, "train_loss": before, "valid_loss": after, "ends_cycle": epoch in ends} | more
        for epoch, (before, after) in pairs
    ]


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        (log([1.1, 0.7, 0.5, 0.45, 0.43, 0.42], [1.0, 0.6, 0.45, 0.42, 0.41, 0.41]), Verdict.NEITHER),
        (log([2.0, 1.5, 1.2], [1.6, 1.1, 0.9]), Verdict.UNDERFITTING),
        (log([1.0, 0.8, 0.6], [1.0, 0.8, 0.6], (1, 2)), Verdict.IMPROVING),
        (log([1.0, 0.5, 0.2], [0.9, 0.6, 0.8]), Verdict.OVERFITTING),
        (log([0.9, 0.7, 0.4], [0.72, 0.7, 0.7], (1, 2)), Verdict.OVERFITTING),
        (log([0.9, 0.3], [1.7, 1.8]), Verdict.OVERFITTING),  # the training rows are memorised
        (log([1.0, 0.1], [0.5, 0.9]), Verdict.OVERFITTING),
        (log([1.62, 1.61, 1.6], [1.61, 1.62, 1.6]), Verdict.GUESSING),
        (log([2.4, 2.3, 2.4], [2.5, 2.6, 2.5]), Verdict.DIVERGED),
        (log([160.0], [48.0]), Verdict.DIVERGED),  # one epoch is enough
        (log([1.0, 0.9], [0.8, 0.79]), Verdict.TOO_EARLY),
        (log([1.0, 0.9, 0.8, 0.7, 0.7], [0.8, 1.2, 0.7, 1.3, 0.9]), Verdict.TOO_EARLY),
        (log([1.2, 0.8, 0.6, 0.5], [1.1, 0.8, 0.6, 0.55], valid_error=0.3, prior_error=0.6), Verdict.TOO_EARLY),
        (log([0.001] * 4, [0.001, 0.0008, 0.001, 0.0009], valid_error=1e-4), Verdict.NEITHER),
        (log([0.0] * 4, [0.0] * 4, valid_error=0.0, prior_error=0.0), Verdict.NEITHER),
    ],
)
def test_the_losses_decide_the_verdict(lines: list[Line], verdict: Verdict) -> None:
    assert diagnose(lines, 0).verdict is verdict


def test_a_loss_that_is_no_number_has_diverged() -> None:
    diagnosis = diagnose(log([1.0, math.nan, math.nan], [0.9, math.nan, math.nan]), 0)
    assert str(diagnosis) == "diverged: the loss is no number from epoch 2 on"


def test_more_epochs_help_while_validation_loss_falls_slowly_in_a_long_cycle() -> None:
    valid = [0.95, 0.88, 0.83, 0.79, 0.76, 0.74, 0.72, 0.7, 0.69, 0.68, 0.67, 0.66]
    diagnosis = diagnose(log([0.9 - 0.035 * epoch for epoch in range(12)], valid), 0)
    assert diagnosis.verdict is Verdict.IMPROVING and diagnosis.trend is Trend.FALLING
    assert diagnosis.reason.startswith("validation loss fell by 0.0771 ± ")


def test_the_restart_of_a_cycle_is_no_rise() -> None:
    lines = log([1.5, 1.2, 1.4, 1.3], [1.3, 1.1, 1.6, 1.5], (2, 4))
    assert diagnose(lines, 0) == diagnose(lines[:2], 0)  # the second cycle has not ended
    lines = log([1.5, 1.2, 1.4, 1.2, 1.0, 0.9], [1.3, 1.1, 1.6, 1.4, 1.0, 0.9], (2, 4))
    assert diagnose(lines, 0).verdict is not Verdict.OVERFITTING


def test_the_reason_has_the_figures() -> None:
    diagnosis = diagnose(log([1.2, 0.8, 0.5, 0.3, 0.15, 0.08], [1.1, 0.8, 0.7, 0.72, 0.8, 0.9]), 0)
    assert str(diagnosis) == (
        "overfitting: validation loss has risen from its lowest, 0.7000, in epoch 3; more epochs will not help "
        "(training loss 0.0800, validation loss 0.9000 ± 0.0200, a constant prediction has 1.6000)"
    )


def test_without_validation_rows_nothing_can_be_seen() -> None:
    lines = [{**line, "valid_loss": None} for line in log([0.8, 0.7], [0.8, 0.7])]
    assert diagnose(lines, 0).verdict is Verdict.NO_VALIDATION
    assert diagnose(lines, 1).verdict is Verdict.NO_VALIDATION


def test_only_the_lines_of_the_stage_count() -> None:
    lines = make_log("fine")
    other = [{**line, "stage": 1} for line in make_log("exploded")]
    assert diagnose(lines + other, 0) == diagnose(lines, 0)

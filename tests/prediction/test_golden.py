"""Golden nested scores: a change of structure must not change a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from runner.prediction.averaging import TTAMode
from runner.prediction.nested_cv import NestedCV
from runner.prediction.out_of_fold import OutOfFold
from tests.prediction.conftest import BINARY, MULTICLASS, MULTILABEL, draw_rows

Read = Callable[[TTAMode], OutOfFold]


def views_of(rows: OutOfFold, noise: float) -> Read:
    """Rows for each TTA mode: one noisy plain view, or the mean of three."""
    random = np.random.default_rng(7)
    views = np.clip(rows.members + random.normal(scale=noise, size=(3, *rows.members.shape)), 0.001, 0.999)
    members = {
        TTAMode.NONE: views[0],
        TTAMode.MEAN: views.mean(axis=0),
        TTAMode.GEOMETRIC_MEAN: np.exp(np.log(views).mean(axis=0)),
    }

    def read(mode: TTAMode) -> OutOfFold:
        values = members[mode]
        if rows.targets.shape[1] == 3:
            values = values / values.sum(axis=2, keepdims=True)
        return replace(rows, members=values.astype(np.float32))

    return read


def with_folds(rows: OutOfFold, folds: int, groups: int) -> OutOfFold:
    numbers = np.arange(len(rows.ids))
    names = tuple(f"group {number % groups}" if number % 3 else "" for number in numbers)
    folds_of_rows = np.where(numbers % 3 > 0, numbers % groups, numbers) % folds
    return replace(rows, folds=folds_of_rows, groups=names)


def with_noise_members(rows: OutOfFold) -> OutOfFold:
    """The first two members know nothing."""
    members = rows.members.copy()
    members[:2] = np.random.default_rng(9).uniform(0.02, 0.98, members[:2].shape)
    return replace(rows, members=members)


CASES = {
    "multiclass, 5 folds": (
        views_of(with_folds(draw_rows(MULTICLASS, 150, 3, seed=1, signal=0.7), 5, 37), 0.1),
        MULTICLASS,
    ),
    "binary, 1 holdout": (views_of(with_noise_members(draw_rows(BINARY, 200, 4, seed=2, signal=0.6)), 0.05), BINARY),
    "multilabel, 2 folds": (
        views_of(with_folds(draw_rows(MULTILABEL, 180, 3, seed=3, signal=0.6), 2, 41), 0.05),
        MULTILABEL,
    ),
}


def run_case(case: Any) -> dict[str, Any]:
    read, task = case
    cv = NestedCV(read, task, tta_modes=tuple(TTAMode))
    nested, postprocess, tta_gain = cv.nested_score(), cv.postprocess(), cv.tta_gain()
    assert tta_gain is not None
    return {
        "plan": str(cv.select_plan()),
        "tta": cv.select_plan().tta.value,
        "outer plans": [str(cv.select_plan(frozenset([fold]))) for fold in range(cv.fold_count)],
        "score": (nested.score.value, nested.score.error),
        "in sample": nested.in_sample,
        "folds": list(nested.folds.values()),
        "values": float(nested.values[:, 0] @ np.arange(len(nested.values))),
        "weights": list(postprocess.weights),
        "calibration": list(postprocess.calibration.to_dict().values()),
        "methods": [method.score.value for method in cv.score_methods()],
        "gains": [member.gain for member in cv.contributions()],
        "solo scores": [member.solo_score for member in cv.contributions()],
        "tta gain": (tta_gain.value, tta_gain.error),
    }


@pytest.mark.parametrize("name", CASES)
def test_nested_scores_are_those_of_before(name: str):
    actual = run_case(CASES[name])
    assert actual.keys() == EXPECTED[name].keys()
    for key, value in EXPECTED[name].items():
        # Digits beyond the ninth depend on the processor's exp and log.
        assert actual[key] == (
            value if isinstance(value, str) or key == "outer plans" else pytest.approx(value, rel=1e-9, abs=1e-12)
        ), key


EXPECTED: dict[str, dict[str, Any]] = {
    "multiclass, 5 folds": {
        "plan": "geometric mean, temperature",
        "tta": "geometric mean",
        "outer plans": [
            "geometric mean, temperature",
            "geometric mean, temperature",
            "geometric mean, temperature",
            "geometric mean, temperature",
            "geometric mean, temperature",
        ],
        "score": (0.2908640932068159, 0.06259418235173311),
        "in sample": 0.2874756032691039,
        "folds": [0.2100498455212848, 0.36399937760021767, 0.3239277090383876, 0.27352704973133074, 0.2830130305704761],
        "values": 2965.050138150207,
        "weights": [0.3333333333333333, 0.3333333333333333, 0.3333333333333333],
        "calibration": [0.5034096135983551, 0.0, 0.0],
        "methods": [
            0.7265765578364405,
            0.32905511469872556,
            0.2908640932068159,
            0.5393450410892953,
            0.4330319243063492,
            0.3194094905175241,
        ],
        "gains": [0.2620504721114281, 0.09774269011643671, 0.15030174773902277],
        "solo scores": [0.5054199807507711, 0.8760861412956576, 0.7448333208595024],
        "tta gain": (0.022215319930849114, 0.0077097902669636745),
    },
    "binary, 1 holdout": {
        "plan": "greedy selection (geometric mean), temperature",
        "tta": "mean",
        "outer plans": [
            "greedy selection (geometric mean), temperature",
            "greedy selection (geometric mean), temperature",
            "greedy selection (geometric mean), temperature",
            "greedy selection (geometric mean), temperature",
            "greedy selection (geometric mean), temperature",
        ],
        "score": (0.421124922666662, 0.040762114447825085),
        "in sample": 0.41522409159392426,
        "folds": [0.421124922666662],
        "values": 9954.90520187406,
        "weights": [0.0, 0.0, 0.5, 0.5],
        "calibration": [0.4875678892193102, 0.0, 0.0],
        "methods": [
            0.5357137613812857,
            0.5906622319205037,
            0.6030494498721625,
            0.5357137613812857,
            0.4237957310629236,
            0.421124922666662,
        ],
        "gains": [0.0, 0.0, 0.1975856617544277, 0.22211480758949764],
        "solo scores": [0.9720922625468709, 0.9535328468534058, 0.5525989554439912, 0.5326951533448355],
        "tta gain": (0.0038834188353656664, 0.0025597472316613106),
    },
    "multilabel, 2 folds": {
        "plan": "geometric mean, temperature, fixed threshold",
        "tta": "geometric mean",
        "outer plans": [
            "geometric mean, temperature, fixed threshold",
            "geometric mean, temperature, threshold per label",
            "geometric mean, fixed threshold",
            "geometric mean, temperature, fixed threshold",
            "geometric mean, temperature, fixed threshold",
        ],
        "score": (0.8102514302623951, 0.018840032634260075),
        "in sample": 0.8273750473860123,
        "folds": [0.8249229635099199, 0.7949130091399828],
        "values": 13854.0,
        "weights": [0.3333333333333333, 0.3333333333333333, 0.3333333333333333],
        "calibration": [0.7709556044657941, 0.0, 0.0],
        "methods": [
            0.7417024447048957,
            0.8089311410744588,
            0.8233186099962416,
            0.7375863538240989,
            0.7980885885652397,
            0.8122515905958889,
        ],
        "gains": [0.03834464194693821, 0.05170759478357523, 0.04171033489596454],
        "solo scores": [0.7603881666865413, 0.7186336312561802, 0.731575024944478],
        "tta gain": (0.01376769563044073, 0.0035867815124744377),
    },
}

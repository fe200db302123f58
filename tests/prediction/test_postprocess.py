"""The postprocess as a value: applied to files, written to JSON, in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runner.errors import RunnerError
from runner.prediction.averaging import Mean, TTAMode
from runner.prediction.calibration import Calibration, CalibrationMethod
from runner.prediction.decisions import DecisionRule, FittedDecision
from runner.prediction.ensemble import EnsembleMethod
from runner.prediction.label_constraints import LabelConstraints
from runner.prediction.out_of_fold import Member
from runner.prediction.postprocess import (
    Postprocess,
    PostprocessPlan,
    read_postprocess,
    read_scored_views,
    read_tta_option,
    write_postprocess,
)
from runner.workspace import read_json, write_json
from tests.prediction.conftest import outputs

DECISION = FittedDecision(DecisionRule.THRESHOLDS, 2, (0.2, 0.31), constraints=LabelConstraints((0, 1), (1,)))
GEOMETRIC = Postprocess(
    ("a", "b"), (0.25, 0.75), Mean.GEOMETRIC, outputs(True), Calibration(1.3, 0.1, 1e-4), tta=TTAMode.GEOMETRIC_MEAN
)
DECIDING = Postprocess(("a",), (1.0,), Mean.ARITHMETIC, outputs(False), Calibration(), DECISION)


def test_members_without_weight_are_not_read_and_folds_share_a_weight():
    postprocess = Postprocess(("a", "b", "c"), (0.5, 0.0, 0.5), Mean.ARITHMETIC, outputs(False))
    names = []

    def read(name: str) -> Iterator[np.ndarray]:
        names.append(name)
        yield np.array([[0.0]])
        if name == "c":
            yield np.array([[1.0]])

    assert postprocess.apply(read).values.tolist() == [[0.25]]
    assert names == ["a", "c"]


@pytest.mark.parametrize("postprocess", [GEOMETRIC, DECIDING])
def test_a_postprocess_comes_back_equal_from_its_file(tmp_path: Path, postprocess: Postprocess):
    path = tmp_path / "postprocess.json"
    members = [Member(name, (), views=("plain", "hflip")) for name in postprocess.members]
    write_postprocess(path, postprocess, members, "all")
    assert read_postprocess(path) == postprocess
    assert read_scored_views(path) == dict.fromkeys(postprocess.members, ("plain", "hflip"))
    assert read_tta_option(path) == "all"


def test_a_postprocess_file_without_a_format_is_refused(tmp_path: Path):
    path = tmp_path / "shapes" / "one" / "postprocess.json"
    write_json(path, GEOMETRIC.to_dict())
    with pytest.raises(RunnerError) as caught:
        read_postprocess(path)
    assert caught.value.fix == "runner shapes predict --run one"


def test_the_keys_of_a_postprocess_file(tmp_path: Path):
    write_postprocess(tmp_path / "postprocess.json", GEOMETRIC, [Member("a", ())])
    assert list(read_json(tmp_path / "postprocess.json")) == [
        "format",
        "tta",
        "mean",
        "outputs",
        "weights",
        "calibration",
        "decision",
        "views",
        "tta_option",
        "checksum",
    ]


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        (PostprocessPlan(), "last snapshot"),
        (PostprocessPlan(EnsembleMethod.MEAN, Mean.GEOMETRIC), "geometric mean"),
        (
            PostprocessPlan(EnsembleMethod.GREEDY, calibration=CalibrationMethod.PLATT_AND_CLIP),
            "greedy selection (arithmetic mean), Platt scaling and clip",
        ),
        (
            PostprocessPlan(EnsembleMethod.BEST, decision=DecisionRule.EXPECTED, constrained=True),
            "best member, expected F-score with constraints",
        ),
    ],
)
def test_a_plan_in_words(plan: PostprocessPlan, text: str):
    assert str(plan) == text

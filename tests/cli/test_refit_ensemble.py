"""An ensemble refitted on all rows: its runs' refits, blended by the weights and the postprocess that were fitted."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from competitions import load
from runner.contract import SIDE_ON, Stage, TrainMode
from runner.images.views import default_views
from runner.options import Compute
from runner.prediction.averaging import average
from runner.prediction.blend import postprocess_file
from runner.prediction.out_of_fold import Member
from runner.prediction.postprocess import (
    read_postprocess,
    read_scored_views,
    read_tta_option,
    write_postprocess,
)
from runner.prediction.predictions import averaged_views, predictions_file, read_view_predictions
from runner.session import Session
from runner.steps.refit_ensemble import refit_ensemble
from runner.training.run import find_run
from runner.workspace import Workspace
from tests.cli.conftest import Result, Runner
from tests.cli.test_predict import run_cli
from tests.competitions import SHAPES, write_plugin

FAST = ("--workers", 0)
STAGES = (Stage(24, TrainMode.FEATURES), Stage(24, TrainMode.UNFROZEN, cycle_len=1))


@pytest.fixture(scope="module")
def blended(tmp_path_factory: pytest.TempPathFactory, shapes_folder: Path) -> Path:
    """A workspace with two heads and a run that trains all layers; `both` blends the heads, `mixed` a head and it."""
    folder = tmp_path_factory.mktemp("blended")
    write_plugin(folder, replace(SHAPES, recipe=replace(SHAPES.recipe, stages=STAGES)))
    run_cli(folder, "shapes", "download", "--from", shapes_folder)
    run_cli(folder, "shapes", "train", "--run", "a", "--linear-probe", *FAST)
    run_cli(folder, "shapes", "train", "--run", "b", "--linear-probe", "--backbone", "test_efficientnet", *FAST)
    run_cli(folder, "shapes", "train", "--run", "whole", *FAST)
    for run in ("a", "b", "whole"):
        run_cli(folder, "shapes", "predict", "--run", run, *FAST)
    run_cli(folder, "shapes", "ensemble", "a", "b", "--name", "both")
    run_cli(folder, "shapes", "ensemble", "a", "whole", "--name", "mixed")
    for name in ("both", "mixed"):
        weigh(folder, name)
    return folder


def weigh(folder: Path, name: str, *, last_alone: bool = False) -> None:
    """Give every model of a run the same weight, or the last one all: what is fitted on so few rows is no matter."""
    path = folder / "runs" / "shapes" / name / "postprocess.json"
    postprocess, views, tta = read_postprocess(path), read_scored_views(path), read_tta_option(path)
    count = len(postprocess.members)
    weights = (0.0,) * (count - 1) + (1.0,) if last_alone else (1 / count,) * count
    members = [Member(name, (), (), views[name]) for name in postprocess.members]
    write_postprocess(path, replace(postprocess, weights=weights), members, tta)


@pytest.fixture
def workspace(blended: Path, workspace_folder: Path) -> Path:
    shutil.copytree(blended, workspace_folder, dirs_exist_ok=True)
    return workspace_folder


def ok(result: Result) -> Result:
    assert result.code == 0, result.err
    return result


def session_of(workspace: Path) -> Session:
    return Session(load("shapes", workspace / "competitions"), Workspace(workspace), compute=Compute("cpu", workers=0))


def submitted(workspace: Path, run: str) -> dict[str, list[float]]:
    with (workspace / "submissions" / "shapes" / f"{run}.csv").open(newline="") as file:
        return {row[0]: [float(value) for value in row[1:]] for row in list(csv.reader(file))[1:]}


def test_the_refits_are_blended_by_the_weights_of_the_ensemble(workspace: Path, cli: Runner) -> None:
    told = ok(cli("shapes", "train", "--all-data", "--run", "both", *FAST))
    assert told.out == "both-all\n"
    session = session_of(workspace)
    refit, original = (find_run(session.workspace, "shapes", name) for name in ("both-all", "both"))
    assert sorted(refit.read_members()) == ["a-all", "b-all"]
    assert refit.read_refit_of() == "both"
    postprocess = read_postprocess(postprocess_file(original))
    files = [
        predictions_file(workspace / "runs/shapes" / f"{run}-all" / "fold-0", model, "test")
        for run, _, model in (name.partition(":") for name in postprocess.members)
    ]
    read, views = [read_view_predictions(path) for path in files], tuple(view.name for view in default_views(SIDE_ON))
    rows = np.arange(len(read[0].ids))
    each = [averaged_views(one, rows, views, postprocess.tta, postprocess.outputs) for one in read]
    mean = average(postprocess.mean, list(zip(postprocess.weights, each, strict=True)), postprocess.outputs)
    wanted = postprocess.calibrate_and_decide(mean).probabilities
    values = submitted(workspace, "both-all")
    np.testing.assert_allclose([values[id] for id in read[0].ids], wanted, atol=2e-5)
    assert values != submitted(workspace, "both")
    score = json.loads((refit.folder / "score.json").read_text())
    assert score["refit_of"] == "both"
    assert score["cv"] == json.loads((original.folder / "score.json").read_text())["cv"]
    ok(cli("shapes", "check", "both-all"))
    again = ok(cli("shapes", "train", "--all-data", "--run", "both", *FAST))
    assert "a-all is trained already" in again.err and "both-all is predicted already" in again.err
    status = {row["run"]: row["status"] for row in json.loads(ok(cli("shapes", "runs", "--json")).out)}
    assert status["both-all"] == "predicted"


def test_only_what_takes_seconds_is_refitted_if_that_is_asked_for(workspace: Path, cli: Runner) -> None:
    session = session_of(workspace)
    run = refit_ensemble(session, find_run(session.workspace, "shapes", "mixed"), in_seconds=True)
    assert sorted(run.read_members()) == ["a-all", "whole"]
    quickly = submitted(workspace, "mixed-all")
    assert quickly != submitted(workspace, "mixed")
    # `train` refits all of them, which is another ensemble.
    refused = cli("shapes", "train", "--all-data", "--run", "mixed", *FAST)
    assert (refused.code, "there is another run named 'mixed-all'" in refused.err) == (2, True)
    assert "fix: runner shapes runs --delete mixed-all" in refused.err
    ok(cli("shapes", "runs", "--delete", "mixed-all", "--yes"))
    ok(cli("shapes", "train", "--all-data", "--run", "mixed", *FAST))
    assert sorted(find_run(session.workspace, "shapes", "mixed-all").read_members()) == ["a-all", "whole-all"]
    assert submitted(workspace, "mixed-all") != quickly


def test_a_refit_is_predicted_by_the_models_that_the_ensemble_uses(workspace: Path, cli: Runner) -> None:
    weigh(workspace, "whole", last_alone=True)
    ok(cli("shapes", "train", "--all-data", "--run", "mixed", *FAST))
    predicted = {path.name for path in (workspace / "runs/shapes/whole-all/fold-0").glob("*.test.npz")}
    mixed = read_postprocess(workspace / "runs/shapes/mixed/postprocess.json").members
    assert predicted == {f"{name.partition(':')[2]}.test.npz" for name in mixed if name.startswith("whole:")}
    assert len(predicted) > 1


def test_it_goes_stale_with_its_ensemble_and_is_made_again(workspace: Path, cli: Runner) -> None:
    ok(cli("shapes", "train", "--all-data", "--run", "both", *FAST))
    weigh(workspace, "both", last_alone=True)
    rows = {row["run"]: row for row in json.loads(ok(cli("shapes", "runs", "--json")).out)}
    assert (rows["both-all"]["status"], rows["both-all"]["note"]) == ("stale", "both has been predicted again")
    ok(cli("shapes", "predict", "--run", "both-all", *FAST))
    assert submitted(workspace, "both-all") == submitted(workspace, "b-all")


def test_a_run_that_has_come_into_the_ensemble_since_is_named(workspace: Path, cli: Runner) -> None:
    weigh(workspace, "both", last_alone=True)
    ok(cli("shapes", "train", "--all-data", "--run", "both", *FAST))
    weigh(workspace, "both")
    refused = cli("shapes", "predict", "--run", "both-all", *FAST)
    assert (refused.code, "both has been fitted again, and a has a weight in it now" in refused.err) == (2, True)


def test_other_commands_know_it(workspace: Path, cli: Runner, shapes_folder: Path) -> None:
    ok(cli("shapes", "train", "--all-data", "--run", "both", *FAST))
    for words, text in (
        (("ensemble", "both-all", "whole"), "name the runs of the ensemble that it is a refit of: both"),
        (("train", "--all-data", "--run", "both-all"), "both-all is a refit of both already"),
        (("predict", "--run", "both-all", "--tta", "none"), "both-all is an ensemble"),
    ):
        refused = cli("shapes", *words)
        assert (refused.code, text in refused.err) == (2, True), refused.err
    compared = json.loads(ok(cli("shapes", "compare", "both-all", "a", "--json")).out)
    assert compared
    ok(cli("shapes", "report", "both-all"))
    page = (workspace / "runs/shapes/both-all/report.html").read_text(encoding="utf-8")
    assert "There are no validation rows: the scores are those of both." in page
    out = workspace / "others.csv"
    ok(cli("shapes", "predict", "--images", shapes_folder / "test", "--run", "both-all", "--out", out, *FAST))
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    values, classes = submitted(workspace, "both-all"), ("akita", "beagle", "collie")
    for row in rows:
        shown = [float(row[name]) for name in classes]
        np.testing.assert_allclose(shown, values[Path(row["image"]).stem], atol=2e-4)
    assert "both-all is an ensemble with it" in ok(cli("shapes", "runs", "--delete", "a-all", "--yes")).err
    assert "both-all is its refit on all data" in ok(cli("shapes", "runs", "--delete", "both", "--yes")).err


def test_an_ensemble_without_a_score_is_not_refitted(workspace: Path, cli: Runner) -> None:
    (workspace / "runs/shapes/both/score.json").unlink()
    refused = cli("shapes", "train", "--all-data", "--run", "both", *FAST)
    assert (refused.code, "both has no score yet, which its refit keeps" in refused.err) == (2, True)

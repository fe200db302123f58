"""Predictions are files, and ensembles come from the files alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runner.cli import run_command
from runner.contract import SIDE_ON, Competition, Stage, TrainMode
from runner.images.views import default_views
from runner.prediction import predict as predict_module
from runner.prediction.predictions import read_view_predictions, write_view_predictions
from tests.cli.conftest import Runner
from tests.competitions import SHAPES, write_plugin

VIEWS = tuple(view.name for view in default_views(SIDE_ON))
NETWORKS = ("average", "snapshot-1", "snapshot-2")


def two_snapshots(name: str, state: TrainMode) -> Competition:
    stages = (Stage(24, TrainMode.FROZEN), Stage(32, state, cycles=2, cycle_len=2))
    return replace(SHAPES, name=name, slug=name, recipe=replace(SHAPES.recipe, stages=stages))


def type_in(folder: Path, *words: object) -> None:
    assert run_command(["--workspace", str(folder), "-q", *map(str, words)]) == 0


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory, shapes_folder: Path) -> Path:
    """Two competitions with the same images, one run each: four folds of a whole network, and of a head."""
    folder = tmp_path_factory.mktemp("trained")
    for name, state in (("shapes", TrainMode.UNFROZEN), ("heads", TrainMode.FEATURES)):
        write_plugin(folder, two_snapshots(name, state))
        type_in(folder, name, "download", "--from", shapes_folder)
    fast = ("--workers", 0, "--batch-size", 32)
    type_in(folder, "shapes", "split", "--folds", 4)
    type_in(folder, "shapes", "train", "--run", "one", *fast)
    type_in(folder, "heads", "train", "--run", "head", *fast)
    return folder


@pytest.fixture
def here(trained_once: Path, workspace_folder: Path) -> Path:
    """A copy of that workspace."""
    shutil.copytree(trained_once, workspace_folder, dirs_exist_ok=True)
    return workspace_folder


@pytest.fixture
def run(here: Path) -> Path:
    return here / "runs" / "shapes" / "one"


def predict(cli: Runner, *flags: object, name: str = "shapes") -> str:
    result = cli(name, "predict", "--workers", 0, *flags)
    assert result.code == 0, result.err
    return result.out


def files_of(run: Path) -> dict[str, int]:
    return {str(path.relative_to(run)): path.stat().st_mtime_ns for path in sorted(run.glob("fold-*/*.npz"))}


def count_predicted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, tuple[str, ...]]]:
    """What the network is asked from now on: snapshot, part and views."""
    asked = []
    plain = predict_module._predict

    def spy(fold, machine, accelerator, network, snapshot, part, views):
        asked.append((f"{fold.number}/{snapshot.name}", part, tuple(view.name for view in views)))
        return plain(fold, machine, accelerator, network, snapshot, part, views)

    monkeypatch.setattr(predict_module, "_predict", spy)
    return asked


def test_each_snapshot_and_fold_has_its_files_and_every_view_is_in_them(run: Path, cli: Runner) -> None:
    predict(cli)
    parts = {f"fold-{k}/{n}.{part}.npz" for k in range(4) for n in NETWORKS for part in ("valid", "test")}
    assert set(files_of(run)) == parts
    result = read_view_predictions(run / "fold-1" / "snapshot-2.test.npz")
    assert result.probabilities.shape == (21, len(VIEWS), 3)
    assert result.probabilities.dtype == np.float32
    assert result.names == VIEWS
    assert result.classes == ("akita", "beagle", "collie")
    assert result.ids == tuple(f"test{row:03d}" for row in range(21))
    np.testing.assert_allclose(result.probabilities.sum(axis=2), 1, atol=1e-6)
    assert not np.allclose(result.probabilities[:, 0], result.probabilities[:, 1])


def test_what_is_there_is_not_computed_again_and_what_is_missing_is(
    run: Path, cli: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(cli, "--snapshots", 1)
    before, submission = files_of(run), (run.parents[2] / "submissions/shapes/one.csv").read_bytes()
    asked = count_predicted(monkeypatch)
    predict(cli, "--snapshots", 1)
    assert asked == []
    (run / "fold-2" / "snapshot-2.valid.npz").unlink()
    predict(cli, "--snapshots", 1)
    assert asked == [("2/snapshot-2", "valid", VIEWS)]
    assert before.keys() == files_of(run).keys()
    assert (run.parents[2] / "submissions/shapes/one.csv").read_bytes() == submission


def test_other_views_are_added_to_the_files_and_the_old_ones_stay(
    run: Path, cli: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(cli, "--snapshots", 1, "--tta", "none")
    plain = read_view_predictions(run / "fold-0" / "snapshot-2.valid.npz")
    asked = count_predicted(monkeypatch)
    predict(cli, "--snapshots", 1)
    assert {views for _, _, views in asked} == {VIEWS[1:]}
    more = read_view_predictions(run / "fold-0" / "snapshot-2.valid.npz")
    assert more.names == VIEWS
    assert np.array_equal(more.probabilities[:, :1], plain.probabilities)
    predict(cli, "--snapshots", 1, "--tta", "none")
    assert json.loads((run / "postprocess.json").read_text())["views"] == ["plain"]
    assert read_view_predictions(run / "fold-0" / "snapshot-2.valid.npz").names == VIEWS


@pytest.mark.parametrize("harm", ["cut off", "other weights", "other rows", "another view of that name"])
def test_a_file_that_is_stale_or_broken_is_written_anew(
    harm: str, run: Path, cli: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(cli, "--snapshots", 1)
    path = run / "fold-3" / "snapshot-2.valid.npz"
    right = read_view_predictions(path)
    if harm == "cut off":
        path.write_bytes(path.read_bytes()[:-200])
    else:
        changes = {
            "other weights": {"weights": "0" * 32},
            "other rows": {"ids": (*right.ids[:-1], "nobody")},
            "another view of that name": {"keys": (right.keys[0], "View('other')", *right.keys[2:])},
        }
        write_view_predictions(
            path, type(right)(**{**right.__dict__, "probabilities": 1 - right.probabilities, **changes[harm]})
        )
    asked = count_predicted(monkeypatch)
    predict(cli, "--snapshots", 1)
    assert [(one, part) for one, part, _ in asked] == [("3/snapshot-2", "valid")]
    if harm == "another view of that name":
        assert asked[0][2] == (VIEWS[1],)
    else:
        np.testing.assert_array_equal(read_view_predictions(path).probabilities, right.probabilities)


def test_predictions_outlive_the_weights(run: Path, cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    predict(cli)
    for path in run.glob("fold-*/*.safetensors"):
        path.unlink()
    asked = count_predicted(monkeypatch)
    predict(cli)
    assert asked == []


def test_a_head_is_predicted_from_activations_and_says_what_the_whole_network_says(
    here: Path, cli: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = here / "runs" / "heads" / "head"
    predict(cli, name="heads")
    quick = read_view_predictions(run / "fold-0" / "snapshot-2.test.npz")
    for path in run.glob("fold-0/*.npz"):
        path.unlink()
    monkeypatch.setattr(predict_module, "_activations", predict_module._images)
    network = predict_module.load_snapshot

    def whole(fold, snapshot):
        loaded = network(fold, snapshot)
        loaded.head = _Whole(loaded)  # what the head is asked, the whole network answers
        return loaded

    monkeypatch.setattr(predict_module, "load_snapshot", whole)
    predict(cli, name="heads")
    slow = read_view_predictions(run / "fold-0" / "snapshot-2.test.npz")
    np.testing.assert_allclose(quick.probabilities, slow.probabilities, atol=1e-5)


class _Whole(predict_module.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.backbone, self.head, self.features = network.backbone, network.head, network.features

    def forward(self, images, tabular):
        return self.head(self.features(images), tabular)


def test_random_views_are_drawn_once_for_all(run: Path, cli: Runner) -> None:
    predict(cli, "--snapshots", 1, "--tta", "random:2")
    path = run / "fold-0" / "snapshot-2.test.npz"
    first = read_view_predictions(path)
    assert first.names == ("plain", "random 1", "random 2")
    assert not np.allclose(first.probabilities[:, 1], first.probabilities[:, 2])
    path.unlink()
    predict(cli, "--snapshots", 1, "--tta", "random:2")
    assert np.array_equal(read_view_predictions(path).probabilities, first.probabilities)


@pytest.mark.parametrize("command", ["predict", "run"])
def test_views_that_do_not_exist_are_refused_before_anything_is_done(command: str, here: Path, cli: Runner) -> None:
    result = cli("shapes", command, "--tta", "many")
    assert result.code == 2
    assert "none|default|all|random:4" in result.err


def test_the_score_names_its_parts_and_the_figure_that_flatters(run: Path, cli: Runner) -> None:
    out = predict(cli)
    score = json.loads((run / "score.json").read_text())
    assert set(score["cv"]) == {"metric", "value", "error", "rows"}
    assert score["cv"]["rows"] == 60
    assert set(score["folds"]) == {"0", "1", "2", "3"}
    assert np.mean(list(score["folds"].values())) == pytest.approx(score["cv"]["value"])
    assert [one["name"] for one in score["members"]] == list(NETWORKS)
    assert sum(one["weight"] for one in score["members"]) == pytest.approx(1)
    assert score["views"]["look"] in ("the plain view", "the mean of the views", "the mean of the views' logs")
    assert score["views"]["error"] > 0
    assert sum(one["chosen"] for one in score["weighings"]) == 1
    assert f"optimistic, fitted on the rows that it is scored on: {score['optimistic']:.5f}" in out
    assert "averaging views gains" in out
    assert "snapshot-1" in out


def test_all_the_data_is_answered_by_the_final_step_of_the_run_it_repeats(run: Path, cli: Runner) -> None:
    predict(cli, "--tta", "none")
    # Weights that nobody would choose, so that they are known again.
    step = json.loads((run / "postprocess.json").read_text())
    step["weights"] = {"average": 0.0, "snapshot-1": 1.0, "snapshot-2": 0.0}
    step["calibration"] = {"temperature": 2.0, "bias": 0.0, "clip": 0.0}
    (run / "postprocess.json").write_text(json.dumps(step))
    assert cli("shapes", "train", "--all-data", "--run", "one", "--workers", 0).code == 0
    predict(cli, "--run", "one-all")
    assert list(files_of(run.parent / "one-all")) == ["fold-0/snapshot-1.test.npz"]
    result = (
        read_view_predictions(run.parent / "one-all" / "fold-0" / "snapshot-1.test.npz")
        .probabilities[:, 0]
        .astype(float)
    )
    softened = np.sqrt(result) / np.sqrt(result).sum(axis=1, keepdims=True)
    lines = (run.parents[2] / "submissions/shapes/one-all.csv").read_text().splitlines()[1:]
    submitted = np.array([[float(cell) for cell in line.split(",")[1:]] for line in lines])
    np.testing.assert_allclose(submitted, softened, rtol=1e-6)


def test_one_run_is_fitted_anew_from_files_alone_and_comes_out_the_same(here: Path, run: Path, cli: Runner) -> None:
    predict(cli)
    path = here / "submissions/shapes/one.csv"
    before = {one: one.read_bytes() for one in (path, run / "score.json", run / "postprocess.json", run / "truth.npz")}
    for one in before:
        if one.name != "truth.npz":
            one.unlink()
    shutil.rmtree(here / "cache", ignore_errors=True)
    for folder in ("train", "test"):
        shutil.rmtree(here / "data" / "shapes" / folder)
    for weights in run.glob("fold-*/*.safetensors"):
        weights.unlink()
    result = cli("shapes", "ensemble", "one")
    assert result.code == 0, result.err
    assert str(path) in result.out
    assert {one: one.read_bytes() for one in before if one.name != "truth.npz"} == {
        one: content for one, content in before.items() if one.name != "truth.npz"
    }


def second_run(here: Path, cli: Runner, *flags: object) -> Path:
    assert cli("shapes", "train", "--run", "two", "--seed", 9, "--workers", 0, "--size", 24, *flags).code == 0
    predict(cli, "--run", "two", "--tta", "none")
    return here / "runs" / "shapes" / "two"


def test_runs_are_blended_into_a_run_that_can_be_checked_listed_and_fitted_anew(
    here: Path, run: Path, cli: Runner
) -> None:
    predict(cli)
    second_run(here, cli)
    result = cli("shapes", "ensemble", "one", "two", "--name", "both")
    assert result.code == 0, result.err
    both = here / "runs" / "shapes" / "both"
    score = json.loads((both / "score.json").read_text())
    assert {one["name"] for one in score["members"]} == {
        "one:average",
        "one:snapshot-1",
        "one:snapshot-2",
        "two:snapshot-0",
    }
    assert (both / "folds.csv").read_bytes() == (run / "folds.csv").read_bytes()
    assert cli("shapes", "check", here / "submissions/shapes/both.csv").code == 0
    listed = {one["run"]: one for one in json.loads(cli("shapes", "runs", "--json").out)}
    assert listed["both"]["cv"] == score["cv"]["value"]
    assert listed["both"]["recipe"] == "ensemble of one, two"
    before = (here / "submissions/shapes/both.csv").read_bytes()
    (here / "submissions/shapes/both.csv").unlink()
    assert predict(cli, "--run", "both")
    assert (here / "submissions/shapes/both.csv").read_bytes() == before
    again = cli("shapes", "ensemble", "one", "two")
    assert str(here / "submissions/shapes/both.csv") in again.out  # not another one of the same members
    trained = cli("shapes", "train", "--resume", "--run", "both")
    assert trained.code == 2
    assert "nothing to train" in trained.err
    nested = cli("shapes", "ensemble", "both", "one")
    assert nested.code == 2
    assert "name the runs that it is made of: one two" in nested.err


def test_what_would_leak_or_is_not_there_is_refused(here: Path, run: Path, cli: Runner) -> None:
    result = cli("shapes", "ensemble", "one")
    assert (result.code, "runner shapes predict --run one" in result.err) == (1, True)
    predict(cli, "--snapshots", 1, "--tta", "none")
    second_run(here, cli, "--folds", 3)
    result = cli("shapes", "ensemble", "one", "two")
    assert result.code == 1
    assert "cannot be blended without a leak" in result.err
    assert cli("shapes", "train", "--all-data", "--run", "one", "--workers", 0).code == 0
    result = cli("shapes", "ensemble", "one", "one-all")
    assert result.code == 2
    assert "learned from all rows" in result.err
    assert "no run 'three'" in cli("shapes", "ensemble", "one", "three").err


def test_labels_that_were_planted_in_one_run_are_refused(here: Path, run: Path, cli: Runner) -> None:
    from runner.prediction.oof_targets import Truth, read_oof_targets, write_oof_targets

    predict(cli, "--snapshots", 1, "--tta", "none")
    second = second_run(here, cli)
    truth = read_oof_targets(second / "truth.npz")
    planted = np.roll(truth.targets, 1, axis=1)
    write_oof_targets(second / "truth.npz", Truth(truth.ids, truth.classes, planted, truth.groups))
    result = cli("shapes", "ensemble", "one", "two")
    assert result.code == 1
    assert "scored on other labels" in result.err


def test_folds_trained_elsewhere_are_picked_up_and_missing_ones_are_said(
    here: Path, run: Path, cli: Runner, tmp_path: Path
) -> None:
    predict(cli)
    whole = (here / "submissions/shapes/one.csv").read_bytes()
    elsewhere = tmp_path / "fold-1"
    (run / "fold-1").rename(elsewhere)
    result = cli("shapes", "predict", "--workers", 0)
    assert result.code == 0, result.err
    assert "fold 1 is not trained and is left out" in result.err
    assert json.loads((run / "score.json").read_text())["cv"]["rows"] == 45
    result = cli("shapes", "ensemble", "one")
    assert "one: fold-1 has no predictions and is left out" in result.err
    elsewhere.rename(run / "fold-1")
    result = cli("shapes", "ensemble", "one")
    assert (result.code, result.err) == (0, "")
    assert json.loads((run / "score.json").read_text())["cv"]["rows"] == 60
    assert (here / "submissions/shapes/one.csv").read_bytes() == whole

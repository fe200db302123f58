"""Predictions are files, and ensembles come from the files alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from competitions import load
from runner.cli import run_command
from runner.contract import SIDE_ON, Competition, Solver, Stage, TrainMode
from runner.images.center_crop import CenterCrop
from runner.images.views import default_views
from runner.options import Compute
from runner.prediction import predict as predict_module
from runner.prediction.out_of_fold import OofTargets, read_oof_targets, write_oof_targets
from runner.prediction.predictions import read_view_predictions, write_view_predictions
from runner.session import Session
from runner.training.fold import load_snapshot
from runner.training.folds import build_folds
from runner.training.run import find_run
from runner.workspace import Workspace
from tests.cli.conftest import Runner
from tests.competitions import SHAPES, write_plugin

VIEWS = tuple(view.name for view in default_views(SIDE_ON))
MODELS = ("swa", "snapshot-0", "snapshot-1", "snapshot-2")


def two_snapshots(name: str, state: TrainMode) -> Competition:
    stages = (Stage(24, TrainMode.FROZEN), Stage(32, state, cycles=2, cycle_len=2, solver=Solver.SGDR, min_steps=0))
    return replace(SHAPES, name=name, slug=name, recipe=replace(SHAPES.recipe, stages=stages))


def run_cli(folder: Path, *words: object) -> None:
    assert run_command(["--workspace", str(folder), "-q", *map(str, words)]) == 0


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory, shapes_folder: Path) -> Path:
    """Two competitions with the same images, one run each: four folds of a whole network, and of a head."""
    folder = tmp_path_factory.mktemp("trained")
    for name, state in (("shapes", TrainMode.UNFROZEN), ("heads", TrainMode.FEATURES)):
        write_plugin(folder, two_snapshots(name, state))
        run_cli(folder, name, "download", "--from", shapes_folder)
    fast = ("--workers", 0, "--batch-size", 32)
    run_cli(folder, "shapes", "split", "--folds", 4)
    run_cli(folder, "shapes", "train", "--run", "one", *fast)
    run_cli(folder, "heads", "train", "--run", "head", *fast)
    return folder


@pytest.fixture
def workspace_dir(trained_once: Path, workspace_folder: Path) -> Path:
    """A copy of that workspace."""
    shutil.copytree(trained_once, workspace_folder, dirs_exist_ok=True)
    return workspace_folder


@pytest.fixture
def run(workspace_dir: Path) -> Path:
    return workspace_dir / "runs" / "shapes" / "one"


@pytest.fixture(scope="session")
def predicted_once(trained_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of that workspace in which every snapshot of the whole networks is predicted."""
    folder = tmp_path_factory.mktemp("predicted")
    shutil.copytree(trained_once, folder, dirs_exist_ok=True)
    run_cli(folder, "shapes", "predict", "--workers", 0)
    return folder


@pytest.fixture
def predicted(predicted_once: Path, workspace_folder: Path) -> Path:
    """The run in a copy of the predicted workspace."""
    shutil.copytree(predicted_once, workspace_folder, dirs_exist_ok=True)
    return workspace_folder / "runs" / "shapes" / "one"


def predict(cli: Runner, *flags: object, name: str = "shapes") -> str:
    result = cli(name, "predict", "--workers", 0, *flags)
    assert result.code == 0, result.err
    return result.out


def files_of(run: Path) -> dict[str, int]:
    return {str(path.relative_to(run)): path.stat().st_mtime_ns for path in sorted(run.glob("fold-*/*.npz"))}


def count_predicted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, tuple[str, ...]]]:
    """The list to which every computed prediction is added: fold/model, subset, views."""
    computed = []
    compute = predict_module.predict_rows

    def spy(fold, network, model, rows, views, *, title):
        computed.append((f"{fold.number}/{model.name}", title.split()[-1], tuple(view.name for view in views)))
        return compute(fold, network, model, rows, views, title=title)

    monkeypatch.setattr(predict_module, "predict_rows", spy)
    return computed


def test_predict_writes_a_file_per_snapshot_fold_and_subset(run: Path, cli: Runner) -> None:
    predict(cli)
    parts = {f"fold-{k}/{n}.{part}.npz" for k in range(4) for n in MODELS for part in ("valid", "test")}
    assert set(files_of(run)) == parts
    result = read_view_predictions(run / "fold-1" / "snapshot-2.test.npz")
    assert result.probabilities.shape == (21, len(VIEWS), 3)
    assert result.probabilities.dtype == np.float32
    assert result.views == VIEWS
    assert result.classes == ("akita", "beagle", "collie")
    assert result.ids == tuple(f"test{row:03d}" for row in range(21))
    np.testing.assert_allclose(result.probabilities.sum(axis=2), 1, atol=1e-6)
    assert not np.allclose(result.probabilities[:, 0], result.probabilities[:, 1])


def test_predict_computes_only_missing_files(run: Path, cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    predict(cli, "--snapshots", 1)
    before, submission = files_of(run), (run.parents[2] / "submissions/shapes/one.csv").read_bytes()
    computed = count_predicted(monkeypatch)
    predict(cli, "--snapshots", 1)
    assert computed == []
    (run / "fold-2" / "snapshot-2.valid.npz").unlink()
    predict(cli, "--snapshots", 1)
    assert computed == [("2/snapshot-2", "valid", VIEWS)]
    assert before.keys() == files_of(run).keys()
    assert (run.parents[2] / "submissions/shapes/one.csv").read_bytes() == submission


def test_predict_adds_other_views_to_the_files(run: Path, cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    predict(cli, "--snapshots", 1, "--tta", "none")
    plain = read_view_predictions(run / "fold-0" / "snapshot-2.valid.npz")
    computed = count_predicted(monkeypatch)
    predict(cli, "--snapshots", 1)
    assert {views for _, _, views in computed} == {VIEWS[1:]}
    more = read_view_predictions(run / "fold-0" / "snapshot-2.valid.npz")
    assert more.views == VIEWS
    assert np.array_equal(more.probabilities[:, :1], plain.probabilities)
    predict(cli, "--snapshots", 1, "--tta", "none")
    assert json.loads((run / "postprocess.json").read_text())["views"] == {"snapshot-2": ["plain"]}
    assert read_view_predictions(run / "fold-0" / "snapshot-2.valid.npz").views == VIEWS


@pytest.mark.parametrize("damage", ["cut off", "other weights", "other rows", "another view of that name"])
def test_a_stale_or_damaged_prediction_file_is_replaced(
    damage: str, run: Path, cli: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(cli, "--snapshots", 1)
    path = run / "fold-3" / "snapshot-2.valid.npz"
    intact = read_view_predictions(path)
    if damage == "cut off":
        path.write_bytes(path.read_bytes()[:-200])
    else:
        changes = {
            "other weights": {"weights_digest": "0" * 32},
            "other rows": {"ids": (*intact.ids[:-1], "another")},
            "another view of that name": {"view_ids": (intact.view_ids[0], "View('other')", *intact.view_ids[2:])},
        }
        write_view_predictions(
            path, type(intact)(**{**intact.__dict__, "probabilities": 1 - intact.probabilities, **changes[damage]})
        )
    computed = count_predicted(monkeypatch)
    predict(cli, "--snapshots", 1)
    assert [(item, part) for item, part, _ in computed] == [("3/snapshot-2", "valid")]
    if damage == "another view of that name":
        assert computed[0][2] == (VIEWS[1],)
    else:
        np.testing.assert_array_equal(read_view_predictions(path).probabilities, intact.probabilities)


def test_predictions_are_usable_without_the_weights(
    predicted: Path, cli: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in predicted.glob("fold-*/*.safetensors"):
        path.unlink()
    computed = count_predicted(monkeypatch)
    predict(cli)
    assert computed == []


def test_cached_features_give_the_predictions_of_the_network(
    workspace_dir: Path, cli: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Features are in single precision, as are then the images that the network sees.
    monkeypatch.setattr("runner.training.distributed.cpu_has_bf16", lambda: False)
    run = workspace_dir / "runs" / "heads" / "head"
    predict(cli, "--snapshots", 2, name="heads")
    quick = read_view_predictions(run / "fold-0" / "snapshot-2.test.npz")
    for path in run.glob("fold-0/*.npz"):
        path.unlink()
    monkeypatch.setattr(predict_module, "_feature_loader", predict_module._image_loader)
    load_snapshot = predict_module.load_snapshot

    def load_without_features(fold, snapshot):
        network = load_snapshot(fold, snapshot)
        network.head = _OnImages(network)
        return network

    monkeypatch.setattr(predict_module, "load_snapshot", load_without_features)
    predict(cli, "--snapshots", 2, name="heads")
    slow = read_view_predictions(run / "fold-0" / "snapshot-2.test.npz")
    np.testing.assert_allclose(quick.probabilities, slow.probabilities, atol=1e-5)


class _OnImages(predict_module.nn.Module):
    """The network's logits, in the place of its head."""

    def __init__(self, network):
        super().__init__()
        self.backbone, self.head, self.forward_features = network.backbone, network.head, network.forward_features

    def forward(self, images, tabular):
        return self.head(self.forward_features(images), tabular)


def test_random_views_are_the_same_for_all_snapshots(run: Path, cli: Runner) -> None:
    predict(cli, "--snapshots", 1, "--tta", "random:2")
    path = run / "fold-0" / "snapshot-2.test.npz"
    first = read_view_predictions(path)
    assert first.views == ("plain", "random 1", "random 2")
    assert not np.allclose(first.probabilities[:, 1], first.probabilities[:, 2])
    path.unlink()
    predict(cli, "--snapshots", 1, "--tta", "random:2")
    assert np.array_equal(read_view_predictions(path).probabilities, first.probabilities)


@pytest.mark.parametrize(("name", "run_name"), [("shapes", "one"), ("heads", "head")])
def test_predictions_at_another_size_are_those_of_the_network_at_that_size(
    name: str, run_name: str, workspace_dir: Path, cli: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In single precision, as the network is called here.
    monkeypatch.setattr("runner.training.distributed.cpu_has_bf16", lambda: False)
    predict(cli, "--snapshots", 1, "--size", 44, name=name)
    session = Session(
        load(name, workspace_dir / "competitions"), Workspace(workspace_dir), compute=Compute("cpu", workers=0)
    )
    (fold, *_) = build_folds(session, find_run(session.workspace, name, run_name))
    (snapshot,) = fold.read_snapshots()[-1:]
    assert snapshot.size == 32
    network = load_snapshot(fold, snapshot).eval()
    for subset, rows in (("valid", fold.valid), ("test", fold.test)):
        images, plain = rows.images(44), CenterCrop(SIDE_ON, 44)
        batch = np.stack([plain(images[row], 0) for row in rows.rows])
        with torch.inference_mode():
            logits = network(torch.from_numpy(batch).movedim(-1, 1), torch.zeros(len(batch), 0))
        found = read_view_predictions(fold.folder / f"{snapshot.name}.{subset}.npz")
        assert found.views == tuple(f"{view} at 44 px" for view in VIEWS)
        np.testing.assert_allclose(found.probabilities[:, 0], logits.softmax(dim=1), atol=1e-5)


def test_another_size_takes_the_place_of_the_predictions_until_it_is_left_out(
    run: Path, cli: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(cli, "--snapshots", 1)
    submission = run.parents[2] / "submissions/shapes/one.csv"
    results = (submission, run / "score.json", run / "postprocess.json", run / "sources.json")
    before = [path.read_bytes() for path in results]
    trained_at = read_view_predictions(run / "fold-1" / "snapshot-2.test.npz")
    computed = count_predicted(monkeypatch)
    predict(cli, "--snapshots", 1, "--size", 44)
    views = tuple(f"{view} at 44 px" for view in VIEWS)
    assert {item for item, _, _ in computed} == {f"{fold}/snapshot-2" for fold in range(4)}
    assert {of_model for _, _, of_model in computed} == {views}
    assert [path.read_bytes() == old for path, old in zip(results, before, strict=True)] == [False] * 4
    report = cli("shapes", "report", "one")
    assert report.code == 0, report.err
    page = (run / "report.html").read_text()
    assert "Predicted at another size than trained at: snapshot-2 at 44 px." in page
    computed.clear()
    at_44 = submission.read_bytes()
    again = cli("shapes", "predict", "--workers", 0, "--snapshots", 1, "--size", 44)
    assert "one is predicted already" in again.err
    assert cli("shapes", "ensemble", "one").code == 0
    assert submission.read_bytes() == at_44
    submission.write_bytes(at_44 + b"\n")
    refused = cli("shapes", "submit", "one")
    assert "fix: runner shapes predict --run one --snapshots 1 --size 44" in refused.err
    predict(cli, "--snapshots", 1)
    assert computed == []
    assert [path.read_bytes() for path in results] == before
    kept = read_view_predictions(run / "fold-1" / "snapshot-2.test.npz")
    assert set(kept.views) == {*VIEWS, *views}
    assert np.array_equal(kept.take(VIEWS), trained_at.probabilities)
    assert not np.allclose(kept.take(views), trained_at.probabilities)


def test_files_without_a_postprocess_are_blended_at_one_size(predicted: Path, cli: Runner) -> None:
    score = (predicted / "score.json").read_bytes()
    predict(cli, "--size", 44)
    predict(cli)
    assert (predicted / "score.json").read_bytes() == score
    (predicted / "postprocess.json").unlink()
    assert cli("shapes", "ensemble", "one").code == 0
    views = json.loads((predicted / "postprocess.json").read_text())["views"]
    assert {tuple(names) for names in views.values()} == {tuple(f"{view} at 44 px" for view in VIEWS)}


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (8, "--size 8: must be from 16 to 96 px, 4 times the 24 px that snapshot-0 was trained at"),
        (97, "--size 97: must be from 16 to 96 px, 4 times the 24 px that snapshot-0 was trained at"),
    ],
)
def test_a_size_that_makes_no_sense_is_refused(size: int, told: str, predicted: Path, cli: Runner) -> None:
    before = files_of(predicted)
    result = cli("shapes", "predict", "--size", size)
    assert (result.code, told in result.err) == (2, True)
    assert f"--size {min(max(size, 16), 96)}" in result.err.partition("fix:")[2]
    assert files_of(predicted) == before


def test_a_backbone_that_takes_one_size_alone_is_told(run: Path, cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    load_snapshot = predict_module.load_snapshot

    def of_fixed_size(fold, snapshot):
        network = load_snapshot(fold, snapshot)
        network.backbone.register_forward_pre_hook(_require_32_px)
        return network

    monkeypatch.setattr(predict_module, "load_snapshot", of_fixed_size)
    refused = cli("shapes", "predict", "--workers", 0, "--size", 48, "--snapshots", 1)
    assert refused.code == 2
    assert "trained at 32 px, cannot predict at 48 px: Input height (48) doesn't match model (32)" in refused.err
    assert "fix: leave --size out: runner shapes predict --run one" in refused.err
    assert files_of(run) == {}


def _require_32_px(_, inputs):
    assert inputs[0].shape[-1] == 32, f"Input height ({inputs[0].shape[-1]}) doesn't match model (32)."


def test_a_refit_is_predicted_at_the_size_of_its_original(run: Path, cli: Runner) -> None:
    predict(cli, "--tta", "none", "--size", 40)
    assert cli("shapes", "train", "--all-data", "--run", "one", "--workers", 0).code == 0
    refused = cli("shapes", "predict", "--run", "one-all", "--size", 48)
    assert refused.code == 2
    assert "its views, snapshots and size are those of one" in refused.err
    predict(cli, "--run", "one-all")
    submission = run.parents[2] / "submissions/shapes/one-all.csv"
    refit = run.parent / "one-all"
    (first, *_) = sorted(refit.glob("fold-0/*.test.npz"))
    assert read_view_predictions(first).views == ("plain at 40 px",)
    at_40 = submission.read_bytes()
    predict(cli, "--run", "one", "--tta", "none")
    listed = {row["run"]: row for row in json.loads(cli("shapes", "runs", "--json").out)}
    assert (listed["one-all"]["status"], listed["one-all"]["note"]) == ("stale", "one has been predicted again")
    predict(cli, "--run", "one-all")
    assert submission.read_bytes() != at_40
    assert "plain" in {view for path in refit.glob("fold-0/*.test.npz") for view in read_view_predictions(path).views}


@pytest.mark.parametrize("command", ["predict", "run"])
def test_unknown_views_are_refused_before_training(command: str, workspace_dir: Path, cli: Runner) -> None:
    result = cli("shapes", command, "--tta", "many")
    assert result.code == 2
    assert "is not none, default, all or random:N" in result.err


def test_predict_prints_the_parts_of_the_score(predicted: Path, cli: Runner) -> None:
    out = predict(cli)
    score = json.loads((predicted / "score.json").read_text())
    assert set(score["cv"]) == {"metric", "value", "error", "rows"}
    assert score["cv"]["rows"] == 60
    assert set(score["folds"]) == {"0", "1", "2", "3"}
    assert np.mean(list(score["folds"].values())) == pytest.approx(score["cv"]["value"])
    assert [item["name"] for item in score["members"]] == list(MODELS)
    assert sum(item["weight"] for item in score["members"]) == pytest.approx(1)
    assert score["tta"]["mode"] in ("none", "mean", "geometric mean")
    assert score["tta"]["error"] > 0
    assert sum(item["chosen"] for item in score["methods"]) == 1
    assert f"in-sample (biased, not the CV score): {score['in_sample']:.5f}" in out
    assert "gain of averaging views" in out
    assert "snapshot-1" in out


def test_a_refit_uses_the_postprocess_of_its_original(run: Path, cli: Runner) -> None:
    predict(cli, "--tta", "none")
    # Weights that no fit would choose, so that they are recognised.
    step = json.loads((run / "postprocess.json").read_text())
    step["weights"] = dict.fromkeys(MODELS, 0.0) | {"snapshot-1": 1.0}
    step["calibration"] = {"temperature": 2.0, "bias": 0.0, "clip": 0.0}
    del step["checksum"]
    (run / "postprocess.json").write_text(json.dumps(step))
    assert cli("shapes", "train", "--all-data", "--run", "one", "--workers", 0).code == 0
    predict(cli, "--run", "one-all")
    assert list(files_of(run.parent / "one-all")) == ["fold-0/snapshot-1.test.npz"]
    result = (
        read_view_predictions(run.parent / "one-all" / "fold-0" / "snapshot-1.test.npz")
        .probabilities[:, 0]
        .astype(float)
    )
    softer = np.sqrt(result) / np.sqrt(result).sum(axis=1, keepdims=True)
    lines = (run.parents[2] / "submissions/shapes/one-all.csv").read_text().splitlines()[1:]
    submitted = np.array([[float(cell) for cell in line.split(",")[1:]] for line in lines])
    np.testing.assert_allclose(submitted, softer, rtol=1e-6)


def test_ensemble_of_one_run_repeats_its_postprocess(predicted: Path, cli: Runner) -> None:
    run, workspace_dir = predicted, predicted.parents[2]
    path = workspace_dir / "submissions/shapes/one.csv"
    before = {
        item: item.read_bytes()
        for item in (path, run / "score.json", run / "postprocess.json", run / "oof_targets.npz")
    }
    for item in before:
        if item.name != "oof_targets.npz":
            item.unlink()
    shutil.rmtree(workspace_dir / "cache", ignore_errors=True)
    for folder in ("train", "test"):
        shutil.rmtree(workspace_dir / "data" / "shapes" / folder)
    for weights in run.glob("fold-*/*.safetensors"):
        weights.unlink()
    result = cli("shapes", "ensemble", "one")
    assert result.code == 0, result.err
    assert str(path) in result.out
    assert {item: item.read_bytes() for item in before if item.name != "oof_targets.npz"} == {
        item: content for item, content in before.items() if item.name != "oof_targets.npz"
    }


def second_run(workspace_dir: Path, cli: Runner, *flags: object) -> Path:
    assert cli("shapes", "train", "--run", "two", "--seed", 9, "--workers", 0, "--size", 24, *flags).code == 0
    predict(cli, "--run", "two", "--tta", "none")
    return workspace_dir / "runs" / "shapes" / "two"


def test_ensemble_makes_a_run_that_can_be_repeated(predicted: Path, cli: Runner) -> None:
    run, workspace_dir = predicted, predicted.parents[2]
    second_run(workspace_dir, cli)
    result = cli("shapes", "ensemble", "one", "two", "--name", "both")
    assert result.code == 0, result.err
    both = workspace_dir / "runs" / "shapes" / "both"
    score = json.loads((both / "score.json").read_text())
    assert {item["name"] for item in score["members"]} == {
        *(f"one:{model}" for model in MODELS),
        "two:snapshot-0",
    }
    assert (both / "folds.csv").read_bytes() == (run / "folds.csv").read_bytes()
    assert cli("shapes", "check", workspace_dir / "submissions/shapes/both.csv").code == 0
    listed = {item["run"]: item for item in json.loads(cli("shapes", "runs", "--json").out)}
    assert listed["both"]["cv"] == score["cv"]["value"]
    assert listed["both"]["recipe"] == "ensemble of one, two"
    before = (workspace_dir / "submissions/shapes/both.csv").read_bytes()
    (workspace_dir / "submissions/shapes/both.csv").unlink()
    assert predict(cli, "--run", "both")
    assert (workspace_dir / "submissions/shapes/both.csv").read_bytes() == before
    again = cli("shapes", "ensemble", "one", "two")
    assert str(workspace_dir / "submissions/shapes/both.csv") in again.out  # the same members: no new ensemble
    trained = cli("shapes", "train", "--resume", "--run", "both")
    assert trained.code == 2
    assert "nothing to train" in trained.err
    nested = cli("shapes", "ensemble", "both", "one")
    assert nested.code == 2
    assert "name its runs instead: runner shapes ensemble one two" in nested.err


def test_ensemble_refuses_leaks_and_missing_runs(workspace_dir: Path, run: Path, cli: Runner) -> None:
    result = cli("shapes", "ensemble", "one")
    assert (result.code, "runner shapes predict --run one" in result.err) == (1, True)
    predict(cli, "--snapshots", 1, "--tta", "none")
    second_run(workspace_dir, cli, "--folds", 3)
    result = cli("shapes", "ensemble", "one", "two")
    assert result.code == 1
    assert "cannot be averaged without a leak" in result.err
    assert cli("shapes", "train", "--all-data", "--run", "one", "--workers", 0).code == 0
    result = cli("shapes", "ensemble", "one", "one-all")
    assert result.code == 2
    assert "was trained on all rows" in result.err
    assert "no run 'three'" in cli("shapes", "ensemble", "one", "three").err


@pytest.mark.slow
def test_ensemble_refuses_runs_with_other_labels(workspace_dir: Path, run: Path, cli: Runner) -> None:
    predict(cli, "--snapshots", 1, "--tta", "none")
    second = second_run(workspace_dir, cli)
    targets = read_oof_targets(second / "oof_targets.npz")
    planted = (targets.targets + 1) % len(targets.classes)
    write_oof_targets(second / "oof_targets.npz", OofTargets(targets.ids, targets.classes, planted, targets.groups))
    result = cli("shapes", "ensemble", "one", "two")
    assert result.code == 1
    assert "scored on different labels" in result.err


def test_folds_trained_elsewhere_count_and_missing_ones_are_named(predicted: Path, cli: Runner, tmp_path: Path) -> None:
    run, workspace_dir = predicted, predicted.parents[2]
    complete = (workspace_dir / "submissions/shapes/one.csv").read_bytes()
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
    assert (result.code, "is left out" in result.err) == (0, False)
    assert json.loads((run / "score.json").read_text())["cv"]["rows"] == 60
    assert (workspace_dir / "submissions/shapes/one.csv").read_bytes() == complete


def test_other_images_are_predicted_to_stdout_or_a_file(
    workspace_dir: Path, run: Path, cli: Runner, tmp_path: Path
) -> None:
    predict(cli, "--snapshots", 1)
    folder = workspace_dir / "data" / "shapes" / "test"
    printed = cli("shapes", "predict", "--images", folder)
    assert printed.code == 0, printed.err
    lines = printed.out.splitlines()
    assert (lines[0], len(lines)) == ("image,akita,beagle,collie,prediction", 22)
    out = tmp_path / "own.csv"
    assert cli("shapes", "predict", "--images", folder / "*.jpg", "--run", run.name, "--out", out).out == f"{out}\n"
    assert sorted(out.read_text().splitlines()) == sorted(lines)
    result = json.loads(cli("shapes", "predict", "--images", folder, "--out", out, "--json").out)
    assert result == {"predicted": 21, "file": str(out), "unreadable": []}
    for words in (
        ("--out", out),
        ("--images", folder, "--json"),
        ("--images", folder, "--tta", "all"),
        ("--images", folder, "--size", 40),
    ):
        assert cli("shapes", "predict", *words).code == 2
    missing = cli("shapes", "predict", "--images", tmp_path / "gone")
    assert "there is no such folder, and no file of this pattern" in missing.err


def test_a_run_is_exported(run: Path, cli: Runner, tmp_path: Path) -> None:
    predict(cli, "--snapshots", 1)
    result = cli("shapes", "export", run.name, tmp_path / "out")
    assert result.code == 0, result.err
    assert result.out.splitlines()[0] == "README.md, export.json, images.py, model.pt, predict.py"
    assert "from the run's own, on 16 test images" in result.out
    again = cli("shapes", "export", run.name, tmp_path / "out", "--json")
    assert again.code == 2
    assert "there is something of this name already" in again.out

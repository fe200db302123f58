"""Nothing is stale unnoticed: a result knows what it was made from, and `runs` says what each run is."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner import __version__
from runner.cli import run_command
from runner.contract import Stage, TrainMode
from runner.steps import predict as predict_step
from runner.training.trainer import StageTrainer
from tests.cli.conftest import Result, Runner
from tests.competitions import SHAPES, write_plugin

RECIPE = replace(SHAPES.recipe, stages=(Stage(24, TrainMode.UNFROZEN, cycles=2),), batch_size=32)
NO_WORKERS = ("--workers", "0")
CHECKED_RESULTS = ("score.json", "postprocess.json", "sources.json", "whole.csv")


def run_cli(folder: Path, *words: str) -> int:
    return run_command(["--workspace", str(folder), "-q", "shapes", *words])


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory, shapes_folder: Path) -> Path:
    """Two predicted runs: one was interrupted after its first of two epochs, one is finished."""
    folder = tmp_path_factory.mktemp("stale")
    write_plugin(folder, replace(SHAPES, recipe=RECIPE))
    assert run_cli(folder, "download", "--from", str(shapes_folder)) == 0
    fit_epoch = StageTrainer.fit_epoch

    def interrupted(self: StageTrainer, epoch: Any) -> None:
        if epoch.number == 1:
            raise KeyboardInterrupt
        fit_epoch(self, epoch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StageTrainer, "fit_epoch", interrupted)
        assert run_cli(folder, "train", "--run", "half", *NO_WORKERS) == 130
    assert run_cli(folder, "predict", "--run", "half", *NO_WORKERS) == 0
    assert run_cli(folder, "train", "--run", "whole", "--seed", "1", *NO_WORKERS) == 0
    assert run_cli(folder, "predict", "--run", "whole", *NO_WORKERS) == 0
    return folder


@pytest.fixture
def workspace_dir(trained_once: Path, workspace_folder: Path) -> Path:
    """A copy of that workspace."""
    shutil.copytree(trained_once, workspace_folder, dirs_exist_ok=True)
    return workspace_folder


def runs(cli: Runner) -> dict[str, dict[str, Any]]:
    return {row["run"]: row for row in json.loads(cli("shapes", "runs", "--json").out)}


def status(cli: Runner, name: str) -> tuple[str, str]:
    row = runs(cli)[name]
    return row["status"], row["note"]


def ok(result: Result) -> Result:
    assert result.code == 0, result.err
    return result


def run_dir(workspace: Path, name: str) -> Path:
    return workspace / "runs" / "shapes" / name


def test_runs_says_what_each_run_is_and_shows_the_best_first(workspace_dir: Path, cli: Runner) -> None:
    rows = runs(cli)
    assert (rows["half"]["status"], rows["half"]["note"]) == ("unfinished", "1 of 2 epochs")
    assert rows["whole"]["status"] == "predicted"
    scores = [row["cv"] for row in rows.values()]
    assert scores == sorted(scores)
    assert rows["whole"]["megabytes"] > 0
    assert rows["whole"]["minutes"] >= 0
    assert rows["whole"]["date"].startswith("20")
    (run_dir(workspace_dir, "half") / "score.json").unlink()
    assert list(runs(cli)) == ["whole", "half"], "a run without a score comes last"
    table = ok(cli("shapes", "runs")).out
    assert "unfinished:" in table and max(map(len, table.splitlines())) <= 80


def test_empty_trained_and_damaged_runs_are_told_apart(workspace_dir: Path, cli: Runner) -> None:
    empty, trained, damaged = (run_dir(workspace_dir, name) for name in ("empty", "trained", "damaged"))
    for folder in (empty, trained, damaged):
        shutil.copytree(run_dir(workspace_dir, "whole"), folder)
        (folder / "score.json").unlink()
    for path in (empty / "fold-0", empty / "log.jsonl"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (damaged / "recipe.json").write_text("{")
    rows = runs(cli)
    assert rows["empty"]["status"] == "empty"
    assert rows["trained"]["status"] == "trained"
    assert rows["damaged"]["status"] == "damaged"
    assert "recipe.json" in rows["damaged"]["note"]


def test_a_result_that_is_older_than_its_weights_is_noticed_and_mended(workspace_dir: Path, cli: Runner) -> None:
    ok(cli("shapes", "train", "--resume", "--run", "half", *NO_WORKERS))
    assert status(cli, "half") == ("stale", "fold-0/snapshot-1 is newer")
    path = workspace_dir / "submissions" / "shapes" / "half.csv"
    checked = ok(cli("shapes", "check", path))
    assert "warning: the predictions of half are stale: fold-0/snapshot-1 is newer" in checked.err
    assert "fix: runner shapes predict --run half" in checked.err
    refused = cli("shapes", "submit", "half")
    assert refused.code == 1
    assert "the submission of half is stale: fold-0/snapshot-1 is newer" in refused.err
    assert "fix: runner shapes predict --run half or, to submit it as it is: runner shapes submit" in refused.err
    before = path.read_bytes()
    ok(cli("shapes", "predict", "--run", "half", *NO_WORKERS))
    assert status(cli, "half") == ("predicted", "")
    assert path.read_bytes() != before
    assert "stale" not in ok(cli("shapes", "check", path)).err


def test_what_is_predicted_already_is_left_as_it_is(
    workspace_dir: Path, cli: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict_step, "fit_postprocess", lambda *_: pytest.fail("it was fitted again"))
    result = ok(cli("shapes", "predict", "--run", "whole", *NO_WORKERS))
    assert "whole is predicted already" in result.err
    assert "whole: CV log loss" in result.out


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        *(("missing", name) for name in (*CHECKED_RESULTS, "oof_targets.npz")),
        *(("changed", name) for name in CHECKED_RESULTS),  # changed targets are told by their reader
    ],
)
def test_a_result_that_is_not_whole_is_made_again(damage: str, name: str, workspace_dir: Path, cli: Runner) -> None:
    submission = workspace_dir / "submissions" / "shapes" / "whole.csv"
    path = submission if name == "whole.csv" else run_dir(workspace_dir, "whole") / name
    before, content = path.read_bytes(), submission.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(before.replace(b"0.", b"0.0", 1) if name == "whole.csv" else before.replace(b": 0", b": 1"))
    if name in ("postprocess.json", "whole.csv"):
        told = "is missing" if damage == "missing" else "has changed since"
        assert status(cli, "whole") == ("stale", f"{name} {told}")
    ok(cli("shapes", "predict", "--run", "whole", *NO_WORKERS))
    assert status(cli, "whole") == ("predicted", "")
    assert submission.read_bytes() == content


def test_predict_names_the_changed_file_and_writes_damaged_targets_again(workspace_dir: Path, cli: Runner) -> None:
    score, targets = (run_dir(workspace_dir, "whole") / name for name in ("score.json", "oof_targets.npz"))
    kept = np.load(targets)["targets"]
    score.write_text(score.read_text().replace(": 0", ": 1"))
    again = ok(cli("shapes", "predict", "--run", "whole", *NO_WORKERS))
    assert "the result of whole is made again: score.json has changed since" in again.err
    targets.write_bytes(targets.read_bytes()[:-40])
    refused = cli("shapes", "ensemble", "whole", "half")
    assert "fix: runner shapes predict --run whole" in refused.err
    again = ok(cli("shapes", "predict", "--run", "whole", *NO_WORKERS))
    assert "the result of whole is made again: oof_targets.npz is damaged" in again.err
    assert (np.load(targets)["targets"] == kept).all()


def test_a_damaged_snapshot_file_stops_a_report_with_its_fix(workspace_dir: Path, cli: Runner) -> None:
    path = run_dir(workspace_dir, "whole") / "fold-0" / "snapshot-1.json"
    path.write_text(path.read_text().replace('"cycle": 1', '"cycle": 2'))
    refused = cli("shapes", "report", "whole")
    assert refused.code == 1
    assert str(path) in refused.err
    assert f"fix: delete {path.parent}, then: runner shapes train --run whole --resume" in refused.err


def test_other_folds_or_weights_are_noticed(workspace_dir: Path, cli: Runner) -> None:
    folder = run_dir(workspace_dir, "whole")
    weights, other = folder / "fold-0" / "snapshot-1.safetensors", folder / "fold-0" / "snapshot-0.safetensors"
    kept = {path: path.read_bytes() for path in (weights, weights.with_suffix(".json"))}
    shutil.copy(other, weights)
    plain = json.loads(weights.with_suffix(".json").read_text())
    for checksum in ("sha256", "checksum"):  # an earlier version wrote none
        del plain[checksum]
    weights.with_suffix(".json").write_text(json.dumps(plain))
    assert status(cli, "whole") == ("stale", "fold-0/snapshot-1 has been trained again")
    for path, content in kept.items():
        path.write_bytes(content)
    lines = (folder / "folds.csv").read_text().splitlines(keepends=True)
    swapped = [
        line.replace(",0", ",-1") if number == lines.index(next(x for x in lines if ",0" in x)) else line
        for number, line in enumerate(lines)
    ]
    (folder / "folds.csv").write_text("".join(swapped))
    (folder / "folds.json").unlink()  # a split made by hand has none
    assert status(cli, "whole") == ("stale", "its folds have changed")


def test_sources_name_weights_folds_views_options_and_version(workspace_dir: Path, cli: Runner) -> None:
    ok(cli("shapes", "predict", "--run", "whole", "--tta", "none", "--snapshots", 1, *NO_WORKERS))
    sources = json.loads((run_dir(workspace_dir, "whole") / "sources.json").read_text())
    assert list(sources["weights"]) == ["whole/fold-0/snapshot-1"]
    assert sources["version"] == __version__
    assert (sources["views"], sources["tta"], sources["snapshots"]) == (["plain"], "none", 1)
    assert sources["metrics"] == ["log_loss", "accuracy"]
    assert set(sources["results"]) == {"score.json", "postprocess.json", "whole.csv"}
    (workspace_dir / "submissions" / "shapes" / "whole.csv").unlink()
    refused = cli("shapes", "ensemble", "whole", "half", "--name", "both")
    assert "fix: runner shapes predict --run whole --tta none --snapshots 1" in refused.err


def test_an_ensemble_is_as_stale_as_its_members(workspace_dir: Path, cli: Runner) -> None:
    ok(cli("shapes", "ensemble", "half", "whole", "--name", "both"))
    assert status(cli, "both") == ("predicted", "")
    ok(cli("shapes", "train", "--resume", "--run", "half", *NO_WORKERS))
    assert status(cli, "both") == ("stale", "its member half is stale: fold-0/snapshot-1 is newer")
    assert "warning: the predictions of half are stale" in ok(cli("shapes", "ensemble", "half", "whole")).err
    refused = cli("shapes", "predict", "--run", "both", "--tta", "none", *NO_WORKERS)
    assert refused.code == 2
    assert "is an ensemble: its views, snapshots and sizes are those of its runs" in refused.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("half", "half"), "half is named twice"),
        (("half", "whole", "half"), "half is named twice"),
        (("half", "whole", "--name", "whole"), "there is another run named 'whole': test_resnet"),
        (("half", "whole", "--name", "a/b"), "cannot name a run"),
    ],
)
def test_ensemble_refuses_a_name_that_is_taken_and_a_run_named_twice(
    words: tuple[str, ...], text: str, workspace_dir: Path, cli: Runner
) -> None:
    refused = cli("shapes", "ensemble", *words)
    assert (refused.code, text in refused.err) == (2, True), refused.err


def test_a_training_does_not_take_the_name_of_an_ensemble(workspace_dir: Path, cli: Runner) -> None:
    ok(cli("shapes", "ensemble", "half", "whole", "--name", "both"))
    refused = cli("shapes", "train", "--run", "both", *NO_WORKERS)
    assert refused.code == 2
    assert "run 'both' exists already: ensemble of half, whole" in refused.err
    assert "fix: another --run NAME" in refused.err


def test_a_refit_says_whose_score_it_has_and_goes_stale_with_its_original(workspace_dir: Path, cli: Runner) -> None:
    ok(cli("shapes", "train", "--all-data", "--run", "whole", *NO_WORKERS))
    predicted = ok(cli("shapes", "predict", "--run", "whole-all", *NO_WORKERS))
    assert "(12 rows) of whole, which it refits: it has no validation rows of its own" in predicted.out
    assert status(cli, "whole-all") == ("predicted", "")
    assert "predicted already" in ok(cli("shapes", "predict", "--run", "whole-all", *NO_WORKERS)).err
    ok(cli("shapes", "predict", "--run", "whole", "--snapshots", 1, *NO_WORKERS))
    assert status(cli, "whole-all") == ("stale", "whole has been predicted again")
    refused = cli("shapes", "predict", "--run", "whole-all", "--snapshots", 1, *NO_WORKERS)
    assert (refused.code, "its views, snapshots and size are those of whole" in refused.err) == (2, True)
    again = cli("shapes", "train", "--all-data", "--run", "whole-all")
    assert (again.code, "is trained on all labelled rows already" in again.err) == (2, True)


def test_a_split_that_would_orphan_runs_names_them_and_wants_force(workspace_dir: Path, cli: Runner) -> None:
    folds = workspace_dir / "runs" / "shapes" / "folds.csv"
    before = folds.read_bytes()
    refused = cli("shapes", "split", "--folds", 4, "--seed", 3)
    assert refused.code == 2
    assert "with those of the present split: half, whole" in refused.err
    assert "fix: to split all the same: runner shapes split --folds 4 --seed 3 --force\n" in refused.err
    assert folds.read_bytes() == before
    ok(cli("shapes", "split"))
    assert folds.read_bytes() == before, "the same split orphans nothing"
    ok(cli("shapes", "split", "--folds", 4, "--seed", 3, "--force"))
    ok(cli("shapes", "split", "--folds", 3))
    assert folds.read_bytes() != before


def test_each_command_names_the_one_that_the_run_needs_next(
    workspace_dir: Path, cli: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = ok(cli("shapes", "train", "--resume", "--run", "half", "--device", "cpu", *NO_WORKERS))
    assert "next: runner shapes predict --run half --device cpu --workers 0\n" in trained.err
    predicted = ok(cli("shapes", "predict", "--run", "half", "--tta", "none", *NO_WORKERS))
    assert "next: runner shapes report half; to submit it: runner shapes submit half\n" in predicted.err
    blended = ok(cli("shapes", "ensemble", "half", "whole", "--name", "both"))
    assert "next: runner shapes report both; to submit it: runner shapes submit both\n" in blended.err
    partly = ok(cli("shapes", "train", "--folds", 2, "--only-fold", 0, "--run", "folds", *NO_WORKERS))
    assert "next: runner shapes train --run folds --resume" in partly.err


def test_the_report_says_what_is_stale(workspace_dir: Path, cli: Runner) -> None:
    assert "Stale" not in ok(cli("shapes", "report", "whole")).out
    ok(cli("shapes", "predict", "--run", "whole", "--tta", "none", *NO_WORKERS))
    (workspace_dir / "submissions" / "shapes" / "whole.csv").write_text("id\n")
    reported = ok(cli("shapes", "report", "whole")).out
    assert "Stale: whole.csv has changed since." in reported
    assert "runner shapes predict --run whole --tta none" in reported


def test_images_replaced_after_predicting_are_noticed(workspace_dir: Path, cli: Runner) -> None:
    test_images = sorted((workspace_dir / "data" / "shapes" / "test").iterdir())
    assert "have changed" not in ok(cli("shapes", "check", "whole")).err
    before = (workspace_dir / "submissions" / "shapes" / "whole.csv").read_bytes()
    test_images[0].write_bytes(test_images[1].read_bytes())
    checked = ok(cli("shapes", "check", "whole"))
    assert f"test images have changed since they were downloaded, 1: test/{test_images[0].name}" in checked.err
    assert "fix: runner shapes download --accept-changes\n" in checked.err
    ok(cli("shapes", "download", "--accept-changes"))
    assert status(cli, "whole") == ("stale", "the data has changed since")
    assert cli("shapes", "submit", "whole").code == 1
    ok(cli("shapes", "predict", "--run", "whole", *NO_WORKERS))
    assert status(cli, "whole") == ("predicted", "")
    assert (workspace_dir / "submissions" / "shapes" / "whole.csv").read_bytes() != before
    assert "have changed" not in ok(cli("shapes", "check", "whole")).err


def test_more_snapshots_than_there_are_is_told(workspace_dir: Path, cli: Runner) -> None:
    predicted = ok(cli("shapes", "predict", "--run", "whole", "--snapshots", 9, *NO_WORKERS))
    assert "warning: whole has 2 snapshots, not 9: all of them are predicted\n" in predicted.err

"""One fold, trained: its files, that it learns, and that an interrupted one ends the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from runner.contract import Activation, Block, Outputs, Recipe
from runner.contract.default_decisions import apply_thresholds
from runner.errors import RunnerError, TrainingError
from runner.images.center_crop import CenterCrop
from runner.training import trainer as trainer_module
from runner.training.fold import FoldRun, load_snapshot
from runner.training.learner import predict_logits
from runner.training.loaders import ImageLoader
from runner.training.log import Line, append_line, keep_lines, read_log
from runner.training.losses import constant_logits, label_loss, row_losses
from runner.training.snapshots import read_snapshots
from runner.training.trainer import train_fold
from tests.epoch_log import without_times
from tests.training.conftest import CPU

MakeFold = Callable[..., FoldRun]


@pytest.fixture(scope="module")
def one_epoch(tiny_recipe: Recipe) -> Recipe:
    """The first stage alone."""
    return replace(tiny_recipe, stages=tiny_recipe.stages[:1])


def weights(fold: FoldRun, cycle: int) -> dict[str, torch.Tensor]:
    return load_file(fold.folder / f"snapshot-{cycle}.safetensors")


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def log_line(epoch: int) -> Line:
    """An epoch's line, as a training writes it."""
    stage = {"stage": 0, "size": 24, "mode": "frozen", "cycle": 0, "ends_cycle": False, "batch_size": 16}
    losses = {"train_loss": 0.9, "valid_loss": 1.1, "scores": {"accuracy": 0.5}, "losses": [1.0, 0.8]}
    return {"fold": 0, "epoch": epoch, **stage, **losses, "seconds": 1.5, "images_per_second": 32.0, "lrs": [0.01]}


@pytest.fixture(scope="module")
def trained(make_fold: MakeFold, tmp_path_factory: pytest.TempPathFactory) -> FoldRun:
    """A fold that is trained to its end, to be looked at."""
    fold = make_fold(tmp_path_factory.mktemp("trained"))
    train_fold(fold)
    return fold


@pytest.fixture
def trained_copy(trained: FoldRun, make_fold: MakeFold, tmp_path: Path) -> FoldRun:
    """The same fold in files of its own, to be damaged."""
    shutil.copytree(trained.session.workspace.root, tmp_path, dirs_exist_ok=True)
    return make_fold(tmp_path)


def test_a_fold_leaves_a_snapshot_a_cycle_and_a_line_an_epoch(trained: FoldRun) -> None:
    snapshots = trained.read_snapshots()
    assert [(s.cycle, s.stage, s.size) for s in snapshots] == [(0, 0, 24), (1, 1, 32), (2, 1, 32)]
    lines = read_log(trained.run.log_file)
    assert [(line["epoch"], line["mode"], line["ends_cycle"]) for line in lines] == [
        (0, "frozen", True),
        (1, "unfrozen", False),
        (2, "unfrozen", True),
        (3, "unfrozen", False),
        (4, "unfrozen", True),
    ]
    assert all(len(line["lrs"]) == len(line["losses"]) == 3 for line in lines)
    assert not trained.checkpoint_file.exists()


def test_the_stage_is_announced_in_one_line(
    make_fold: MakeFold, tmp_path: Path, one_epoch: Recipe, capfd: pytest.CaptureFixture[str]
) -> None:
    train_fold(make_fold(tmp_path, one_epoch))
    assert "fold 0, 24 px, frozen, lr 0.01: 48 training images, 12 validation images\n" in capfd.readouterr().err


def test_warmup_raises_the_lr_in_the_first_cycle_of_each_stage(
    make_fold: MakeFold, tmp_path: Path, tiny_recipe: Recipe
) -> None:
    fold = make_fold(tmp_path, replace(tiny_recipe, warmup=0.34))
    train_fold(fold)
    lines = read_log(fold.run.log_file)
    assert lines[0]["lrs"] == pytest.approx([0.005, 0.01, 0.005])  # 1 of 3 mini-batches
    assert lines[1]["lrs"] == pytest.approx([0.01 / 3, 0.02 / 3, 0.01], rel=1e-3)  # 2 of 6
    assert lines[3]["lrs"][0] == 0.01  # the second cycle


def test_training_lowers_the_validation_loss(make_fold: MakeFold, tmp_path: Path, tiny_recipe: Recipe) -> None:
    longer = replace(tiny_recipe, stages=(replace(tiny_recipe.stages[1], cycles=1, cycle_len=12),))
    snapshot = train_fold(make_fold(tmp_path, longer))[-1]
    assert snapshot.scores["accuracy"] > 0.8
    assert snapshot.valid_loss is not None
    assert snapshot.valid_loss < 0.6


def test_a_reloaded_snapshot_has_the_loss_in_its_json_file(trained: FoldRun) -> None:
    fold, snapshot = trained, trained.read_snapshots()[-1]
    network = load_snapshot(fold, snapshot)
    loader = ImageLoader(fold.full_images, fold.valid.targets, CenterCrop(fold.competition.preset, snapshot.size), 0)
    logits = predict_logits(network, loader, fold.valid.rows, 16, title="again")
    targets = torch.from_numpy(fold.session.index.targets()[fold.valid.rows])
    assert float(label_loss(fold.outputs, logits, targets)) == snapshot.valid_loss


def test_scores_are_the_same_some_rows_at_a_time(
    make_fold: MakeFold, tmp_path: Path, one_epoch: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_module, "_WHOLE", 10)
    fold = make_fold(tmp_path, one_epoch)
    snapshot = train_fold(fold)[-1]
    network = load_snapshot(fold, snapshot)
    loader = ImageLoader(fold.full_images, fold.valid.targets, CenterCrop(fold.competition.preset, snapshot.size), 0)
    logits = predict_logits(network, loader, fold.valid.rows, 16, title="again")
    targets = fold.index_targets[fold.valid.rows]
    scores = {metric.key: metric.score(targets, fold.to_predictions(logits)) for metric in fold.metrics}
    assert snapshot.scores == pytest.approx(scores)


def test_the_log_has_the_errors_of_the_losses(trained: FoldRun) -> None:
    fold, snapshot = trained, trained.read_snapshots()[-1]
    line = read_log(fold.run.log_file)[-1]
    network = load_snapshot(fold, snapshot)
    loader = ImageLoader(fold.full_images, fold.valid.targets, CenterCrop(fold.competition.preset, snapshot.size), 0)
    logits = predict_logits(network, loader, fold.valid.rows, 16, title="again")
    targets = fold.session.index.targets()
    valid = targets[fold.valid.rows]
    losses = -np.log(fold.to_predictions(logits)[np.arange(len(valid)), valid])
    frequencies = np.bincount(targets[fold.train.rows]) / len(fold.train)
    of_constant = -np.log(frequencies[valid])
    assert line["valid_rows"] == len(valid)
    assert line["valid_error"] == pytest.approx(losses.std(ddof=1) / len(valid) ** 0.5)
    assert line["prior_loss"] == pytest.approx(of_constant.mean())
    assert line["prior_error"] == pytest.approx((losses - of_constant).std(ddof=1) / len(valid) ** 0.5)


def test_class_numbers_teach_a_network_what_one_hot_targets_do() -> None:
    outputs = Outputs((Block(Activation.SOFTMAX, 120),))
    torch.manual_seed(0)
    logits, classes = torch.randn(63, 120, requires_grad=True), torch.randint(0, 120, (63,))
    gradients, losses = [], []
    for targets in (classes, F.one_hot(classes, 120).float()):
        loss = label_loss(outputs, logits, targets)
        gradients += torch.autograd.grad(loss, logits)
        losses.append(row_losses(outputs, logits.detach(), targets).tolist())
    assert torch.equal(*gradients) and losses[0] == losses[1]


@pytest.mark.parametrize("activation", Activation)
def test_the_mean_of_the_row_losses_is_the_loss(activation: Activation) -> None:
    outputs = Outputs((Block(activation, 3),))
    torch.manual_seed(0)
    logits, classes = torch.randn(5000, 3), torch.randint(0, 3, (5000,))
    targets = F.one_hot(classes, 3).float()
    assert row_losses(outputs, logits, targets).mean() == pytest.approx(float(label_loss(outputs, logits, targets)))
    # No other constant prediction has a lower loss.
    best = constant_logits(outputs, targets.numpy())
    losses = [
        row_losses(outputs, (best + shift).expand(5000, -1), targets).mean() for shift in 0.1 * torch.randn(20, 3)
    ]
    assert row_losses(outputs, best.expand(5000, -1), targets).mean() < min(losses)


def test_the_same_seed_gives_the_same_weights_with_any_workers(
    trained: FoldRun, make_fold: MakeFold, tmp_path: Path
) -> None:
    again = make_fold(tmp_path, compute=replace(CPU, workers=2))
    train_fold(again)
    assert all(same(weights(trained, cycle), weights(again, cycle)) for cycle in range(3))


def test_a_different_seed_gives_different_weights(
    trained: FoldRun, make_fold: MakeFold, tmp_path: Path, one_epoch: Recipe
) -> None:
    same_seed, other = (
        make_fold(tmp_path / "same", one_epoch),
        make_fold(tmp_path / "other", replace(one_epoch, seed=1)),
    )
    train_fold(same_seed)
    train_fold(other)
    assert same(weights(trained, 0), weights(same_seed, 0))
    assert not same(weights(trained, 0), weights(other, 0))


@pytest.mark.parametrize("epoch", [1, 3, *(pytest.param(epoch, marks=pytest.mark.slow) for epoch in (2, 4))])
def test_a_run_interrupted_in_any_epoch_ends_with_the_same_weights(
    epoch: int, trained: FoldRun, make_fold: MakeFold, tmp_path: Path, interrupt: Callable[..., None]
) -> None:
    resumed = make_fold(tmp_path)
    interrupt(epoch, lambda: train_fold(resumed))
    train_fold(resumed)
    assert all(same(weights(trained, cycle), weights(resumed, cycle)) for cycle in range(3))
    logs = [without_times(fold.run.log_file.read_bytes()) for fold in (trained, resumed)]
    assert logs[0] == logs[1]


def test_a_finished_fold_is_not_trained_again(trained_copy: FoldRun, monkeypatch: pytest.MonkeyPatch) -> None:
    finished = trained_copy.read_snapshots()
    monkeypatch.setattr(trainer_module, "train_stage", lambda *_: pytest.fail("it trained again"))
    assert len(finished) == 3
    assert train_fold(trained_copy) == finished


def test_no_validation_row_is_trained_on(make_fold: MakeFold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fold = make_fold(tmp_path)
    trained: list[int] = []
    shuffled_batches = trainer_module.shuffled_batches

    def recorded(rows: np.ndarray, *arguments: int) -> list[np.ndarray]:
        batches = shuffled_batches(rows, *arguments)
        trained.extend(np.concatenate(batches).tolist())
        return batches

    monkeypatch.setattr(trainer_module, "shuffled_batches", recorded)
    train_fold(fold)
    assert sorted(set(trained)) == fold.train.rows.tolist()
    assert len(trained) == 5 * len(fold.train)


def test_the_row_sets_of_a_fold_share_no_row_and_leave_none_out(make_fold: MakeFold, tmp_path: Path) -> None:
    fold = make_fold(tmp_path, number=2)
    assert sorted([*fold.train.rows, *fold.valid.rows]) == list(range(60))
    assert fold.valid.rows.tolist() == list(range(2, 60, 5))
    assert fold.valid.ids == tuple(fold.session.index.train["id"][2::5])
    assert fold.test.ids == tuple(fold.session.index.test["id"])


def test_broken_weights_of_a_snapshot_are_an_error_that_names_the_file(trained_copy: FoldRun) -> None:
    fold = trained_copy
    path = fold.folder / "snapshot-2.safetensors"
    path.write_bytes(b"cut off")
    with pytest.raises(TrainingError, match="the snapshot's weights cannot be read") as caught:
        load_snapshot(fold, read_snapshots(fold.folder)[-1])
    assert caught.value.where == str(path)


@pytest.mark.parametrize("content", ['{"cycle": 0}', '{"format": 1, "cycle": 0, "body": 3}', '{"format": 2}'])
def test_a_snapshot_of_another_version_is_an_error_with_a_fix(content: str, tmp_path: Path) -> None:
    folder = tmp_path / "dog-breed" / "tiny" / "fold-0"
    folder.mkdir(parents=True)
    (folder / "snapshot-0.json").write_text(content)
    with pytest.raises(TrainingError) as caught:
        read_snapshots(folder)
    assert caught.value.where == str(folder / "snapshot-0.json")
    assert caught.value.fix == f"delete {folder}, then: `runner dog-breed train --run tiny --resume`"


def test_a_half_written_log_line_is_dropped(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    append_line(log, log_line(epoch=0))
    with log.open("a") as file:
        file.write('{"epoch": 1, "tra')
    assert read_log(log) == [log_line(epoch=0)]
    keep_lines(log, lambda line: line["epoch"] < 5)
    append_line(log, log_line(epoch=1))
    assert read_log(log) == [log_line(epoch=0), log_line(epoch=1)]


@pytest.mark.parametrize("content", [b"null", b"{}", b"\xff\xfe\x00", b"<html>"])
def test_a_log_that_became_something_else_is_damaged(content: bytes, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(content)
    with pytest.raises(RunnerError, match="line 1") as caught:
        read_log(log)
    assert caught.value.where == str(log)


def test_an_image_without_a_probable_label_gets_the_most_probable() -> None:
    decisions = apply_thresholds(np.array([[0.1, 0.15, 0.05], [0.9, 0.1, 0.3]]), 0.2)
    assert decisions.tolist() == [[0, 1, 0], [1, 0, 1]]

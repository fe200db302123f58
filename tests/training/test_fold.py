"""One fold, trained: what it leaves, that it learns, and that a broken-off one ends the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from runner.contract import Recipe
from runner.contract.thresholds import apply_thresholds
from runner.errors import TrainingError
from runner.images.center_crop import CenterCrop
from runner.training import stage as stage_module
from runner.training.distributed import build_accelerator
from runner.training.fold import FoldRun, Machine, load_snapshot
from runner.training.learner import predict_logits
from runner.training.loaders import ImageLoader
from runner.training.log import append_line, keep_lines, read_log
from runner.training.losses import loss_of
from runner.training.snapshots import Snapshot, read_snapshots
from runner.training.train import train_fold as train_fold_on

MakeFold = Callable[..., FoldRun]


def train_fold(fold: FoldRun, machine: Machine | None = None) -> tuple[Snapshot, ...]:
    return train_fold_on(fold, machine or Machine(), build_accelerator("cpu"))


def weights(fold: FoldRun, cycle: int) -> dict[str, torch.Tensor]:
    return load_file(fold.folder / f"snapshot-{cycle}.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_snapshot_a_cycle_and_a_line_an_epoch(make_fold: MakeFold, tmp_path: Path) -> None:
    fold = make_fold(tmp_path)
    snapshots = train_fold(fold, Machine())
    assert [(s.cycle, s.stage, s.size) for s in snapshots] == [(0, 0, 24), (1, 1, 32), (2, 1, 32)]
    lines = read_log(fold.log_file)
    assert [(line["epoch"], line["mode"], line["ends_cycle"]) for line in lines] == [
        (0, "frozen", True),
        (1, "unfrozen", False),
        (2, "unfrozen", True),
        (3, "unfrozen", False),
        (4, "unfrozen", True),
    ]
    assert all(len(line["rates"]) == len(line["losses"]) == 3 for line in lines)
    assert not (fold.folder / "state.safetensors").exists()


def test_it_learns(make_fold: MakeFold, tmp_path: Path, tiny_recipe: Recipe) -> None:
    longer = replace(tiny_recipe, stages=(replace(tiny_recipe.stages[1], cycles=1, cycle_len=12),))
    snapshot = train_fold(make_fold(tmp_path, longer), Machine())[-1]
    assert snapshot.scores["accuracy"] > 0.8
    assert snapshot.valid_loss is not None
    assert snapshot.valid_loss < 0.6


def test_a_reloaded_snapshot_scores_what_was_written_beside_it(make_fold: MakeFold, tmp_path: Path) -> None:
    fold = make_fold(tmp_path)
    snapshot = train_fold(fold, Machine())[-1]
    network = load_snapshot(fold, snapshot)
    feed = ImageLoader(fold.reader, fold.answers, CenterCrop(fold.competition.preset, snapshot.size), 0)
    logits = predict_logits(build_accelerator("cpu"), network, feed, fold.valid_rows, 16, title="again")
    targets = torch.from_numpy(fold.index.targets()[fold.valid_rows])
    assert float(loss_of(fold.competition.labels, logits, targets)) == snapshot.valid_loss


def test_the_same_seed_gives_the_same_weights_whatever_the_workers(make_fold: MakeFold, tmp_path: Path) -> None:
    one, other = make_fold(tmp_path / "one"), make_fold(tmp_path / "other")
    train_fold(one, Machine(workers=0))
    train_fold(other, Machine(workers=2))
    assert all(same(weights(one, cycle), weights(other, cycle)) for cycle in range(3))


def test_another_seed_gives_other_weights(make_fold: MakeFold, tmp_path: Path, tiny_recipe: Recipe) -> None:
    one, other = make_fold(tmp_path / "one"), make_fold(tmp_path / "other", replace(tiny_recipe, seed=1))
    train_fold(one, Machine())
    train_fold(other, Machine())
    assert not same(weights(one, 0), weights(other, 0))


@pytest.mark.parametrize("epochs", [1, 2, 3, 4])
def test_a_run_broken_off_after_any_epoch_ends_with_the_same_weights(
    epochs: int, make_fold: MakeFold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken, broken = make_fold(tmp_path / "unbroken"), make_fold(tmp_path / "broken")
    train_fold(unbroken, Machine())
    _break_off_in_epoch(epochs, broken, monkeypatch)
    train_fold(broken, Machine())
    assert all(same(weights(unbroken, cycle), weights(broken, cycle)) for cycle in range(3))
    untimed = [
        [{k: v for k, v in line.items() if "second" not in k} for line in read_log(fold.log_file)]
        for fold in (unbroken, broken)
    ]
    assert untimed[0] == untimed[1]


def _break_off_in_epoch(number: int, fold: FoldRun, monkeypatch: pytest.MonkeyPatch) -> None:
    train = stage_module._train_one

    def breaks(*arguments: object) -> object:
        if arguments[1].number == number:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return train(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stage_module, "_train_one", breaks)
        train_fold(fold, Machine())


def test_a_finished_fold_is_not_trained_again(
    make_fold: MakeFold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold = make_fold(tmp_path)
    finished = train_fold(fold, Machine())
    monkeypatch.setattr(stage_module, "train_stage", lambda *_: pytest.fail("it began to train"))
    assert train_fold(fold, Machine()) == finished


def test_no_held_out_row_is_trained_on(make_fold: MakeFold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fold, seen = make_fold(tmp_path), []
    order = stage_module.shuffled_batches

    def spy(rows: np.ndarray, *rest: int) -> list[np.ndarray]:
        batches = order(rows, *rest)
        seen.extend(np.concatenate(batches).tolist())
        return batches

    monkeypatch.setattr(stage_module, "shuffled_batches", spy)
    train_fold(fold, Machine())
    assert sorted(set(seen)) == fold.train_rows.tolist()
    assert len(seen) == 5 * len(fold.train_rows)


def test_a_broken_snapshot_is_named(make_fold: MakeFold, tmp_path: Path) -> None:
    fold = make_fold(tmp_path)
    train_fold(fold, Machine())
    (fold.folder / "snapshot-2.safetensors").write_bytes(b"cut off")
    with pytest.raises(TrainingError, match="cannot be read"):
        load_snapshot(fold, read_snapshots(fold.folder)[-1])


def test_a_half_written_line_of_the_log_is_no_line(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    append_line(log, {"epoch": 0})
    with log.open("a") as file:
        file.write('{"epoch": 1, "tra')
    assert read_log(log) == [{"epoch": 0}]
    keep_lines(log, lambda line: line["epoch"] < 5)
    append_line(log, {"epoch": 1})
    assert read_log(log) == [{"epoch": 0}, {"epoch": 1}]


def test_a_image_without_a_likely_tag_gets_the_likeliest() -> None:
    decisions = apply_thresholds(np.array([[0.1, 0.15, 0.05], [0.9, 0.1, 0.3]]))
    assert decisions.tolist() == [[0, 1, 0], [1, 0, 1]]

"""Two processes, as `accelerate launch` starts them: they train as one would, and one of them writes."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from runner.cli import run_command
from runner.contract import Recipe, Solver, Stage, TrainMode
from runner.training import distributed
from runner.training.log import read_log
from tests.competitions import SHAPES, write_plugin

# A backbone without BatchNorm: with it, each process would have the statistics of its own rows.
RECIPE = Recipe(
    "test_vit",
    (
        Stage(32, TrainMode.FEATURES, cycle_len=2, solver=Solver.SGDR, min_steps=0),
        Stage(32, TrainMode.FROZEN),
        Stage(32, TrainMode.UNFROZEN, cycle_len=2),
    ),
    lr=0.003,
    batch_size=14,
    pretrained=False,
)


@dataclass(frozen=True)
class Launched:
    """What two processes did in a workspace; `records` is a folder."""

    workspace: Path
    records: Path
    code: int
    out: str
    err: str

    def recorded(self, kind: str, rank: int) -> list[Any]:
        path = self.records / f"{kind}-{rank}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def new_workspace(folder: Path, shapes_folder: Path) -> Path:
    workspace = folder / "workspace"
    write_plugin(workspace, replace(SHAPES, recipe=RECIPE))
    assert run_command(["--workspace", str(workspace), "shapes", "download", "--from", str(shapes_folder)]) == 0
    return workspace


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def launch(folder: Path, shapes_folder: Path, *words: str, failure: str = "none") -> Launched:
    """Commands in two processes on the CPU, by the real launcher."""
    workspace, records = new_workspace(folder, shapes_folder), folder / "records"
    records.mkdir()
    flags = ["--multi_gpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
    address = ["--main_process_ip=127.0.0.1", f"--main_process_port={free_port()}"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "accelerate.commands.launch", *flags, *address),
            *(str(Path(__file__).with_name("launched.py")), str(records), failure, *words),
        ],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "RUNNER_WORKSPACE": str(workspace)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,  # three processes that import torch take minutes on a busy machine
    )
    return Launched(workspace, records, done.returncode, done.stdout, done.stderr)


def train_alone(folder: Path, shapes_folder: Path, *flags: str) -> Path:
    """The same commands in this one process."""
    workspace = new_workspace(folder, shapes_folder)
    for command in (["train", *flags], ["predict"]):
        words = ["--workspace", str(workspace), "shapes", *command, "--run", "tiny", "--workers", "0"]
        assert run_command(words) == 0
    return workspace


TRAIN = ("shapes", "train", "--run", "tiny", "--workers", "0")
PREDICT = ("shapes", "predict", "--run", "tiny", "--workers", "0")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, shapes_folder: Path) -> Launched:
    """Two processes that train and predict."""
    launched = launch(tmp_path_factory.mktemp("two"), shapes_folder, *TRAIN, "--then", *PREDICT)
    assert launched.code == 0, launched.err
    return launched


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, shapes_folder: Path) -> Path:
    """The workspace of one process that did the same."""
    return train_alone(tmp_path_factory.mktemp("one"), shapes_folder)


def fold_of_rows(workspace: Path) -> list[int]:
    with (workspace / "runs" / "shapes" / "tiny" / "folds.csv").open() as file:
        return [int(row["fold"]) for row in csv.DictReader(file)]


def figures(workspace: Path) -> np.ndarray:
    """Losses and scores, a row an epoch."""
    lines = read_log(workspace / "runs" / "shapes" / "tiny" / "log.jsonl")
    return np.array([[line["train_loss"], line["valid_loss"], *line["scores"].values()] for line in lines])


def submission(workspace: Path) -> tuple[list[str], np.ndarray]:
    with (workspace / "submissions" / "shapes" / "tiny.csv").open() as file:
        _, *rows = csv.reader(file)
    return [row[0] for row in rows], np.array([row[1:] for row in rows], dtype=float)


def test_two_processes_have_the_validation_rows_of_one(two: Launched, alone: Path) -> None:
    assert fold_of_rows(two.workspace) == fold_of_rows(alone)


def test_each_row_is_trained_on_by_one_process_once_an_epoch(two: Launched) -> None:
    rows = [row for row, fold in enumerate(fold_of_rows(two.workspace)) if fold != 0]
    epochs = list(zip(two.recorded("rows", 0), two.recorded("rows", 1), strict=True))
    assert len(epochs) == 5
    for first, second in epochs:
        assert sorted(row for batch in (*first, *second) for row in batch) == rows
        assert all(0 <= len(shard) - len(rest) <= 1 for shard, rest in zip(first, second, strict=True))


def test_two_processes_have_the_losses_and_scores_of_one(two: Launched, alone: Path) -> None:
    assert figures(two.workspace).shape == (5, 4)
    assert np.allclose(figures(two.workspace)[:3], figures(alone)[:3], atol=1e-5)
    assert np.allclose(figures(two.workspace), figures(alone), atol=2e-3)


def test_two_processes_have_the_snapshots_of_one(two: Launched, alone: Path) -> None:
    for cycle in range(3):
        name = Path("runs", "shapes", "tiny", "fold-0", f"snapshot-{cycle}.safetensors")
        weights, expected = load_file(two.workspace / name), load_file(alone / name)
        assert weights.keys() == expected.keys()
        assert all(np.allclose(weights[key], expected[key], atol=3e-3) for key in expected), cycle


def test_two_processes_write_the_submission_of_one(two: Launched, alone: Path) -> None:
    ids, values = submission(two.workspace)
    assert ids == submission(alone)[0]
    assert np.allclose(values, submission(alone)[1], atol=2e-3)


def test_one_process_alone_writes_and_logs(two: Launched) -> None:
    written = two.recorded("written", 1)
    assert written
    # The other writes its shard of the features, and images into the cache that all processes fill; nothing else.
    shards = [path for path in written if not path.startswith("cache/shapes/images/")]
    assert shards
    assert all(path.startswith("cache/shapes/features/") and "1-of-2" in path for path in shards)
    assert "runs/shapes/tiny/log.jsonl" in two.recorded("written", 0)
    assert "submissions/shapes/tiny.csv" in two.recorded("written", 0)
    # Of the labelled images, and of the test images for the first snapshot.
    assert len(list((two.workspace / "cache" / "shapes" / "features").iterdir())) == 2
    assert [line.split(":")[0] for line in two.out.splitlines()][:2] == ["tiny", "tiny"]
    assert two.out.count("tiny: CV log loss") == 1
    assert two.err.count("32 px, unfrozen") == 1


@pytest.mark.slow
def test_an_error_in_one_process_ends_both_and_is_printed_once(tmp_path: Path, shapes_folder: Path) -> None:
    launched = launch(tmp_path, shapes_folder, *TRAIN, failure="error")
    assert launched.code != 0
    assert launched.err.count("the second process failed") == 1
    assert "start it again" in launched.err
    assert len(read_log(launched.workspace / "runs" / "shapes" / "tiny" / "log.jsonl")) == 1


@pytest.mark.slow
def test_an_error_of_all_processes_is_printed_once(tmp_path: Path, shapes_folder: Path) -> None:
    launched = launch(tmp_path, shapes_folder, "shapes", "train", "--run", "no/name")
    assert launched.code != 0
    assert launched.err.count("cannot name a run") == 1


@pytest.mark.slow
def test_both_halve_the_batch_size_when_one_is_out_of_memory(tmp_path: Path, shapes_folder: Path) -> None:
    words = (*TRAIN, "--batch-size", "auto", "--then", *PREDICT)
    launched = launch(tmp_path / "two", shapes_folder, *words, failure="memory")
    assert launched.code == 0, launched.err
    assert launched.err.count("out of memory at batch size 14; retrying with 7") == 1
    alone = train_alone(tmp_path / "one", shapes_folder, "--batch-size", "7")
    assert np.allclose(figures(launched.workspace), figures(alone), atol=5e-3)


@pytest.mark.slow
def test_two_processes_find_the_lr_of_one(tmp_path: Path, shapes_folder: Path) -> None:
    launched = launch(tmp_path / "two", shapes_folder, *TRAIN, "--lr", "find")
    assert launched.code == 0, launched.err
    alone = train_alone(tmp_path / "one", shapes_folder, "--lr", "find")
    for stage in range(3):
        name = Path("runs", "shapes", "tiny", "fold-0", f"find-lr-{stage}.json")
        found, expected = (json.loads((top / name).read_text()) for top in (launched.workspace, alone))
        assert found["minimum"] == pytest.approx(expected["minimum"])


@pytest.mark.parametrize(
    ("error", "is_told"),
    [
        (RuntimeError("[gloo/transport/tcp/pair.cc:561] Connection closed by peer [127.0.0.1]:29358"), True),
        (torch.distributed.DistBackendError("NCCL communicator was aborted"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("reset by peer"), False),
    ],
)
def test_the_end_of_another_process_is_no_bug(error: Exception, is_told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert distributed.lost_process_error(error) is None  # of one process alone
    monkeypatch.setattr(distributed, "_is_distributed", lambda: True)
    assert (distributed.lost_process_error(error) is not None) == is_told

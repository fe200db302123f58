"""Two processes, as `accelerate launch` starts them: they learn what one would, and one of them writes."""

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
from safetensors.numpy import load_file

from runner.cli import run_command
from runner.contract import Recipe, Stage, TrainMode
from runner.training.log import read_log
from tests.competitions import SHAPES, write_plugin

# A network without BatchNorm in its body: there, each process would have the statistics of its own rows.
RECIPE = Recipe(
    "test_vit",
    (
        Stage(32, TrainMode.FEATURES, cycle_len=2),
        Stage(32, TrainMode.FROZEN),
        Stage(32, TrainMode.UNFROZEN, cycle_len=2),
    ),
    lr=0.003,
    batch_size=14,
    pretrained=False,
)


@dataclass(frozen=True)
class Launched:
    """What two processes did in a workspace."""

    workspace: Path
    notes: Path
    code: int
    out: str
    err: str

    def noted(self, kind: str, rank: int) -> list[Any]:
        path = self.notes / f"{kind}-{rank}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def new_workspace(folder: Path, shapes_folder: Path) -> Path:
    workspace = folder / "workspace"
    write_plugin(workspace, replace(SHAPES, recipe=RECIPE))
    assert run_command(["--workspace", str(workspace), "shapes", "download", "--from", str(shapes_folder)]) == 0
    return workspace


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def launch(folder: Path, shapes_folder: Path, *words: str, trouble: str = "none") -> Launched:
    """Commands in two processes on the CPU, by the real launcher."""
    workspace, notes = new_workspace(folder, shapes_folder), folder / "notes"
    notes.mkdir()
    flags = ["--multi_gpu", "--num_processes=2", "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
    where = ["--main_process_ip=127.0.0.1", f"--main_process_port={free_port()}"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "accelerate.commands.launch", *flags, *where),
            *(str(Path(__file__).with_name("spying.py")), str(notes), trouble, *words),
        ],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "RUNNER_WORKSPACE": str(workspace)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return Launched(workspace, notes, done.returncode, done.stdout, done.stderr)


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


def held_out(workspace: Path) -> list[int]:
    with (workspace / "runs" / "shapes" / "tiny" / "folds.csv").open() as file:
        return [int(row["fold"]) for row in csv.DictReader(file)]


def figures(workspace: Path) -> np.ndarray:
    """Of each epoch the losses and scores."""
    lines = read_log(workspace / "runs" / "shapes" / "tiny" / "log.jsonl")
    return np.array([[one["train_loss"], one["valid_loss"], *one["scores"].values()] for one in lines])


def submission(workspace: Path) -> tuple[list[str], np.ndarray]:
    with (workspace / "submissions" / "shapes" / "tiny.csv").open() as file:
        _, *rows = csv.reader(file)
    return [row[0] for row in rows], np.array([row[1:] for row in rows], dtype=float)


def test_they_hold_out_the_rows_that_one_process_holds_out(two: Launched, alone: Path) -> None:
    assert held_out(two.workspace) == held_out(alone)


def test_in_each_epoch_each_row_is_seen_by_one_process_once(two: Launched) -> None:
    rows = [row for row, fold in enumerate(held_out(two.workspace)) if fold != 0]
    epochs = list(zip(two.noted("seen", 0), two.noted("seen", 1), strict=True))
    assert len(epochs) == 5
    for mine, others in epochs:
        assert sorted(row for batch in (*mine, *others) for row in batch) == rows
        assert all(0 <= len(one) - len(other) <= 1 for one, other in zip(mine, others, strict=True))


def test_their_losses_and_scores_are_those_of_one_process(two: Launched, alone: Path) -> None:
    assert figures(two.workspace).shape == (5, 4)
    assert np.allclose(figures(two.workspace)[:3], figures(alone)[:3], atol=1e-5)
    assert np.allclose(figures(two.workspace), figures(alone), atol=2e-3)


def test_the_snapshots_hold_what_both_have_learned(two: Launched, alone: Path) -> None:
    for cycle in range(3):
        name = Path("runs", "shapes", "tiny", "fold-0", f"snapshot-{cycle}.safetensors")
        theirs, ours = load_file(two.workspace / name), load_file(alone / name)
        assert theirs.keys() == ours.keys()
        assert all(np.allclose(theirs[key], ours[key], atol=3e-3) for key in ours), cycle


def test_their_submission_is_that_of_one_process(two: Launched, alone: Path) -> None:
    ids, values = submission(two.workspace)
    assert ids == submission(alone)[0]
    assert np.allclose(values, submission(alone)[1], atol=2e-3)


def test_one_process_writes_and_speaks(two: Launched) -> None:
    written = two.noted("written", 1)
    assert written
    # The other puts its share of the activations where the first finds it, and what it has read into the cache
    # that anyone may fill; nothing else.
    shares = [path for path in written if not path.startswith("cache/shapes/images/")]
    assert shares
    assert all(path.startswith("cache/shapes/activations/") and "1-of-2" in path for path in shares)
    assert "runs/shapes/tiny/log.jsonl" in two.noted("written", 0)
    assert "submissions/shapes/tiny.csv" in two.noted("written", 0)
    assert len(list((two.workspace / "cache" / "shapes" / "activations").iterdir())) == 1
    assert [line.split(":")[0] for line in two.out.splitlines()][:2] == ["tiny", "tiny"]
    assert two.out.count("held-out") == 1
    assert two.err.count("32 px, unfrozen") == 1


def test_a_fault_in_one_process_ends_both_and_is_told_once(tmp_path: Path, shapes_folder: Path) -> None:
    launched = launch(tmp_path, shapes_folder, *TRAIN, trouble="fault")
    assert launched.code != 0
    assert launched.err.count("the second process stumbled") == 1
    assert "pick it up" in launched.err
    assert len(read_log(launched.workspace / "runs" / "shapes" / "tiny" / "log.jsonl")) == 1


@pytest.mark.slow
def test_what_all_processes_refuse_is_told_once(tmp_path: Path, shapes_folder: Path) -> None:
    launched = launch(tmp_path, shapes_folder, "shapes", "train", "--run", "no/name")
    assert launched.code != 0
    assert launched.err.count("cannot name a run") == 1


@pytest.mark.slow
def test_both_halve_the_batch_when_one_has_no_room_for_it(tmp_path: Path, shapes_folder: Path) -> None:
    words = (*TRAIN, "--batch-size", "auto", "--then", *PREDICT)
    launched = launch(tmp_path / "two", shapes_folder, *words, trouble="memory")
    assert launched.code == 0, launched.err
    assert launched.err.count("does not fit into memory: going on with 7") == 1
    alone = train_alone(tmp_path / "one", shapes_folder, "--batch-size", "7")
    assert np.allclose(figures(launched.workspace), figures(alone), atol=5e-3)


@pytest.mark.slow
def test_they_find_the_rate_that_one_process_finds(tmp_path: Path, shapes_folder: Path) -> None:
    launched = launch(tmp_path / "two", shapes_folder, *TRAIN, "--lr", "find")
    assert launched.code == 0, launched.err
    alone = train_alone(tmp_path / "one", shapes_folder, "--lr", "find")
    for stage in range(3):
        name = Path("runs", "shapes", "tiny", "fold-0", f"find-lr-{stage}.json")
        theirs, ours = (json.loads((top / name).read_text()) for top in (launched.workspace, alone))
        assert theirs["suggested"] == pytest.approx(ours["suggested"])

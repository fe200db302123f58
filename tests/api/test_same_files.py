"""Commands and calls leave the same files: they are the same code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import runner
from runner.cli import run_command
from tests.api.conftest import TINY
from tests.competitions import write_plugin

# What tells of a time, of a folder, or of a moment.
_OF_TIME = {"seconds", "data_seconds", "images_per_second", "checksum"}


def by_commands(workspace: Path, data: Path) -> None:
    """Data, split, two runs, predictions and an ensemble, as they are typed."""
    for words in (
        f"download --from {data}",
        "split --holdout 0.25 --seed 3",
        "train --run a --size 16 --lr 0.02,0.02,0.02 --dropout 0.1",
        "train --run b --linear-probe --backbone-arg drop_path_rate=0.1",
        "predict --run a --tta all",
        "predict --run b --snapshots 1",
        "ensemble a b --name both",
    ):
        machine = "--device cpu --workers 0" if words.startswith(("train", "predict")) else ""
        assert run_command(["--workspace", str(workspace), "shapes", *words.split(), *machine.split()]) == 0


def by_calls(workspace: Path, data: Path) -> None:
    """The same in a program."""
    shapes = runner.open("shapes", workspace, device="cpu", workers=0)
    shapes.download(data)
    shapes.split(holdout=0.25, seed=3)
    a = shapes.train(run="a", size=16, lr=[0.02, 0.02, 0.02], dropout=0.1)
    b = shapes.train(run="b", linear_probe=True, backbone_arg={"drop_path_rate": 0.1})
    a.predict(tta="all")
    shapes.predict(b, snapshots=1)
    shapes.ensemble([a, b], name="both")


def files_of(workspace: Path) -> dict[str, Any]:
    """The content of every file by its path, without times; the cache holds the times of its sources."""
    folders = (workspace / name for name in ("data", "runs", "submissions"))
    found = [path for folder in folders for path in folder.rglob("*")]
    paths = [path for path in found if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(workspace).as_posix(): _content(path) for path in paths}


def _content(path: Path) -> Any:
    if path.name == "log.jsonl":
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        return [{name: value for name, value in line.items() if name not in _OF_TIME} for line in lines]
    return path.read_bytes()


def test_commands_and_calls_leave_the_same_files(tmp_path: Path, shapes_folder: Path, capsys) -> None:
    typed, called = tmp_path / "typed", tmp_path / "called"
    for workspace in (typed, called):
        workspace.mkdir()
        write_plugin(workspace, TINY)
    by_commands(typed, shapes_folder)
    by_calls(called, shapes_folder)
    expected, found = files_of(typed), files_of(called)
    assert found.keys() == expected.keys()
    assert {"runs/shapes/both/score.json", "submissions/shapes/a.csv"} <= found.keys()
    assert [name for name in expected if found[name] != expected[name]] == []

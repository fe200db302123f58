"""Folds spread over Ray are the folds that one process trains."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Runner


@pytest.fixture
def workspace_dir(shapes: Path, cli: Runner, shapes_folder: Path) -> Path:
    """The workspace with its data."""
    assert cli("shapes", "download", "--from", shapes_folder).code == 0
    return shapes


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is an optional extra")
def test_two_ray_workers_train_the_weights_of_one_process(workspace_dir: Path, cli: Runner) -> None:
    flags = ("--folds", 2, "--workers", 0, "--device", "cpu", "--epochs-scale", 0.5)
    assert cli("shapes", "train", "--run", "single", *flags).code == 0
    # In a process of its own: Ray leaves threads and signal handlers behind.
    words = [
        sys.executable,
        "-m",
        "runner",
        "--workspace",
        workspace_dir,
        "shapes",
        "train",
        "--run",
        "spread",
        "--engine",
        "ray",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.run(
        [str(word) for word in (*words, *flags)], env=environment, capture_output=True, text=True, timeout=240
    )
    assert process.returncode == 0, process.stderr
    runs = workspace_dir / "runs" / "shapes"
    for fold in ("fold-0", "fold-1"):
        first, second = (runs / run / fold / "snapshot-0.safetensors" for run in ("single", "spread"))
        assert first.read_bytes() == second.read_bytes()
    logged = [json.loads(line)["fold"] for line in (runs / "spread" / "log.jsonl").read_text().splitlines()]
    assert sorted(logged) == [0, 0, 1, 1]
    assert cli("shapes", "predict", "--run", "spread", "--workers", 0).code == 0


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--engine", "spark"), "--engine ray"),
        (("--engine", "ray", "--track", "tensorboard"), "leave --track out"),
    ],
)
def test_an_unusable_engine_is_refused(flags: tuple[str, ...], text: str, workspace_dir: Path, cli: Runner) -> None:
    if "ray" in flags and importlib.util.find_spec("ray") is None:
        text = "competition-runner[ray]"
    result = cli("shapes", "train", *flags)
    assert result.code == 2
    assert text in result.err


def test_without_ray_the_fix_installs_it(workspace_dir: Path, cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == "ray" else find(name, *rest))
    result = cli("shapes", "train", "--engine", "ray")
    assert result.code == 2
    assert "pip install 'competition-runner[ray]'" in result.err

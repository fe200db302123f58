"""Commands as a person types them, in this process; and a workspace with a competition that trains in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.cli import run_command
from tests.competitions import SHAPES, write_plugin


@dataclass(frozen=True)
class Result:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


Runner = Callable[..., Result]


@pytest.fixture
def cli(workspace_folder: Path, capsys: pytest.CaptureFixture[str]) -> Runner:
    """Type a command in the workspace."""

    def run(*words: object) -> Result:
        capsys.readouterr()
        code = run_command(["--workspace", str(workspace_folder), *map(str, words)])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Result(code, out, err)

    return run


@pytest.fixture
def shapes(workspace_folder: Path) -> Path:
    """The workspace, with a competition file of its own."""
    write_plugin(workspace_folder, SHAPES)
    return workspace_folder

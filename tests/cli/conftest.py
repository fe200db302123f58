"""Commands as a person types them, in this process; and a workspace with a competition that trains in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.cli import run_command

SHAPES = '''"""Where the light is."""

from runner.contract import ACCURACY, LOG_LOSS, SIDE_ON, Competition, OneOfMany, Recipe, Stage, State

COMPETITION = Competition(
    slug="shapes",
    title="Shapes",
    labels=OneOfMany(csv="labels.csv", id="id", label="breed"),
    train_images="train/{id}.jpg",
    test_images="test/{id}.jpg",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=LOG_LOSS,
    also_report=(ACCURACY,),
    recipe=Recipe("test_resnet", (Stage(32, State.UNFROZEN, cycle_len=3),), lr=0.01, batch_size=16, pretrained=False),
)
'''


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


Runner = Callable[..., Said]


@pytest.fixture
def typed(workspace_folder: Path, capsys: pytest.CaptureFixture[str]) -> Runner:
    """Type a command in the workspace."""

    def run(*words: object) -> Said:
        capsys.readouterr()
        code = run_command(["--workspace", str(workspace_folder), *map(str, words)])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Said(code, out, err)

    return run


@pytest.fixture
def shapes(workspace_folder: Path) -> Path:
    """The workspace, with a competition file of its own."""
    (workspace_folder / "competitions").mkdir()
    (workspace_folder / "competitions" / "shapes.py").write_text(SHAPES)
    return workspace_folder

"""The practice hosts of all three competitions, made once, as small as they get."""

from __future__ import annotations

from pathlib import Path

import pytest

from competitions import load
from runner.hosts.practice import PracticeHost
from runner.practice.build import build_practice, practice_names
from runner.workspace import Workspace

SCALE = 0.05


@pytest.fixture(scope="session")
def practice_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace whose practice folder holds every competition that has a painter."""
    workspace = Workspace.at(tmp_path_factory.mktemp("practice"))
    for name in practice_names():
        build_practice(load(name), workspace, scale=SCALE)
    return workspace


@pytest.fixture(params=practice_names())
def practice_host(request: pytest.FixtureRequest, practice_workspace: Workspace) -> PracticeHost:
    """Each practice host in turn."""
    return PracticeHost(load(request.param), practice_workspace.practice_host_dir(request.param))


@pytest.fixture(scope="session")
def files(practice_workspace: Workspace) -> dict[str, Path]:
    """For each competition the folder of what its host offers."""
    return {name: practice_workspace.practice_host_dir(name) / "files" for name in practice_names()}

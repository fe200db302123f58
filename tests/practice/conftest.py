"""Sessions on the practice hosts of all three competitions, built once at the smallest scale."""

from __future__ import annotations

from pathlib import Path

import pytest

from competitions import load
from runner.hosts.practice import PracticeHost
from runner.practice.build import build_practice, practice_names
from runner.session import Session
from runner.workspace import Workspace

SCALE = 0.05


def host_of(session: Session) -> PracticeHost:
    """The session's practice host."""
    return PracticeHost(session.competition, session.workspace.practice_host_dir(session.name))


@pytest.fixture(scope="session")
def practice_sessions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Session]:
    """A session for each competition with practice data, all in one workspace."""
    workspace = Workspace.at(tmp_path_factory.mktemp("practice"))
    sessions = {name: Session(load(name), workspace, "practice") for name in practice_names()}
    for session in sessions.values():
        build_practice(session, scale=SCALE)
    return sessions


@pytest.fixture(params=practice_names())
def practice_host(request: pytest.FixtureRequest, practice_sessions: dict[str, Session]) -> PracticeHost:
    """Each practice host in turn."""
    return host_of(practice_sessions[request.param])


@pytest.fixture(scope="session")
def offered_dirs(practice_sessions: dict[str, Session]) -> dict[str, Path]:
    """For each competition the folder of the files that its host offers."""
    return {name: host_of(session).folder / "files" for name, session in practice_sessions.items()}

"""Open a host by its name, or the mirror of a competition's data."""

from __future__ import annotations

from runner.contract import Competition
from runner.errors import UsageError
from runner.hosts.kaggle import KaggleDataset, KaggleHost
from runner.hosts.kaggle.notebooks import KaggleNotebooks
from runner.hosts.notebooks import NotebookHost
from runner.hosts.practice import PracticeHost
from runner.hosts.practice_notebooks import PracticeNotebooks
from runner.hosts.protocol import FileSource, Host
from runner.workspace import Workspace


def open_host(name: str, competition: Competition, workspace: Workspace, *, remake: str | None = None) -> Host:
    """The practice host if `name` is "practice", else Kaggle. Nothing is sent yet.

    `remake` is the fix of a damaged practice host; without it, what brings a demo's host again.
    """
    if name == "practice":
        host = PracticeHost(competition, workspace.practice_host_dir(competition.name), remake=remake)
        host.before_grading = _notebooks_of(host).run_reruns
        return host
    return KaggleHost(competition, name=name)


def open_mirror(name: str, competition: Competition, workspace: Workspace) -> FileSource:
    """The dataset on Kaggle that the competition names as a mirror; UsageError if it names none."""
    if not competition.mirror:
        raise UsageError(f"{competition.name} names no mirror", fix=f"runner {competition.name} download")
    host = open_host(name, competition, workspace)
    if not isinstance(host, KaggleHost):
        raise UsageError("only Kaggle has mirrors", fix=f"runner --host kaggle {competition.name} download --mirror")
    return KaggleDataset(host, competition.mirror)


def open_notebooks(host: Host) -> NotebookHost:
    """The notebooks of a host, with its account and connection."""
    if isinstance(host, PracticeHost):
        return _notebooks_of(host)
    assert isinstance(host, KaggleHost), host.name
    return KaggleNotebooks(host)


def _notebooks_of(host: PracticeHost) -> PracticeNotebooks:
    return PracticeNotebooks(host.folder / "notebooks", {host.competition.slug: host})

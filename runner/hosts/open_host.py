"""The host of a name, and the mirror of a competition."""

from __future__ import annotations

from runner.contract import Competition
from runner.errors import UsageError
from runner.hosts.protocol import FileSource, Host
from runner.workspace import Workspace


def open_host(name: str, competition: Competition, workspace: Workspace) -> Host:
    """The host of that name. `http` is the practice host, served on this machine as Kaggle serves."""
    if name == "practice":
        from runner.hosts.practice import PracticeHost

        return PracticeHost(competition, workspace.practice_host_dir(competition.name))
    if name == "http":
        _serve_practice(competition, workspace)
    from runner.hosts.kaggle import KaggleHost

    return KaggleHost(competition, name=name)


def open_mirror(name: str, competition: Competition, workspace: Workspace) -> FileSource:
    """The dataset on Kaggle that the competition's file names as holding the same data."""
    if not competition.mirror:
        raise UsageError(
            f"{competition.name} names no mirror", fix=f"runner {competition.name} download, without --mirror"
        )
    host = open_host(name, competition, workspace)
    from runner.hosts.kaggle import KaggleDataset, KaggleHost

    if not isinstance(host, KaggleHost):
        raise UsageError("only Kaggle has mirrors", fix=f"runner {competition.name} download --mirror --host kaggle")
    return KaggleDataset(host, competition.mirror)


def _serve_practice(competition: Competition, workspace: Workspace) -> None:
    from runner.hosts.loopback import serve_for_good
    from runner.hosts.practice import PracticeHost

    serve_for_good(PracticeHost(competition, workspace.practice_host_dir(competition.name)))

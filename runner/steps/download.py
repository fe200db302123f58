"""The data of a competition: fetched or copied, verified, unpacked."""

from __future__ import annotations

from pathlib import Path

from runner.data import download as data_download
from runner.hosts.open_host import open_mirror
from runner.session import Session


def download(session: Session, source: Path | None = None, *, force: bool = False) -> Path:
    """The data folder, filled from the host, or from a folder or archive on this disk."""
    return data_download.download(session.competition, session.workspace, source or session.host, force=force)


def download_mirror(session: Session, *, force: bool = False) -> Path:
    """The data folder, filled from the Kaggle dataset that the plugin names, verified by building the index."""
    mirror = open_mirror(session.host_name, session.competition, session.workspace)
    return data_download.download(session.competition, session.workspace, mirror, force=force, is_mirror=True)


def is_downloaded(session: Session) -> bool:
    """Whether the data is complete in this workspace."""
    return data_download.is_downloaded(session.competition, session.workspace)

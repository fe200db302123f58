"""The data of a competition: fetched or copied, verified, unpacked."""

from __future__ import annotations

from pathlib import Path

from runner.console import log
from runner.data import download as data_download
from runner.data.checksums import read_checksums, write_checksums
from runner.data.manifest import data_files
from runner.data.pixels import extract_changed_pixels
from runner.hosts.open_host import open_mirror
from runner.session import Session
from runner.training.unreadable import remember_unreadable, report_unreadable


def download(session: Session, source: Path | None = None, *, force: bool = False) -> Path:
    """The data folder, filled from the host, or from a folder or archive on this disk."""
    return data_download.download(session.competition, session.workspace, source or session.host, force=force)


def download_mirror(session: Session, *, force: bool = False) -> Path:
    """The data folder, filled from the Kaggle dataset that the plugin names, whose images must be complete."""
    mirror = open_mirror(session.host_name, session.competition, session.workspace)
    return data_download.download(session.competition, session.workspace, mirror, force=force, is_mirror=True)


def check_images(session: Session, *, skip_unreadable: bool = False) -> None:
    """Tell which images have arrived broken; with `skip_unreadable` remember that every run goes on without them."""
    if skip_unreadable:
        remember_unreadable(session)
    else:
        report_unreadable(session)


def accept_changes(session: Session) -> list[str]:
    """Take the files of the data as they are now: their checksums are written again; the files that had changed."""
    folder = data_download.data_folder(session.competition, session.workspace)
    known = read_checksums(folder)
    extract_changed_pixels(session.competition, folder)
    write_checksums(folder, data_files(folder))
    changed = [name for name, digest in read_checksums(folder).items() if known.get(name) != digest]
    log.info(f"{len(changed):,} changed or new files are accepted as they are")
    return changed


def is_downloaded(session: Session) -> bool:
    """Whether the data is complete in this workspace."""
    return data_download.is_downloaded(session.competition, session.workspace)

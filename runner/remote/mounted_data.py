"""The competition's files where a host mounts them, as a data folder: of links, because they are there already."""

from __future__ import annotations

from pathlib import Path

from runner.contract import Competition
from runner.data import download as data_download
from runner.data.find_files import RequiredItem, find, missing_error, required_items, scan
from runner.data.manifest import MARKER
from runner.data.pixels import extract_pixels, extract_test_pixels
from runner.errors import DataError
from runner.workspace import Workspace, write_text


def find_competition(root: Path, slug: str) -> Path:
    """The folder of the competition's files: Kaggle has mounted it in one of two places over the years."""
    for path in (root / "input" / slug, root / "input" / "competitions" / slug):
        if path.is_dir():
            return path
    raise DataError(
        f"the files of {slug} are not mounted",
        where=root / "input",
        fix="accept the competition's rules with the account that owns the kernel",
    )


def link_data(competition: Competition, source: Path, workspace: Workspace, *, trains: bool = False) -> Path:
    """The data folder, of links into a folder that has the competition's files; only archives are unpacked.

    Training images may be missing if nothing is trained.
    """
    required = required_items(competition)
    location = scan(source, required)
    found = find(required, [location])
    if competition.prepare or found.packed:
        return data_download.download(competition, workspace, source)
    if trains and (missing := found.missing(required)):
        raise missing_error(missing, [location], source, "runner doctor")
    data_dir = workspace.data_dir(competition.name)
    for item, match in sorted(found.items.items(), key=lambda pair: not pair[0].is_folder):
        _link(item, match.location.folder / match.path, data_dir)
    (extract_pixels if trains else extract_test_pixels)(competition, data_dir)
    write_text(data_dir / MARKER, "")
    return data_dir


def _link(item: RequiredItem, path: Path, data_dir: Path) -> None:
    link = data_dir / item.names[0]
    if link.exists():
        return  # in a folder that is linked
    link.parent.mkdir(parents=True, exist_ok=True)
    if item.pattern and item.is_folder:  # class folders beside each other are found by walking, which follows no link
        for file in path.rglob("*"):
            if file.is_file():
                (link / file.relative_to(path)).parent.mkdir(parents=True, exist_ok=True)
                (link / file.relative_to(path)).symlink_to(file)
        return
    link.symlink_to(path)

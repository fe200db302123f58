"""The check of a new competition file: the download's search and the index, over names and tables alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runner.contract import Competition
from runner.data.find_files import find, missing_error, required_items
from runner.data.index import Index, build_index
from runner.data.index_inputs import FileListing
from runner.data.pixels import extract_pixels
from runner.data.place_images import place_images, read_table_images
from runner.errors import PluginError
from runner.new_competition.evidence import Source


@dataclass(frozen=True)
class Checked:
    """The competition, and the index of the files that it finds."""

    competition: Competition
    index: Index


def load_text(text: str, name: str) -> Competition:
    """The competition of a file's text, which this program wrote; a PluginError if it contradicts itself."""
    namespace: dict[str, object] = {}
    try:
        exec(compile(text, f"{name}.py", "exec"), namespace)
    except ValueError as error:
        raise PluginError(f"what was inferred contradicts itself: {error}") from error
    competition = namespace["COMPETITION"]
    assert isinstance(competition, Competition)
    object.__setattr__(competition, "name", name)
    return competition


def check(
    competition: Competition, source: Source, staging_dir: Path, *, where: Path | str, retry_command: str
) -> Checked:
    """The index of the files as the download would place them; a DataError with every problem if there are errors."""
    required = required_items(competition)
    found = find(required, source.locations)
    if missing := found.missing(required):
        raise missing_error(missing, source.locations, where, retry_command)
    place_images(found, read_table_images(competition, found))
    listed: list[str] = []
    staging_dir.mkdir(parents=True)
    for item, match in found.items.items():
        if item.is_folder:
            listed += (f"{item.names[0]}/{file[len(match.path) + 1 :]}" for file in match.files)
            (staging_dir / item.names[0]).mkdir(parents=True, exist_ok=True)
        else:
            target = staging_dir / item.names[0]
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(match.location.folder / match.path, target)
    extract_pixels(competition, staging_dir)
    extract_pixels(competition, staging_dir)
    index = build_index(competition, staging_dir, ListedFiles(staging_dir, listed))
    return Checked(competition, index)


def _link(source: Path, target: Path) -> None:
    """A table under another name: nothing is copied."""
    if not target.exists():
        target.symlink_to(source.resolve())


class ListedFiles(FileListing):
    """The files of image folders of which only the names are here."""

    def __init__(self, data_dir: Path, names: Iterable[str]) -> None:
        super().__init__(data_dir)
        self._names = tuple(dict.fromkeys(names))

    def files(self, folder: str) -> frozenset[str]:
        """Every file below a folder, at any depth."""
        if folder not in self._folders:
            self._folders[folder] = frozenset(
                name for name in self._names if not folder or name.startswith(f"{folder}/")
            )
        return self._folders[folder]

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder, sorted."""
        below = (name[len(folder) + 1 :] for name in self._names if name.startswith(f"{folder}/"))
        return sorted({name.partition("/")[0] for name in below if "/" in name})

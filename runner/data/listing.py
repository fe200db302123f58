"""What lies in the competition's image folders. Each folder is listed once: no question a file."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from runner.data.image_arrays import IMAGE_SUFFIXES

# Spellings of one suffix: cameras and disks write them as they like.
_FAMILIES = ((".jpg", ".jpeg", ".jpe"), (".tif", ".tiff"))


class FileListing:
    """The files below the raw folder, by their paths relative to it."""

    def __init__(self, raw: Path) -> None:
        self._raw = raw
        self._folders: dict[str, frozenset[str]] = {}

    def has_folder(self, template: str) -> bool:
        """Whether the folder is there that the template's images lie in."""
        return (self._raw / folder_of(template)).is_dir()

    def files(self, folder: str) -> frozenset[str]:
        """Every file below a folder, however deep; hidden ones are nobody's images."""
        if folder not in self._folders:
            self._folders[folder] = frozenset(_walk(self._raw / folder, f"{folder}/"))
        return self._folders[folder]

    def folders(self, folder: str) -> list[str]:
        """The names of the folders right below a folder."""
        with os.scandir(self._raw / folder) as entries:
            return sorted(entry.name for entry in entries if _is_folder(entry))

    def find(self, template: str, id: str) -> str | None:
        """The image of an id; a suffix in another spelling will do where the exact one is not there."""
        files = self.files(folder_of(template))
        path = template.replace("{id}", id)
        if path in files:
            return path
        stem, suffix = path.removesuffix(PurePosixPath(path).suffix), PurePosixPath(path).suffix
        spelt = (stem + other for other in _spellings(suffix))
        return next((other for other in spelt if other in files), None)


def folder_of(template: str) -> str:
    """The folder that a template's images lie in: `train` for `train/{id}.jpg`."""
    return template.split("{", 1)[0].rpartition("/")[0]


def is_image(path: str) -> bool:
    """Whether the name is an image's."""
    return PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES


def _walk(folder: Path, prefix: str) -> list[str]:
    """Relative paths of the files below; links to folders are not followed, so that no ring is walked."""
    if not folder.is_dir():
        return []
    found: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_folder(entry):
                found += _walk(Path(entry.path), f"{prefix}{entry.name}/")
            elif not entry.name.startswith("."):
                found.append(prefix + entry.name)
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)


def _spellings(suffix: str) -> list[str]:
    lower = suffix.lower()
    if lower not in IMAGE_SUFFIXES:
        return []
    family = next((family for family in _FAMILIES if lower in family), (lower,))
    return [spelling for name in family for spelling in (name, name.upper(), name.title())]

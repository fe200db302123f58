"""The names in an archive, and of an archive: which are trusted, and where each may land."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

_SUFFIXES = (".zip", ".7z", ".tar", ".gz", ".bz2", ".xz")
_SHORT_SUFFIXES = {".tgz": ".tar", ".tbz2": ".tar", ".txz": ".tar"}


def has_archive_name(name: str) -> bool:
    """Whether a file's name ends as an archive's does."""
    return name.lower().endswith((*_SUFFIXES, *_SHORT_SUFFIXES))


def without_suffixes(name: str) -> str:
    """The name of what is inside: `train-jpg` for `train-jpg.tar.7z`, `labels.csv` for `labels.csv.zip`."""
    path = PurePosixPath(name)
    while path.suffix.lower() in (*_SUFFIXES, *_SHORT_SUFFIXES):
        path = path.with_suffix("")
    return path.name


def name_inside(name: str) -> str:
    """The name of the one file in a compressed stream: `x.csv` in `x.csv.gz`, `x.tar` in `x.tgz`."""
    path = PurePosixPath(name)
    suffix = path.suffix.lower()
    if suffix in _SHORT_SUFFIXES:
        return path.with_suffix(_SHORT_SUFFIXES[suffix]).name
    return path.with_suffix("").name if suffix in _SUFFIXES else path.name


def is_junk(name: str) -> bool:
    """Whether a path is something that a Mac leaves in archives and folders."""
    parts = PurePosixPath(name).parts
    return bool(parts) and ("__MACOSX" in parts or parts[-1] == ".DS_Store" or parts[-1].startswith("._"))


def safe_path(name: str) -> PurePosixPath:
    """A name from outside as a path that stays below the folder it is joined to, or a ValueError."""
    if any(ord(letter) < 32 for letter in name):
        raise ValueError(f"the name {name!r} holds control characters")
    if "\\" in name:
        raise ValueError(f"the name {name!r} holds a backslash, which some systems take for a slash")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise ValueError(f"the name {name!r} is absolute")
    path = PurePosixPath(name)
    if ".." in path.parts:
        raise ValueError(f"the name {name!r} climbs out of its folder")
    return path


def check_collisions(places: Iterable[tuple[PurePosixPath, bool]]) -> None:
    """A ValueError where two places, each with whether it is a folder, cannot both be on every disk."""
    spellings: dict[str, str] = {}
    is_folder_at: dict[str, bool] = {}
    for place, is_folder in places:
        for depth in range(1, len(place.parts) + 1):
            spelling = "/".join(place.parts[:depth])
            key = _case_blind(spelling)
            as_folder = is_folder or depth < len(place.parts)
            if spellings.setdefault(key, spelling) != spelling:
                raise ValueError(f"{spellings[key]!r} and {spelling!r} are one name on a case-blind disk")
            if key in is_folder_at and not (as_folder and is_folder_at[key]):
                twice = not as_folder and not is_folder_at[key]
                raise ValueError(f"{spelling!r} is there twice" + ("" if twice else ", as file and as folder"))
            is_folder_at[key] = as_folder


def _case_blind(path: str) -> str:
    # As a disk compares that knows neither case, nor how an accent is composed, nor a dot at the end.
    parts = unicodedata.normalize("NFC", path.casefold()).split("/")
    return "/".join(part.rstrip(". ") for part in parts)

"""Names of archives, and of the files in them: which are safe to extract."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

_SUFFIXES = (".zip", ".7z", ".tar", ".gz", ".bz2", ".xz")
_CONTROL = re.compile(r"[\x00-\x1f]")
_SHORT_SUFFIXES = {".tgz": ".tar", ".tbz2": ".tar", ".txz": ".tar"}


def has_archive_name(name: str) -> bool:
    """Whether the name has the suffix of an archive."""
    return name.lower().endswith((*_SUFFIXES, *_SHORT_SUFFIXES))


def without_suffixes(name: str) -> str:
    """The name of the content: `train-jpg` for `train-jpg.tar.7z`, `labels.csv` for `labels.csv.zip`."""
    path = PurePosixPath(whole_name(name) or name)
    while path.suffix.lower() in (*_SUFFIXES, *_SHORT_SUFFIXES):
        path = path.with_suffix("")
    return path.name


def whole_name(name: str) -> str | None:
    """The archive that a file is one part of: `train.zip` for `train.zip.001`; None if it is no part."""
    whole, _, number = name.rpartition(".")
    return whole if len(number) in (2, 3) and number.isdecimal() and has_archive_name(whole) else None


def group_parts(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The parts of each archive in parts, by the first of them; an archive that lacks one is left out."""
    parts: dict[str, dict[int, str]] = {}
    for name in names:
        if whole := whole_name(name):
            parts.setdefault(whole, {})[int(name.rpartition(".")[2])] = name
    complete = (numbered for numbered in parts.values() if set(numbered) == set(range(1, len(numbered) + 1)))
    return {numbered[1]: tuple(numbered[number] for number in sorted(numbered)) for numbered in complete}


def join_fix(whole: str, retry_command: str) -> str:
    """What to do about an archive in parts."""
    quoted = shlex.quote(whole)
    return f"join the parts: cat {quoted}.* > {quoted}, then: `{retry_command}`"


def name_inside(name: str) -> str:
    """The name of the one file in a compressed file: `x.csv` in `x.csv.gz`, `x.tar` in `x.tgz`."""
    path = PurePosixPath(name)
    suffix = path.suffix.lower()
    if suffix in _SHORT_SUFFIXES:
        return path.with_suffix(_SHORT_SUFFIXES[suffix]).name
    return path.with_suffix("").name if suffix in _SUFFIXES else path.name


def is_junk(name: str) -> bool:
    """Whether macOS added the file to the archive or folder."""
    if not any(mark in name for mark in ("__MACOSX", ".DS_Store", "._")):
        return False  # nearly all of the 250,000 files that an archive may hold
    parts = PurePosixPath(name).parts
    return bool(parts) and ("__MACOSX" in parts or parts[-1] == ".DS_Store" or parts[-1].startswith("._"))


def safe_path(name: str) -> PurePosixPath:
    """The name as a path that stays in the folder it is joined to; ValueError if it would not."""
    if _CONTROL.search(name):
        raise ValueError(f"the name {name!r} has control characters")
    if "\\" in name:
        raise ValueError(f"the name {name!r} has a backslash, which some systems read as a slash")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise ValueError(f"the name {name!r} is absolute")
    path = PurePosixPath(name)
    if ".." in path.parts:
        raise ValueError(f"the name {name!r} leads out of its folder")
    return path


def check_collisions(paths: Iterable[tuple[PurePosixPath, bool]]) -> None:
    """Raise a ValueError if two of the paths, each with whether it is a folder, cannot both exist on every disk."""
    spellings: dict[str, str] = {}
    is_folder_at: dict[str, bool] = {}
    folders = set[str]()  # above a path that was looked at
    for path, is_folder in paths:
        above = str(path).rpartition("/")[0]
        first = len(path.parts) if above in folders else 1
        folders.add(above)
        for depth in range(first, len(path.parts) + 1):
            spelling = "/".join(path.parts[:depth])
            key = _ignoring_case(spelling)
            as_folder = is_folder or depth < len(path.parts)
            if spellings.setdefault(key, spelling) != spelling:
                raise ValueError(f"{spellings[key]!r} and {spelling!r} are the same name on a disk that ignores case")
            if key in is_folder_at and not (as_folder and is_folder_at[key]):
                both_files = not as_folder and not is_folder_at[key]
                raise ValueError(f"{spelling!r} is repeated" + ("" if both_files else ", as a file and as a folder"))
            is_folder_at[key] = as_folder


def _ignoring_case(path: str) -> str:
    # As a disk compares names that ignores case, the composition of accents, and dots at the end.
    parts = unicodedata.normalize("NFC", path.casefold()).split("/")
    return "/".join(part.rstrip(". ") for part in parts)

"""What a workspace holds, without what differs between two unbroken runs: times, and the path of the workspace."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

_PAGES = {".html", ".svg"}
_TEXT = {".csv", ".json", ".jsonl", ".py", ".txt", ""}
_FIGURE = re.compile(r"<svg.*?</svg>|data:image/[^\"']*", re.DOTALL)
_NUMBER = re.compile(r"[-+−]?\d[\d.,e]*")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}[:-]?\d{2}(?:[:-]?\d{2})?(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})?)?")
# Of a file's or line's own content with its times; in the ledger the last cell.
_CHECKSUM = re.compile(
    r'(?<="checksum": )(?:\d+|"[0-9a-f]{16}")|\bcrc32:[0-9a-f]{8}\b|(?<=,)c[0-9a-f]{8}$', re.MULTILINE
)
_SECONDS = re.compile(r'("[a-z_]*(?:seconds|second)[a-z_]*": )[\d.e+-]+')
_DURATION = re.compile(r"\b\d+(?:\.\d+)? ?(?:s|min|h|ms)\b(?: \d+ ?s\b)?")
_IGNORED = re.compile(r"(^|/)(cache/|\.output|\.[^/]*\.lock$|\.lock$|[^/]*\.lock$|competitions/__pycache__)")


def workspace_contents(workspace: Path) -> dict[str, str]:
    """A hash of the content of each file by its path. Caches and locks are left out: they are no results."""
    paths = (path for path in sorted(workspace.rglob("*")) if path.is_file())
    named = ((path.relative_to(workspace).as_posix(), path) for path in paths)
    return {_without_times(name): _digest(path, workspace) for name, path in named if not _IGNORED.search(name)}


def differences(expected: Path, found: Path) -> list[str]:
    """The files that one workspace has and the other has not, or with other content; leftovers are named so."""
    before, after = workspace_contents(expected), workspace_contents(found)
    lines = [f"{name} is missing" for name in before if name not in after]
    lines += [f"{name} is left over" for name in after if name not in before]
    return lines + [f"{name} differs" for name in before if name in after and before[name] != after[name]]


def _without_times(name: str) -> str:
    return _MOMENT.sub("MOMENT", name)


def _page(text: str) -> str:
    """A page without numbers and figures, which are drawn from files that are compared themselves."""
    return _NUMBER.sub("N", _FIGURE.sub("FIGURE", text))


def _digest(path: Path, workspace: Path) -> str:
    if path.suffix == ".npz":
        content = _arrays(path)
    elif path.suffix in _PAGES:
        content = _page(path.read_text(encoding="utf-8")).encode()
    elif path.suffix in _TEXT:
        text = plain_text(path.read_text(encoding="utf-8", errors="replace"), workspace)
        # Two submissions of one second may change places, and epochs of folds that are trained side by side. Which row
        # is in which fold does not depend on the order of the lines.
        is_sorted = path.name in ("ledger.csv", "log.jsonl", "folds.csv")
        content = ("".join(sorted(text.splitlines())) if is_sorted else text).encode()
    else:
        content = path.read_bytes()
    return hashlib.sha256(content).hexdigest()


def _arrays(path: Path) -> bytes:
    """The arrays of an archive, which itself holds the time of its writing; all of it if it is damaged."""
    try:
        with np.load(path) as arrays:
            return b"".join(name.encode() + arrays[name].tobytes() for name in sorted(arrays.files))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return path.read_bytes()


def plain_text(text: str, workspace: Path) -> str:
    """The text without times and without the workspace's path."""
    text = text.replace(str(workspace), "WORKSPACE")
    text = _CHECKSUM.sub("CHECKSUM", text)
    return _DURATION.sub("DURATION", _SECONDS.sub(r"\1 SECONDS", _MOMENT.sub("MOMENT", text)))


def read_json(path: Path) -> Any:
    """The JSON value in the file."""
    return json.loads(path.read_text(encoding="utf-8"))

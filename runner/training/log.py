"""log.jsonl: every epoch and every cycle of a run, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.workspace import locked, write_text

Line = dict[str, Any]


def append_line(path: Path, line: Line) -> None:
    """Add one line; it is on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(_lock_of(path)), path.open("a", encoding="utf-8") as log:
        log.write(json.dumps(line) + "\n")


def read_log(path: Path) -> list[Line]:
    """Every whole line; a last one that a power cut left half written is not one."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def keep_lines(path: Path, wanted: Callable[[Line], bool]) -> None:
    """Drop what was logged past the point from which a broken run goes on."""
    if path.exists():
        # Another process may train another fold of this run, and add a line of its own just now.
        with locked(_lock_of(path)):
            write_text(path, "".join(json.dumps(line) + "\n" for line in read_log(path) if wanted(line)))


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")

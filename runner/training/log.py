"""log.jsonl: every epoch and every cycle of a run, one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.workspace import write_text

Line = dict[str, Any]


def append_line(path: Path, line: Line) -> None:
    """Add one line; it is on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
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
        write_text(path, "".join(json.dumps(line) + "\n" for line in read_log(path) if wanted(line)))

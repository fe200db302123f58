"""Delete what is made again when it is needed."""

from __future__ import annotations

import shutil
from pathlib import Path

from runner.steps.manage_runs import remove_deleted
from runner.workspace import Workspace, remove_leftovers_below


def clean(workspace: Workspace, competition: str) -> int:
    """Delete a competition's cache, and what killed commands left half written; how many bytes that freed."""
    folder = workspace.cache_dir(competition)
    remove_deleted(workspace.runs_dir(competition))
    remove_leftovers_below(workspace.result_dirs(competition))
    # Blocks on the disk, not file sizes: the image cache is a sparse file.
    stats = map(Path.lstat, folder.rglob("*"))
    size = sum(getattr(stat, "st_blocks", stat.st_size / 512) * 512 for stat in stats)
    shutil.rmtree(folder, ignore_errors=True)
    return int(size)

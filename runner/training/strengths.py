"""The strengths of a run's regressions, for its refit on all rows: a search on a few rows more would find the same."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

from runner.training.fold import FoldRun
from runner.training.log import read_log
from runner.training.run import Run
from runner.workspace import read_record, write_json

FORMAT = 1


@dataclass(frozen=True)
class Strengths:
    """The strength of each regression, by the number of its stage."""

    of_stage: dict[str, float]


def copy_strengths(original: Run, run: Run) -> None:
    """Keep the strengths that a run's folds found, of several the middle one, for its refit."""
    found: dict[str, list[float]] = {}
    for line in read_log(original.log_file):
        if "strength" in line:
            found.setdefault(str(line["stage"]), []).append(line["strength"])
    if found:
        strengths = Strengths({stage: statistics.median_low(of_folds) for stage, of_folds in found.items()})
        write_json(_file(run.fold_dir(0)), asdict(strengths), format=FORMAT)


def read_strength(fold: FoldRun, stage: int) -> float | None:
    """The strength of the run that this one refits; None if it is no refit, or if there is none of this stage."""
    path = _file(fold.folder)
    if not path.exists():
        return None
    strengths = read_record(path, Strengths, format=FORMAT, fix="delete the file: the strength is then searched")
    return strengths.of_stage.get(str(stage))


def _file(folder: Path) -> Path:
    return folder / "strengths.json"

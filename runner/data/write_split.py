"""Make a split of an index and write it down: the folds.csv that every later run shares."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from runner.console import log
from runner.data.folds import ClassCounts, count_classes, remarks, write_folds
from runner.data.index import Index
from runner.data.splits import split_folds, split_given, split_holdout
from runner.gc_disabled import gc_disabled


@dataclass(frozen=True)
class SplitPlan:
    """How to split: folds of equal size, one holdout, or (both None) what the competition brings, else a fifth.

    The seed is not the recipe's: runs with other seeds must hold out the same rows to be comparable.
    """

    folds: int | None = None
    holdout: float | None = None
    seed: int = 42

    @property
    def share(self) -> float:
        return 0.2 if self.holdout is None else self.holdout


@gc_disabled()
def write_split(index: Index, how: SplitPlan, path: Path) -> list[ClassCounts]:
    """Split the labelled rows, write folds.csv, say what is odd about it; the rows of each class in each fold."""
    table, targets = index.train, index.targets()
    ids, groups = table["id"].tolist(), table["group"].tolist()
    if how.folds is not None:
        folds = split_folds(ids, targets, groups, folds=how.folds, seed=how.seed)
    elif how.holdout is None and (table["subset"] == "valid").any():
        folds = split_given(table["subset"].tolist())
    else:
        folds = split_holdout(ids, targets, groups, fraction=how.share, seed=how.seed)
    write_folds(path, ids, table["label"].tolist(), folds, asdict(how))
    counts = count_classes(index.classes, targets, folds)
    for remark in remarks(counts, groups, folds):
        log.info(f"note: {remark}")
    return counts

"""folds.csv: which rows are validation rows, the same for all runs so that their scores can be compared."""

from __future__ import annotations

from pathlib import Path

from runner.data.folds import ClassCounts
from runner.data.splits import SplitPlan, write_split
from runner.session import Session


def split(session: Session, plan: SplitPlan) -> tuple[Path, list[ClassCounts]]:
    """Write folds.csv; return its path and each class's rows by fold."""
    return session.folds_file, write_split(session.index, plan, session.folds_file)

"""folds.csv: which rows are validation rows, the same for all runs so that their scores can be compared."""

from __future__ import annotations

from pathlib import Path

from runner.data.folds import ClassCounts, Folds, Integers, read_folds
from runner.data.splits import SplitPlan, split_rows, write_split
from runner.errors import DataError, RunnerError, UsageError
from runner.session import Session
from runner.training.run import Run, find_runs

_LISTED = 5  # runs in the message


def split(session: Session, plan: SplitPlan, *, force: bool = False) -> tuple[Path, list[ClassCounts]]:
    """Write folds.csv; its path and each class's rows by fold. A UsageError if runs have the present folds."""
    folds = split_rows(session.index, plan)
    if not force:
        _refuse_to_orphan_runs(session, plan, folds)
    _refuse_empty_parts(session, plan, folds)
    return session.folds_file, write_split(session.index, plan, session.folds_file, folds)


def _refuse_empty_parts(session: Session, plan: SplitPlan, folds: Integers) -> None:
    """A UsageError if nothing is left to train on, or to validate with."""
    valid, rows = int((folds == 0).sum()), len(folds)
    if plan.folds is None and valid in (0, rows):
        left = "no row to train on" if valid else "no validation row"
        raise UsageError(
            f"a holdout of {plan.fraction:g} of {rows:,} rows leaves {left}",
            fix=f"`{session.command('split', '--holdout', '0.2')}`",
        )


def _refuse_to_orphan_runs(session: Session, plan: SplitPlan, folds: Integers) -> None:
    present = _present_folds(session)
    if present is None:
        return
    runs = [run.name for run in find_runs(session.workspace, session.name) if _has_folds(run, present)]
    ids = session.index.train["id"].tolist()
    if not runs or present.fold_of == dict(zip(ids, folds.tolist(), strict=True)):
        return
    listed = ", ".join(runs[:_LISTED]) + (f" and {len(runs) - _LISTED} more" if len(runs) > _LISTED else "")
    raise UsageError(
        f"new runs could be neither compared nor blended with those of the present split: {listed}",
        where=session.folds_file,
        fix=f"to split all the same: `{session.command('split', *_flags(plan), '--force')}`",
    )


def _present_folds(session: Session) -> Folds | None:
    """The shared split; None if there is none, or if it is damaged or of other data: no run can be trained on it."""
    table = session.index.train
    try:
        folds = read_folds(session.folds_file, competition=session.name)
        folds.for_rows(table["id"].tolist(), table["label"].tolist())
    except DataError:
        return None
    return folds


def _has_folds(run: Run, folds: Folds) -> bool:
    try:
        own = read_folds(run.folds_file, competition=run.competition)
    except RunnerError:
        return False
    return not run.is_empty and own.fold_of == folds.fold_of


def _flags(plan: SplitPlan) -> list[str]:
    flags = {"--folds": plan.folds, "--holdout": plan.holdout, "--seed": None if plan.seed == 42 else plan.seed}
    return [word for flag, value in flags.items() if value is not None for word in (flag, str(value))]

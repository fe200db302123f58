"""Which runs may be blended: those whose models were kept from the same rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from runner.data.folds import TRAIN_ONLY, Folds
from runner.errors import RunnerError

_HeldOut = frozenset[frozenset[str]]


def check_common_folds(runs: Mapping[str, Folds]) -> None:
    """Refuse to blend runs whose weights could not be fitted without a leak.

    Where the folds are the same, a row that is scored has, in every run, models that did not see it, and the
    weights are fitted on rows of other folds. Where they differ, those other rows were predicted, in one of the
    runs, by models that did train on the row that is scored: its label shapes the weights that it is scored with.
    """
    (first, one), *others = runs.items()
    held_out = _held_out(one)
    for name, folds in others:
        if _held_out(folds) != held_out:
            raise RunnerError(
                f"runs {first!r} and {name!r} cannot be blended without a leak: {_difference(one, folds)}",
                where=folds.path,
                fix=f"runner {folds.competition} train --run NEW: new runs of one workspace share their folds",
            )


def _held_out(folds: Folds) -> _HeldOut:
    """The rows of each fold. Which number a fold has does not matter, nor which rows are always trained on."""
    rows: dict[int, set[str]] = defaultdict(set)
    for name, fold in folds.fold_of.items():
        if fold != TRAIN_ONLY:
            rows[fold].add(name)
    return frozenset(frozenset(names) for names in rows.values())


def _difference(one: Folds, other: Folds) -> str:
    if one.count != other.count:
        return f"the first has {_folds(one)}, the second {_folds(other)}"
    ones, others = _together(one), _together(other)
    for held, never, which in ((ones, others, "second"), (others, ones, "first")):
        if held.keys() - never.keys():
            return f"row {min(held.keys() - never.keys())!r} is held out in one of them, and never in the {which}"
    name = min(name for name in ones if ones[name] != others[name])
    return f"row {name!r} is held out together with other rows in the first than in the second"


def _together(folds: Folds) -> dict[str, frozenset[str]]:
    return {name: rows for rows in _held_out(folds) for name in rows}


def _folds(folds: Folds) -> str:
    return "one holdout" if folds.count == 1 else f"{folds.count} folds"

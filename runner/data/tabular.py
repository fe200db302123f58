"""Numbers that come with an image, such as the angle it was taken at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runner.contract import Competition
from runner.csv_file import parse_number
from runner.data.index import Index, tabular_column

Tabular = NDArray[np.float32]


def read_tabular(competition: Competition, index: Index, subset: str) -> Tabular:
    """The tabular columns of the labelled ("train") or the test rows, shaped (rows, columns); NaN if missing."""
    rows = index.train if subset == "train" else index.test
    # The index has checked that these are numbers.
    columns = [list(map(parse_number, rows[tabular_column(name)])) for name in competition.tabular]
    return np.array(columns, dtype=np.float32).reshape(len(columns), len(rows)).T.copy()


def standardise_and_impute(tabular: Tabular, known: Tabular, seed: int) -> Tabular:
    """The columns standardised by the known rows; a missing number is drawn from the known ones.

    A draw and not the mean: a network recognises a mean that many rows share, and would learn from it that the
    number was missing, which has nothing to do with the image.
    """
    filled = tabular.copy()
    draws = np.random.Generator(np.random.PCG64(seed))
    for column in range(tabular.shape[1]):
        values = known[~np.isnan(known[:, column]), column]
        values = values if len(values) else np.zeros(1, dtype=np.float32)
        missing = np.isnan(filled[:, column])
        filled[missing, column] = draws.choice(values, int(missing.sum()))
        filled[:, column] = (filled[:, column] - values.mean()) / (values.std() or 1)
    return filled

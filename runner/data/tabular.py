"""Numbers that come with an image, such as the angle it was taken at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runner.contract import Competition
from runner.contract.labels import aliases
from runner.csv_file import read_columns, read_csv
from runner.data.index import Index
from runner.problems import ProblemList

Tabular = NDArray[np.float32]


def read_tabular(competition: Competition, index: Index, subset: str) -> Tabular:
    """The tabular columns of the labelled ("train") or the test rows, shaped (rows, columns); NaN if missing."""
    rows = index.train if subset == "train" else index.test
    if not competition.tabular:
        return np.zeros((len(rows), 0), dtype=np.float32)
    table = competition.labels.csv if subset == "train" else competition.test_csv
    assert table is not None  # the competition file was checked
    name = next((name for name in aliases(table) if (index.data_dir / name).is_file()), aliases(table)[0])
    # The index has checked this file.
    file, problems = read_csv(index.data_dir / name, name=name, lenient=True), ProblemList()
    columns = read_columns(file, [competition.labels.id, *competition.tabular], problems)
    problems.raise_if_errors(competition.name, index.data_dir)
    assert columns is not None
    row_of = {id: number for number, id in enumerate(columns.values[competition.labels.id])}
    values = np.array([columns.numbers(name, problems) for name in competition.tabular]).T
    return np.ascontiguousarray(values[[row_of[id] for id in rows["id"]]], dtype=np.float32)


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

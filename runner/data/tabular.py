"""Numbers that come with an image, such as the angle it was taken at."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from runner.contract import Competition, ImageArray
from runner.data.index import Index
from runner.errors import DataError

Scalars = NDArray[np.float32]


def read_tabular(competition: Competition, index: Index, part: str) -> Scalars:
    """The tabular of the labelled ("train") or the test rows, shaped (rows, tabular); NaN where one is missing."""
    images = competition.train_images if part == "train" else competition.test_images
    rows = index.train if part == "train" else index.test
    if not isinstance(images, ImageArray) or not images.tabular:
        return np.zeros((len(rows), 0), dtype=np.float32)
    table = pd.read_csv(index.data_dir / images.table, dtype={images.id: str}).set_index(images.id)
    missing = [name for name in images.tabular if name not in table.columns]
    if missing:
        raise DataError(
            f"the table has no column {missing[0]!r}",
            where=index.data_dir / images.table,
            fix=f"runner {competition.name} download --force",
        )
    return table.loc[rows["id"], list(images.tabular)].to_numpy(dtype=np.float32)


def standardise_and_impute(tabular: Scalars, known: Scalars, seed: int) -> Scalars:
    """On the scale of the known rows; a missing one is drawn from theirs.

    ReportFigure, and not the mean: a network can tell a mean that many rows share, and would learn from it that
    the number was missing, which says nothing of the image.
    """
    filled = tabular.copy()
    draws = np.random.Generator(np.random.PCG64(seed))
    for column in range(tabular.shape[1]):
        values = known[~np.isnan(known[:, column]), column]
        values = values if len(values) else np.zeros(1, dtype=np.float32)
        gaps = np.isnan(filled[:, column])
        filled[gaps, column] = draws.choice(values, int(gaps.sum()))
        filled[:, column] = (filled[:, column] - values.mean()) / (values.std() or 1)
    return filled

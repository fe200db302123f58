"""The test set that a notebook finds: its ids, their images, and which of them have none that can be read.

Nothing here may stop a submission: an id without an image is predicted by the class frequencies, and counted.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from runner.console import log
from runner.data import download as data_download
from runner.data.classes import IndexRow
from runner.data.image_paths import resolve_image_paths
from runner.data.index import COLUMNS, Index, tabular_column
from runner.data.index_inputs import IndexInputs
from runner.data.sample import read_sample_submission
from runner.errors import DataError
from runner.problems import describe
from runner.remote.package import LABELLED, Manifest
from runner.session import Session

_NO_IMAGE = "no-image"  # the path of a row whose image is missing, where no other row has one


@dataclass(frozen=True)
class HiddenSession(Session):
    """A session whose labelled rows are those of the package, and whose test rows are those that are found."""

    package_dir: Path = Path()
    manifest: Manifest | None = None

    @cached_property
    def index(self) -> Index:
        """Labelled rows of before, and a row for each id of the sample submission."""
        assert self.manifest is not None
        data_dir = data_download.data_folder(self.competition, self.workspace)
        labelled = _read_labelled(self.package_dir / LABELLED, self.manifest)
        table = pd.concat([labelled, self._test_table(data_dir)], ignore_index=True)
        return Index(data_dir, self.competition.labels, table, self.manifest.classes)

    @cached_property
    def missing(self) -> tuple[str, ...]:
        """The ids without an image."""
        return tuple(self._test_rows[1])

    def _test_table(self, data_dir: Path) -> pd.DataFrame:
        rows, missing = self._test_rows
        known = next((row.path for row in rows if row.path), _NO_IMAGE)
        columns = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
        columns["subset"] = ["test"] * len(rows)
        # Never opened: a row that is skipped is black.
        columns["path"] = [known if row.id in missing else row.path for row in rows]
        for name in self.competition.tabular:
            columns[tabular_column(name)] = [row.fields.get(name, "") for row in rows]
        return pd.DataFrame(columns, dtype=str)

    @cached_property
    def _test_rows(self) -> tuple[list[IndexRow], dict[str, None]]:
        """A row for each image of each id in the sample's order, one for an id without; and the ids without."""
        inputs = IndexInputs.of(self.competition, data_download.data_folder(self.competition, self.workspace))
        sample = read_sample_submission(inputs)
        images: dict[str, list[IndexRow]] = defaultdict(list)
        for row in resolve_image_paths(sample.rows, self.competition.test_images, inputs):
            images[row.id].append(row)
        if problems := [*inputs.problems.errors, *inputs.problems.warnings]:
            log.warning(f"the test set is used all the same:\n{describe(problems)}")
        if not sample.rows:
            raise DataError("the sample submission has no rows", where=inputs.data_dir)
        missing = dict.fromkeys(row.id for row in sample.rows if row.id not in images)
        rows: list[IndexRow] = []
        for row in {row.id: row for row in sample.rows}.values():
            rows += images.get(row.id) or [row]
        return rows, missing


def _read_labelled(path: Path, manifest: Manifest) -> pd.DataFrame:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    if tuple(header) != manifest.columns:
        raise DataError("the labelled rows have other columns than the package says", where=path)
    return pd.DataFrame(rows, columns=header, dtype=str)

"""Build a rehearsal: some labelled rows become its test set, and a practice host of its own grades them.

A rehearsal is a workspace inside the workspace. Its data folder has the competition's layout, with hard links if the
disk supports them. Of the hidden rows it has only the images, under anonymous ids; their labels are with the host,
which no step reads.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.commands import again
from runner.console import log
from runner.contract import Competition, ImageArray
from runner.contract.images import templates_of
from runner.contract.labels import aliases
from runner.csv_file import read_csv, write_csv
from runner.data.classes import own_group
from runner.data.folds import digest
from runner.data.image_arrays import open_array
from runner.data.index import Index
from runner.data.manifest import write_manifest
from runner.data.skipped_images import read_skipped_images
from runner.data.source import write_source
from runner.data.splits import split_holdout
from runner.errors import DamagedFileError, UsageError
from runner.hosts.grading import split_public_private
from runner.hosts.practice import PracticeData, create_practice_competition, read_origin, remove_host_marker
from runner.options import RehearsalOptions
from runner.session import Session
from runner.submission_format.submission_format import read_submission_format
from runner.workspace import Workspace, atomic_path, locked

Mask = NDArray[np.bool_]

_FEWEST_ROWS = 10  # with fewer, neither a public and private score nor a comparison means anything
_DAILY_LIMIT = 1000  # submissions; a rehearsal needs no limit
_ROWS_PER_COPY = 256


@dataclass(frozen=True)
class HiddenRows:
    """The hidden rows as the host knows them: anonymous ids, labels and groups; and all classes."""

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    classes: tuple[str, ...]


def rehearsal_workspace(session: Session, options: RehearsalOptions) -> Workspace:
    """The rehearsal's own workspace, inside the session's."""
    name = f"{session.name}-{options.test_fraction:g}-{options.seed}"
    return Workspace(session.workspace.root / "rehearsal" / name, is_default=False)


def choose_hidden_rows(index: Index, options: RehearsalOptions) -> Mask:
    """Which labelled rows are hidden: a stratified sample that splits no group."""
    table = index.train
    folds = split_holdout(
        table["id"].tolist(),
        index.strata().members,
        table["group"].tolist(),
        fraction=options.test_fraction,
        seed=options.seed,
    )
    hidden = np.asarray(folds == 0)
    if min(hidden.sum(), (~hidden).sum()) < _FEWEST_ROWS:
        raise UsageError(
            f"{options.test_fraction:g} of {len(hidden):,} labelled rows hides {hidden.sum():,} and leaves "
            f"{(~hidden).sum():,}; both need {_FEWEST_ROWS}",
            fix=again("--hidden", "0.2"),
        )
    return hidden


def anonymous_id(id: str, seed: int) -> str:
    """A hash of the id, 16 hexadecimal digits: it reveals neither label nor order."""
    return hashlib.sha256(f"hidden/{seed}/{id}".encode()).hexdigest()[:16]


def build_rehearsal(
    session: Session, rehearsal: Session, options: RehearsalOptions, *, force: bool = False
) -> HiddenRows:
    """Write the rehearsal's data and build its host, unless they exist for the same labels; return the hidden rows.

    With `force` they are made again, and the runs of the rehearsal go.
    """
    index = _without_skipped(session.index)
    hidden = choose_hidden_rows(index, options)
    rows = _hidden_rows(index, options, hidden)
    workspace, host_dir = rehearsal.workspace, rehearsal.workspace.practice_host_dir(session.name)
    origin = {**asdict(options), "rows": digest(index.train["id"].tolist(), index.train["label"].tolist())}
    with locked(workspace.root.with_name(f".{workspace.root.name}.lock")):
        found = None if force else _origin_of(rehearsal, host_dir)
        if found == origin:
            return rows
        if found is not None:
            log.warning(f"the labels have changed: the rehearsal is made again, without its runs: {workspace.root}")
        _remove(rehearsal, host_dir)
        # The host is built last: if it is complete, so is the data.
        data = _RehearsalData(session.competition, index, hidden, rows.ids, workspace.data_dir(session.name))
        data.write()
        flags = ("--hidden", f"{options.test_fraction:g}", "--seed", str(options.seed))
        write_source(data.folder, flags, command="rehearse")
        _build_host(session.competition, host_dir, rows, data.sample_file, origin)
    return rows


def _origin_of(rehearsal: Session, host_dir: Path) -> dict[str, Any] | None:
    """What the rehearsal was built from; None if it is not complete. A DamagedFileError rather than lose its runs."""
    fix = f"`{again('--force')}` makes the rehearsal again, without its runs"
    origin = read_origin(host_dir, fix=fix)
    if origin is None and any(folder.exists() for folder in rehearsal.workspace.result_dirs(rehearsal.name)):
        raise DamagedFileError("the rehearsal has runs, but no complete host", where=host_dir, fix=fix)
    return origin


def _remove(rehearsal: Session, host_dir: Path) -> None:
    """Remove the rehearsal: its results first, then what marks it as complete."""
    for folder in rehearsal.workspace.result_dirs(rehearsal.name):
        if folder.exists():
            shutil.rmtree(folder)
    remove_host_marker(host_dir)
    if rehearsal.workspace.root.exists():
        shutil.rmtree(rehearsal.workspace.root)


def _without_skipped(index: Index) -> Index:
    """The index without the images that the user has chosen to go on without."""
    skipped = read_skipped_images(index.data_dir)
    return replace(index, table=index.table[~index.table["path"].isin(skipped)]) if skipped else index


def _build_host(competition: Competition, folder: Path, rows: HiddenRows, sample: Path, origin: dict[str, Any]) -> None:
    create_practice_competition(
        competition,
        folder,
        PracticeData(
            files={},
            sample=sample,
            classes=rows.classes,
            solution=split_public_private(rows.ids, rows.labels, seed=origin["seed"]),
            daily_limit=_DAILY_LIMIT,
            origin=origin,
        ),
    )


def _hidden_rows(index: Index, options: RehearsalOptions, hidden: Mask) -> HiddenRows:
    table = index.train[hidden]
    # If ids are file names, as in some sample submissions, so are the anonymous ones.
    suffix = PurePosixPath(str(index.test["id"].iloc[0])).suffix if len(index.test) else ""
    suffix = suffix if _is_file_suffix(suffix) else ""
    ids = tuple(anonymous_id(id, options.seed) + suffix for id in table["id"])
    return HiddenRows(ids, tuple(table["label"]), tuple(table["group"]), index.classes)


def _is_file_suffix(text: str) -> bool:
    return text[1:].isalnum() and not text[1:].isdecimal()


@dataclass(frozen=True)
class _RehearsalData:
    """The data folder of a rehearsal, to be written."""

    competition: Competition
    index: Index
    hidden: Mask  # of the index's labelled rows
    hidden_ids: Sequence[str]  # their anonymous ids
    folder: Path

    @property
    def sample_file(self) -> Path:
        return self.folder / aliases(self.competition.sample_submission)[0]

    def write(self) -> None:
        """Write labels, images and sample submission; the manifest and the marker come last."""
        for images in self.competition.image_folders:
            (self.folder / images).mkdir(parents=True, exist_ok=True)
        self._write_labels()
        train, test = self.competition.train_images, self.competition.test_images
        if isinstance(train, ImageArray) and isinstance(test, ImageArray):
            self._write_arrays(train, test)
        else:
            assert not isinstance(test, ImageArray)
            self._link_images(templates_of(test)[0])
        self._write_sample()
        write_manifest(self.folder, self.competition.slug, "rehearsal", [])

    def _write_labels(self) -> None:
        """Write the labels of the rows that stay; folders that are labels need no table."""
        labels = self.competition.labels
        if not labels.csv:
            return
        table = self.index.train[~self.hidden]
        ids = table["id"].tolist()
        columns = {labels.id: ids, labels.label: table["label"].tolist()}
        if labels.group:
            groups = zip(table["group"], ids, strict=True)
            columns[labels.group] = ["" if group == own_group(id) else group for group, id in groups]
        write_csv(self.folder / aliases(labels.csv)[0], list(columns), zip(*columns.values(), strict=True))

    def _link_images(self, test_template: str) -> None:
        table = self.index.train
        for path in table[~self.hidden]["path"]:
            _link(self.index.data_dir / path, self.folder / path)
        for path, id in zip(table[self.hidden]["path"], self.hidden_ids, strict=True):
            _link(self.index.data_dir / path, self.folder / test_template.replace("{id}", id))

    def _write_arrays(self, train: ImageArray, test: ImageArray) -> None:
        """Write the array and the table of both subsets; the hidden rows are sorted by their anonymous id."""
        source_dir, ids = self.index.data_dir, self.index.train["id"]
        source = read_csv(source_dir / train.table)
        header = [name.strip() for name in source.header]
        cells = [dict(zip(header, map(str.strip, row), strict=False)) for _, row in source if row]
        row_of = {row[train.id]: number for number, row in enumerate(cells)}
        train_rows = sorted(row_of[id] for id in ids[~self.hidden])
        test_rows = sorted(zip(self.hidden_ids, (row_of[id] for id in ids[self.hidden]), strict=True))
        _copy_rows(source_dir / train.array, train_rows, self.folder / train.array)
        _copy_rows(source_dir / train.array, [row for _, row in test_rows], self.folder / test.array)
        write_csv(self.folder / train.table, header, ([cells[row][name] for name in header] for row in train_rows))
        # The real test table decides which columns are known of a row without a label.
        columns = [name.strip() for name in read_csv(source_dir / test.table).header]
        columns = [name for name in columns if name != self.competition.labels.label]
        anonymous = ({**cells[row], test.id: id} for id, row in test_rows)
        write_csv(self.folder / test.table, columns, ([row.get(name, "") for name in columns] for row in anonymous))

    def _write_sample(self) -> None:
        """Write a sample submission of the hidden rows, each with the cells of the real one's first row."""
        path = self.index.data_dir / aliases(self.competition.sample_submission)[0]
        sample = read_submission_format(self.competition, path)
        _, first_row = next(iter(read_csv(path)))
        column = sample.header.index(sample.id_column)
        rows = ([*first_row[:column], id, *first_row[column + 1 :]] for id in sorted(self.hidden_ids))
        write_csv(self.sample_file, sample.header, rows)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without hard links
        shutil.copyfile(source, target)


def _copy_rows(source: Path, rows: Sequence[int], target: Path) -> None:
    """Write an .npy file with these rows of another one, a few at a time."""
    array = open_array(source)
    shape = (len(rows), *array.shape[1:])
    size = math.prod(shape) * array.dtype.itemsize
    # Not into a memory map: a disk that becomes full would kill the process.
    with atomic_path(target, size=size) as temporary, temporary.open("wb") as file:
        descr = np.lib.format.dtype_to_descr(array.dtype)
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(rows), _ROWS_PER_COPY):
            file.write(np.ascontiguousarray(array[list(rows[start : start + _ROWS_PER_COPY])]).data)

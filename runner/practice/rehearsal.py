"""A rehearsal's ground: some labelled rows become a pretend test set, and a practice host of its own grades them.

The ground is a workspace inside the workspace. Its data folder is laid out as the competition's own, made of hard
links where the disk has them; of the hidden rows it holds the images alone, under names that say nothing. Their
labels lie with the host, where no step of the line looks.
"""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from runner.contract import Competition, ImageArray
from runner.contract.labels import aliases
from runner.csv_file import read_table
from runner.data.classes import alone
from runner.data.download import MANIFEST, MARKER
from runner.data.folds import digest
from runner.data.image_arrays import open_array
from runner.data.index import Index
from runner.data.splits import split_holdout
from runner.errors import UsageError
from runner.hosts.grading import split_public_private
from runner.hosts.practice import create_practice_competition, read_origin
from runner.submission_format.submission_format import read_submission_format
from runner.workspace import Workspace, atomic_path, locked, write_json, write_text

# With fewer the host could not tell a public score from a private one, and the hidden score would say nothing.
_FEWEST = 10
_MANY = 1000  # submissions a day: a rehearsal is nobody's race
_BLOCK = 256


@dataclass(frozen=True)
class RehearsalOptions:
    """How many of the labelled rows are hidden, and which."""

    share: float = 0.1
    seed: int = 42

    def anonymous_id(self, id: str) -> str:
        """What a hidden row is called: neither its label nor its place can be read from it."""
        return hashlib.sha256(f"hidden/{self.seed}/{id}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class HiddenRows:
    """The hidden rows as the host knows them."""

    names: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...]


def choose_hidden_rows(index: Index, hiding: RehearsalOptions) -> NDArray[np.bool_]:
    """Which labelled rows are hidden: stratified, groups whole."""
    table = index.train
    parts = split_holdout(
        table["id"].tolist(),
        index.targets(),
        table["group"].tolist(),
        fraction=hiding.share,
        seed=hiding.seed,
    )
    hidden = parts == 0
    if hidden.sum() < _FEWEST or (~hidden).sum() < _FEWEST:
        raise UsageError(
            f"{hiding.share:g} of {len(hidden):,} rows hides {hidden.sum()}: too few, or all but too few",
            fix="rehearse with --hidden 0.2",
        )
    return np.asarray(hidden)


def hidden_rows(index: Index, hiding: RehearsalOptions, hidden: NDArray[np.bool_]) -> HiddenRows:
    """What the host is told of the hidden rows."""
    table = index.train[hidden]
    names = _test_names(index, hiding, hidden)
    return HiddenRows(tuple(names), tuple(table["label"]), tuple(table["group"]))


def rehearsal_workspace(workspace: Workspace, competition: Competition, hiding: RehearsalOptions) -> Workspace:
    """The rehearsal's own workspace."""
    return Workspace(workspace.root / "rehearsal" / f"{competition.name}-{hiding.share:g}-{hiding.seed}")


def build_rehearsal(competition: Competition, index: Index, ground: Workspace, hiding: RehearsalOptions) -> HiddenRows:
    """Make the ground's data folder and its host, unless the very same ones are there already."""
    hidden = choose_hidden_rows(index, hiding)
    rows = hidden_rows(index, hiding, hidden)
    known = digest(index.train["id"].tolist(), index.train["label"].tolist())
    origin = {**asdict(hiding), "rows": known}
    with locked(ground.root.with_name(f".{ground.root.name}.lock")):
        if read_origin(ground.practice_host_dir(competition.name)) == origin:
            return rows
        if ground.root.exists():
            shutil.rmtree(ground.root)  # of other labels, or not whole
        data = ground.data_dir(competition.name)
        _write_data(competition, index, hiding, hidden, data)
        # The host comes last: where it is whole, the data is.
        create_practice_competition(
            competition,
            ground.practice_host_dir(competition.name),
            files={},
            sample=data / aliases(competition.sample_submission)[0],
            classes=index.classes,
            answers=split_public_private(rows.names, rows.labels, seed=hiding.seed),
            daily_limit=_MANY,
            origin=origin,
        )
    return rows


def _test_names(index: Index, hiding: RehearsalOptions, hidden: NDArray[np.bool_]) -> list[str]:
    """The hidden rows' new ids; where the sample's ids are whole file names, so are these."""
    table = index.train[hidden]
    suffix = PurePosixPath(str(index.test["id"].iloc[0])).suffix if len(index.test) else ""
    return [hiding.anonymous_id(id) + (suffix if _is_suffix(suffix) else "") for id in table["id"]]


def _is_suffix(text: str) -> bool:
    return text[1:].isalnum() and not text[1:].isdecimal()


def _write_data(
    competition: Competition, index: Index, hiding: RehearsalOptions, hidden: NDArray[np.bool_], folder: Path
) -> None:
    for below in competition.image_folders:
        (folder / below).mkdir(parents=True, exist_ok=True)
    names = _test_names(index, hiding, hidden)
    _write_labels(competition, index, hidden, folder)
    if isinstance(competition.train_images, ImageArray) and isinstance(competition.test_images, ImageArray):
        _write_bands(competition, competition.train_images, competition.test_images, index, hidden, names, folder)
    else:
        _link_images(competition, index, hidden, names, folder)
    _write_sample(competition, index, sorted(names), folder)
    write_json(folder / MANIFEST, {"competition": competition.slug, "source": "rehearsal", "taken": [], "files": {}})
    write_text(folder / MARKER, "")


def _write_labels(competition: Competition, index: Index, hidden: NDArray[np.bool_], folder: Path) -> None:
    """The table of labels, without the hidden rows; where folders are the labels, the links say it all."""
    labels = competition.labels
    if not labels.csv:
        return
    seen = index.train[~hidden]
    ids = seen["id"].tolist()
    columns = {labels.id: ids, labels.label: seen["label"].tolist()}
    if labels.group:
        groups = zip(seen["group"], ids, strict=True)
        columns[labels.group] = ["" if group == alone(id) else group for group, id in groups]
    _write_table(folder / aliases(labels.csv)[0], list(columns), zip(*columns.values(), strict=True))


def _link_images(
    competition: Competition, index: Index, hidden: NDArray[np.bool_], names: Sequence[str], folder: Path
) -> None:
    assert not isinstance(competition.test_images, ImageArray)
    template = aliases(competition.test_images)[0]
    for path in index.train[~hidden]["path"]:
        _link(index.data_dir / path, folder / path)
    for path, name in zip(index.train[hidden]["path"], names, strict=True):
        _link(index.data_dir / path, folder / template.replace("{id}", name))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


def _write_bands(
    competition: Competition,
    train: ImageArray,
    test: ImageArray,
    index: Index,
    hidden: NDArray[np.bool_],
    names: Sequence[str],
    folder: Path,
) -> None:
    """Arrays and tables of the seen rows and of the hidden ones; the hidden ones' in the order of their names."""
    table = pd.read_csv(index.data_dir / train.table, dtype=str, keep_default_na=False)
    row_of = {id: row for row, id in enumerate(table[train.id])}
    seen = sorted(row_of[id] for id in index.train[~hidden]["id"])
    _write_array(index.data_dir / train.array, seen, folder / train.array)
    _write_table(folder / train.table, list(table.columns), table.iloc[seen].itertuples(index=False))
    order = sorted(zip(names, (row_of[id] for id in index.train[hidden]["id"]), strict=True))
    _write_array(index.data_dir / train.array, [row for _, row in order], folder / test.array)
    told = table.iloc[[row for _, row in order]].assign(**{test.id: [name for name, _ in order]})
    # The real test table is the authority on what is known of a row whose label is not.
    columns = [name for name in read_table(index.data_dir / test.table).header if name != competition.labels.label]
    _write_table(folder / test.table, columns, told.reindex(columns=columns, fill_value="").itertuples(index=False))


def _write_array(source: Path, rows: Sequence[int], target: Path) -> None:
    array = open_array(source)
    with atomic_path(target) as part:
        new = np.lib.format.open_memmap(part, mode="w+", dtype=array.dtype, shape=(len(rows), *array.shape[1:]))
        for begin in range(0, len(rows), _BLOCK):
            new[begin : begin + _BLOCK] = array[list(rows[begin : begin + _BLOCK])]
        new.flush()
        del new


def _write_sample(competition: Competition, index: Index, names: Sequence[str], folder: Path) -> None:
    """The sample submission of the hidden rows; each is told what the real one tells of its first."""
    real = index.data_dir / aliases(competition.sample_submission)[0]
    form, (_, first) = read_submission_format(competition.labels, real), next(iter(read_table(real)))
    place = form.header.index(form.id_column)
    rows = ([*first[:place], name, *first[place + 1 :]] for name in names)
    _write_table(folder / aliases(competition.sample_submission)[0], form.header, rows)


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Iterable[str]]) -> None:
    with atomic_path(path) as part, part.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)

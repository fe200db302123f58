"""Build a rehearsal: some labelled rows become its test set, and a practice host of its own grades them.

A rehearsal is a workspace inside the workspace. Its data folder has the competition's layout, with hard links if the
disk supports them. Of the hidden rows it has only the images, under anonymous ids; their labels are with the host,
which no step reads.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.commands import again
from runner.console import log
from runner.contract import Competition
from runner.data.folds import digest
from runner.data.index import Index
from runner.data.skipped_images import read_skipped_images
from runner.data.source import write_source
from runner.data.splits import split_holdout
from runner.errors import DamagedFileError, UsageError
from runner.hosts.grading import split_public_private
from runner.hosts.practice import PracticeData, create_practice_competition, read_origin, remove_host_marker
from runner.options import RehearsalOptions
from runner.practice.rehearsal_data import RehearsalData, anonymous_ids, joined
from runner.session import Session
from runner.workspace import Workspace, locked

Mask = NDArray[np.bool_]

_FEWEST_ROWS = 10  # with fewer, neither a public and private score nor a comparison means anything
_DAILY_LIMIT = 1000  # submissions; a rehearsal needs no limit


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


def build_rehearsal(
    session: Session, rehearsal: Session, options: RehearsalOptions, *, force: bool = False
) -> HiddenRows:
    """Write the rehearsal's data and build its host, unless they exist for the same labels; return the hidden rows.

    With `force` they are made again, and the runs of the rehearsal go.
    """
    index = _without_skipped(session.index)
    hidden = choose_hidden_rows(index, options)
    rows = _hidden_rows(session.competition, index, options, hidden)
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
        data = RehearsalData.of(session.competition, index, hidden, options.seed, workspace.data_dir(session.name))
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


def _hidden_rows(competition: Competition, index: Index, options: RehearsalOptions, hidden: Mask) -> HiddenRows:
    table = index.train[hidden].drop_duplicates("id")  # an id may have several images
    columns = anonymous_ids(competition, index, hidden, options.seed)
    ids = tuple(joined(competition, columns[id]) for id in table["id"])
    return HiddenRows(ids, tuple(table["label"]), tuple(table["group"]), index.classes)

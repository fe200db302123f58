"""The members that a run's prediction files make: one a snapshot, over all folds that have predicted with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.prediction.out_of_fold import Member
from runner.prediction.predictions import path_of, read_view_names


def members_of(
    folders: Sequence[Path], names: Sequence[str], views: Sequence[str], *, held_out: bool = True, prefix: str = ""
) -> tuple[Member, ...]:
    """A member for each name, through these views, from these folds' folders."""
    return tuple(
        Member(
            prefix + name,
            tuple(path_of(folder, name, "valid") for folder in folders) if held_out else (),
            tuple(path_of(folder, name, "test") for folder in folders),
            tuple(views),
        )
        for name in names
    )


def predicted_names(folder: Path) -> tuple[str, ...]:
    """What a fold's folder has predictions of, for held-out and test rows alike; the last snapshot last."""
    names = [path.name.removesuffix(".valid.npz") for path in folder.glob("*.valid.npz")]
    return tuple(sorted((name for name in names if path_of(folder, name, "test").exists()), key=_place))


def common_views(paths: Sequence[Path]) -> tuple[str, ...]:
    """The views that all these files have, in the order of the first: the plain one leads."""
    first, *others = (read_view_names(path) for path in paths)
    return tuple(name for name in first if all(name in known for known in others))


def _place(name: str) -> tuple[bool, int, str]:
    # What is no snapshot stands before them all, so that the last member is the last snapshot.
    kind, _, number = name.partition("-")
    is_snapshot = kind == "snapshot" and number.isdecimal()
    return is_snapshot, int(number) if is_snapshot else 0, name

"""Duplicate images: equal byte for byte, or near duplicates (saved again, resized, a little brighter).

Near duplicates are pairs whose dHash differs in at most MAX_BITS of 64 bits and whose thumbnails correlate.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.console import track
from runner.data.image_names import is_array_path, size_on_disk
from runner.data.index import Index
from runner.explore.image_stats import THUMBNAIL_SIDE, ImageStats
from runner.images.readers import open_images

Rows = tuple[int, ...]  # positions in the index's table, ascending

MAX_BITS = 4
_BANDS = MAX_BITS + 1  # by the pigeonhole principle, two hashes so near are equal in one of the bands
_MIN_STD = 4.0  # of 255: a thumbnail with less is sky or darkness, whose hash is noise
_MIN_CORRELATION = 0.98
_BLOCK = 256  # rows compared at once
_MAX_PAIRS = 200_000


@dataclass(frozen=True)
class DuplicateGroup:
    """Images that are duplicates of one another."""

    paths: tuple[str, ...]
    subsets: tuple[str, ...]  # train, valid or test
    labels: tuple[str, ...]
    folds: tuple[int | None, ...]
    exact: bool

    @property
    def label_conflict(self) -> bool:
        """Whether labelled images of the group have different labels."""
        labels = {label for label, subset in zip(self.labels, self.subsets, strict=True) if subset != "test"}
        return len(labels) > 1

    @property
    def train_test(self) -> bool:
        """Whether the group has both labelled and test images."""
        return len({subset == "test" for subset in self.subsets}) > 1

    @property
    def fold_leak(self) -> bool:
        """Whether a validation image of one fold is a training image of the same fold."""
        return len({fold for fold in self.folds if fold is not None}) > 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        flags = {name: getattr(self, name) for name in ("label_conflict", "train_test", "fold_leak")}
        return {**asdict(self), **flags}


def find_duplicates(index: Index, stats: ImageStats, fold_of: NDArray[np.int64] | None) -> list[DuplicateGroup]:
    """All groups, the most harmful first: label conflicts, then train/test, then folds, then exact before near."""
    paths, subsets, labels = (index.table[name].tolist() for name in ("path", "subset", "label"))
    folds = _folds_of_table(subsets, fold_of)
    exact_rows = exact_groups(index.data_dir, paths)

    def build(rows: Rows, exact: bool) -> DuplicateGroup:
        paths_of, subsets_of, labels_of = (tuple(column[row] for row in rows) for column in (paths, subsets, labels))
        return DuplicateGroup(paths_of, subsets_of, labels_of, tuple(folds[row] for row in rows), exact)

    groups = [build(rows, True) for rows in exact_rows]
    groups += [build(rows, False) for rows in near_groups(stats, exact_rows)]
    return sorted(groups, key=lambda g: (not g.label_conflict, not g.train_test, not g.fold_leak, not g.exact))


def exact_groups(data_dir: Path, paths: Sequence[str]) -> list[Rows]:
    """Images that are equal byte for byte. Only files of the same size are read."""
    arrays = bool(paths) and all(map(is_array_path, paths))
    candidates = list(range(len(paths))) if arrays else _of_shared_size(data_dir, paths)
    reader = open_images(data_dir, paths)
    by_digest: dict[bytes, list[int]] = defaultdict(list)
    for row in track("contents", candidates, len(candidates)):
        by_digest[reader.digest(row)].append(row)
    return [tuple(rows) for rows in by_digest.values() if len(rows) > 1]


def near_groups(stats: ImageStats, exact: Iterable[Rows]) -> list[Rows]:
    """Near duplicates; of exact duplicates only the first is compared."""
    first = {row: rows[0] for rows in exact for row in rows}
    grey = stats.thumbnails.reshape(len(stats.rows), THUMBNAIL_SIDE**2).astype(np.float32)
    textured = np.flatnonzero(grey.std(axis=1) > _MIN_STD) if len(grey) else np.zeros(0, dtype=np.int64)
    pairs = textured[near_pairs(stats.hashes[textured])]
    pairs = pairs[_correlated(grey, pairs)]
    of_first = [(first.get(left, left), first.get(right, right)) for left, right in stats.rows[pairs].tolist()]
    return connected_groups([pair for pair in of_first if pair[0] != pair[1]])


def near_pairs(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """(pairs, 2): every pair of hashes that differ in at most MAX_BITS bits, at most about 200,000 pairs.

    Cut into one band more than bits may differ, two such hashes are equal in at least one band: only hashes with
    an equal band are compared.
    """
    pairs: set[tuple[int, int]] = set()
    for block in _candidates(hashes):
        pairs.update(block)
        if len(pairs) > _MAX_PAIRS:
            break  # thousands of equal images: a complete list adds nothing
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def _candidates(hashes: NDArray[np.uint64]) -> Iterator[list[tuple[int, int]]]:
    for band in _bands(hashes):
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order])) + 1
        for bucket in np.split(order, starts):
            if len(bucket) > 1:
                yield from _pairs_within(bucket, hashes)


def _bands(hashes: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
    edges = np.linspace(0, 64, _BANDS + 1).round().astype(int)
    return [(hashes >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1) for low, high in pairwise(edges)]


def _pairs_within(bucket: NDArray[np.int64], hashes: NDArray[np.uint64]) -> Iterator[list[tuple[int, int]]]:
    """Near pairs of a bucket, block by block, so that a bucket of all images needs little memory."""
    for start in range(0, len(bucket), _BLOCK):
        rows = bucket[start : start + _BLOCK]
        bits = np.bitwise_count(hashes[rows][:, None] ^ hashes[bucket][None, :])
        left, right = np.nonzero((bits <= MAX_BITS) & (rows[:, None] < bucket[None, :]))
        yield list(zip(rows[left].tolist(), bucket[right].tolist(), strict=True))


def _correlated(grey: NDArray[np.float32], pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which pairs have correlated thumbnails: the hashes of smooth images are often equal by chance."""
    agree = np.zeros(len(pairs), dtype=bool)
    for start in range(0, len(pairs), 8 * _BLOCK):
        block = pairs[start : start + 8 * _BLOCK]
        left, right = (_standardised(grey[block[:, side]]) for side in (0, 1))
        agree[start : start + len(block)] = (left * right).mean(axis=1) > _MIN_CORRELATION
    return agree


def _standardised(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = rows - rows.mean(axis=1, keepdims=True)
    scaled: NDArray[np.float32] = centred / centred.std(axis=1, keepdims=True).clip(1e-6)
    return scaled


def connected_groups(pairs: Sequence[tuple[int, int]]) -> list[Rows]:
    """The connected components of the graph whose edges are the pairs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not pairs:
        return []
    rows, edges = np.unique(np.array(pairs), return_inverse=True)
    left, right = edges.reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs)), (left, right)), shape=(len(rows), len(rows)))
    _, component = connected_components(graph, directed=False)
    order = np.argsort(component, kind="stable")
    groups = np.split(rows[order], np.flatnonzero(np.diff(component[order])) + 1)
    return sorted(tuple(group.tolist()) for group in groups)


def _of_shared_size(data_dir: Path, paths: Sequence[str]) -> list[int]:
    sizes = [size_on_disk(data_dir, path) for path in paths]
    files = Counter(sizes)
    return [row for row, size in enumerate(sizes) if size and files[size] > 1]


def _folds_of_table(subsets: Sequence[str], fold_of: NDArray[np.int64] | None) -> list[int | None]:
    """The fold of each row of the index's table; None for test rows and before the split."""
    labelled = iter(() if fold_of is None else fold_of.tolist())
    return [next(labelled, None) if subset != "test" else None for subset in subsets]

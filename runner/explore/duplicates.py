"""Images that are there twice: byte for byte, or nearly (saved again, resized, a shade lighter)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runner.console import track
from runner.data.image_arrays import is_array_path
from runner.explore.image_stats import ImageStats
from runner.images.decode import open_images

Group = tuple[int, ...]  # places of the images that are alike

MOST_BITS = 4  # of 64 that may differ
_BANDS = 5  # one more than that: two hashes so near have a band in common
_FLAT = 4.0  # a thumbnail that varies less, of 255, is sky or darkness: its hash says nothing
_CORRELATION = 0.98
_BLOCK = 256
_MOST_PAIRS = 200_000


def exact_groups(raw: Path, paths: Sequence[str]) -> list[Group]:
    """The images that are equal byte for byte. Of files only those whose sizes are equal are read."""
    if paths and all(map(is_array_path, paths)):
        suspects: Sequence[int] = range(len(paths))
    else:
        suspects = _of_shared_size(raw, paths)
    reader = open_images(raw, paths)
    alike: dict[bytes, list[int]] = defaultdict(list)
    for place in track("contents", suspects, len(suspects)):
        alike[reader.digest(place)].append(place)
    return [tuple(group) for group in alike.values() if len(group) > 1]


def near_groups(looks: ImageStats, exact: Iterable[Group]) -> list[Group]:
    """The images that nearly equal one another; those that are exactly equal count as one."""
    first = {place: group[0] for group in exact for place in group}
    grey = looks.thumbnails.reshape(len(looks.places), -1).astype(np.float32)
    telling = np.flatnonzero(grey.std(axis=1) > _FLAT) if len(grey) else np.zeros(0, dtype=np.int64)
    pairs = telling[near_pairs(looks.hashes[telling])]
    pairs = pairs[_correlated(grey, pairs)]
    places = [tuple(int(looks.places[one]) for one in pair) for pair in pairs]
    joined = [(first.get(one, one), first.get(other, other)) for one, other in places]
    return _joined(pair for pair in joined if pair[0] != pair[1])


def near_pairs(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Every pair, as (pairs, 2), that differs in at most MOST_BITS bits.

    Cut into one band more than bits may differ, such a pair is equal in at least one band: only images
    that share a band are compared.
    """
    found: set[tuple[int, int]] = set()
    for pairs in _candidates(hashes):
        found.update(pairs)
        if len(found) > _MOST_PAIRS:
            break  # thousands of images are one image: a person needs no more to see it
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 2)


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
    """MethodScore in blocks, so that a bucket of everything takes no memory."""
    for start in range(0, len(bucket), _BLOCK):
        rows = bucket[start : start + _BLOCK]
        bits = np.bitwise_count(hashes[rows][:, None] ^ hashes[bucket][None, :])
        near = (bits <= MOST_BITS) & (rows[:, None] < bucket[None, :])
        one, other = np.nonzero(near)
        yield list(zip(rows[one].tolist(), bucket[other].tolist(), strict=True))


def _correlated(grey: NDArray[np.float32], pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
    """A second opinion: 64 bits are soon alike where images are smooth, their thumbnails are not."""
    agree = np.zeros(len(pairs), dtype=bool)
    for start in range(0, len(pairs), 8 * _BLOCK):
        block = pairs[start : start + 8 * _BLOCK]
        one, other = (_standardised(grey[block[:, side]]) for side in (0, 1))
        agree[start : start + len(block)] = (one * other).mean(axis=1) > _CORRELATION
    return agree


def _standardised(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    centred = rows - rows.mean(axis=1, keepdims=True)
    scaled: NDArray[np.float32] = centred / centred.std(axis=1, keepdims=True).clip(1e-6)
    return scaled


def _joined(pairs: Iterable[tuple[int, int]]) -> list[Group]:
    """The groups that the pairs hang cooccurrence in."""
    parent: dict[int, int] = {}

    def root(place: int) -> int:
        while parent.setdefault(place, place) != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for one, other in pairs:
        parent[root(other)] = root(one)
    groups: dict[int, list[int]] = defaultdict(list)
    for place in parent:
        groups[root(place)].append(place)
    return [tuple(sorted(group)) for _, group in sorted(groups.items())]


def _of_shared_size(raw: Path, paths: Sequence[str]) -> list[int]:
    sizes = [(raw / path).stat().st_size for path in paths]
    times = Counter(sizes)
    return [place for place, size in enumerate(sizes) if size and times[size] > 1]

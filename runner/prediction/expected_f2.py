"""The tags to name so that the expected F2 of the image is greatest, from its probabilities.

With tp tags right of k named, and t true, F2 is 5 tp / (4t + k). For independent tags the best set of k is the
k likeliest, so every k is tried, each exactly: 1 / (4t + k) is the integral of x^(4t + k - 1) from 0 to 1, the
expectation of x^(4t) is a product over tags, (1 - p + p x^4), and what is left is a polynomial in x, which a sum
over few Gauss-Legendre nodes integrates. No loop over sets, none over counts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.prediction.label_constraints import LabelConstraints

Matrix = NDArray[Any]

# With so many nodes the sum is exact for up to seven tags. For more, only images that bear more than
# seven tags at once add to its error: it is 3e-11 where images bear 3.4 of 17 tags on average.
_MOST_NODES = 18
_CELLS = 1 << 18


def expected_f2(ranked: Matrix) -> Matrix:
    """For rows of independent tags, likeliest first, the expected F2 of naming the first 1, 2, ... of them."""
    nodes, weights = _nodes(ranked.shape[1])
    product, shares = _product_and_shares(ranked, nodes)
    # One power of x a length k: x^(3 + k), with the weight of the node.
    powers = 5 * weights * nodes ** (3 + np.arange(1, ranked.shape[1] + 1)[:, None])
    return (powers[:, None] @ (shares * product))[:, 0].T  # type: ignore[no-any-return]


def best_tags(probabilities: Matrix) -> NDArray[np.bool_]:
    """For each row the tags whose expected F2 is greatest; at least one."""
    return _in_chunks(probabilities, _best_independent)


def best_labels_constrained(probabilities: Matrix, rules: LabelConstraints) -> NDArray[np.bool_]:
    """The same where the truth obeys rules. What is named need not: two likely weathers may both be worth it."""
    return _in_chunks(probabilities, lambda rows: _best_obeying(rows, rules))


def _in_chunks(probabilities: Matrix, step: Callable[[Matrix], Matrix]) -> Matrix:
    size = max(1, _CELLS // (probabilities.shape[1] * _MOST_NODES))
    chunks = [probabilities[begin : begin + size] for begin in range(0, len(probabilities), size)]
    return np.concatenate([step(np.asarray(chunk, dtype=np.float64)) for chunk in chunks])


def _best_independent(probabilities: Matrix) -> Matrix:
    order = np.argsort(-probabilities, axis=1, kind="stable")
    values = expected_f2(np.take_along_axis(probabilities, order, axis=1))
    return _first(order, values.argmax(axis=1) + 1, probabilities.shape[1])


def _best_obeying(probabilities: Matrix, rules: LabelConstraints) -> Matrix:
    """The best set is the likeliest so many of each kind: those that stand alone, their rivals, all others.

    Given a tag that bears company, the others are taken to be independent.
    """
    alone, rivals, rest = _kinds(probabilities, rules)
    columns = probabilities.shape[1]
    values = _values_by_counts(*(np.take_along_axis(share, order, axis=1) for share, order, _ in (alone, rivals, rest)))
    best = values.reshape(len(values), -1).argmax(axis=1)
    counts = np.unravel_index(best, values.shape[1:])
    named = np.zeros(probabilities.shape, dtype=bool)
    for (_, order, places), count in zip((alone, rivals, rest), counts, strict=True):
        named |= _first(places[order], count, columns)
    return named


def _kinds(probabilities: Matrix, rules: LabelConstraints) -> tuple[tuple[Matrix, Matrix, Matrix], ...]:
    """For each kind of tag its probabilities, their order from the likeliest, and its columns."""
    group = np.maximum(probabilities[:, rules.mutually_exclusive], 1e-12)
    # Marginal probabilities of tags of which there is just one: they need no more than to sum to 1.
    shares = dict(zip(rules.mutually_exclusive, (group / group.sum(axis=1, keepdims=True)).T, strict=True))
    rows = len(probabilities)
    alone = np.array([shares[column] for column in rules.alone]).reshape(-1, rows).T
    rivals = np.array([shares[column] for column in rules.others_among_exclusive]).T
    rest_places = np.setdiff1d(np.arange(probabilities.shape[1]), rules.mutually_exclusive)
    # What has no company on some images is the likelier on those where it may be.
    rest = np.minimum(probabilities[:, rest_places] / rivals.sum(axis=1, keepdims=True), 1)
    places = (np.array(rules.alone, dtype=int), np.array(rules.others_among_exclusive), rest_places)
    return tuple(
        (share, np.argsort(-share, axis=1, kind="stable"), place)
        for share, place in zip((alone, rivals, rest), places, strict=True)
    )


def _values_by_counts(alone: Matrix, rivals: Matrix, rest: Matrix) -> Matrix:
    """Expected F2 by how many are named of each kind, shaped (rows, of alone, of rivals, of the rest)."""
    nodes, weights = _nodes(rest.shape[1] + rivals.shape[1] + alone.shape[1])
    product, shares = _product_and_shares(rest, nodes)
    shares = np.concatenate([np.zeros((1, *product.shape)), shares])
    one, two, three = np.ogrid[: alone.shape[1] + 1, : rivals.shape[1] + 1, : rest.shape[1] + 1]
    named = one + two + three
    powers = weights * nodes ** (3 + np.arange(named.max() + 1)[:, None])
    # The parts of the expectation: a rival that is right, some of the rest, or one that stands alone.
    rival_right = (powers @ product).T[:, named] * _sums(rivals)[:, None, :, None]
    company = np.arange(alone.shape[1] + rivals.shape[1] + 1)[:, None] + np.arange(rest.shape[1] + 1)
    of_rest = (powers[company] * nodes**4).transpose(1, 0, 2) @ (shares * product)
    rest_right = of_rest.transpose(2, 1, 0)[:, (one + two)[:, :, 0], :] * rivals.sum(axis=1)[:, None, None, None]
    alone_right = _sums(alone)[:, :, None, None] / (4 + named)
    return 5 * (rival_right + rest_right + alone_right)  # type: ignore[no-any-return]


def _product_and_shares(ranked: Matrix, nodes: Matrix) -> tuple[Matrix, Matrix]:
    """The product over tags, shaped (nodes, rows); for the first 1, 2, ... tags the sum of p over their factor."""
    # Rows come last: every step runs through memory in its order, five times as fast as with rows first.
    probabilities = np.ascontiguousarray(ranked.T)[:, None]
    factors = 1 - probabilities * (1 - nodes[:, None] ** 4)
    shares = probabilities / factors
    for tag in range(1, len(shares)):
        shares[tag] += shares[tag - 1]
    return factors.prod(axis=0), shares


def _sums(ranked: Matrix) -> Matrix:
    """The sum of the first 0, 1, 2, ... of each row."""
    return np.concatenate([np.zeros((len(ranked), 1)), np.cumsum(ranked, axis=1)], axis=1)


def _first(order: Matrix, counts: Matrix, columns: int) -> Matrix:
    """The first so many of each row's order, as a matrix of truth."""
    named = np.zeros((len(order), columns), dtype=bool)
    np.put_along_axis(named, order, np.arange(order.shape[1]) < counts[:, None], axis=1)
    return named


@cache
def _nodes(tags: int) -> tuple[Matrix, Matrix]:
    """Nodes and weights from 0 to 1; n of them are exact up to the power 2n - 1, and 5 * tags is the highest."""
    places, weights = np.polynomial.legendre.leggauss(min((5 * tags + 2) // 2, _MOST_NODES))
    return (places + 1) / 2, weights / 2

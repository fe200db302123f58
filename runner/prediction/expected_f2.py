"""The labels with the greatest expected F2 of an image, from their probabilities.

With tp true positives among k predicted labels, and t labels in all, F2 is 5 tp / (4t + k). For independent labels
the best set of k is the k likeliest, so every k is tried, each exactly: 1 / (4t + k) is the integral of
x^(4t + k - 1) from 0 to 1, the expectation of x^(4t) is a product over labels, (1 - p + p x^4), and the remaining
polynomial in x is integrated by Gauss-Legendre quadrature. There is no loop over sets and none over counts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from runner.prediction.averaging import Matrix
from runner.prediction.label_constraints import LabelConstraints

# With 18 nodes the quadrature is exact for up to seven labels. For more, only images with more than seven
# labels add to its error: it is 3e-11 if images have 3.4 of 17 labels on average.
_MAX_NODES = 18
_CHUNK_VALUES = 1 << 18


def expected_f2(ranked: Matrix) -> Matrix:
    """Expected F2, shaped as the input, of predicting the first 1, 2, ... labels of each row, likeliest first."""
    nodes, weights = _quadrature(ranked.shape[1])
    product, odds = _product_and_odds(ranked, nodes)
    # One power of x for each k, x^(3 + k), with the weight of the node.
    powers = 5 * weights * nodes ** (3 + np.arange(1, ranked.shape[1] + 1)[:, None])
    return (powers[:, None] @ (odds * product))[:, 0].T  # type: ignore[no-any-return]


def best_labels(probabilities: Matrix) -> NDArray[np.bool_]:
    """The labels of each row with the greatest expected F2; at least one."""
    return _in_chunks(probabilities, _best_independent)


def best_labels_constrained(probabilities: Matrix, constraints: LabelConstraints) -> NDArray[np.bool_]:
    """As `best_labels`, if the targets satisfy constraints. Predictions may violate them to raise expected F2."""
    return _in_chunks(probabilities, lambda rows: _best_constrained(rows, constraints))


def _in_chunks(probabilities: Matrix, select: Callable[[Matrix], Matrix]) -> Matrix:
    size = max(1, _CHUNK_VALUES // (probabilities.shape[1] * _MAX_NODES))
    chunks = [probabilities[begin : begin + size] for begin in range(0, len(probabilities), size)]
    return np.concatenate([select(np.asarray(chunk, dtype=np.float64)) for chunk in chunks])


def _best_independent(probabilities: Matrix) -> Matrix:
    order = np.argsort(-probabilities, axis=1, kind="stable")
    values = expected_f2(np.take_along_axis(probabilities, order, axis=1))
    return _first_of_order(order, values.argmax(axis=1) + 1, probabilities.shape[1])


def _best_constrained(probabilities: Matrix, constraints: LabelConstraints) -> Matrix:
    """The likeliest n of each kind of label (standalone, combinable, all others), for the best n of each.

    Given a combinable label, the others are assumed to be independent.
    """
    kinds = _split_by_kind(probabilities, constraints)
    ranked = (np.take_along_axis(kind_probabilities, order, axis=1) for kind_probabilities, order, _ in kinds)
    values = _expected_f2_by_counts(*ranked)
    best = values.reshape(len(values), -1).argmax(axis=1)
    counts = np.unravel_index(best, values.shape[1:])
    predicted = np.zeros(probabilities.shape, dtype=bool)
    for (_, order, columns), count in zip(kinds, counts, strict=True):
        predicted |= _first_of_order(columns[order], count, probabilities.shape[1])
    return predicted


def _split_by_kind(
    probabilities: Matrix, constraints: LabelConstraints
) -> tuple[tuple[Matrix, Matrix, NDArray[np.int64]], ...]:
    """For standalone, combinable and other labels: probabilities, their order from the likeliest, and columns."""
    group = np.maximum(probabilities[:, constraints.mutually_exclusive], 1e-12)
    # Of the exclusive labels an image has exactly one, so their probabilities are scaled to sum to 1.
    scaled = dict(zip(constraints.mutually_exclusive, (group / group.sum(axis=1, keepdims=True)).T, strict=True))
    rows = len(probabilities)
    standalone = np.array([scaled[column] for column in constraints.standalone]).reshape(-1, rows).T
    combinable = np.array([scaled[column] for column in constraints.combinable]).T
    other_columns = np.setdiff1d(np.arange(probabilities.shape[1]), constraints.mutually_exclusive)
    # Conditioned on a combinable label: other labels are impossible beside a standalone one.
    others = np.minimum(probabilities[:, other_columns] / combinable.sum(axis=1, keepdims=True), 1)
    columns = (np.array(constraints.standalone, dtype=int), np.array(constraints.combinable), other_columns)
    return tuple(
        (kind, np.argsort(-kind, axis=1, kind="stable"), kind_columns)
        for kind, kind_columns in zip((standalone, combinable, others), columns, strict=True)
    )


def _expected_f2_by_counts(standalone: Matrix, combinable: Matrix, others: Matrix) -> Matrix:
    """Expected F2 by how many labels of each kind are predicted, shaped (rows, standalone, combinable, others)."""
    nodes, weights = _quadrature(others.shape[1] + combinable.shape[1] + standalone.shape[1])
    product, odds = _product_and_odds(others, nodes)
    odds = np.concatenate([np.zeros((1, *product.shape)), odds])
    first, second, third = np.ogrid[: standalone.shape[1] + 1, : combinable.shape[1] + 1, : others.shape[1] + 1]
    predicted = first + second + third
    powers = weights * nodes ** (3 + np.arange(predicted.max() + 1)[:, None])
    # The terms of the expectation: a combinable label is right, some of the others are, or a standalone one is.
    combinable_term = (powers @ product).T[:, predicted] * _cumulative_sums(combinable)[:, None, :, None]
    sizes = np.arange(standalone.shape[1] + combinable.shape[1] + 1)[:, None] + np.arange(others.shape[1] + 1)
    integrals = (powers[sizes] * nodes**4).transpose(1, 0, 2) @ (odds * product)
    others_term = integrals.transpose(2, 1, 0)[:, (first + second)[:, :, 0], :]
    others_term = others_term * combinable.sum(axis=1)[:, None, None, None]
    standalone_term = _cumulative_sums(standalone)[:, :, None, None] / (4 + predicted)
    return 5 * (combinable_term + others_term + standalone_term)  # type: ignore[no-any-return]


def _product_and_odds(ranked: Matrix, nodes: Matrix) -> tuple[Matrix, Matrix]:
    """The product of all factors 1 - p + p x^4, shaped (nodes, rows); and cumulative sums of p / factor."""
    # Rows come last: every step runs through memory in order, five times as fast as with rows first.
    probabilities = np.ascontiguousarray(ranked.T)[:, None]
    factors = 1 - probabilities * (1 - nodes[:, None] ** 4)
    odds = probabilities / factors
    for label in range(1, len(odds)):
        odds[label] += odds[label - 1]
    return factors.prod(axis=0), odds


def _cumulative_sums(ranked: Matrix) -> Matrix:
    """The sum of the first 0, 1, 2, ... values of each row."""
    return np.concatenate([np.zeros((len(ranked), 1)), np.cumsum(ranked, axis=1)], axis=1)


def _first_of_order(order: Matrix, counts: Matrix, columns: int) -> Matrix:
    """A boolean matrix (rows, columns): True for the first n of each row's order, with n from `counts`."""
    selected = np.zeros((len(order), columns), dtype=bool)
    np.put_along_axis(selected, order, np.arange(order.shape[1]) < counts[:, None], axis=1)
    return selected


@cache
def _quadrature(labels: int) -> tuple[Matrix, Matrix]:
    """Nodes and weights on (0, 1); n nodes are exact up to the power 2n - 1, and 5 * labels is the highest."""
    nodes, weights = np.polynomial.legendre.leggauss(min((5 * labels + 2) // 2, _MAX_NODES))
    return (nodes + 1) / 2, weights / 2

"""Means of probabilities and of their logs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.prediction.averaging import Mean, TTAMode, average, from_logs, row_sums, to_logs
from tests.prediction.conftest import outputs

fast_property = settings(deadline=None, max_examples=40)


def draw(seed: int, multiclass: bool, rows: int = 7, classes: int = 4) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.dirichlet(np.full(classes, 0.5), rows) if multiclass else random.random((rows, classes))


@fast_property
@given(seed=st.integers(0, 2**32), multiclass=st.booleans(), mean=st.sampled_from(Mean))
def test_the_inverse_transform_undoes_the_transform(seed, multiclass, mean):
    probabilities = np.clip(draw(seed, multiclass), 1e-6, 1 - 1e-6)
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True) if multiclass else probabilities
    restored = mean.inverse_transform(mean.transform(probabilities, outputs(multiclass)), outputs(multiclass))
    np.testing.assert_allclose(restored, probabilities, rtol=1e-7)


@fast_property
@given(seeds=st.lists(st.integers(0, 2**32), min_size=1, max_size=4), multiclass=st.booleans())
def test_a_mean_is_between_its_members_and_multiclass_rows_sum_to_one(seeds, multiclass):
    members = [draw(seed, multiclass) for seed in seeds]
    for method in Mean:
        mean = average(method, [(1.0, member) for member in members], outputs(multiclass))
        if multiclass:
            np.testing.assert_allclose(mean.sum(axis=1), 1)
        if not multiclass or method is Mean.ARITHMETIC:
            assert (mean >= np.min(members, axis=0) - 1e-6).all() and (mean <= np.max(members, axis=0) + 1e-6).all()


def test_both_means_computed_by_hand():
    first, second = np.array([[0.9, 0.1]]), np.array([[0.5, 0.5]])
    np.testing.assert_allclose(average(Mean.ARITHMETIC, [(1, first), (1, second)], outputs(True)), [[0.7, 0.3]])
    # The geometric means, the square roots of 0.45 and 0.05, have the ratio 3 to 1.
    np.testing.assert_allclose(average(Mean.GEOMETRIC, [(1, first), (1, second)], outputs(True)), [[0.75, 0.25]])
    np.testing.assert_allclose(average(Mean.GEOMETRIC, [(1, first), (1, second)], outputs(False)), [[0.75, 0.25]])


def test_only_the_proportions_of_weights_matter():
    first, second = draw(1, True), draw(2, True)
    for mean in Mean:
        expected = average(mean, [(3, first), (1, second)], outputs(True))
        np.testing.assert_allclose(average(mean, [(0.3, first), (0.1, second)], outputs(True)), expected)


def test_a_zero_of_one_member_does_not_make_the_mean_zero():
    certain, uncertain = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    for multiclass in (True, False):
        mean = average(Mean.GEOMETRIC, [(1, certain), (1, uncertain)], outputs(multiclass))
        assert np.isfinite(mean).all() and 0 < mean[0, 1] < 0.01


def test_probabilities_of_zero_and_one_have_finite_logits():
    ones = np.ones((1, 2), dtype=np.float32)
    assert np.isfinite(to_logs(ones, outputs(False))).all()
    assert np.isfinite(to_logs(1 - ones, outputs(False))).all()


def test_the_mean_of_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing"):
        average(Mean.GEOMETRIC, [], outputs(True))


def test_logs_of_logits_are_undone_by_sigmoid_and_softmax():
    assert from_logs(np.array([[0.0, 0.0]]), outputs(True)).tolist() == [[0.5, 0.5]]
    assert from_logs(np.array([[0.0]]), outputs(False)).tolist() == [[0.5]]


def test_a_tta_mode_selects_the_plain_view_or_all():
    assert TTAMode.NONE.select_views(("plain", "hflip")) == ("plain",)
    assert TTAMode.MEAN.select_views(("plain", "hflip")) == ("plain", "hflip")
    assert TTAMode.GEOMETRIC_MEAN.mean is Mean.GEOMETRIC
    assert TTAMode.MEAN.mean is Mean.ARITHMETIC


@pytest.mark.parametrize("columns", range(1, 20))
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_sum_over_the_columns_is_that_over_the_rows_to_the_last_digit(columns: int, kind: type) -> None:
    rows = np.random.default_rng(columns).random((300, columns)).astype(kind)
    np.testing.assert_array_equal(row_sums(rows), rows.sum(axis=1))
    np.testing.assert_array_equal(row_sums(np.asfortranarray(rows)), np.asfortranarray(rows).sum(axis=1))

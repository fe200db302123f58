"""Means of probabilities and of their logs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.prediction.averaging import Mean, average, from_mean_space, to_mean_space

law = settings(deadline=None, max_examples=40)


def draw(seed: int, multiclass: bool, rows: int = 7, classes: int = 4) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.dirichlet(np.full(classes, 0.5), rows) if multiclass else random.random((rows, classes))


@law
@given(seed=st.integers(0, 2**32), multiclass=st.booleans(), space=st.sampled_from(Mean))
def test_into_a_space_and_out_of_it_changes_nothing(seed, multiclass, space):
    probabilities = np.clip(draw(seed, multiclass), 1e-6, 1 - 1e-6)
    probabilities = probabilities / probabilities.sum(axis=1, keepdims=True) if multiclass else probabilities
    back = from_mean_space(space, to_mean_space(space, probabilities, multiclass), multiclass)
    np.testing.assert_allclose(back, probabilities, rtol=1e-7)


@law
@given(seeds=st.lists(st.integers(0, 2**32), min_size=1, max_size=4), multiclass=st.booleans())
def test_a_mean_lies_between_its_members_and_rows_sum_to_one_where_they_should(seeds, multiclass):
    members = [draw(seed, multiclass) for seed in seeds]
    for space in Mean:
        mean = average(space, [(1.0, member) for member in members], multiclass)
        if multiclass:
            np.testing.assert_allclose(mean.sum(axis=1), 1)
        if not multiclass or space is Mean.ARITHMETIC:
            assert (mean >= np.min(members, axis=0) - 1e-6).all() and (mean <= np.max(members, axis=0) + 1e-6).all()


def test_the_two_means_by_hand():
    one, two = np.array([[0.9, 0.1]]), np.array([[0.5, 0.5]])
    np.testing.assert_allclose(average(Mean.ARITHMETIC, [(1, one), (1, two)], True), [[0.7, 0.3]])
    # The geometric means are as 3 to 1: the square roots of 0.45 and of 0.05.
    np.testing.assert_allclose(average(Mean.GEOMETRIC, [(1, one), (1, two)], True), [[0.75, 0.25]])
    np.testing.assert_allclose(average(Mean.GEOMETRIC, [(1, one), (1, two)], False), [[0.75, 0.25]])


def test_weights_need_not_sum_to_one_and_only_their_proportions_count():
    one, two = draw(1, True), draw(2, True)
    for space in Mean:
        small = average(space, [(0.3, one), (0.1, two)], True)
        np.testing.assert_allclose(small, average(space, [(3, one), (1, two)], True))


def test_a_members_zero_is_a_strong_vote_and_not_a_veto():
    sure, other = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    for multiclass in (True, False):
        mean = average(Mean.GEOMETRIC, [(1, sure), (1, other)], multiclass)
        assert np.isfinite(mean).all() and 0 < mean[0, 1] < 0.01


def test_single_precision_ones_have_finite_logits():
    ones = np.ones((1, 2), dtype=np.float32)
    assert np.isfinite(to_mean_space(Mean.GEOMETRIC, ones, False)).all()
    assert np.isfinite(to_mean_space(Mean.GEOMETRIC, 1 - ones, False)).all()


def test_nothing_has_no_mean():
    with pytest.raises(ValueError, match="nothing"):
        average(Mean.GEOMETRIC, [], True)

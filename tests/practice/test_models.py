"""The models of the baselines: each learns, for every kind of labels."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from runner.contract.presets import NO_FLIP, RADAR, SIDE_ON, Preset
from runner.practice.models import (
    Fit,
    Task,
    fit_boosting,
    fit_class_frequencies,
    fit_extra_trees,
    fit_kernel_svm,
    fit_linear_svm,
    fit_logistic,
    fit_naive_bayes,
    fit_neighbours,
    fit_random_forest,
    fit_stumps,
    on_components,
)
from runner.practice.networks import build_plain, build_resnet, fit_network

ONE_CLASS, LABELS = Task(one_class=True), Task(one_class=False)
FITS: dict[str, Fit] = {
    "logistic": fit_logistic,
    "linear SVM": partial(fit_linear_svm, C=1.0),
    "kernel SVM": fit_kernel_svm,
    "naive Bayes": fit_naive_bayes,
    "boosting": partial(fit_boosting, rounds=10),
    "stumps": partial(fit_stumps, rounds=40),
    "neighbours": partial(fit_neighbours, neighbours=5),
    "extra trees": fit_extra_trees,
    "random forest": partial(fit_random_forest, trees=20),
    "components": on_components(fit_logistic, 2),
}


@pytest.fixture(params=FITS)
def fit(request: pytest.FixtureRequest) -> Fit:
    """Each model in turn."""
    return FITS[request.param]


def three_clusters() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    kinds = np.arange(120) % 3
    centres = np.array([[0, 0, 4, 0], [4, 0, 0, 0], [0, 4, 0, 4]])
    return (centres[kinds] + random.normal(0, 0.5, (120, 4))).astype(np.float32), np.eye(3)[kinds]


def test_class_frequencies_are_the_shares_of_the_classes() -> None:
    targets = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    predict = fit_class_frequencies(np.zeros((4, 1), np.float32), targets, ONE_CLASS)
    assert predict(np.zeros((2, 1), np.float32)).tolist() == [[0.75, 0.25]] * 2


def test_a_model_separates_three_classes(fit: Fit) -> None:
    features, targets = three_clusters()
    predicted = fit(features, targets, ONE_CLASS)(features)
    assert predicted.shape == targets.shape
    assert np.allclose(predicted.sum(axis=1), 1)
    assert np.mean(predicted.argmax(axis=1) == targets.argmax(axis=1)) > 0.95


def test_a_model_predicts_several_labels_an_image(fit: Fit) -> None:
    features, clusters = three_clusters()
    targets = np.stack([clusters[:, 0], 1 - clusters[:, 2]], axis=1)
    predicted = fit(features, targets, LABELS)(features)
    assert np.mean((predicted >= 0.5) == targets) > 0.95


def test_a_model_predicts_one_binary_label(fit: Fit) -> None:
    features, clusters = three_clusters()
    predicted = fit(features, clusters[:, :1], LABELS)(features)
    assert np.mean((predicted >= 0.5) == clusters[:, :1]) > 0.95


def test_a_label_that_every_image_has_is_certain(fit: Fit) -> None:
    features, _ = three_clusters()
    assert fit(features, np.ones((120, 2)), LABELS)(features).tolist() == [[1, 1]] * 120


def test_a_class_without_training_rows_is_predicted_as_zero(fit: Fit) -> None:
    features, targets = three_clusters()
    rows = targets[:, 1] == 0
    assert fit(features[rows], targets[rows], ONE_CLASS)(features)[:, 1].tolist() == [0] * 120


def test_a_single_class_is_certain(fit: Fit) -> None:
    features, _ = three_clusters()
    predicted = fit(features[:30], np.tile([0.0, 1.0, 0.0], (30, 1)), ONE_CLASS)(features)
    assert predicted.argmax(axis=1).tolist() == [1] * 120


def test_nearest_neighbours_average_the_nearest_targets() -> None:
    features = np.array([[0.0], [1.0], [10.0], [11.0]], np.float32)
    targets = np.array([[1.0], [1.0], [0.0], [0.0]])
    predict = fit_neighbours(features, targets, LABELS, neighbours=2)
    assert predict(np.array([[0.4], [10.4]], np.float32)) == pytest.approx(np.array([[1.0], [0.0]]))


# --- networks -----------------------------------------------------------------------------------


def bright_and_dark(preset: Preset) -> tuple[np.ndarray, np.ndarray, Task]:
    random = np.random.default_rng(0)
    bright = np.arange(60) % 2
    images = random.normal(0, 0.3, (60, 2, 16, 16)) + (2 * bright - 1)[:, None, None, None]
    return images.astype(np.float32), np.stack([bright, 1 - bright], axis=1).astype(float), Task(True, preset)


@pytest.mark.parametrize("preset", [NO_FLIP, SIDE_ON, RADAR], ids=lambda preset: preset.name)
def test_a_network_learns_under_every_symmetry(preset: Preset) -> None:
    images, targets, task = bright_and_dark(preset)
    predicted = fit_network(images, targets, task, epochs=6)(images)
    assert np.allclose(predicted.sum(axis=1), 1)
    assert np.mean(predicted.argmax(axis=1) == targets.argmax(axis=1)) == 1


@pytest.mark.parametrize("build", [build_plain, build_resnet])
def test_a_network_is_decided_by_its_seed_alone(build) -> None:
    images, targets, task = bright_and_dark(RADAR)
    first, again, other = (
        fit_network(images, targets, task, epochs=1, build=build, seed=seed)(images) for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)

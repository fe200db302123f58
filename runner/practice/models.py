"""Simple models for the baselines. Each `fit_…` learns from features and targets and returns the fitted model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from runner.contract.labels import Labels, Multiclass
from runner.contract.presets import NO_FLIP, Preset
from runner.practice.features import Features

Matrix = NDArray[np.floating[Any]]  # (rows, classes)
Predict = Callable[[Features], Matrix]

SEED = 0


@dataclass(frozen=True)
class Task:
    """What a model needs to know of a competition: whether each row has exactly one class, and how images vary."""

    one_class: bool
    preset: Preset = NO_FLIP

    @classmethod
    def of(cls, labels: Labels, preset: Preset) -> Task:
        """The task of these labels."""
        return cls(isinstance(labels, Multiclass), preset)

    def probabilities(self, logits: Matrix) -> Matrix:
        """Softmax over the classes, or each class by itself."""
        if self.one_class:
            exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
            return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))
        return np.asarray(1 / (1 + np.exp(-logits)))


Fit = Callable[[Features, Matrix, Task], Predict]


def fit_class_frequencies(_features: Features, targets: Matrix, _task: Task) -> Predict:
    """Predict the frequency of each class for every image."""
    frequency = targets.mean(axis=0)
    return lambda features: np.tile(frequency, (len(features), 1))


def fit_logistic(features: Features, targets: Matrix, task: Task, *, C: float = 1.0) -> Predict:  # noqa: N803
    """Logistic regression: multinomial if each row has exactly one class, else one model a class."""
    return _fit_classifier(lambda: LogisticRegression(C=C, max_iter=300, tol=1e-3), features, targets, task)


def fit_linear_svm(features: Features, targets: Matrix, task: Task, *, C: float = 0.001) -> Predict:  # noqa: N803
    """A linear support vector machine; its margins stand for logits."""
    return _fit_classifier(
        lambda: LinearSVC(C=C, random_state=SEED, tol=1e-3, max_iter=3000), features, targets, task, margins=True
    )


def fit_kernel_svm(features: Features, targets: Matrix, task: Task, *, C: float = 2.0) -> Predict:  # noqa: N803
    """A support vector machine with a Gaussian kernel; its margins stand for logits."""
    gamma = 0.3 / features.shape[1]
    return _fit_classifier(lambda: SVC(C=C, gamma=gamma), features, targets, task, margins=True)


def fit_naive_bayes(features: Features, targets: Matrix, task: Task) -> Predict:
    """Gaussian naive Bayes."""
    return _fit_classifier(lambda: GaussianNB(var_smoothing=0.1), features, targets, task)


def fit_boosting(features: Features, targets: Matrix, task: Task, *, rounds: int) -> Predict:
    """Gradient boosting: `rounds` rounds of small trees on histograms of the features."""
    return _fit_classifier(
        lambda: HistGradientBoostingClassifier(
            max_iter=rounds, max_leaf_nodes=8, max_features=0.2, early_stopping=False, random_state=SEED
        ),
        features,
        targets,
        task,
    )


def fit_stumps(features: Features, targets: Matrix, task: Task, *, rounds: int) -> Predict:
    """Gradient boosting with trees of one split."""
    return _fit_classifier(
        lambda: GradientBoostingClassifier(
            n_estimators=rounds, max_depth=1, max_features=0.2, subsample=0.5, random_state=SEED
        ),
        features,
        targets,
        task,
    )


def fit_neighbours(features: Features, targets: Matrix, _task: Task, *, neighbours: int) -> Predict:
    """The mean targets of the nearest training images, the nearer the heavier."""
    model = KNeighborsRegressor(min(neighbours, len(features)), weights="distance").fit(features, targets)
    return lambda features: np.asarray(model.predict(features)).reshape(len(features), -1)


def fit_extra_trees(features: Features, targets: Matrix, _task: Task, *, trees: int = 100) -> Predict:
    """Extremely randomised trees."""
    model = ExtraTreesRegressor(trees, min_samples_leaf=2, max_features=0.2, random_state=SEED)
    return _fit_trees(model, features, targets)


def fit_random_forest(features: Features, targets: Matrix, _task: Task, *, trees: int = 100) -> Predict:
    """A random forest."""
    model = RandomForestRegressor(trees, min_samples_leaf=2, max_features=0.1, random_state=SEED)
    return _fit_trees(model, features, targets)


def on_components(fit: Fit, components: int) -> Fit:
    """The model fitted on the first principal components of the features."""

    def fit_on_components(features: Features, targets: Matrix, task: Task) -> Predict:
        count = min(components, *features.shape)
        projection = make_pipeline(StandardScaler(), PCA(count, svd_solver="full"))
        model = fit(projection.fit_transform(features), targets, task)
        return lambda features: model(projection.transform(features))

    return fit_on_components


def _fit_trees(model: Any, features: Features, targets: Matrix) -> Predict:
    fitted = model.fit(features, targets if targets.shape[1] > 1 else targets[:, 0])
    return lambda features: np.asarray(fitted.predict(features)).reshape(len(features), -1)


def _fit_classifier(
    create: Callable[[], Any], features: Features, targets: Matrix, task: Task, *, margins: bool = False
) -> Predict:
    """A scikit-learn classifier on scaled features: one for all classes, or one a class."""
    scaler = StandardScaler().fit(features)
    scaled = scaler.transform(features)

    def fit(labels: NDArray[Any]) -> Any:
        return create().fit(scaled, labels)

    def values(model: Any, features: Features) -> Matrix:
        if not margins:
            return np.asarray(model.predict_proba(features))
        return np.asarray(model.decision_function(features), dtype=float)

    if task.one_class:
        return _fit_all_classes(fit, values, scaler, targets, task, margins)
    models = [_ConstantModel(column) if np.ptp(column) == 0 else fit(column) for column in targets.T]

    def predict(features: Features) -> Matrix:
        scaled = scaler.transform(features)
        columns = [
            model.predict_proba(scaled)[:, 1]
            if isinstance(model, _ConstantModel) or not margins
            else task.probabilities(values(model, scaled))
            for model in models
        ]
        return np.stack(columns, axis=1)

    return predict


def _fit_all_classes(
    fit: Callable[[NDArray[Any]], Any],
    values: Callable[[Any, Features], Matrix],
    scaler: Any,
    targets: Matrix,
    task: Task,
    margins: bool,
) -> Predict:
    labels = targets.argmax(axis=1)
    if np.ptp(labels) == 0:
        return fit_class_frequencies(targets, targets, task)
    model = fit(labels)

    def predict(features: Features) -> Matrix:
        predicted = values(model, scaler.transform(features))
        if margins:
            two_classes = predicted.ndim == 1
            logits = np.stack([-predicted, predicted], axis=1) if two_classes else predicted
            predicted = task.probabilities(logits)
        return _all_classes(predicted, model.classes_, targets.shape[1])

    return predict


class _ConstantModel:
    """Stands for a classifier of a class that all training rows have, or none."""

    def __init__(self, column: NDArray[Any]):
        self._value = float(column[0])

    def predict_proba(self, features: Features) -> Matrix:
        return np.tile([1 - self._value, self._value], (len(features), 1))


def _all_classes(probabilities: Matrix, present: Sequence[int], classes: int) -> Matrix:
    """Probabilities with a column of zeros for each class without training rows."""
    complete = np.zeros((len(probabilities), classes))
    complete[:, present] = probabilities
    return complete

"""The baselines of a practice leaderboard: simple models, fitted on the training rows and graded as any submission."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from runner.console import track
from runner.contract.competition import Competition
from runner.contract.labels import Multiclass
from runner.contract.metrics import Metric
from runner.contract.targets import targets_of
from runner.hosts.grading import Grader
from runner.hosts.practice import PracticeTeam
from runner.practice.features import (
    Features,
    Images,
    channel_statistics,
    edge_histograms,
    histograms,
    mean_colours,
    thumbnails,
)
from runner.practice.synthetic_data import SyntheticData
from runner.prediction.submission import write_submission
from runner.submission_format.submission_format import read_submission_format

Matrix = NDArray[np.floating[Any]]  # (rows, classes)
Predict = Callable[[Features], Matrix]
Fit = Callable[[Features, Matrix, bool], Predict]  # features, targets, whether each row has exactly one class

SAMPLE_TEAM = "Sample submission"

_FIRST_SUBMITTED = datetime(2017, 11, 6, 9, 0, tzinfo=UTC)
_SEED = 0


@dataclass(frozen=True)
class Baseline:
    """A model and its features; `{channel}` in its name is "colour", or "band" for images that are not RGB."""

    name: str
    features: Callable[[Images], Features]
    fit: Fit


def submit_baselines(competition: Competition, data: SyntheticData, grader: Grader) -> list[PracticeTeam]:
    """Fit every baseline and grade its submission; the sample submission is the first team."""
    teams = [PracticeTeam(SAMPLE_TEAM, grader.grade(grader.sample), _FIRST_SUBMITTED)]
    with tempfile.TemporaryDirectory() as folder:
        for number, baseline in enumerate(track("fitting baselines", BASELINES, len(BASELINES)), start=1):
            path = Path(folder) / f"{number}.csv"
            _write_submission(baseline, competition, data, grader.sample, path)
            submitted = _FIRST_SUBMITTED + timedelta(days=number)
            teams.append(PracticeTeam(_team_name(baseline, data), grader.grade(path), submitted))
    return teams


def _team_name(baseline: Baseline, data: SyntheticData) -> str:
    is_rgb = data.train.images[0].shape[2] == 3
    return baseline.name.format(channel="colour" if is_rgb else "band")


def _write_submission(
    baseline: Baseline, competition: Competition, data: SyntheticData, sample: Path, path: Path
) -> None:
    targets = targets_of(competition.labels, data.classes, data.train.labels).astype(np.float64)
    multiclass = isinstance(competition.labels, Multiclass)
    features = baseline.features([*data.train.images, *data.test.images])
    train, test = features[: len(targets)], features[len(targets) :]
    values = baseline.fit(train, targets, multiclass)(test)
    if competition.metric.scores_tags:
        values = (values >= _choose_threshold(baseline, train, targets, competition.metric)).astype(float)
    else:
        values = _smooth(values, targets, multiclass)
    submission_format = read_submission_format(competition.labels, sample, competition=competition.name)
    write_submission(submission_format, path, classes=data.classes, ids=data.test.ids, values=values)


def _choose_threshold(baseline: Baseline, features: Features, targets: Matrix, metric: Metric) -> float:
    """The best threshold on a quarter of the training rows, for a model fitted on the other three quarters."""
    order = np.random.default_rng(_SEED).permutation(len(targets))
    valid, train = order[: len(order) // 4], order[len(order) // 4 :]
    predicted = baseline.fit(features[train], targets[train], False)(features[valid])
    thresholds = np.linspace(0.05, 0.6, 23)
    scores = [metric.score(targets[valid], (predicted >= threshold).astype(float)) for threshold in thresholds]
    best = metric.best(scores, key=float)
    return float(thresholds[scores.index(best)])


def _smooth(values: Matrix, targets: Matrix, multiclass: bool) -> Matrix:
    """Mix in a tenth of the class frequencies: a certain and wrong prediction costs 34 in log loss."""
    mixed = 0.9 * np.clip(values, 0, 1) + 0.1 * targets.mean(axis=0)
    return np.asarray(mixed / mixed.sum(axis=1, keepdims=True) if multiclass else mixed)


# --- models -------------------------------------------------------------------------------------


def fit_class_frequencies(_features: Features, targets: Matrix, _one_class: bool) -> Predict:
    """Predict the frequency of each class for every image."""
    frequency = targets.mean(axis=0)
    return lambda features: np.tile(frequency, (len(features), 1))


def fit_logistic(features: Features, targets: Matrix, multiclass: bool, *, C: float = 1.0) -> Predict:  # noqa: N803
    """Logistic regression: multinomial if each row has exactly one class, else one model a class."""
    scaler = StandardScaler().fit(features)
    scaled = scaler.transform(features)

    def fit(labels: NDArray[Any]) -> Any:
        return LogisticRegression(C=C, max_iter=300, tol=1e-3).fit(scaled, labels)

    if multiclass:
        model = make_pipeline(scaler, fit(targets.argmax(axis=1)))
        present = model[-1].classes_
        return lambda features: _all_classes(model.predict_proba(features), present, targets.shape[1])
    models = [_ConstantModel(column) if np.ptp(column) == 0 else fit(column) for column in targets.T]
    return lambda features: np.stack(
        [model.predict_proba(scaler.transform(features))[:, 1] for model in models], axis=1
    )


def fit_neighbours(features: Features, targets: Matrix, _one_class: bool, *, neighbours: int) -> Predict:
    """The mean targets of the nearest training images."""
    model = KNeighborsRegressor(min(neighbours, len(features))).fit(features, targets)
    return lambda features: np.asarray(model.predict(features)).reshape(len(features), -1)


def fit_extra_trees(features: Features, targets: Matrix, _one_class: bool) -> Predict:
    """A hundred extremely randomised trees."""
    trees = ExtraTreesRegressor(100, min_samples_leaf=2, max_features=0.4, random_state=_SEED, n_jobs=1)
    model = trees.fit(features, targets if targets.shape[1] > 1 else targets[:, 0])
    return lambda features: np.asarray(model.predict(features)).reshape(len(features), -1)


class _ConstantModel:
    """Stands for a logistic regression on a class that all training rows have, or none."""

    def __init__(self, column: NDArray[Any]):
        self._value = float(column[0])

    def predict_proba(self, features: Features) -> Matrix:
        return np.tile([1 - self._value, self._value], (len(features), 1))


def _all_classes(probabilities: Matrix, present: Sequence[int], classes: int) -> Matrix:
    """Probabilities with a column of zeros for each class without training rows."""
    complete = np.zeros((len(probabilities), classes))
    complete[:, present] = probabilities
    return complete


BASELINES = (
    Baseline("Class frequencies", mean_colours, fit_class_frequencies),
    Baseline("Logistic regression, mean {channel}", mean_colours, fit_logistic),
    Baseline("Nearest neighbours, 8 px", partial(thumbnails, side=8), partial(fit_neighbours, neighbours=20)),
    Baseline("Nearest neighbours, 16 px", partial(thumbnails, side=16), partial(fit_neighbours, neighbours=20)),
    Baseline("Logistic regression, {channel} statistics", channel_statistics, fit_logistic),
    Baseline("Extra trees, {channel} histograms", histograms, fit_extra_trees),
    Baseline("Logistic regression, edge histograms", edge_histograms, partial(fit_logistic, C=0.1)),
)

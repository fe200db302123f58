"""The honest baselines on a practice board: each is fitted on the training rows, and graded like anyone else."""

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

from runner.console import track
from runner.contract.competition import Competition
from runner.contract.labels import Multiclass, targets_of
from runner.contract.metrics import Metric
from runner.hosts.grading import Grader
from runner.hosts.practice import PracticeTeam
from runner.practice.features import (
    Features,
    Images,
    edge_directions,
    histograms,
    mean_colours,
    statistics,
    thumbnails,
)
from runner.practice.synthetic_data import SyntheticData
from runner.prediction.submission import write_submission
from runner.submission_format.submission_format import read_submission_format

Matrix = NDArray[np.floating[Any]]
Predict = Callable[[Features], Matrix]
Fit = Callable[[Features, Matrix, bool], Predict]  # features, targets, whether just one class is right

_FIRST_SUBMITTED = datetime(2017, 11, 6, 9, 0, tzinfo=UTC)
_SEED = 0


@dataclass(frozen=True)
class Baseline:
    """A team that sees one simple thing in an image, and has one simple way of learning from it."""

    team: str
    look: Callable[[Images], Features]
    fit: Fit


def submit_baselines(competition: Competition, painted: SyntheticData, grader: Grader) -> list[PracticeTeam]:
    """Fit every baseline, write what it would submit, and have that graded."""
    with tempfile.TemporaryDirectory() as folder:
        untouched = PracticeTeam("The sample, untouched", grader.grade(grader.sample), _FIRST_SUBMITTED)
        teams = [untouched]
        for number, baseline in enumerate(track("baselines at work", BOTS, len(BOTS)), start=1):
            path = Path(folder) / f"{number}.csv"
            _write_entry(baseline, competition, painted, grader.sample, path)
            submitted = _FIRST_SUBMITTED + timedelta(days=number)
            teams.append(PracticeTeam(_team_name(baseline, painted), grader.grade(path), submitted))
    return teams


def _team_name(baseline: Baseline, painted: SyntheticData) -> str:
    in_colour = painted.train.images[0].shape[2] == 3
    return baseline.team.format(colour="colour" if in_colour else "echo")


def _write_entry(
    baseline: Baseline, competition: Competition, painted: SyntheticData, sample: Path, path: Path
) -> None:
    targets = targets_of(competition.labels, painted.classes, painted.train.labels).astype(np.float64)
    mutually_exclusive = isinstance(competition.labels, Multiclass)
    seen = baseline.look([*painted.train.images, *painted.test.images])
    train, test = seen[: len(targets)], seen[len(targets) :]
    values = baseline.fit(train, targets, mutually_exclusive)(test)
    if competition.metric.takes_decisions:
        values = (values >= _choose_cutoff(baseline, train, targets, competition.metric)).astype(float)
    else:
        values = _no_certainty(values, targets, mutually_exclusive)
    form = read_submission_format(competition.labels, sample)
    write_submission(form, path, classes=painted.classes, ids=painted.test.ids, values=values)


def _choose_cutoff(baseline: Baseline, features: Features, targets: Matrix, metric: Metric) -> float:
    """The threshold that does best on a quarter of the training rows, by a fit on the other three."""
    order = np.random.default_rng(_SEED).permutation(len(targets))
    held, rest = order[: len(order) // 4], order[len(order) // 4 :]
    predicted = baseline.fit(features[rest], targets[rest], False)(features[held])
    cutoffs = np.linspace(0.05, 0.6, 23)
    scores = [metric.score(targets[held], (predicted >= cutoff).astype(float)) for cutoff in cutoffs]
    better = max(scores) if metric.higher_is_better else min(scores)
    return float(cutoffs[scores.index(better)])


def _no_certainty(values: Matrix, targets: Matrix, mutually_exclusive: bool) -> Matrix:
    """A tenth of the prior mixed in: log loss takes 34 from whoever was certain and wrong."""
    mixed = 0.9 * np.clip(values, 0, 1) + 0.1 * targets.mean(axis=0)
    return np.asarray(mixed / mixed.sum(axis=1, keepdims=True) if mutually_exclusive else mixed)


# --- ways of learning ---------------------------------------------------------------------------


def fit_prior(_features: Features, targets: Matrix, _exclusive: bool) -> Predict:
    """How frequent each class is, whatever the image."""
    frequency = targets.mean(axis=0)
    return lambda features: np.tile(frequency, (len(features), 1))


def fit_logistic(features: Features, targets: Matrix, mutually_exclusive: bool, *, strength: float = 1.0) -> Predict:
    """Logistic regression: one over all classes where they exclude each other, else one for each."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    scaled = scaler.transform(features)

    def fit_one(labels: NDArray[Any]) -> Any:
        return LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(scaled, labels)

    if mutually_exclusive:
        model = make_pipeline(scaler, fit_one(targets.argmax(axis=1)))
        present = model[-1].classes_
        return lambda seen: _spread(model.predict_proba(seen), present, targets.shape[1])
    models = [_Constant(column) if np.ptp(column) == 0 else fit_one(column) for column in targets.T]
    return lambda seen: np.stack([m.predict_proba(scaler.transform(seen))[:, 1] for m in models], axis=1)


def fit_neighbours(features: Features, targets: Matrix, _exclusive: bool, *, count: int) -> Predict:
    """The mean over the nearest images."""
    from sklearn.neighbors import KNeighborsRegressor

    model = KNeighborsRegressor(min(count, len(features))).fit(features, targets)
    return lambda seen: np.asarray(model.predict(seen)).reshape(len(seen), -1)


def fit_forest(features: Features, targets: Matrix, _exclusive: bool) -> Predict:
    """A hundred random trees."""
    from sklearn.ensemble import ExtraTreesRegressor

    trees = ExtraTreesRegressor(100, min_samples_leaf=2, max_features=0.4, random_state=_SEED, n_jobs=1)
    model = trees.fit(features, targets if targets.shape[1] > 1 else targets[:, 0])
    return lambda seen: np.asarray(model.predict(seen)).reshape(len(seen), -1)


class _Constant:
    """What logistic regression would say of a tag that all rows bear, or none."""

    def __init__(self, column: NDArray[Any]):
        self._value = float(column[0])

    def predict_proba(self, features: Features) -> Matrix:
        return np.tile([1 - self._value, self._value], (len(features), 1))


def _spread(probabilities: Matrix, present: Sequence[int], classes: int) -> Matrix:
    """A column for every class, also for those that no training row had."""
    spread = np.zeros((len(probabilities), classes))
    spread[:, present] = probabilities
    return spread


BOTS = (
    Baseline("The prior", mean_colours, fit_prior),
    Baseline("Mean {colour}, logistic", mean_colours, fit_logistic),
    Baseline("Nearest neighbours, 8 px", partial(thumbnails, side=8), partial(fit_neighbours, count=20)),
    Baseline("Nearest neighbours, 16 px", partial(thumbnails, side=16), partial(fit_neighbours, count=20)),
    Baseline("Simple statistics, logistic", statistics, fit_logistic),
    Baseline("Histogram of {colour}, forest", histograms, fit_forest),
    Baseline("Edge directions, logistic", edge_directions, partial(fit_logistic, strength=0.1)),
)

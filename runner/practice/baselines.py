"""Fit the baselines of a practice leaderboard and make their submissions.

Every team is a real model. It is trained on four fifths of the training rows; the last fifth tunes its probabilities
or its threshold, and tells whether it beats guessing. Only a team that does would submit, so only it gets a rank.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from runner.contract.competition import Competition
from runner.contract.metrics import Metric
from runner.contract.targets import as_matrix, targets_of
from runner.practice.features import Features, Images, mean_colours
from runner.practice.models import SEED, Fit, Matrix, Task, fit_class_frequencies
from runner.practice.synthetic_data import SyntheticData

_VALID_SHARE = 1 / 5
_MIN_GAIN = 0.05  # of the score of class frequencies: a model that is no better is noise, not a team
_TEMPERATURES = (0.5, 0.7, 1.0, 1.4, 2.0, 3.0)
_FREQUENCY_SHARES = (
    0.01,
    0.05,
    0.1,
    0.2,
    0.4,
    0.6,
    0.8,
)  # never 0: a certain and wrong prediction costs 34 in log loss
_THRESHOLDS = np.linspace(0.05, 0.6, 23)


@dataclass(frozen=True)
class Baseline:
    """A model and its features; `{channel}` in its name is "colour", or "band" for images that are not RGB."""

    name: str
    features: Callable[[Images], Features]
    fit: Fit
    share: float = 1.0  # of the rows to train on


@dataclass(frozen=True)
class Blend:
    """The mean of the predictions of other teams."""

    name: str
    members: tuple[Baseline, ...]


Team = Baseline | Blend

CLASS_FREQUENCIES = Baseline("Class frequencies", mean_colours, fit_class_frequencies)


@dataclass(frozen=True)
class Predictions:
    """Predictions for the rows that tune a model, and for the test rows; both (rows, classes)."""

    valid: Matrix
    test: Matrix


class BaselineModels:
    """The baselines of one competition's data; each feature is computed and each model is fitted once."""

    def __init__(self, competition: Competition, data: SyntheticData):
        self.data = data
        self._metric = competition.metric
        self._task = Task.of(competition.labels, competition.preset)
        targets = targets_of(competition.labels, data.classes, data.train.labels)
        self._targets = as_matrix(targets, len(data.classes)).astype(np.float64)  # as the models take them
        order = np.random.default_rng(SEED).permutation(len(self._targets))
        count = max(round(len(order) * _VALID_SHARE), 1)
        self._valid, self._train = order[:count], order[count:]
        self._features: dict[Callable[[Images], Features], Features] = {}
        self._predictions: dict[str, Predictions] = {}

    def display_name(self, team: Team) -> str:
        """The team's name on the leaderboard."""
        is_rgb = self.data.train.images[0].shape[2] == 3
        return team.name.format(channel="colour" if is_rgb else "band")

    def takes_part(self, team: Team) -> bool:
        """Whether the team is on the leaderboard: it beats class frequencies clearly on the tuning rows, or is them."""
        return team is CLASS_FREQUENCIES or self._beats_guessing(team)

    def submission(self, team: Team) -> Matrix:
        """The values that the team submits for the test rows: probabilities, or decisions of 0 and 1."""
        predictions = self.predict(team)
        return self._decide(predictions.valid, predictions.test)

    def predict(self, team: Team) -> Predictions:
        """The team's tuned probabilities."""
        if team.name not in self._predictions:
            self._predictions[team.name] = self._blend(team) if isinstance(team, Blend) else self._fit(team)
        return self._predictions[team.name]

    def remember(self, team: Team, predictions: Predictions) -> None:
        """Take a team's probabilities as predicted elsewhere, in another process."""
        self._predictions[team.name] = predictions

    def _beats_guessing(self, team: Team) -> bool:
        score, guess = self._valid_score(team), self._valid_score(CLASS_FREQUENCIES)
        return self._metric.gain(score, guess) >= _MIN_GAIN * abs(guess)

    def _valid_score(self, team: Team) -> float:
        valid = self.predict(team).valid
        return self._metric.score(self._targets[self._valid], self._decide(valid, valid))

    def _blend(self, blend: Blend) -> Predictions:
        members = [self.predict(member) for member in blend.members]
        return Predictions(
            np.mean([member.valid for member in members], axis=0), np.mean([member.test for member in members], axis=0)
        )

    def _fit(self, baseline: Baseline) -> Predictions:
        if baseline.features not in self._features:
            self._features[baseline.features] = baseline.features([*self.data.train.images, *self.data.test.images])
        features, targets = self._features[baseline.features], self._targets
        rows = self._train[: max(round(len(self._train) * baseline.share), 1)]
        predict = baseline.fit(features[rows], targets[rows], self._task)
        valid, test = predict(features[self._valid]), predict(features[len(targets) :])
        if baseline.fit is fit_class_frequencies or self._metric.scores_tags:
            return Predictions(valid, test)
        return self._tune(valid, test)

    def _tune(self, valid: Matrix, test: Matrix) -> Predictions:
        """Both with the temperature and the share of class frequencies that score best on the tuning rows."""
        frequencies = self._targets[self._train].mean(axis=0)
        candidates = [
            partial(_temper, task=self._task, temperature=temperature, frequencies=frequencies, share=share)
            for temperature in _TEMPERATURES
            for share in _FREQUENCY_SHARES
        ]
        targets = self._targets[self._valid]
        scores = [self._metric.score(targets, candidate(valid)) for candidate in candidates]
        best = candidates[scores.index(self._metric.best(scores, key=float))]
        return Predictions(best(valid), best(test))

    def _decide(self, valid: Matrix, predicted: Matrix) -> Matrix:
        """The predictions as the metric takes them; a threshold is chosen on the tuning rows."""
        if not self._metric.scores_tags:
            return predicted
        threshold = _best_threshold(self._metric, self._targets[self._valid], valid)
        return np.asarray(predicted >= threshold, dtype=float)


def _temper(
    probabilities: Matrix, *, task: Task, temperature: float, frequencies: NDArray[np.floating], share: float
) -> Matrix:
    clipped = np.clip(probabilities, 1e-4, 1 - 1e-4)
    logits = np.log(clipped) if task.one_class else np.log(clipped / (1 - clipped))
    return np.asarray((1 - share) * task.probabilities(logits / temperature) + share * frequencies)


def _best_threshold(metric: Metric, targets: Matrix, predicted: Matrix) -> float:
    scores = [metric.score(targets, (predicted >= threshold).astype(float)) for threshold in _THRESHOLDS]
    return float(_THRESHOLDS[scores.index(metric.best(scores, key=float))])

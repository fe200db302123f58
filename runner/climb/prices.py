"""What a step costs on this machine: measured seconds of a backbone, scaled by images, views and pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

from runner.climb.candidates import Candidate
from runner.climb_record import ClimbRecord, Speed, StepKind
from runner.contract import Stage, TrainMode
from runner.images.views import choose_views
from runner.options import TrainOptions
from runner.session import Session
from runner.training.folds import preview_fold
from runner.training.time_budget import measure_costs, regression_seconds

_BATCH = 16  # images of a measured mini-batch
START = 3.0  # seconds of any step: building the network, its digests, writing what it leaves
_WIDTH, _ROUGHLY = 1280, 20.0  # of features; of the time budget's seconds of a regression, with its search
_MOST_CHANGE = 3.0  # of a speed, by one step: it may have waited for something else
_REFIT_SHARE = 0.4  # of a regression with its search
HOLDOUT = 0.2  # of the rows, where there are no folds


@dataclass(frozen=True)
class Amounts:
    """How much there is to compute."""

    rows: int  # labelled images
    test_rows: int
    folds: int
    views: int  # of the default TTA
    all_views: int
    columns: int  # of the network's output

    @property
    def seen(self) -> int:
        """Images that a step on features sees, each view one."""
        return self.views * (self.rows + self.test_rows)

    @property
    def valid_share(self) -> float:
        """The share of the labelled rows that a fold validates on."""
        return 1 / self.folds if self.folds > 1 else HOLDOUT


def amounts_of(session: Session, folds: int) -> Amounts:
    """The amounts of a competition."""
    preset = session.competition.preset
    default, every = (len(choose_views(preset, name)) for name in ("default", "all"))
    index = session.index
    return Amounts(len(index.train), len(index.test), folds, default, every, len(index.classes))


@dataclass(frozen=True)
class Prices:
    """Seconds of each kind of step, by what is measured so far."""

    amounts: Amounts
    record: ClimbRecord

    def features(self, candidate: str, size: int) -> float:
        """A head on features in every fold, and predictions of all rows: one pass over all images."""
        inference = self.record.speeds[candidate].inference
        return self.amounts.seen * inference * megapixels(size) + self.amounts.folds * self.head(candidate) + START

    def head(self, candidate: str) -> float:
        """A regression in one fold: as measured with this network, or another one, or roughly."""
        speeds = self.record.speeds
        known = [speed.head for name, speed in speeds.items() if speed.head is not None and name != candidate]
        own = speeds[candidate].head
        rough = rough_head_seconds(self.amounts.rows, self.amounts.columns)
        return own if own is not None else max(known, default=rough)

    def refit(self, candidate: str) -> float:
        """A regression on all rows with a strength that is known, and its predictions."""
        return START + _REFIT_SHARE * self.head(candidate)

    def epoch(self, candidate: str, size: int) -> float:
        """An epoch of one fold in which everything is trained."""
        amounts, speed = self.amounts, self.record.speeds[candidate]
        share = amounts.valid_share
        valid = share * amounts.rows * speed.inference
        training = speed.training if speed.training is not None else 4 * speed.inference
        return ((1 - share) * amounts.rows * training + valid) * megapixels(size)

    def unfrozen(self, candidate: str, size: int, epochs: int) -> float:
        """One fold with a head on features, which are there, some epochs, and predictions by both snapshots."""
        amounts, speed = self.amounts, self.record.speeds[candidate]
        images = 2 * amounts.views * (amounts.rows * amounts.valid_share + amounts.test_rows)
        head = self.features(candidate, size) if not self._has_features(candidate, size) else START
        return epochs * self.epoch(candidate, size) + images * speed.inference * megapixels(size) + head

    def views(self, candidate: str, size: int) -> float:
        """All views of a run on features: those beyond the default ones are computed."""
        amounts, speed = self.amounts, self.record.speeds[candidate]
        more = amounts.all_views - amounts.views
        images = more * (amounts.rows + amounts.test_rows)
        return images * speed.inference * megapixels(size) + START

    def _has_features(self, candidate: str, size: int) -> bool:
        steps = self.record.of(StepKind.FEATURES, StepKind.LARGER)
        return any((step.candidate, step.size) == (candidate, size) for step in steps)


def rough_head_seconds(rows: int, columns: int) -> float:
    """About how long the regression of one fold takes, before one is measured."""
    return _ROUGHLY * regression_seconds(rows, 1, _WIDTH * columns)


def megapixels(size: int) -> float:
    """Millions of pixels of a square image."""
    return size * size / 1e6


def corrected(prices: Prices, candidate: str, size: int, seconds: float, heads: float) -> Speed:
    """The speed of a network after a step on features, by its seconds and those of all its heads."""
    speed, amounts = prices.record.speeds[candidate], prices.amounts
    inference = (seconds - heads - START) / (amounts.seen * megapixels(size))
    inference = min(max(inference, speed.inference / _MOST_CHANGE), speed.inference * _MOST_CHANGE)
    return replace(speed, inference=inference, head=heads / amounts.folds)


def corrected_training(speed: Speed, planned: float, seconds: float) -> Speed:
    """The speed after an unfrozen stage that took another time than planned."""
    change = min(max(seconds / max(planned, 1e-9), 1 / _MOST_CHANGE), _MOST_CHANGE)
    return speed if speed.training is None else replace(speed, training=speed.training * change)


def measure_speed(session: Session, candidate: Candidate, size: int, *, training: bool = False) -> float:
    """Seconds an image of one megapixel, by some mini-batches: to infer, or to train everything."""
    stages = (Stage(size, TrainMode.UNFROZEN if training else TrainMode.FEATURES),)
    recipe = replace(candidate.recipe, stages=stages, batch_size=_BATCH)
    options = TrainOptions(weights=candidate.weights)
    fold = preview_fold(session, recipe, options)
    (cost,) = measure_costs(fold, options)
    if training:
        return cost.epoch / (len(fold.train) * megapixels(size))
    views = len(choose_views(session.competition.preset, "default"))
    return cost.once / (views * (len(fold.train) + len(fold.valid)) * megapixels(size))

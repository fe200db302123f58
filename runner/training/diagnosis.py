"""Whether a stage over- or underfits: by its losses and their errors, in a sentence with the figures.

Nothing is claimed that noise alone could show: a loss falls, rises or differs from another only beyond twice the
standard error of that difference. What cannot be told yet is said so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np

_ERRORS = 2.0  # standard errors: a smaller difference may be chance
_MIN_ROWS = 20  # validation rows; of fewer not even the standard error is known
_UNKNOWN_ERROR = 0.05  # share of a loss that its error is taken to be, in logs without errors
_PAIRED = 0.3  # two epochs are validated on the same rows: most of the sampling error cancels in their difference
_CHANGED = 0.03  # share of the loss: a smaller rise or fall is of no use even if it is certain
_LEVEL = 0.1  # share of the loss: with a larger possible change nobody can say that a curve has levelled off
_APART = 0.15  # share of the validation loss between training and validation loss that is worth a word
_FAR_APART = 0.4  # the same, where the trend is unknown
_LITTLE = 0.05  # share of the loss of guessing: of a loss below it little can be gained or lost
_HIGH = 0.5  # share of the loss of guessing: a loss above it leaves much to learn
_GUESSING = 0.01  # share of the loss of guessing: a smaller gain over it is none
_JUMP = 4.0  # noises of an epoch by which the last loss exceeds the lowest of many
_FAR = 10  # times the loss of guessing: no network begins there
_DIVERGED = 0.1  # share of the lowest loss by which both losses rise if the lr is too high


class Verdict(Enum):
    """What the losses of a stage say."""

    NO_VALIDATION = "no validation rows"
    TOO_EARLY = "too early to tell"
    DIVERGED = "diverged"
    GUESSING = "no better than guessing"
    OVERFITTING = "overfitting"
    UNDERFITTING = "underfitting"
    IMPROVING = "still improving"
    NEITHER = "no over- or underfitting seen"
    CONVERGED = "converged"


class Trend(Enum):
    """Where the validation loss is going."""

    FALLING = "falling"
    LEVEL = "level"
    RISING = "rising"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Diagnosis:
    """The verdict on one stage, and the figures that it rests on."""

    verdict: Verdict
    reason: str
    trend: Trend = Trend.UNKNOWN

    def __str__(self) -> str:
        return f"{self.verdict.value}: {self.reason}"


@dataclass(frozen=True)
class Change:
    """By how much the validation loss changed over the last epochs, with the standard error of that."""

    value: float
    error: float
    since: int  # epoch
    late: float  # the part of it after `middle`
    middle: int  # epoch
    forecast: float  # the change over as many epochs more, if it goes on slowing down as it did

    @property
    def is_certain(self) -> bool:
        return abs(self.value) > _ERRORS * self.error


def diagnose(log: Sequence[dict[str, Any]], stage: int) -> Diagnosis:
    """The verdict on one stage, from the lines of its folds' logs."""
    lines = mean_of_folds([line for line in log if line["stage"] == stage])
    if not lines or lines[-1]["valid_loss"] is None:
        return Diagnosis(Verdict.NO_VALIDATION, "over- and underfitting cannot be seen")
    if "strength" in lines[-1]:
        return _of_regression(lines[-1])
    curve = LossCurve(_until_last_cycle_end(lines))
    for rule in (_diverged, _too_early, _guessing, _by_trend):
        diagnosis = rule(curve)
        if diagnosis is not None:
            return diagnosis
    raise AssertionError("the last rule knows every curve")


def _of_regression(line: dict[str, Any]) -> Diagnosis:
    """What is known of a regression: it is solved, and its strength was chosen within the training rows."""
    curve, chosen = LossCurve([line]), line.get("inner_loss")
    how = "" if chosen is None else f", chosen by a loss of {chosen:.4f} on training rows left out"
    return Diagnosis(Verdict.CONVERGED, f"{curve.losses}; strength {line['strength']:g}{how}", Trend.LEVEL)


def mean_of_folds(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line an epoch: the mean over the folds that have reached the last one."""
    last = max((line["epoch"] for line in lines), default=0)
    folds = sorted({line.get("fold", 0) for line in lines if line["epoch"] == last})
    by_epoch: dict[int, list[dict[str, Any]]] = {}
    for line in lines:
        if line.get("fold", 0) in folds:
            by_epoch.setdefault(line["epoch"], []).append(line)
    return [_mean_line(by_epoch[epoch]) for epoch in sorted(by_epoch)]


def _mean_line(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of the losses; their errors as those of a mean."""
    if len(lines) == 1:
        return lines[0]
    mean = dict(lines[0])
    for key in ("train_loss", "valid_loss", "prior_loss"):
        mean[key] = _combined(lines, key, lambda values: sum(values) / len(values))
    for key in ("valid_error", "prior_error"):
        mean[key] = _combined(lines, key, lambda values: math.hypot(*values) / len(values))
    mean["valid_rows"] = _combined(lines, "valid_rows", sum)
    batches = zip(*(line.get("losses", ()) for line in lines), strict=False)  # a fold may have one batch more
    mean["losses"] = [sum(losses) / len(losses) for losses in batches]
    return mean


def _combined(lines: Sequence[dict[str, Any]], key: str, combine: Any) -> Any:
    """The combined values of all lines; None if one of them has none."""
    values = [line.get(key) for line in lines]
    return None if None in values else combine(values)


def _until_last_cycle_end(lines: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Without the epochs of an unfinished cycle: its high lr raises the loss. All lines if no cycle has ended yet."""
    ends = [position for position, line in enumerate(lines) if line["ends_cycle"]]
    return lines[: ends[-1] + 1] if ends else lines


class LossCurve:
    """The losses of one stage by epoch, with their noise."""

    def __init__(self, lines: Sequence[dict[str, Any]]):
        last = lines[-1]
        self.epochs = [line["epoch"] + 1 for line in lines]
        self.train = np.array([line["train_loss"] for line in lines], dtype=float)
        self.valid = np.array([line["valid_loss"] for line in lines], dtype=float)
        self.ends = [position for position, line in enumerate(lines) if line["ends_cycle"]]
        self.rows: int | None = last.get("valid_rows")
        self.prior: float | None = last.get("prior_loss")
        self.valid_error: float = _known(last.get("valid_error"), _UNKNOWN_ERROR * abs(self.valid[-1]))
        self.prior_error: float = _known(last.get("prior_error"), self.valid_error)
        self.mixed = bool(
            last.get("mixed")
        )  # by MixUp or CutMix: the training loss is then higher than of plain images
        self.train_error = _error_of_mean(last.get("losses", ()), self.valid_error)

    def __len__(self) -> int:
        return len(self.valid)

    @property
    def losses(self) -> str:
        mixed = " of mixed images" if self.mixed else ""
        return (
            f"training loss {self.train[-1]:.4f}{mixed}, validation loss {self.valid[-1]:.4f} ± {self.valid_error:.4f}"
        )

    @cached_property
    def lowest(self) -> int:
        """The position of the lowest validation loss."""
        return int(self.valid.argmin())

    @property
    def rise(self) -> float:
        """By how much the validation loss is above its lowest."""
        return float(self.valid[-1] - self.valid[self.lowest])

    @property
    def train_change(self) -> float:
        """By how much the training loss changed since the validation loss was lowest, as a share of it."""
        before = float(self.train[self.lowest])
        return float(self.train[-1] - before) / max(before, 1e-12)

    @property
    def gap(self) -> float:
        """Validation loss minus training loss."""
        return float(self.valid[-1] - self.train[-1])

    @property
    def gap_error(self) -> float:
        return math.hypot(self.valid_error, self.train_error)

    def has_gap(self, share: float = _APART) -> bool:
        """Whether the training loss is below the lowest of the last validation losses: certainly, and by this share."""
        gap = float(self.valid[-self.window :].min() - self.train[-1])
        return gap > max(_ERRORS * self.gap_error, share * self.scale)

    @property
    def has_inverse_gap(self) -> bool:
        """Whether the training loss is above the validation loss: by more than augmentation alone explains."""
        return not self.mixed and -self.gap > max(_ERRORS * self.gap_error, _APART * self.scale)

    @property
    def lacks_gap(self) -> bool:
        """Whether the losses are as close as they are before anything is learned by heart."""
        return not self.mixed and not self.has_gap()

    @property
    def is_high(self) -> bool:
        """Whether the loss is closer to that of guessing than to 0."""
        return self.prior is not None and self.valid[-1] > _HIGH * self.prior

    @cached_property
    def noise(self) -> float:
        """Standard deviation of an epoch's validation loss around its curve.

        From second differences, in which a trend cancels. Those of the window, as the noise falls with the lr; few of
        them may be small by chance. Never less than what sampling alone explains.
        """
        starts = {0, *(end + 1 for end in self.ends)}  # a restart of the lr is no noise
        middles = [middle for middle in range(1, len(self) - 1) if not starts & {middle, middle + 1}]
        late = np.array([middle for middle in middles if middle > len(self) - self.window] or middles, dtype=int)
        if not len(late):
            return _PAIRED * self.valid_error
        differences = self.valid[late - 1] - 2 * self.valid[late] + self.valid[late + 1]
        measured = math.sqrt((differences**2).mean() / 6) * (1 + 1 / len(late))
        return max(measured, _PAIRED * self.valid_error)

    @cached_property
    def window(self) -> int:
        """The number of epochs in the second half of the last cycle, at least three."""
        length = len(self) - (self.ends[-2] + 1 if len(self.ends) > 1 else 0)
        return min(len(self), max(3, length // 2 + 1))

    @cached_property
    def change(self) -> Change:
        """Since the end of the cycle before, at the same lr; or by a line through the second half of the only cycle."""
        if len(self.ends) > 1:
            return self._change_of_cycles()
        count, half = self.window, (self.window - 1) // 2
        window = self.valid[-count:]
        value = float(np.polyfit(np.arange(count), window, 1)[0]) * (count - 1)
        spread = count * (count**2 - 1) / 12  # sum of squared distances of the epochs from their mean
        error = self.noise * (count - 1) / math.sqrt(spread)
        if count < 3:
            return Change(value, error, self.epochs[-count], value, self.epochs[-count], value)
        early, late = float(window[half] - window[0]), float(window[-1] - window[-1 - half])
        forecast = late * (_slowing(early, late) + _slowing(early, late) ** 2)
        return Change(value, error, self.epochs[-count], late, self.epochs[-1 - half], forecast)

    def _change_of_cycles(self) -> Change:
        ends = self.valid[self.ends]
        value, since = float(ends[-1] - ends[-2]), self.epochs[self.ends[-2]]
        slowing = _slowing(float(ends[-2] - ends[-3]), value) if len(ends) > 2 else 1.0
        return Change(value, math.sqrt(2) * self.noise, since, value, since, value * slowing)

    @property
    def scale(self) -> float:
        """The loss that a change or a gap is compared with: next to none of it is left if it is far below guessing."""
        return max(float(self.valid[-1]), _LITTLE * (self.prior or 0.0))

    @cached_property
    def trend(self) -> Trend:
        """Where the validation loss goes, as far as its noise lets that be seen."""
        change, relevant = self.change, _CHANGED * self.scale
        if change.is_certain and change.value < 0 and change.forecast < -relevant:
            return Trend.FALLING
        rises = change.is_certain and change.value > relevant
        if rises or self.rise > max(_JUMP * self.noise, 2 * relevant):
            return Trend.RISING
        if len(self) > 2 and abs(change.forecast) + _ERRORS * change.error <= _LEVEL * self.scale:
            return Trend.LEVEL
        return Trend.UNKNOWN

    def describe_prior(self) -> str:
        return f"a constant prediction has {self.prior:.4f}"


def _diverged(curve: LossCurve) -> Diagnosis | None:
    """Both losses rise, are worse than those of a constant prediction, or are no numbers."""
    finite = np.isfinite(curve.valid) & np.isfinite(curve.train)
    if not finite.all():
        reason = f"the loss is no number from epoch {curve.epochs[int(np.argmin(finite))]} on"
        return Diagnosis(Verdict.DIVERGED, reason, Trend.RISING)
    if len(curve) == 1 and curve.prior and min(curve.train[0], curve.valid[0]) > _FAR * curve.prior:
        return Diagnosis(Verdict.DIVERGED, f"{curve.losses}, and {curve.describe_prior()}", Trend.UNKNOWN)
    if len(curve) == 1 or curve.trend is Trend.FALLING:
        return None
    rises = curve.rise > _DIVERGED * curve.valid[curve.lowest] and curve.train_change > _DIVERGED
    if curve.trend is Trend.RISING and rises:
        lowest = f"{curve.valid[curve.lowest]:.4f} in epoch {curve.epochs[curve.lowest]}"
        reason = f"both losses rise since validation loss was {lowest} ({curve.losses})"
        return Diagnosis(Verdict.DIVERGED, reason, Trend.RISING)
    limit = math.inf if curve.prior is None else curve.prior * (1 + _DIVERGED)
    if min(curve.train[-1], curve.valid[-1] - _ERRORS * curve.prior_error) > limit:
        return Diagnosis(Verdict.DIVERGED, f"{curve.losses}, and {curve.describe_prior()}", curve.trend)
    return None


def _too_early(curve: LossCurve) -> Diagnosis | None:
    """One epoch, or too few validation rows."""
    if curve.rows is not None and curve.rows < _MIN_ROWS:
        rows = "1 validation row" if curve.rows == 1 else f"{curve.rows} validation rows"
        return Diagnosis(Verdict.TOO_EARLY, f"{rows} only; {curve.losses}")
    if len(curve) > 1:
        return None
    guess = "" if curve.prior is None else f"; {curve.describe_prior()}"
    return Diagnosis(Verdict.TOO_EARLY, f"one epoch in this stage; {curve.losses}{guess}")


def _guessing(curve: LossCurve) -> Diagnosis | None:
    """No epoch's validation loss is below that of a constant prediction."""
    if curve.prior is None:
        return None
    gain = curve.prior - float(curve.valid[curve.lowest])
    if gain < _LEVEL * curve.prior:  # then one epoch among many may be lucky
        gain = curve.prior - float(np.median(curve.valid[-curve.window :]))
    if gain > max(_ERRORS * curve.prior_error, _GUESSING * curve.prior):
        return None
    compared = f"{curve.losses}, and {curve.describe_prior()}"
    if gain > _LEVEL * curve.prior:
        return Diagnosis(Verdict.TOO_EARLY, f"too few validation rows: {compared}", curve.trend)
    if curve.has_gap(_FAR_APART):
        return Diagnosis(Verdict.OVERFITTING, f"no better than guessing on validation rows: {compared}", curve.trend)
    falling = ", though it still falls" if curve.trend is Trend.FALLING else ""
    return Diagnosis(Verdict.GUESSING, f"{compared}{falling}", curve.trend)


def _by_trend(curve: LossCurve) -> Diagnosis:
    verdict, reason = {
        Trend.FALLING: _falling,
        Trend.RISING: _rising,
        Trend.LEVEL: _level,
        Trend.UNKNOWN: _unknown,
    }[curve.trend](curve)
    return Diagnosis(verdict, f"{reason} ({', '.join(_figures(curve))})", curve.trend)


def _figures(curve: LossCurve) -> Iterator[str]:
    yield curve.losses
    if curve.is_high:
        yield curve.describe_prior()


def _falling(curve: LossCurve) -> tuple[Verdict, str]:
    change = curve.change
    reason = f"validation loss fell by {-change.value:.4f} ± {change.error:.4f} since epoch {change.since}"
    lacks_training = curve.has_inverse_gap or (curve.is_high and curve.lacks_gap)
    return (Verdict.UNDERFITTING, f"{reason} and still falls") if lacks_training else (Verdict.IMPROVING, reason)


def _rising(curve: LossCurve) -> tuple[Verdict, str]:
    lowest = f"{curve.valid[curve.lowest]:.4f}, in epoch {curve.epochs[curve.lowest]}"
    if curve.train_change >= -_CHANGED and not curve.has_gap():
        return Verdict.TOO_EARLY, f"validation loss is above its lowest, {lowest}, and the training loss is no lower"
    return Verdict.OVERFITTING, f"validation loss has risen from its lowest, {lowest}; more epochs will not help"


def _level(curve: LossCurve) -> tuple[Verdict, str]:
    level = f"validation loss has levelled off, {curve.change.late:+.4f} since epoch {curve.change.middle}"
    if curve.has_gap():
        gap = f"{curve.gap:.4f} ± {curve.gap_error:.4f} above the training loss"
        return Verdict.OVERFITTING, f"{level}, and is {gap}; more epochs will not help"
    if curve.has_inverse_gap:
        return Verdict.UNDERFITTING, f"{level}, and the training loss is even higher"
    if curve.is_high and curve.lacks_gap:
        return Verdict.UNDERFITTING, f"{level}, and the training loss is hardly lower"
    if _ERRORS * curve.gap_error > 2 * _APART * curve.scale:
        gap = f"{curve.gap:+.4f} ± {curve.gap_error:.4f}"
        return Verdict.TOO_EARLY, f"too few validation rows for the gap between the losses, {gap}; {level}"
    return Verdict.NEITHER, level


def _unknown(curve: LossCurve) -> tuple[Verdict, str]:
    change = f"{curve.change.value:+.4f} ± {curve.change.error:.4f} since epoch {curve.change.since}"
    if curve.has_gap(_FAR_APART):
        gap = f"validation loss is {curve.gap:.4f} ± {curve.gap_error:.4f} above the training loss"
        return Verdict.OVERFITTING, f"{gap}; whether it still falls cannot be told: {change}"
    return Verdict.TOO_EARLY, f"the change of the validation loss is within its noise: {change}"


def _slowing(early: float, late: float) -> float:
    """The ratio of two successive changes, from 0 (it has stopped, or turned) to 1 (it goes on as before)."""
    return min(max(late / early, 0.0), 1.0) if early else 1.0


def _known(value: float | None, default: float) -> float:
    return default if value is None or not math.isfinite(value) else float(value)


def _error_of_mean(losses: Sequence[float], default: float) -> float:
    """Standard error of the mean of an epoch's mini-batch losses; their trend cancels in first differences."""
    if len(losses) < 3:
        return default
    return float(np.sqrt(np.mean(np.diff(losses) ** 2) / 2 / len(losses)))

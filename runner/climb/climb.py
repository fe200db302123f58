"""The climb: one step after another, each a run like any other, until the time or what promises a gain is used up."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from runner.climb.candidates import Candidate, find_candidates
from runner.climb.clock import Clock
from runner.climb.plan import SAFETY, Offer, Situation, all_offers, choose, features_recipe, unfrozen_recipe
from runner.climb.prices import (
    Amounts,
    Prices,
    amounts_of,
    corrected,
    corrected_training,
    measure_speed,
    rough_head_seconds,
)
from runner.climb_record import (
    ClimbRecord,
    Decision,
    Pending,
    Speed,
    Step,
    StepKind,
    climb_file,
    read_climb,
    write_climb,
)
from runner.console import log
from runner.contract import Recipe
from runner.data.folds import read_folds
from runner.errors import Interrupted, InUseError, RunnerError, UsageError
from runner.locks import hold
from runner.options import PredictOptions, TrainOptions
from runner.prediction.blend import read_blend
from runner.prediction.nested_predictions import (
    NestedPredictions,
    PairedDifference,
    common_rows,
    paired_difference,
    predict_nested,
)
from runner.prediction.out_of_fold import oof_targets
from runner.prediction.score import Score
from runner.session import Session
from runner.steps.download import download, is_downloaded
from runner.steps.ensemble import ensemble
from runner.steps.predict import predict
from runner.steps.refit_ensemble import refit_ensemble, weighted_runs
from runner.steps.train import is_refitted_in_seconds, train
from runner.training.distributed import get_accelerator, release_freed_memory
from runner.training.log import read_log
from runner.training.request import data_digest
from runner.training.run import Run, find_run, find_runs

_FOLDS = 5
_MOST_ROWS_FOR_FOLDS = 30_000  # with more, a holdout has rows enough
_HEADS_SHARE = 0.1  # of the time that the regressions of all folds may take in one step
_MEASURED_SIZE = 128
_MEASURE_SECONDS = 20.0  # kept for measuring another network
_PARTIAL = (StepKind.UNFROZEN, StepKind.LONGER)  # steps that train one fold at first


@dataclass(frozen=True)
class ClimbOptions:
    """The time of a climb, and what else it may start from."""

    minutes: float
    weights: tuple[Path, ...] = ()  # files, or folders of files, that are named as timm's models
    source: Path | None = None  # a folder or archive on this disk, if the data is not here yet
    new: bool = False  # begin again


@dataclass(frozen=True)
class ClimbResult:
    """What a climb came to."""

    record: ClimbRecord
    run: Run  # with the submission: the ensemble, or its refit on all rows
    reason: str  # why it ended

    def path(self, session: Session) -> Path:
        """The submission."""
        return session.submission_file(self.run.name)


def climb(session: Session, options: ClimbOptions) -> ClimbResult:
    """The best submission that fits into the time. The same call goes on; the time that was spent counts.

    Raises RunnerError if the climb ends before its first submission; what is trained is kept.
    """
    if not is_downloaded(session):
        download(session, options.source)
    with _locked(session, options):
        record = _begun(session, options)
        clock = Clock(60 * options.minutes, record.seconds)
        if clock.left <= 0:
            return _result(session, options, record, f"the {options.minutes:g} minutes are spent")
        return Climber(session, options, record, clock).climb()


def plan_climb(session: Session, options: ClimbOptions) -> list[Offer]:
    """What could be bought first or next, the most promising first, with its price; only speeds are measured."""
    if not is_downloaded(session):
        download(session, options.source)
    known = None if options.new else read_climb(session.workspace, session.name)
    record = known or _new_record(session, data_digest(session.index), 60 * options.minutes)
    climber = Climber(session, options, record, Clock(60 * options.minutes, record.seconds), writes=False)
    return climber.plan()


def _locked(session: Session, options: ClimbOptions) -> AbstractContextManager[None]:
    lock = climb_file(session.workspace, session.name).with_name(".climb.lock")
    command = session.command("climb", "--time-budget", f"{options.minutes:g}")
    return hold(lock, command, what=f"the climb of {session.name}", fix="call this command again then")


def _begun(session: Session, options: ClimbOptions) -> ClimbRecord:
    """The record to go on with, or a new one."""
    seconds = 60 * options.minutes
    known = None if options.new else read_climb(session.workspace, session.name)
    data = data_digest(session.index)
    if known is None or known.data != data:
        if known is not None:
            log.warning("the data has changed since the last climb: a new one is begun")
        record = _new_record(session, data, seconds)
    else:
        record = replace(known, seconds=known.seconds + _unrecorded_seconds(session, known.pending))
        spent = record.seconds / 60
        log.info(f"going on with the climb after {len(record.steps)} steps and {spent:.1f} minutes")
    write_climb(session.workspace, session.name, record)
    return record


def _new_record(session: Session, data: str, seconds: float) -> ClimbRecord:
    return ClimbRecord(data=data, prefix=_free_prefix(session), folds=_fold_count(session, seconds))


def _free_prefix(session: Session) -> str:
    """What the names of a new climb's runs begin with."""
    names = [run.name for run in find_runs(session.workspace, session.name)]
    number = 1
    while any(name.startswith(f"{_prefix(number)}-") for name in names):
        number += 1
    return _prefix(number)


def _prefix(number: int) -> str:
    return "climb" if number == 1 else f"climb{number}"


def _unrecorded_seconds(session: Session, pending: Pending | None) -> float:
    """How long a killed step had worked, by the last file that it wrote."""
    if pending is None or pending.began == 0:
        return 0.0
    folder = session.workspace.run_dir(session.name, pending.run)
    times = [path.stat().st_mtime for path in folder.rglob("*") if path.is_file()]
    return max(0.0, max(times, default=0.0) - pending.began)


class Climber:
    """A climb under way: its record is written after every change."""

    def __init__(
        self, session: Session, options: ClimbOptions, record: ClimbRecord, clock: Clock, *, writes: bool = True
    ):
        self.session, self.options, self.record, self.clock, self._writes = session, options, record, clock, writes
        self._nested: tuple[tuple[str, ...], NestedPredictions] | None = None  # of the last ensemble, by its runs
        self._errors: list[RunnerError] = []
        get_accelerator(session.compute)
        self.amounts: Amounts = amounts_of(session, record.folds or 1)
        self.candidates = find_candidates(session, options.weights)

    # The whole.

    def climb(self) -> ClimbResult:
        """Take steps until none is left to take."""
        self._keep(replace(self.record, candidates=tuple(each.key for each in self.candidates)))
        try:
            with self.clock.interrupting():
                reason = self._climb()
                self._refit()
        except KeyboardInterrupt:
            if not self.clock.has_rung:
                self._put_down()
                raise self._interrupted() from None
            reason = "the time is up"
        self._keep(replace(self.record, seconds=self.clock.spent))
        return _result(self.session, self.options, self.record, reason)

    def plan(self) -> list[Offer]:
        """Every step that could be taken now, the most promising first; measures the speed of each network."""
        for candidate in self.candidates:
            if candidate.key not in self.record.speeds:
                self._measure(candidate)
        return sorted(all_offers(self._situation()), key=lambda offer: -offer.per_minute)

    def _climb(self) -> str:
        if self.record.pending is not None:
            self._go_on(self.record.pending)
        while True:
            self._measure_next()
            situation = self._situation()
            offer = choose(situation)
            if offer is None:
                return self._why_nothing(situation)
            log.info(
                f"{_minutes(self.clock.spent)} min: {offer.what}, about {_minutes(offer.seconds)} min ({offer.why})"
            )
            self._take(offer)

    def _why_nothing(self, situation: Situation) -> str:
        left = f"{_minutes(self.clock.left)} minutes are left"
        offers = all_offers(situation)
        if self.record.best is None and (self._errors or not offers):
            raise self._failure()
        if not offers:
            return f"nothing is left to try; {left}"
        if self.record.best is None:
            price = min(offer.seconds for offer in offers)
            fix = self.session.command("climb", "--time-budget", f"{max(1.0, 2 * price / 60):.0f}")
            raise UsageError(f"the first step takes about {_minutes(price)} minutes, and {left}", fix=fix)
        return f"no step that promises a gain ends in time; {left}"

    # Speeds.

    def _measure_next(self) -> None:
        """Measure a network: the first, and each other one once there is a submission."""
        while self.record.best is None and not any(key in self.record.speeds for key in self._keys()):
            candidate = next((each for each in self.candidates if not self._has_failed(each)), None)
            if candidate is None:
                raise self._failure()
            self._measure(candidate)
        if self.record.best is not None and self.clock.left > 2 * _MEASURE_SECONDS:
            left = [each for each in self.candidates if each.key not in self.record.speeds]
            if candidate := next((each for each in left if not self._has_failed(each)), None):
                self._measure(candidate)

    def _measure(self, candidate: Candidate) -> None:
        began = time.monotonic()
        try:
            with _quiet():
                inference = measure_speed(self.session, candidate, _measured_size(candidate))
        except RunnerError as error:
            self._fail(candidate, error, time.monotonic() - began)
            return
        self._keep(self.record.with_speed(candidate.key, Speed(inference)))

    def _measure_training(self, candidate: Candidate) -> None:
        """How long an epoch takes in which everything is trained, before such a stage is priced."""
        speed = self.record.speeds[candidate.key]
        if speed.training is None:
            with _quiet():
                training = measure_speed(self.session, candidate, _measured_size(candidate), training=True)
            self._keep(self.record.with_speed(candidate.key, replace(speed, training=training)))

    def _fail(self, candidate: Candidate, error: RunnerError, seconds: float) -> None:
        """Give a network up: its weights are not here, or do not fit."""
        self._errors.append(error)
        log.warning(f"{candidate.name} is left out: {error.message}")
        step = self._step(Offer(StepKind.FEATURES, candidate.key, 0, candidate.name, 0.0, 0.0, ""), seconds)
        self._keep(self.record.with_step(replace(step, decision=Decision.FAILED, why=error.message)))

    def _failure(self) -> RunnerError:
        """Why there is no first step to take: the error of this call, or of an earlier one."""
        if self._errors:
            return self._errors[0]
        failed = [step.why for step in self.record.steps if step.decision is Decision.FAILED]
        fix = self.session.command("climb", "--new", "--time-budget", f"{self.options.minutes:g}")
        return RunnerError(f"nothing is left to try: {failed[-1]}", fix=fix)

    def _has_failed(self, candidate: Candidate) -> bool:
        failed = (step for step in self.record.steps if step.decision is Decision.FAILED)
        return any(step.candidate == candidate.key and step.size == 0 for step in failed)

    def _keys(self) -> tuple[str, ...]:
        return tuple(each.key for each in self.candidates if not self._has_failed(each))

    # Steps.

    def _situation(self) -> Situation:
        record, usable = self.record, [each for each in self.candidates if not self._has_failed(each)]
        prices = Prices(self.amounts, record)
        heads = [] if record.best is None else self._quick_heads(record.best.ensemble)
        refit_seconds = sum(map(prices.refit, heads))
        return Situation(record, prices, tuple(usable), self.clock.left, self.clock.budget, refit_seconds)

    def _go_on(self, pending: Pending) -> None:
        """Finish the step that was interrupted, if its backbone is still here."""
        if all(each.key != pending.candidate for each in self.candidates):
            self._keep(replace(self.record, pending=None))
            return
        log.info(f"{_minutes(self.clock.spent)} min: going on with {pending.what}")
        seconds = 60 * pending.planned_minutes
        offer = Offer(
            pending.kind, pending.candidate, pending.size, pending.what, seconds, 0.0, "", pending.epochs, pending.run
        )
        self._take(offer)

    def _take(self, offer: Offer) -> None:
        candidate = next(each for each in self.candidates if each.key == offer.candidate)
        if offer.kind in _PARTIAL and self.record.speeds[candidate.key].training is None:
            self._measure_training(candidate)
            if self.record.pending is None:
                return  # it is priced again
        run_name = offer.run or self._run_name(offer, candidate)
        offer = replace(offer, run=run_name)
        pending = Pending(
            offer.kind, offer.candidate, offer.size, run_name, offer.what, offer.seconds / 60, time.time(), offer.epochs
        )
        self._keep(replace(self.record, pending=pending))
        began = time.monotonic()
        try:
            step = self._do(offer, candidate, began)
        except InUseError:
            raise
        except KeyboardInterrupt:
            if self.clock.has_rung:
                self._stop(offer, time.monotonic() - began)
            raise
        except RunnerError as error:
            self._errors.append(error)
            log.warning(f"{offer.what}: {error.message}")
            step = replace(self._step(offer, time.monotonic() - began), decision=Decision.FAILED, why=error.message)
        self._keep(replace(self.record.with_step(step), seconds=self.clock.spent))
        self._tell(step)
        release_freed_memory()  # the next network, or size, needs other blocks

    def _do(self, offer: Offer, candidate: Candidate, began: float) -> Step:
        """Train and predict; then the ensemble with it, and what it gained."""
        before = self._current()
        if offer.kind is StepKind.VIEWS:
            self._nested_of(before)  # before its predictions change
        with _quiet():
            run = self._train_and_predict(offer, candidate)
        worked = time.monotonic() - began
        self._correct(offer, run, worked)
        step = self._step(offer, worked)
        step = replace(step, own_score=_own_score(run), loss=_relative_loss(run))
        after = [*(each for each in before if each.name != run.name), run]
        blending = time.monotonic()
        with _quiet():
            step = self._judge(step, before, after, run)
        self._keep(replace(self.record, blend_seconds=time.monotonic() - blending))
        return replace(step, minutes=(time.monotonic() - began) / 60)

    def _train_and_predict(self, offer: Offer, candidate: Candidate) -> Run:
        session, name = self.session, offer.run
        if offer.kind is StepKind.VIEWS:
            run = find_run(session.workspace, session.name, name)
            predict(session, run, PredictOptions("all"))
            return run
        recipe = self._recipe(offer, candidate)
        only_fold = 0 if offer.kind in _PARTIAL and self.amounts.folds > 1 else None
        run = train(session, recipe, TrainOptions(weights=candidate.weights, only_fold=only_fold), name=name)
        predict(session, run)
        return run

    def _recipe(self, offer: Offer, candidate: Candidate) -> Recipe:
        recipe = replace(candidate.recipe, folds=self.record.folds or None)
        if offer.kind in (StepKind.FEATURES, StepKind.LARGER):
            return features_recipe(recipe, offer.size)
        return unfrozen_recipe(recipe, offer.size, offer.epochs)

    def _judge(self, step: Step, before: Sequence[Run], after: Sequence[Run], run: Run) -> Step:
        """The step with its decision; the ensemble with its run is written unless it is left out."""
        if not before:
            return self._with_ensemble(replace(step, decision=Decision.FIRST), after)
        others = [each for each in before if each.name != run.name] if step.kind is StepKind.FOLDS else before
        if not others:
            why = "more rows to be scored on, and a mean of networks"
            return self._with_ensemble(replace(step, decision=Decision.SAME, why=why), after)
        compared = self._compare(others, after)
        gain = compared.gain
        step = replace(step, gain=gain.value, gain_error=gain.error, share=_share(self.session, compared))
        if gain.exceeds_standard_error:
            return self._with_ensemble(replace(step, decision=Decision.HELPED), after)
        is_worse = gain.value < -gain.error
        if step.kind in _PARTIAL and self.amounts.folds > 1:
            why = f"it did not help in one fold, of {compared.first.rows:,} rows"
            return replace(step, decision=Decision.LEFT_OUT, why=why)
        if step.kind is StepKind.VIEWS and is_worse:
            predict(self.session, run)  # the default views again
            return replace(step, decision=Decision.WORSE, why="the default views stay")
        decision = Decision.WORSE if is_worse else Decision.SAME
        return self._with_ensemble(replace(step, decision=decision, why="it stays a candidate"), after)

    def _compare(self, before: Sequence[Run], after: Sequence[Run]) -> PairedDifference:
        """The gain of the second ensemble over the first, on the rows that both have predicted."""
        rows = common_rows(self._nested_of(before), self._nested_of(after, is_new=True))
        return paired_difference(self.session.competition, rows)

    def _nested_of(self, runs: Sequence[Run], *, is_new: bool = False) -> NestedPredictions:
        """The nested predictions of an ensemble, kept until those of another are asked for, or made again."""
        names = tuple(run.name for run in runs)
        if self._nested is None or self._nested[0] != names or is_new:
            blend = read_blend(runs, lambda: oof_targets(self.session.index))
            self._nested = names, predict_nested(self.session.competition, blend)
        return self._nested[1]

    def _with_ensemble(self, step: Step, runs: Sequence[Run]) -> Step:
        """The step with the ensemble of these runs: its submission is written and checked."""
        name = f"{self.record.prefix}-step-{step.number}"
        run = ensemble(self.session, runs, name=name)
        written = run.read_score()
        assert written is not None
        score = Score(**written["cv"])
        return replace(step, ensemble=name, score=score.value, error=score.error, rows=score.rows)

    def _current(self) -> list[Run]:
        """The runs in the ensemble of now."""
        best = self.record.best
        if best is None:
            return []
        run = find_run(self.session.workspace, self.session.name, best.ensemble)
        return [find_run(self.session.workspace, self.session.name, name) for name in run.read_members()]

    def _correct(self, offer: Offer, run: Run, seconds: float) -> None:
        """Take the speed from what the step really took: the machine may be shared."""
        speed = self.record.speeds.get(offer.candidate)
        if speed is None or offer.seconds <= 0:
            return
        if offer.kind in (StepKind.FEATURES, StepKind.LARGER):
            heads = sum(float(line["seconds"]) for line in read_log(run.log_file))
            prices = Prices(self.amounts, self.record)
            speed = corrected(prices, offer.candidate, offer.size, seconds, heads)
        if offer.kind in _PARTIAL:
            speed = corrected_training(speed, offer.seconds, seconds)
        self._keep(self.record.with_speed(offer.candidate, speed))

    def _step(self, offer: Offer, seconds: float) -> Step:
        return Step(
            number=len(self.record.steps) + 1,
            kind=offer.kind,
            candidate=offer.candidate,
            size=offer.size,
            run=offer.run,
            what=offer.what,
            planned_minutes=offer.seconds / 60,
            minutes=seconds / 60,
            decision=Decision.STOPPED,
            why=offer.why,
            epochs=offer.epochs,
        )

    def _stop(self, offer: Offer, seconds: float) -> None:
        """The time ended within a step: what is trained of it is kept for a longer climb."""
        step = replace(self._step(offer, seconds), why="the time was up; more time goes on with it")
        self._keep(replace(self.record.with_step(step), seconds=self.clock.spent))

    def _put_down(self) -> None:
        """Note the time that was spent until Ctrl-C."""
        pending = replace(self.record.pending, began=0.0) if self.record.pending else None
        self._keep(replace(self.record, seconds=self.clock.spent, pending=pending))

    def _interrupted(self) -> Interrupted:
        best = self.record.best
        if best is None:
            return Interrupted("the climb has no submission yet; what is trained is kept")
        return Interrupted(f"the climb keeps {len(self.record.steps)} steps and the submission of {best.ensemble}")

    # The end.

    def _quick_heads(self, ensemble: str) -> list[str]:
        """The candidate of each head with a weight in an ensemble that is refitted on all rows in seconds."""
        try:
            names = weighted_runs(self.session, find_run(self.session.workspace, self.session.name, ensemble))
            runs = [find_run(self.session.workspace, self.session.name, name) for name in names]
        except RunnerError as error:
            log.warning(f"the heads of {ensemble} cannot be refitted: {error.message}")
            return []
        candidate_of = {step.run: step.candidate for step in self.record.steps}
        return [candidate_of[run.name] for run in runs if is_refitted_in_seconds(run)]

    def _refit(self) -> None:
        """Refit the heads of the last ensemble on all labelled rows, if there is time: its score stays."""
        best = self.record.best
        assert best is not None
        price = self._situation().refit_seconds
        if price == 0 or self.record.refit:
            return
        if SAFETY * price > self.clock.left:
            log.info(f"no time is left to refit the heads on all rows, about {_minutes(price)} min")
            return
        log.info(f"{_minutes(self.clock.spent)} min: the heads refitted on all rows, about {_minutes(price)} min")
        run = find_run(self.session.workspace, self.session.name, best.ensemble)
        try:
            with _quiet():
                refitted = refit_ensemble(self.session, run, in_seconds=True)
        except InUseError:
            raise
        except RunnerError as error:
            log.warning(f"the heads are not refitted on all rows: {error.message}")
            return
        self._keep(replace(self.record, refit=refitted.name, seconds=self.clock.spent))
        log.info(f"  submission: {self.session.submission_file(refitted.name)}")

    def _run_name(self, offer: Offer, candidate: Candidate) -> str:
        slug = re.sub(r"[^A-Za-z0-9]+", "-", candidate.name).strip("-")[:60]
        twins = [each.key for each in self.candidates if each.name == candidate.name]
        slug += f"-{twins.index(candidate.key) + 1}" if len(twins) > 1 else ""
        name = f"{self.record.prefix}-{slug}-{offer.size}"
        return f"{name}-unfrozen-{offer.epochs}" if offer.kind in _PARTIAL else name

    def _tell(self, step: Step) -> None:
        title = self.session.competition.metric.title
        score = f"{title} {step.score:.5f} ± {step.error:.5f} ({step.rows:,} rows)" if step.score is not None else ""
        gain = f"gain {step.gain:+.5f} ± {step.gain_error:.5f}" if step.gain is not None else ""
        told = ", ".join(filter(None, (f"{step.minutes:.1f} min", score, gain, step.decision.value)))
        log.info(f"  step {step.number}: {told}")
        if step.ensemble:
            log.info(f"  submission: {self.session.submission_file(step.ensemble)}")

    def _keep(self, record: ClimbRecord) -> None:
        self.record = record
        if self._writes:
            write_climb(self.session.workspace, self.session.name, record)


def _result(session: Session, options: ClimbOptions, record: ClimbRecord, reason: str) -> ClimbResult:
    if record.best is None:
        fix = session.command("climb", "--time-budget", f"{_longer_budget(record, options.minutes):.0f}")
        raise RunnerError(f"the climb ended without a submission: {reason}", fix=fix)
    return ClimbResult(record, find_run(session.workspace, session.name, record.submission), reason)


def _longer_budget(record: ClimbRecord, minutes: float) -> float:
    """Minutes in which the first step should end: twice those that were not enough, or that it was to take."""
    planned = max((step.planned_minutes for step in record.steps), default=0.0)
    return max(1.0, 2 * minutes, record.seconds / 60 + 2 * planned)


def _fold_count(session: Session, seconds: float) -> int:
    """The folds of a new climb's runs: of the shared split, else of the recipe, else five if heads are cheap; or 0."""
    if session.folds_file.exists():
        count = read_folds(session.folds_file, competition=session.name).count
        if count > 1:
            return count
    declared, rows = session.competition.recipe.folds, len(session.index.train)
    heads = _FOLDS * rough_head_seconds(rows, len(session.index.classes))
    return declared or (_FOLDS if heads <= _HEADS_SHARE * seconds and rows <= _MOST_ROWS_FOR_FOLDS else 0)


def _measured_size(candidate: Candidate) -> int:
    """The image size at which a network's speed is measured."""
    return candidate.native_size if candidate.has_fixed_size else min(_MEASURED_SIZE, candidate.native_size)


def _share(session: Session, compared: PairedDifference) -> float:
    """The gain as a share of what was left to gain: to 0 for a loss, to 1 for a score of which more is better."""
    before, higher = compared.first.value, session.competition.metric.higher_is_better
    return compared.gain.value / max(abs(1 - before) if higher else abs(before), 1e-9)


def _own_score(run: Run) -> float | None:
    score = run.read_score()
    return score["cv"]["value"] if score else None


def _relative_loss(run: Run) -> float | None:
    """The last validation loss of the first fold, as a share of the loss of guessing."""
    lines = [line for line in read_log(run.log_file) if line["fold"] == 0]
    if not lines or lines[-1].get("valid_loss") is None or not lines[-1].get("prior_loss"):
        return None
    return float(lines[-1]["valid_loss"]) / max(float(lines[-1]["prior_loss"]), 1e-9)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the messages of the steps, which are those of a run, unless all are asked for."""
    level = log.level
    if level > logging.DEBUG:
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)

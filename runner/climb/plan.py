"""What a climb may buy next, and which of it promises most a minute: pure functions of what is measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from runner.climb.prices import Prices
from runner.climb_record import ClimbRecord, Decision, Step, StepKind
from runner.contract import Recipe, Stage, TrainMode

SIZES = (32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)
_STEP = 1.14  # the next size is larger by at least this factor
_LARGEST = 1.6  # of the size of the pretraining: beyond it features get worse
_FIRST_SHARE = 0.2  # of the time that the first step may take
_JUMP_SHARE = 0.4  # of the time left that a larger size may take: each size between would be paid for as well
# The loss falls by this power of the size, up to that of the pretraining, before it is measured: on photographs of ten
# breeds by 1.2, on small images of ten kinds of things by 0.8. Beyond it there is little left to see.
_POWER, _POWER_BEYOND = 1.0, 0.4
_UNFROZEN_SHARE = 0.7  # of the time left that one fold of an unfrozen stage may take
_FEWEST_EPOCHS = 3
_EPOCHS = 6  # where the competition's recipe has no unfrozen stage
_LONGEST = 4  # times the recipe's epochs
SAFETY = 1.25  # a step is begun if it would end in time even if it took so much longer
_END_SECONDS = 4.0  # kept for the ensemble's files, beside its measured time
_LEAST_SHARE = 0.003  # of the score that is left: less is not worth a step

# The share of the score left to gain that a step promises before anything is known. Measured on photographs of ten
# breeds, on cats and dogs, and on small images of ten kinds of things.
_PRIORS = {
    StepKind.FEATURES: 0.15,
    StepKind.VIEWS: 0.02,
}
_NEXT_FAMILY = 0.5  # a third family gives half of what the second gave
_SAME_FAMILY = 0.6  # other weights of the same network
# Before a larger size is bought, so many backbones are looked at, if a look takes at most this share of its time: the
# best of four had two tenths less of the loss of ten breeds at 160 px than the first, and three tenths less at 224 px.
_LOOKS, _LOOK_SHARE = 4, 0.5
# A second unfrozen stage gives this much of what the first gave: on small images of ten kinds of things the first took
# 0.27 of the errors that a head left, and another of the same network 0.05 of the rest.
_NEXT_UNFROZEN = 0.3
_UNFROZEN_BASE, _UNFROZEN_SLOPE = 0.02, 0.8  # by how far the head is from solving it


class Network(Protocol):
    """What the plan has to know of a candidate."""

    @property
    def key(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def recipe(self) -> Recipe: ...
    @property
    def native_size(self) -> int: ...
    @property
    def has_fixed_size(self) -> bool: ...


@dataclass(frozen=True)
class Offer:
    """A step that could be taken, its price and what it promises."""

    kind: StepKind
    candidate: str
    size: int
    what: str
    seconds: float
    share: float  # of the score that is left to gain
    why: str
    epochs: int = 0
    run: str = ""  # of an earlier step, that it goes on with

    @property
    def per_minute(self) -> float:
        """The promise of each minute."""
        return 60 * self.share / max(self.seconds, 1.0)


@dataclass(frozen=True)
class Situation:
    """Everything that a decision rests on."""

    record: ClimbRecord
    prices: Prices
    networks: tuple[Network, ...]
    seconds_left: float
    seconds: float  # of the whole budget
    refit_seconds: float = 0.0  # kept for refitting the heads on all rows at the end

    @property
    def measured(self) -> tuple[Network, ...]:
        """The networks whose speed is measured."""
        return tuple(each for each in self.networks if each.key in self.record.speeds)

    @property
    def reserve(self) -> float:
        """Seconds kept for the ensemble after a step, and for the refit at the end."""
        return 1.5 * self.record.blend_seconds + _END_SECONDS + self.refit_seconds

    def has_time_for(self, seconds: float) -> bool:
        """Whether such a step ends in time."""
        return SAFETY * seconds + self.reserve <= self.seconds_left


def choose(situation: Situation) -> Offer | None:
    """The offer that promises most a minute of those that end in time; None if none is worth its time."""
    offers = [offer for offer in all_offers(situation) if situation.has_time_for(offer.seconds)]
    worth = [offer for offer in offers if offer.share >= _LEAST_SHARE]
    return max(worth, key=lambda offer: offer.per_minute, default=None)


def all_offers(situation: Situation) -> list[Offer]:
    """Everything that could be bought now, whether there is time for it or not."""
    first = _first(situation)
    if first is not None:
        return [first]
    made = (_families, _larger, _unfrozen, _more_unfrozen, _folds, _longer, _views)
    return [offer for make in made for offer in make(situation)]


def larger_sizes(size: int, network: Network) -> list[int]:
    """The larger sizes that are worth trying with a network, the smallest first."""
    if network.has_fixed_size:
        return []
    sizes = sorted({*SIZES, network.native_size, *(stage.size for stage in network.recipe.stages)})
    return [each for each in sizes if each >= _STEP * size and each <= _LARGEST * network.native_size]


def first_size(situation: Situation, network: Network) -> int:
    """The largest size, up to that of the pretraining, whose features are a small part of the time."""
    if network.has_fixed_size:
        return network.native_size
    if network.recipe.from_scratch:
        return network.recipe.stages[0].size  # there is no pretraining that likes another one
    most = network.native_size
    sizes = [size for size in sorted({*SIZES, most}) if 64 <= size <= most] or [most]
    price = situation.prices.features
    fitting = [size for size in sizes if price(network.key, size) <= _FIRST_SHARE * situation.seconds]
    return fitting[-1] if fitting else sizes[0]


def unfrozen_recipe(recipe: Recipe, size: int, epochs: int) -> Recipe:
    """A head on features, then one cycle in which everything is trained, as the competition's recipe trains it."""
    declared = next((stage for stage in recipe.stages if stage.mode is TrainMode.UNFROZEN), None)
    stage = declared or Stage(size, TrainMode.UNFROZEN, lr_scale=0.1)
    stage = replace(stage, size=size, cycles=1, cycle_len=epochs, cycle_mult=1)
    first = () if recipe.from_scratch else (Stage(size, TrainMode.FEATURES),)
    return replace(recipe, stages=(*first, stage))


def features_recipe(recipe: Recipe, size: int) -> Recipe:
    """A head on features alone."""
    return replace(recipe, stages=(Stage(size, TrainMode.FEATURES),))


def _first(situation: Situation) -> Offer | None:
    """The first step of all, which is not compared with anything; None once there is a submission."""
    if situation.record.best is not None or not situation.measured:
        return None
    network = situation.measured[0]
    size = first_size(situation, network)
    tried = situation.record.has_tried
    if network.recipe.from_scratch:
        if tried(StepKind.UNFROZEN, network.key, size):
            return None
        epochs = _affordable_epochs(situation, network, size, _UNFROZEN_SHARE)
        seconds = situation.prices.unfrozen(network.key, size, epochs)
        what = f"{network.name}, {size} px, from scratch x{epochs}"
        return Offer(StepKind.UNFROZEN, network.key, size, what, seconds, 1.0, "first", epochs)
    left = [each for each in situation.measured if not tried(StepKind.FEATURES, each.key, size)]
    return _features_offer(situation, left[0], size, 1.0, "the cheapest first") if left else None


def _features_offer(
    situation: Situation, network: Network, size: int, share: float, why: str, kind: StepKind = StepKind.FEATURES
) -> Offer:
    seconds = situation.prices.features(network.key, size)
    return Offer(kind, network.key, size, f"{network.name}, {size} px, features", seconds, share, why)


def _families(situation: Situation) -> Iterator[Offer]:
    """Backbones that have not been tried."""
    record = situation.record
    tried = list(record.of(StepKind.FEATURES))
    best = _best_features(record)
    if best is None:
        return
    by_key = {each.key: each for each in situation.networks}
    used = {by_key[step.candidate].recipe.backbone for step in tried if step.candidate in by_key}
    measured = [step.share for step in tried if step.share is not None]
    prior = _PRIORS[StepKind.FEATURES] * _NEXT_FAMILY ** len(measured)
    share = max(prior, _NEXT_FAMILY * measured[-1]) if measured and measured[-1] > 0 else prior
    for network, size in _untried(situation, best):
        known = network.recipe.backbone in used
        why = "other weights of a backbone" if known else "another family is wrong on other rows"
        fewer = min(1.0, size / best.size)  # pixels than the best one's: it is too weak to add much
        if _is_look(situation, network, size):
            why = "which backbone is worth more pixels"
        yield _features_offer(situation, network, size, share * fewer * (_SAME_FAMILY if known else 1.0), why)


def _untried(situation: Situation, best: Step) -> Iterator[tuple[Network, int]]:
    """Each pretrained backbone that has not been tried, and the size for it beside the best head."""
    ended = {step.candidate for step in situation.record.steps if step.decision is not Decision.STOPPED}
    for network in situation.measured:
        if network.recipe.from_scratch or network.key in ended:
            continue
        size = network.native_size if network.has_fixed_size else _nearest_size(situation, network, best.size)
        yield network, size


def _is_look(situation: Situation, network: Network, size: int) -> bool:
    """Whether this backbone should be seen before a larger size of any is bought: for that there is time after it."""
    look = situation.prices.features(network.key, size)
    after = replace(situation, seconds_left=situation.seconds_left - look)
    larger = _jump(after, network, size)
    if larger is None or len({step.candidate for step in situation.record.of(StepKind.FEATURES)}) >= _LOOKS:
        return False
    then = situation.prices.features(network.key, larger)
    return look <= _LOOK_SHARE * then and after.has_time_for(then)


def _nearest_size(situation: Situation, network: Network, size: int) -> int:
    """The size for another family: that of the best one, or the largest below it that ends in time."""
    sizes = [each for each in (*SIZES, network.native_size) if each <= min(size, _LARGEST * network.native_size)]
    fitting = [each for each in sorted(sizes) if situation.has_time_for(situation.prices.features(network.key, each))]
    return max([*fitting, *([size] if not fitting else [])])


def _larger(situation: Situation) -> Iterator[Offer]:
    """A larger size of each backbone whose last larger size helped: the largest that leaves time for more."""
    record = situation.record
    best = _best_features(record)
    if best is not None and any(_is_look(situation, *each) for each in _untried(situation, best)):
        return
    for network in situation.measured:
        steps = [step for step in record.of(StepKind.FEATURES, StepKind.LARGER) if step.candidate == network.key]
        if not steps:
            continue
        last, size = steps[-1], max(step.size for step in steps)
        larger = _jump(situation, network, size)
        if larger is None or record.has_tried(StepKind.LARGER, network.key, larger):
            continue
        power, why = _power(network, size), "more pixels"
        before = [step.size for step in steps[:-1]]
        if before and last.kind is StepKind.LARGER and last.share is not None:
            measured = -math.log(max(1 - last.share, 0.01)) / math.log(last.size / max(before))
            power = max(0.0, min(measured, power))
            why = f"the size before gained {last.share:.1%} of what was left"
        share = (1 - (size / larger) ** power) * _standing(record, last)
        yield _features_offer(situation, network, larger, share, why, StepKind.LARGER)


def _power(network: Network, size: int) -> float:
    return _POWER if size < network.native_size else _POWER_BEYOND


def _jump(situation: Situation, network: Network, size: int) -> int | None:
    """The largest size up to that of the pretraining whose features leave most of the time; else the next one."""
    sizes = larger_sizes(size, network)
    most = _JUMP_SHARE * situation.seconds_left
    price = situation.prices.features
    fitting = [each for each in sizes if each <= network.native_size and price(network.key, each) <= most]
    return fitting[-1] if fitting else next(iter(sizes), None)


def _standing(record: ClimbRecord, step: Step) -> float:
    """How a backbone stands beside the best: 1 for the best, less for one whose loss is higher."""
    losses = [each.loss for each in record.of(StepKind.FEATURES, StepKind.LARGER) if each.loss]
    return min(losses) / step.loss if losses and step.loss else 1.0


def _unfrozen(situation: Situation) -> Iterator[Offer]:
    """An unfrozen stage of the best backbone, in one fold."""
    record = situation.record
    best = _best_features(record)
    if best is None or any(record.of(StepKind.UNFROZEN)):
        return
    network = next((each for each in situation.measured if each.key == best.candidate), None)
    if network is None:
        return
    why = f"the head alone has {best.loss:.0%} of the loss of guessing" if best.loss else "the images may be unlike"
    offer = _unfrozen_offer(situation, network, best.size, why)
    if offer is not None:
        # Where the head has nearly solved it, fewer pixels than the head's undo what training gives.
        share = _UNFROZEN_BASE * (offer.size / best.size) ** 2 + _UNFROZEN_SLOPE * min(best.loss or 0.3, 1.0) ** 1.5
        yield replace(offer, share=share)


def _more_unfrozen(situation: Situation) -> Iterator[Offer]:
    """An unfrozen stage of another backbone, the best first, as long as the last such stage helped."""
    record = situation.record
    steps = list(record.of(StepKind.UNFROZEN))
    if not steps or not steps[-1].has_helped:
        return
    last = steps[-1]
    ended = (step for step in record.steps if step.decision is not Decision.STOPPED)
    tried = {step.candidate for step in ended if step.kind is StepKind.UNFROZEN}
    by_loss = sorted(
        record.of(StepKind.FEATURES, StepKind.LARGER), key=lambda step: (step.loss is None, step.loss or 0)
    )
    keys = dict.fromkeys(step.candidate for step in by_loss if step.candidate not in tried)
    network = next((each for key in keys for each in situation.measured if each.key == key), None)
    if network is None:
        return
    used = {each.recipe.backbone for each in situation.networks if each.key in tried}
    share = _NEXT_UNFROZEN * (last.share or 0.2) * (_SAME_FAMILY if network.recipe.backbone in used else 1.0)
    offer = _unfrozen_offer(situation, network, last.size, "two networks that were trained are wrong on other rows")
    if offer is not None:
        yield replace(offer, share=share * min(1.0, offer.size / last.size))


def _unfrozen_offer(situation: Situation, network: Network, largest: int, why: str) -> Offer | None:
    """An unfrozen stage of a network in one fold, which promises nothing yet; None if there is no time, or was one."""
    stopped = _stopped(situation.record, network.key)
    size, epochs = _unfrozen_size(situation, network, largest) if stopped is None else (stopped.size, stopped.epochs)
    if epochs < 1 or situation.record.has_tried(StepKind.UNFROZEN, network.key, size):
        return None
    what = f"{network.name}, {size} px, unfrozen x{epochs}, one fold"
    seconds = situation.prices.unfrozen(network.key, size, epochs)
    if stopped is not None:  # what is trained of it is kept
        seconds = max(seconds - 60 * stopped.minutes, situation.prices.epoch(network.key, size))
    run = stopped.run if stopped is not None else ""
    return Offer(StepKind.UNFROZEN, network.key, size, what, seconds, 0.0, why, epochs, run)


def _stopped(record: ClimbRecord, candidate: str) -> Step | None:
    """The last step if it was an unfrozen stage of this backbone that the end of the time put down."""
    stopped = [step for step in record.steps if step.decision is Decision.STOPPED][-1:]
    return next((step for step in stopped if (step.kind, step.candidate) == (StepKind.UNFROZEN, candidate)), None)


def _unfrozen_size(situation: Situation, network: Network, best: int) -> tuple[int, int]:
    """The largest size, up to that of the best features, at which enough epochs end in time; and the epochs."""
    sizes = [best] if network.has_fixed_size else sorted({size for size in SIZES if 64 <= size <= best} | {best})
    for size in reversed(sizes):
        epochs = _affordable_epochs(situation, network, size, _UNFROZEN_SHARE)
        if epochs >= min(_FEWEST_EPOCHS, _declared_epochs(network.recipe)):
            return size, epochs
    return sizes[0], _affordable_epochs(situation, network, sizes[0], _UNFROZEN_SHARE)


def _affordable_epochs(situation: Situation, network: Network, size: int, share: float) -> int:
    """Epochs that fit into a share of the time left, at most those of the recipe."""
    price = situation.prices.unfrozen
    once, two = price(network.key, size, 0), price(network.key, size, 1)
    seconds = (share * situation.seconds_left - situation.reserve) / SAFETY - once
    least = 1 if network.recipe.from_scratch else 0
    return max(least, min(_declared_epochs(network.recipe), int(seconds / max(two - once, 1e-9))))


def _declared_epochs(recipe: Recipe) -> int:
    return sum(stage.epochs for stage in recipe.stages if stage.mode is TrainMode.UNFROZEN) or _EPOCHS


def _folds(situation: Situation) -> Iterator[Offer]:
    """The other folds of an unfrozen stage that helped in one."""
    record, folds = situation.record, situation.prices.amounts.folds
    if folds < 2:
        return
    for step in record.of(StepKind.UNFROZEN, StepKind.LONGER):
        if not step.has_helped or record.has_tried(StepKind.FOLDS, step.candidate, step.size):
            continue
        seconds = 60 * step.minutes * (folds - 1)
        share = 0.3 * (step.share or 0.1)
        what = step.what.replace(", one fold", f", {folds - 1} more folds")
        why = "one fold helped: the others give a mean of networks, and more rows to be scored on"
        yield Offer(StepKind.FOLDS, step.candidate, step.size, what, seconds, share, why, step.epochs, step.run)


def _longer(situation: Situation) -> Iterator[Offer]:
    """Twice the epochs of the last unfrozen stage of each backbone, if it helped."""
    record = situation.record
    last_of = {step.candidate: step for step in record.of(StepKind.UNFROZEN, StepKind.LONGER)}
    for network in situation.measured:
        last = last_of.get(network.key)
        if last is None or not last.has_helped or 2 * last.epochs > _LONGEST * _declared_epochs(network.recipe):
            continue
        epochs = 2 * last.epochs
        seconds = situation.prices.unfrozen(network.key, last.size, epochs)
        what = f"{network.name}, {last.size} px, unfrozen x{epochs}, one fold"
        share = 0.5 * (last.share or 0.2)
        why = f"{last.epochs} epochs gained {share * 2:.0%} of what was left"
        yield Offer(StepKind.LONGER, network.key, last.size, what, seconds, share, why, epochs)


def _views(situation: Situation) -> Iterator[Offer]:
    """All views of the best run on features."""
    record, amounts = situation.record, situation.prices.amounts
    best = _best_features(record)
    if best is None or amounts.all_views <= amounts.views:
        return
    if record.has_tried(StepKind.VIEWS, best.candidate, best.size) or best.candidate not in record.speeds:
        return
    more = amounts.all_views - amounts.views
    what = best.what.replace("features", f"{more} more views")
    seconds = situation.prices.views(best.candidate, best.size)
    yield Offer(
        StepKind.VIEWS, best.candidate, best.size, what, seconds, _PRIORS[StepKind.VIEWS], "other crops", run=best.run
    )


def _best_features(record: ClimbRecord) -> Step | None:
    """The step with the lowest validation loss of its head."""
    steps = [step for step in record.of(StepKind.FEATURES, StepKind.LARGER) if step.run]
    return min(steps, key=lambda step: (step.loss is None, step.loss or 0.0), default=None)

"""What a climb buys next: pure decisions on what is measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest

from runner.climb.plan import Situation, all_offers, choose, first_size, larger_sizes, unfrozen_recipe
from runner.climb.prices import START, Amounts, Prices, corrected, corrected_training
from runner.climb_record import ClimbRecord, Decision, Speed, Step, StepKind
from runner.contract import Recipe, Stage, TrainMode

RECIPE = Recipe("resnet34", (Stage(224, TrainMode.FEATURES), Stage(224, TrainMode.UNFROZEN, cycle_len=4)), lr=1e-3)
AMOUNTS = Amounts(rows=1000, test_rows=500, folds=5, views=2, all_views=10, columns=10)


@dataclass(frozen=True)
class Net:
    key: str
    recipe: Recipe = RECIPE
    native_size: int = 224
    has_fixed_size: bool = False

    @property
    def name(self) -> str:
        return self.key


def features(candidate: str, size: int, **fields: object) -> Step:
    step = Step(
        number=1,
        kind=StepKind.FEATURES,
        candidate=candidate,
        size=size,
        run=f"climb-{candidate}-{size}",
        what=f"{candidate}, {size} px, features",
        planned_minutes=1.0,
        minutes=1.0,
        decision=Decision.FIRST,
        ensemble="climb-step-1",
        score=0.3,
        error=0.02,
        loss=0.1,
    )
    return replace(step, **fields)


def situation(
    *steps: Step, left: float = 600, seconds: float = 600, names: tuple[str, ...] = ("small", "large"), **more: object
) -> Situation:
    """A situation in which every network infers a megapixel in a fifth of a second."""
    speeds = {name: Speed(0.2, 0.8) for name in names}
    record = ClimbRecord(steps=tuple(steps), speeds=speeds)
    networks = tuple(Net(name, **more) for name in names)
    return Situation(record, Prices(AMOUNTS, record), networks, left, seconds)


def offer_of(here: Situation, kind: StepKind):
    return next(offer for offer in all_offers(here) if offer.kind is kind)


def test_the_first_step_is_features_of_the_first_network_at_a_size_that_costs_little():
    sizes = []
    for seconds in (30, 600, 6000):
        offer = choose(situation(left=seconds, seconds=seconds))
        assert offer is not None
        assert (offer.kind, offer.candidate) == (StepKind.FEATURES, "small")
        assert offer.size == 64 or offer.seconds <= 0.2 * seconds
        sizes.append(offer.size)
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (64, 224)


def test_nothing_is_begun_that_does_not_end_in_time():
    for left in (5, 20, 60, 200, 600):
        here = situation(features("small", 160), left=left)
        offer = choose(here)
        assert offer is None or 1.25 * offer.seconds + here.reserve <= left


def test_a_size_that_gained_nothing_is_not_followed_by_a_larger_one():
    steps = [features("small", 128), features("small", 160, number=2, kind=StepKind.LARGER, share=0.0)]
    assert offer_of(situation(*steps, names=("small",)), StepKind.LARGER).share == 0
    shares = []
    for gained in (0.05, 0.1, 0.9):
        here = situation(steps[0], replace(steps[1], share=gained), names=("small",))
        shares.append(offer_of(here, StepKind.LARGER).share)
    assert shares == sorted(shares)
    assert shares[1] == pytest.approx(1 - 0.9 ** (math.log(224 / 160) / math.log(160 / 128)))
    assert shares[2] == pytest.approx(1 - 160 / 224)  # not more than was ever seen


def test_a_larger_size_is_the_largest_that_leaves_time_for_more():
    sizes = []
    for left in (5, 100, 200, 400, 3000):
        here = situation(features("small", 64), names=("small",), left=left, seconds=3000)
        offer = offer_of(here, StepKind.LARGER)
        assert offer.size == 96 or offer.seconds <= 0.4 * left
        sizes.append(offer.size)
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (96, 224)
    beyond = offer_of(situation(features("small", 224), names=("small",), left=3000), StepKind.LARGER)
    assert beyond.size == 256 and beyond.share < 0.06


def test_an_unfrozen_stage_at_a_fraction_of_the_size_is_not_worth_it_where_the_head_has_solved_it():
    here = situation(features("small", 224, loss=0.01), names=("small",), left=60)
    offer = offer_of(here, StepKind.UNFROZEN)
    assert offer.size <= 96 and offer.share < 0.004
    chosen = choose(here)
    assert chosen is None or chosen.kind is not StepKind.UNFROZEN


def test_another_family_promises_less_at_a_smaller_size_than_the_best():
    shares = {}
    for left in (30, 3000):
        offer = offer_of(situation(features("small", 160), left=left), StepKind.FEATURES)
        shares[offer.size] = offer.share
    (small, less), (same, most) = sorted(shares.items())
    assert same == 160 and less == pytest.approx(most * small / 160)


def test_before_a_larger_size_is_bought_the_other_backbones_are_looked_at():
    names = ("first", "second", "third")
    steps = [features("first", 96, loss=0.03)]
    for name, loss in (("second", 0.02), ("third", 0.025)):
        offer = choose(situation(*steps, names=names))
        assert offer is not None
        assert (offer.kind, offer.candidate, offer.size) == (StepKind.FEATURES, name, 96)
        assert offer.why == "which backbone is worth more pixels"
        steps.append(features(name, 96, number=len(steps) + 1, loss=loss, share=0.01))
    offer = choose(situation(*steps, names=names))
    assert offer is not None
    assert (offer.kind, offer.candidate) == (StepKind.LARGER, "second")


@pytest.mark.parametrize(("size", "left"), [(96, 40), (192, 600)], ids=["no time after it", "nearly as large"])
def test_a_larger_size_does_not_wait_for_a_look_that_would_not_decide_it(size: int, left: float):
    here = situation(features("small", size), left=left)
    assert "worth more pixels" not in offer_of(here, StepKind.FEATURES).why
    assert offer_of(here, StepKind.LARGER)


def test_no_more_than_some_backbones_are_looked_at():
    names = tuple(f"net-{number}" for number in range(6))
    steps = [features(name, 96, number=number, loss=0.3, share=0.01) for number, name in enumerate(names[:4])]
    assert offer_of(situation(*steps, names=names), StepKind.LARGER)


def test_an_unfrozen_stage_promises_more_where_the_head_alone_is_weak():
    strong, weak = (situation(features("small", 96, loss=loss), left=3000) for loss in (0.05, 0.6))
    assert offer_of(weak, StepKind.UNFROZEN).share > 3 * offer_of(strong, StepKind.UNFROZEN).share


def test_the_unfrozen_stage_has_as_many_epochs_as_end_in_time_and_no_more_than_the_recipe():
    for left in (120, 300, 3000):
        here = situation(features("small", 160), left=left)
        offers = [offer for offer in all_offers(here) if offer.kind is StepKind.UNFROZEN]
        assert all(1 <= offer.epochs <= 4 and offer.seconds <= left for offer in offers)
    assert offers[0].epochs == 4
    recipe = unfrozen_recipe(RECIPE, 160, 3)
    assert [(stage.mode, stage.size, stage.epochs) for stage in recipe.stages] == [
        (TrainMode.FEATURES, 160, 1),
        (TrainMode.UNFROZEN, 160, 3),
    ]


@pytest.mark.parametrize(("decision", "offered"), [(Decision.HELPED, True), (Decision.LEFT_OUT, False)])
def test_other_folds_and_longer_training_are_offered_where_one_fold_helped(decision: Decision, offered: bool):
    unfrozen = features("small", 160, number=2, kind=StepKind.UNFROZEN, decision=decision, epochs=4, share=0.2)
    kinds = {offer.kind for offer in all_offers(situation(features("small", 160), unfrozen, left=6000))}
    assert (StepKind.FOLDS in kinds) is offered
    assert (StepKind.LONGER in kinds) is offered


def test_another_backbone_has_an_unfrozen_stage_once_one_helped():
    heads = [features("small", 160), features("large", 160, number=2, loss=0.2)]
    unfrozen = features("small", 128, number=3, kind=StepKind.UNFROZEN, decision=Decision.HELPED, epochs=4, share=0.2)
    before = [offer for offer in all_offers(situation(*heads, left=6000)) if offer.kind is StepKind.UNFROZEN]
    assert [offer.candidate for offer in before] == ["small"]
    second = offer_of(situation(*heads, unfrozen, left=6000), StepKind.UNFROZEN)
    assert (second.candidate, second.size, second.epochs) == ("large", 128, 4)
    assert 0 < second.share < 0.5 * unfrozen.share
    no_help = replace(unfrozen, decision=Decision.LEFT_OUT)
    kinds = {offer.kind for offer in all_offers(situation(*heads, no_help, left=6000))}
    assert StepKind.UNFROZEN not in kinds
    stopped = replace(unfrozen, candidate="large", run="climb-large", decision=Decision.STOPPED, ensemble="", epochs=3)
    again = offer_of(situation(*heads, unfrozen, stopped, left=6000), StepKind.UNFROZEN)
    assert (again.candidate, again.epochs, again.run) == ("large", 3, "climb-large")
    both = replace(unfrozen, number=4, candidate="large")
    offers = all_offers(situation(*heads, unfrozen, both, left=6000))
    assert {offer.candidate for offer in offers if offer.kind is StepKind.LONGER} == {"small", "large"}
    assert all(offer.kind is not StepKind.UNFROZEN for offer in offers)


def test_a_step_that_the_end_of_the_time_stopped_is_offered_again_and_a_failed_one_is_not():
    first = features("small", 160)
    stopped = features("large", 160, number=2, decision=Decision.STOPPED, ensemble="", loss=None)
    failed = replace(stopped, decision=Decision.FAILED)
    candidates = [
        {offer.candidate for offer in all_offers(situation(first, step)) if offer.kind is StepKind.FEATURES}
        for step in (stopped, failed)
    ]
    assert candidates == [{"large"}, set()]


def test_an_unfrozen_stage_that_the_end_of_the_time_stopped_is_gone_on_with():
    stopped = features("small", 128, number=2, kind=StepKind.UNFROZEN, decision=Decision.STOPPED, ensemble="", epochs=3)
    here = situation(features("small", 160), stopped, left=3000)
    offer = offer_of(here, StepKind.UNFROZEN)
    assert (offer.size, offer.epochs, offer.run) == (128, 3, stopped.run)
    assert offer.seconds < here.prices.unfrozen("small", 128, 3)


def test_a_network_from_scratch_is_trained_and_has_no_features():
    scratch = replace(RECIPE, pretrained=False)
    offers = all_offers(situation(names=("small",), recipe=scratch))
    assert [offer.kind for offer in offers] == [StepKind.UNFROZEN]
    assert [stage.mode for stage in unfrozen_recipe(scratch, 64, 2).stages] == [TrainMode.UNFROZEN]
    size = offers[0].size
    failed = features("small", size, kind=StepKind.UNFROZEN, decision=Decision.FAILED, ensemble="", loss=None)
    assert all_offers(situation(failed, names=("small",), recipe=scratch)) == []


def test_a_network_of_fixed_size_has_one_size():
    assert larger_sizes(224, Net("vit", has_fixed_size=True)) == []
    here = situation(names=("vit",), has_fixed_size=True, native_size=384)
    assert first_size(here, here.networks[0]) == 384
    assert larger_sizes(160, Net("net")) == [192, 224, 256, 320]
    assert larger_sizes(192, Net("net")) == [224, 256, 320]


def test_a_speed_follows_what_a_step_took():
    here = situation(features("small", 160))
    planned = here.prices.features("small", 160)
    heads = 5 * here.prices.head("small")
    as_planned = corrected(here.prices, "small", 160, planned, heads)
    assert as_planned.inference == pytest.approx(0.2)
    assert as_planned.head == pytest.approx(heads / 5)
    slow = corrected(here.prices, "small", 160, 2 * (planned - heads - START) + heads + START, heads)
    assert slow.inference == pytest.approx(0.4)
    assert corrected(here.prices, "small", 160, 1e6, heads).inference == pytest.approx(0.6)
    assert corrected_training(Speed(0.1, 0.4), 10, 5) == Speed(0.1, 0.2)

"""The schedule: whole numbers in, factors of the peak lr out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.contract import Solver, Stage, TrainMode
from runner.training.schedule import Epoch, cosine, lr_factor, plan_epochs

SGDR = Stage(64, TrainMode.FROZEN, cycles=3, cycle_len=1, cycle_mult=2)


def test_three_cycles_of_length_1_and_multiplier_2_are_seven_epochs() -> None:
    assert SGDR.cycle_epochs == (1, 2, 4)
    assert SGDR.epochs == 7


def test_two_stages_are_planned_as_this_list_of_epochs() -> None:
    stages = (
        Stage(64, TrainMode.FEATURES, cycles=1, cycle_len=2, solver=Solver.SGDR),
        Stage(96, TrainMode.UNFROZEN, cycles=2, cycle_mult=2),
    )
    assert [
        (e.number, e.stage, e.cycle, e.epoch_in_cycle, e.cycle_epochs, e.ends_cycle, e.in_first_cycle)
        for e in plan_epochs(stages)
    ] == [
        (0, 0, 0, 0, 2, False, True),
        (1, 0, 0, 1, 2, True, True),
        (2, 1, 1, 0, 1, True, True),
        (3, 1, 2, 0, 2, False, False),
        (4, 1, 2, 1, 2, True, False),
    ]


def test_a_cosine_of_four_steps_has_these_factors() -> None:
    assert [round(cosine(step, 4), 6) for step in range(4)] == [1.0, 0.853553, 0.5, 0.146447]


def test_three_cycles_have_these_factors() -> None:
    factors = [round(lr_factor(epoch, batch, 2), 4) for epoch in plan_epochs((SGDR,)) for batch in range(2)]
    assert factors == [
        *(1.0, 0.5),
        *(1.0, 0.8536, 0.5, 0.1464),
        *(1.0, 0.9619, 0.8536, 0.6913, 0.5, 0.3087, 0.1464, 0.0381),
    ]


@given(cycles=st.integers(1, 5), mult=st.integers(1, 3), length=st.integers(1, 4), batches=st.integers(2, 400))
def test_lr_restarts_at_the_first_step_of_each_cycle_and_ends_near_zero(
    cycles: int, mult: int, length: int, batches: int
) -> None:
    for epoch in plan_epochs((Stage(64, TrainMode.FROZEN, cycles, length, mult),)):
        first, last = lr_factor(epoch, 0, batches), lr_factor(epoch, batches - 1, batches)
        assert (first == 1.0) == (epoch.epoch_in_cycle == 0)
        if epoch.ends_cycle:
            steps = epoch.cycle_epochs * batches
            assert last == pytest.approx(math.sin(math.pi / (2 * steps)) ** 2, rel=1e-6)
        assert first > last > 0


def test_restarts_do_not_drift_over_a_thousand_cycles() -> None:
    epochs = plan_epochs((Stage(64, TrainMode.FROZEN, cycles=1000, cycle_len=3),))
    starts = [epoch for epoch in epochs if epoch.epoch_in_cycle == 0]
    assert [epoch.number for epoch in starts] == list(range(0, 3000, 3))
    assert {lr_factor(epoch, 0, 7) for epoch in starts} == {1.0}
    assert {lr_factor(epoch, 6, 7) for epoch in epochs if epoch.ends_cycle} == {cosine(20, 21)}


def test_the_factor_depends_on_the_epoch_alone() -> None:
    assert lr_factor(Epoch(9, 1, 4, 2, 4), 3, 5) == cosine(13, 20)


def test_warmup_rises_over_its_share_of_the_first_cycle_then_falls() -> None:
    (epoch,) = plan_epochs((Stage(64, TrainMode.FROZEN),))
    factors = [lr_factor(epoch, batch, 10, warmup=0.3) for batch in range(10)]
    assert factors == pytest.approx([0.25, 0.5, 0.75, *(cosine(step, 7) for step in range(7))])


def test_only_the_first_cycle_of_a_stage_warms_up() -> None:
    epochs = plan_epochs((SGDR, SGDR))
    rising = [epoch.number for epoch in epochs if lr_factor(epoch, 0, 10, warmup=0.2) < lr_factor(epoch, 1, 10, 0.2)]
    assert rising == [0, 7]


@given(share=st.floats(0, 0.99), batches=st.integers(1, 50))
def test_warmup_reaches_the_peak_lr_and_never_exceeds_it(share: float, batches: int) -> None:
    (epoch,) = plan_epochs((Stage(64, TrainMode.FROZEN),))
    factors = [lr_factor(epoch, batch, batches, share) for batch in range(batches)]
    assert all(0 < factor <= 1 for factor in factors)
    assert 1.0 in factors or round(share * batches) == batches

"""The page of a climb, in a browser."""

from __future__ import annotations

from runner.climb_record import ClimbRecord, Decision, Step, StepKind, write_climb
from runner.report.climb import write_climb_page
from runner.session import Session
from tests.report.conftest import Browser


def _step(number: int, what: str, **fields: object) -> Step:
    step = Step(
        number=number,
        kind=StepKind.FEATURES,
        candidate="weights",
        size=256,
        run=f"climb-{number}",
        what=what,
        planned_minutes=12.3,
        minutes=14.5,
        decision=Decision.SAME,
        why="another family is wrong on other rows",
        ensemble=f"climb-step-{number}",
        score=0.53211,
        error=0.01234,
        rows=119025,
        gain=-0.00123,
        gain_error=0.00321,
        own_score=0.54321,
    )
    return Step(**{**vars(step), **fields})


def test_every_column_of_the_steps_is_in_sight_on_a_screen_of_1300_pixels(session: Session, browser: Browser) -> None:
    whats = (
        "mobilenetv3_large_100.ra_in1k, 256 px, features",
        "efficientnet_b0.ra_in1k, 256 px, unfrozen x12, one fold",
    )
    steps = tuple(_step(number, what) for number, what in enumerate(whats, start=1))
    write_climb(session.workspace, session.name, ClimbRecord(steps=steps, seconds=1740.0))
    browser.open(write_climb_page(session), width=1300)
    table = "document.querySelector('#steps .table')"
    assert browser.run(f"return {table}.scrollWidth") <= browser.run(f"return {table}.clientWidth")
    assert browser.run(f"return {table}.querySelectorAll('thead th').length") == 12

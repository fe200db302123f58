"""`runner COMPETITION climb`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runner.cli.global_options import GlobalOptions, command
from runner.cli.options import compute_options, read_compute, source_option
from runner.cli.print_json import print_json
from runner.cli.tables import five_decimals, print_table
from runner.cli.value_types import LocalPath, Number

if TYPE_CHECKING:
    from runner.climb.plan import Offer
    from runner.climb_record import Step


@command("climb")
@click.option(
    "--time-budget",
    type=Number(0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="MIN",
    help="Minutes in all: those of earlier calls of this climb are counted.",
)
@click.option(
    "--weights",
    type=LocalPath(),
    multiple=True,
    metavar="DIR|FILE",
    help="Weights to start from, each file named as its timm model; repeatable.",
)
@source_option
@click.option("--dry-run", is_flag=True, help="Print what could be bought now, with its price, and train nothing.")
@click.option("--new", is_flag=True, help="Begin a new climb. The runs of the earlier one stay.")
@compute_options
def climb(
    options: GlobalOptions,
    time_budget: float,
    weights: tuple[Path, ...],
    source: Path | None,
    dry_run: bool,
    new: bool,
    **flags: Any,
) -> None:
    """The best submission within a time: the cheapest first, then what promises most a minute, blended.

    The same command again goes on. Every step is a run, and a submission is at hand after the first.
    """
    from runner.cli.messages import format_score
    from runner.climb.climb import ClimbOptions, plan_climb
    from runner.climb.climb import climb as climb_session
    from runner.report.climb import write_climb_page

    session = options.session(read_compute(flags), creates=True)
    climb_options = ClimbOptions(time_budget, weights, source, new)
    if dry_run:
        _print_plan(plan_climb(session, climb_options), as_json=options.as_json)
        return
    result = climb_session(session, climb_options)
    page = write_climb_page(session)
    if options.as_json:
        record = {**asdict(result.record), "steps": [_plain_step(step) for step in result.record.steps]}
        print_json({**record, "submission": result.path(session), "reason": result.reason, "page": page})
        return
    print_steps(result.record.steps)
    click.echo(f"\n{format_score(session.competition, result.run)}")
    click.echo(f"{result.path(session)}\nto submit it: {session.command('submit', result.run.name)}")
    click.echo(f"report: {page}\n{result.reason}")


def _plain_step(step: Step) -> dict[str, Any]:
    return {**asdict(step), "kind": step.kind.value, "decision": step.decision.value}


def print_steps(steps: Sequence[Step]) -> None:
    """The table of a climb: minutes, honest score, gain, decision and why."""
    rows = [
        (
            step.number,
            f"{step.minutes:.1f}",
            step.what,
            five_decimals(step.score),
            None if step.gain is None else f"{step.gain:+.5f}",
            step.decision.value,
            step.why or None,
        )
        for step in steps
    ]
    print_table(("step", "min", "what", "score", "gain", "decision", "why"), rows, optional=("why",))


def _print_plan(offers: Sequence[Offer], *, as_json: bool) -> None:
    if as_json:
        print_json([{**asdict(offer), "kind": offer.kind.value} for offer in offers])
        return
    rows = [
        (offer.what, f"{offer.seconds / 60:.1f}", f"{offer.share:.1%}", f"{offer.per_minute:.2%}", offer.why)
        for offer in offers
    ]
    print_table(("what", "min", "promise", "a minute", "why"), rows)

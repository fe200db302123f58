"""climb.html: what each step of a climb cost and gained, and the honest score against the minutes."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path

from runner.climb_record import ClimbRecord, Decision, read_climb
from runner.errors import RunnerError
from runner.report.page.figures import BLUE, FAINT, ReportFigure, new_figure, put_legend, style
from runner.report.page.page import KeyFigures, Page, Section, Table, Text, write_page
from runner.session import Session
from runner.training.run import Run

_HONEST = (
    "Scores are by nested cross-validation: each row is predicted by an ensemble that was chosen and fitted without "
    "it, of networks that were not trained on it. Every run that was made stays a candidate, so that the choice among "
    "them is part of what is scored. Which steps were tried was decided on all rows."
)
_COLUMNS = ("step", "what", "minutes", "planned", "score", "error", "rows", "gain", "gain error", "alone")


def climb_page_file(session: Session) -> Path:
    """The page of a competition's climb."""
    return session.workspace.runs_dir(session.name) / "climb.html"


def write_climb_page(session: Session) -> Path:
    """Write climb.html from climb.json; a RunnerError if there is no climb."""
    record = read_climb(session.workspace, session.name)
    if record is None:
        fix = f"`{session.command('climb', '--time-budget', '10')}`"
        where = session.workspace.runs_dir(session.name)
        raise RunnerError(f"{session.name} has no climb yet", where=where, fix=fix)
    footer = f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
    figure = score_figure(session, record)
    drawn = [] if figure is None else [Section("Score by minutes", [figure.block()])]
    summary = Section("Summary", [*_key_figures(session, record), Text(_HONEST)])
    sections = [summary, *drawn, Section("Steps", [steps_table(record)])]
    page = Page(f"Climb: {session.competition.title}", _summary(session, record), sections, footer)
    return write_page(climb_page_file(session), page)


def climb_of(session: Session, run: Run) -> ClimbRecord | None:
    """The climb that made this ensemble; None if it was none, or if its file is damaged."""
    try:
        record = read_climb(session.workspace, session.name)
    except RunnerError:
        return None
    names = {record.refit, *(step.ensemble for step in record.steps)} if record else set[str]()
    return record if run.name in names else None


def _summary(session: Session, record: ClimbRecord) -> str:
    steps = f"{len(record.steps)} step{'s' * (len(record.steps) != 1)} in {record.seconds / 60:.1f} minutes"
    best = record.best
    if best is None or best.score is None:
        return f"{steps}; no submission yet"
    return f"{steps}; {session.competition.metric.title} {best.score:.5f} ± {best.error:.5f} ({best.rows:,} rows)"


def _key_figures(session: Session, record: ClimbRecord) -> list[KeyFigures]:
    best, helped = record.best, [step for step in record.steps if step.decision is Decision.HELPED]
    if best is None or best.score is None:
        return []
    figures = [
        (session.competition.metric.title, f"{best.score:.5f}", f"± {best.error:.5f}, {best.rows:,} rows"),
        ("minutes", f"{record.seconds / 60:.1f}", f"{len(record.steps)} steps, {len(helped)} helped"),
        ("to submit", record.submission, session.command("submit", record.submission)),
    ]
    return [KeyFigures(figures)]


def score_figure(session: Session, record: ClimbRecord) -> ReportFigure | None:
    """The score of the ensemble after each step against the minutes, with its standard error; None before the first."""
    ends = list(accumulate(step.minutes for step in record.steps))
    both = list(zip(ends, record.steps, strict=True))
    points = [(end, step, step.score, step.error) for end, step in both if step.score is not None]
    if not points:
        return None
    minutes, scores = [end for end, *_ in points], [score for _, _, score, _ in points]
    errors = [error or 0.0 for *_, error in points]
    title = session.competition.metric.title
    with style():
        figure = new_figure(width=9.0, height=3.6)
        axes = figure.add_subplot()
        for end, step in both:
            if step.score is None:
                axes.axvline(end, color=FAINT, linewidth=1)
        axes.errorbar(minutes, scores, errors, fmt="o-", color=BLUE, capsize=3, label="ensemble, ± standard error")
        for end, step, score, _ in points:
            axes.annotate(str(step.number), (end, score), xytext=(5, 5), textcoords="offset points", fontsize=9)
        axes.set_xlim(left=0)
        axes.set_xlabel("minutes")
        better = "higher" if session.competition.metric.higher_is_better else "lower"
        axes.set_ylabel(f"{title} ({better} is better)")
        put_legend(figure, axes)
    alt = f"{title} after each step: " + ", ".join(f"{score:.4f}" for score in scores)
    rows = [(step.number, end, score, error) for end, step, score, error in points]
    numbers = Table(("step", "minutes", "score", "standard error"), rows, "The score after each step")
    note = "The numbers are those of the steps below. A faint line is a step that left the submission as it was."
    return ReportFigure("climb", "Score by minutes", alt, figure, numbers, note)


def steps_table(record: ClimbRecord) -> Table:
    """A row a step."""
    rows = [
        (
            *(step.number, step.what, round(step.minutes, 1), round(step.planned_minutes, 1)),
            *(step.score, step.error, step.rows or None),
            *(step.gain, step.gain_error, step.own_score, step.decision.value, step.why),
        )
        for step in record.steps
    ]
    return Table(
        (*_COLUMNS, "decision", "why"),
        rows,
        "Minutes, scores of the ensemble after each step, and its gain; alone: the run by itself",
        wraps=True,
    )

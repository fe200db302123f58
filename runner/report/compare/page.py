"""The page that compares runs, and the same for a terminal."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner.field_paths import FieldDifference
from runner.report.compare.comparison import ComparedRun, Comparison, Pair, compare
from runner.report.compare.figures import classes_figure, differences_figure, losses_figure
from runner.report.page.figures import ReportFigure
from runner.report.page.page import Block, Bullets, Cell, Gallery, KeyFigures, Page, Section, Table, Text, write_page
from runner.report.page.samples import Samples
from runner.report.run.data import OofPredictions
from runner.report.run.examples import caption
from runner.report.run.page import link_to
from runner.session import Session
from runner.training.run import Run, read_overview

_IMAGES = 12  # of a gallery
_SIDE = 176  # pixels
_CLASSES = 1000  # rows of a table
_LONGEST = 120  # letters of a page's name


@dataclass(frozen=True)
class ComparisonReport:
    """A written page, with what it compares and its figures."""

    path: Path
    comparison: Comparison
    figures: tuple[ReportFigure, ...]


def comparison_file(session: Session, names: Sequence[str]) -> Path:
    """Path of the page of these runs."""
    words = "-vs-".join(names)
    if len(words) > _LONGEST:
        words = f"{words[:_LONGEST]}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"
    return session.workspace.runs_dir(session.name) / f"compare-{words}.html"


def write_comparison(session: Session, runs: Sequence[Run]) -> ComparisonReport:
    """Compare the runs and write the page; the first is the one that the others are compared with."""
    comparison = compare(session, runs)
    path = comparison_file(session, [run.name for run in runs])
    figures: list[ReportFigure] = []

    def draw(*drawn: ReportFigure | None) -> list[Block]:
        present = [figure for figure in drawn if figure is not None]
        figures.extend(present)
        return [figure.block() for figure in present]

    sections = [
        Section("Summary", [*_summary(comparison), runs_table(comparison, path), *_all_pairs(comparison)]),
        *_drawn("Differences", draw(differences_figure(comparison), losses_figure(comparison))),
        Section("Recipes", _recipes(comparison)),
    ]
    for number, pair in enumerate(comparison.with_first):
        sections.append(_pair_section(comparison, pair, draw(classes_figure(pair, number)), path))
    footer = f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
    title = f"{session.competition.title}: {len(runs)} runs compared"
    write_page(path, Page(title, ", ".join(run.name for run in runs), sections, footer))
    return ComparisonReport(path, comparison, tuple(figures))


def _drawn(title: str, blocks: Sequence[Block]) -> list[Section]:
    return [Section(title, blocks)] if blocks else []


def sentences(comparison: Comparison) -> list[str]:
    """What each run's score is beside the first's, in a sentence; then what must be known of it."""
    lines = [_sentence(comparison, pair) for pair in comparison.with_first]
    notes = dict.fromkeys(f"{note}." for pair in comparison.with_first for note in pair.notes)
    return [*lines, *notes, *_sampled(comparison)]


def _sentence(comparison: Comparison, pair: Pair) -> str:
    metric, difference = comparison.session.competition.metric, pair.difference
    scores = f"{metric.title} {difference.second.value:.5f} beside {difference.first.value:.5f}"
    gain = f"{abs(difference.gain.value):.5f} ± {difference.gain.error:.5f}"
    size = "" if difference.verdict == "equal" else f", a difference of {gain}"
    return (
        f"{pair.second.name} beside {pair.first.name}: {difference.verdict}; "
        f"{scores} on {difference.first.rows:,} rows{size}."
    )


def _sampled(comparison: Comparison) -> list[str]:
    left_out = max((run.nested.left_out for run in comparison.runs if run.nested), default=0)
    return [f"{left_out:,} rows are left out: their predictions do not fit in memory."] if left_out else []


def _summary(comparison: Comparison) -> list[Block]:
    blocks: list[Block] = [Text(problem, warning=True) for problem in comparison.problems]
    if lines := sentences(comparison):
        blocks.append(Bullets(lines))
    metric = comparison.session.competition.metric
    figures = [
        (f"CV {metric.title}, {run.name}", f"{run.cv['value']:.4f} ± {run.cv['error']:.4f}", f"{run.cv['rows']:,} rows")
        for run in comparison.runs
        if run.cv is not None
    ]
    return [*blocks, KeyFigures(figures)] if figures else blocks


def runs_table(comparison: Comparison, page: Path | None = None) -> Table:
    """A row a run: its score, how much better it is than the first, its time and its recipe."""
    first = comparison.runs[0].name
    differences = {pair.second.name: pair.difference for pair in comparison.with_first}
    rows = [_run_row(run, differences.get(run.name), page) for run in comparison.runs]
    metric = comparison.session.competition.metric.title
    header = ["run", f"CV {metric}", "±", f"better than {first}", "± ", "minutes", "s/epoch", "recipe"]
    return Table(header, rows, f"The runs; above 0: better than {first}, on the rows of both")


def _run_row(run: ComparedRun, difference: Any, page: Path | None) -> list[Cell]:
    cv, gain = run.cv, None if difference is None else difference.gain
    return [
        link_to(run.data.run, page) if page else run.name,
        cv["value"] if cv else None,
        cv["error"] if cv else None,
        gain.value if gain else None,
        gain.error if gain else None,
        run.minutes,
        run.seconds_per_epoch,
        read_overview(run.data.run).recipe,
    ]


def _all_pairs(comparison: Comparison) -> list[Block]:
    """Every pair in one table, if there are more than those with the first."""
    if len(comparison.pairs) <= len(comparison.with_first):
        return []
    rows: list[list[Cell]] = [
        [
            pair.second.name,
            pair.first.name,
            pair.difference.first.rows,
            pair.difference.gain.value,
            pair.difference.gain.error,
            pair.difference.verdict,
        ]
        for pair in comparison.pairs
    ]
    header = ["run", "beside", "rows", "better by", "±", "in words"]
    return [Table(header, rows, "Every two runs, on the rows of both")]


def recipes_table(comparison: Comparison, differences: Sequence[FieldDifference], caption: str) -> Table:
    """A row a field that differs, a column a run."""
    rows = [[each.path, *map(_field_cell, each.values)] for each in differences]
    return Table(["field", *(run.name for run in comparison.runs)], rows, caption)


def _field_cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _recipes(comparison: Comparison) -> list[Block]:
    blocks: list[Block] = [Text("The recipes are the same.")]
    if comparison.recipes:
        blocks = [recipes_table(comparison, comparison.recipes, "What differs in the recipes")]
    if comparison.circumstances:
        blocks.append(recipes_table(comparison, comparison.circumstances, "What else differs"))
    return blocks


def classes_table(pair: Pair, most: int = _CLASSES) -> Table:
    """The change of each class, the largest first."""
    changes = pair.classes
    has_errors = any(row.error is not None for row in changes.rows)
    rows: list[list[Cell]] = [
        [
            row.name,
            row.support,
            _rounded(row.first),
            _rounded(row.second),
            _rounded(row.change),
            *([_rounded(row.error)] if has_errors else []),
        ]
        for row in changes.rows[:most]
    ]
    header = ["class", "support", f"{changes.measure}: {pair.first.name}", pair.second.name, "change"]
    some = "" if len(changes.rows) <= most else f" ({most:,} of {len(changes.rows):,})"
    caption = f"The largest change first; above 0: {pair.second.name} is better{some}"
    return Table([*header, *(["±"] if has_errors else [])], rows, caption)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _pair_section(comparison: Comparison, pair: Pair, figures: Sequence[Block], path: Path) -> Section:
    blocks: list[Block] = [*figures, classes_table(pair)]
    if pair.only_right is not None:
        blocks.insert(0, Text(describe_only_right(pair)))
    return Section(f"{pair.second.name} beside {pair.first.name}", [*blocks, *_galleries(comparison, pair, path)])


def describe_only_right(pair: Pair) -> str:
    """How many images only one of the two gets right."""
    assert pair.only_right is not None
    first, second = map(len, pair.only_right)
    total = len(pair.rows.first.ids)
    return f"Of {total:,} images {pair.first.name} alone gets {first:,} right, {pair.second.name} alone {second:,}."


def _galleries(comparison: Comparison, pair: Pair, page: Path) -> list[Block]:
    """The images that only one gets right; of numbers those that one predicts better."""
    index = comparison.runs[0].data.index
    if index is None:
        command = comparison.session.command("download")
        return [Text(f"The images are not on this machine: `{command}`")]
    samples = Samples(index, page, _SIDE)
    is_labelled = (index.table["subset"] != "test").to_numpy()
    row_of = {name: row for row, name in enumerate(index.table["id"]) if is_labelled[row]}
    word = "Only {} is right" if pair.only_right is not None else "{} is nearer"
    chosen = pair.only_right or pair.nearer
    galleries: list[Block] = []
    for run, rows in zip((pair.first, pair.second), chosen, strict=True):
        images = [
            replace(image, name=pair.rows.first.ids[row])
            for row in rows[:_IMAGES]
            if pair.rows.first.ids[row] in row_of
            and (image := samples.show(row_of[pair.rows.first.ids[row]], _caption(pair, row)))
        ]
        if images:
            galleries.append(Gallery(word.format(run.name), images))
    return galleries


def _caption(pair: Pair, row: int) -> tuple[str, ...]:
    """The label of a row, and what each run predicts."""
    (actual, *_), *_ = captions = [_lines(oof, row) for oof in pair.oofs]
    names = (pair.first.name, pair.second.name)
    predicted = [f"{name}: {line}" for name, (_, *lines) in zip(names, captions, strict=True) for line in lines]
    return actual, *predicted


def _lines(oof: OofPredictions, row: int) -> tuple[str, ...]:
    """The actual label without its probability, then what is predicted."""
    lines = caption(oof, row)
    if oof.is_multilabel and not (lines and lines[0].startswith("actual")):
        lines = ("actual: none", *lines)
    actual, *others = lines
    if not (oof.is_multilabel or oof.is_numbers or oof.is_binary or oof.by_target):
        label = oof.labels_and_predictions[0][row]
        actual = f"actual: {oof.classes[int(label)]}"
    return actual, *(line.removeprefix("predicted: ") for line in others or ["right"])

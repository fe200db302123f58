"""report.html: what was trained, its scores, what it confuses and what to try next; the same in a terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from runner.report.climb import climb_of, score_figure, steps_table
from runner.report.page.figures import ReportFigure, named
from runner.report.page.page import Block, Bullets, Cell, KeyFigures, Link, Page, Section, Table, Text, write_page
from runner.report.run.confusion_figures import confusion_figures, confusion_table
from runner.report.run.curves import loss_figure, lr_finder_figures, metric_figures, schedule_figure
from runner.report.run.data import OofPredictions, RunData, read_run_data
from runner.report.run.examples import example_galleries
from runner.report.run.leaderboard import leaderboard_figures, standings_of
from runner.report.run.next_steps import next_steps
from runner.report.run.number_figures import numbers_figure, numbers_table
from runner.report.run.oof_figures import (
    calibration_figure,
    classes_figure,
    classes_table,
    confidence_figure,
    labels_figure,
    labels_table,
)
from runner.report.run.summary import (
    describe_missing,
    describe_recipe,
    key_figures,
    stage_row,
    summarise,
    weakest_target,
)
from runner.session import Session
from runner.training.run import Run, read_overview

_IN_SAMPLE = (
    "From out-of-fold predictions. The postprocess was fitted on the same rows, so this may look slightly better than "
    "the CV score."
)
_Draw = Callable[..., list[Block]]  # figures, or None for those that there is no data for


@dataclass(frozen=True)
class TerminalReport:
    """The part of a report that a terminal shows."""

    recipe: str
    summary: str
    key_figures: Sequence[tuple[str, str, str]]  # name, value, note
    losses: dict[str, list[float]]  # of the first fold: training by mini-batch, validation by epoch
    worst: Table | None  # the most confused pairs, or the labels with the lowest F2
    next_steps: Sequence[str]


@dataclass(frozen=True)
class Report:
    """A written page, with its figures and its terminal version."""

    path: Path
    page: Page
    figures: tuple[ReportFigure, ...]
    terminal: TerminalReport


def report_file(run: Run) -> Path:
    """Path of a run's report."""
    return run.folder / "report.html"


def write_report(session: Session, run: Run) -> Report:
    """Write report.html from the run's files, finished or not."""
    data, path = read_run_data(session, run), report_file(run)
    sections, figures = _sections(data, path)
    versions = ", ".join(f"{name} {value}" for name, value in data.environment.items() if value is not None)
    footer = f"Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {versions}"
    page = Page(f"{run.name}: {data.competition.title}", data.run.summary, sections, footer)
    write_page(path, page)
    return Report(path, page, tuple(figures), terminal_report(data))


def save_figures(report: Report, folder: Path) -> list[Path]:
    """Write every figure as SVG and as PNG; returns the paths."""
    return [figure.save(folder, suffix) for figure in report.figures for suffix in ("svg", "png")]


def terminal_report(data: RunData) -> TerminalReport:
    """The summary, key figures and next steps of a run."""
    lines = [line for line in data.log if line["fold"] == data.folds[0]]
    losses = {
        "training": [loss for line in lines for loss in line.get("losses", ())],
        "validation": [line["valid_loss"] for line in lines if line["valid_loss"] is not None],
    }
    oof = data.oof
    worst = None if oof is None else _worst(oof)
    summary = "\n".join(filter(None, (summarise(data), describe_missing(data), *_cautions(data))))
    return TerminalReport(data.run.summary, summary, key_figures(data), losses, worst, next_steps(data))


def _worst(oof: OofPredictions) -> Table:
    """What is predicted worst: numbers, labels or pairs of classes; of several targets the pairs of the worst."""
    if oof.is_numbers:
        return numbers_table(oof)
    if oof.is_multilabel:
        return labels_table(oof)
    return confusion_table(weakest_target(oof).confusion)


def _sections(data: RunData, path: Path) -> tuple[list[Section], list[ReportFigure]]:
    figures: list[ReportFigure] = []

    def draw(*drawn: ReportFigure | None) -> list[Block]:
        present = [figure for figure in drawn if figure is not None]
        figures.extend(present)
        return [figure.block() for figure in present]

    sections = [Section("Summary", _summary(data))]
    if data.members:
        sections.append(Section("Ensemble members", [_member_runs(data, path)]))
        if (record := climb_of(data.session, data.run)) is not None:
            sections.append(Section("Climb", [*draw(score_figure(data.session, record)), steps_table(record)]))
    else:
        sections += [Section("Recipe", _recipe(data)), *_training(data, draw)]
    sections += [
        Section("Snapshots and TTA", _snapshots(data)),
        *_predictions(data, path, draw),
        Section("Leaderboard", _leaderboard(data, draw)),
    ]
    return sections, figures


def _summary(data: RunData) -> list[Block]:
    blocks: list[Block] = [Text(summarise(data))]
    missing = describe_missing(data)
    if missing:
        blocks.append(Text(missing, warning=True))
    blocks += [Text(caution, warning=True) for caution in _cautions(data)]
    blocks.append(KeyFigures(key_figures(data)))
    steps = next_steps(data)
    if steps:
        blocks += [Text("Next steps:"), Bullets(steps)]
    return blocks


def _cautions(data: RunData) -> list[str]:
    """What must be known of the competition, as sentences."""
    return [f"{caution[0].upper()}{caution[1:]}." for caution in data.session.cautions]


def _member_runs(data: RunData, path: Path) -> Table:
    """The runs of an ensemble with their own CV scores and weights."""
    members = (data.score or {}).get("members", ())
    rows: list[list[Cell]] = []
    for name, run in data.member_runs.items():
        weight = sum(member["weight"] for member in members if member["name"].partition(":")[0] == name)
        overview = read_overview(run) if run else None
        cv, recipe = (overview.cv, overview.recipe) if overview else (None, "missing")
        of_cv = (cv["value"], cv["error"]) if cv else (None, None)
        rows.append([link_to(run, path) if run else name, *of_cv, weight, recipe])
    header = ["run", f"CV {data.competition.metric.title}", "±", "weight", "recipe"]
    return Table(header, rows, "The averaged runs")


def link_to(run: Run, page: Path) -> Cell:
    """The run's name, linked to its report if it has one."""
    report = report_file(run)
    if not report.exists():
        return run.name
    return Link(run.name, quote(Path(os.path.relpath(report, page.parent)).as_posix()))


def _recipe(data: RunData) -> list[Block]:
    rows = [stage_row(number, stage, data.recipe) for number, stage in enumerate(data.recipe.stages, 1)]
    header = ["stage", "size, px", "trains", "epochs by cosine cycle", "peak lr"]
    return [Text(describe_recipe(data.recipe)), Table(header, rows, "Stages")]


def _training(data: RunData, draw: _Draw) -> list[Section]:
    lr = draw(*lr_finder_figures(data.lr_curves, data.recipe), schedule_figure(data))
    curves = draw(loss_figure(data), *metric_figures(data))
    sections = [Section("Learning rate", lr)] if lr else []
    return [*sections, Section("Training", curves or [Text("No epoch is finished yet.")])]


def _snapshots(data: RunData) -> list[Block]:
    """The snapshots, their gain in the ensemble, the ensemble methods, and the gain of TTA."""
    score = data.score or {}
    tables = [_snapshots_table(data), _members_table(score), _methods_table(score), _views_table(data)]
    blocks: list[Block] = [table for table in tables if table is not None]
    if score.get("postprocess") and score.get("tta"):
        blocks.append(Text(f"Postprocess: {score['postprocess']}. TTA mode: {score['tta']['mode']}{_tta_gain(score)}."))
    if data.input_sizes:
        models = ", ".join(f"{name} at {size} px" for name, size in data.input_sizes.items())
        blocks.append(Text(f"Predicted at another size than trained at: {models}."))
    if score.get("in_sample") is not None:
        blocks.append(Text(f"In-sample score (biased): {score['in_sample']:.5f}. The CV score is nested instead."))
    return blocks or [Text("There is no snapshot yet.")]


def _tta_gain(score: dict[str, Any]) -> str:
    tta = score["tta"]
    return "" if tta["gain"] is None else f"; averaging the views gains {tta['gain']:+.5f} ± {tta['error']:.5f}"


def _snapshots_table(data: RunData) -> Table | None:
    metrics = data.metrics_except_loss
    rows = [
        [
            fold,
            f"snapshot-{meta['cycle']}",
            meta["size"],
            meta["valid_loss"],
            *(meta["scores"].get(metric.key) for metric in metrics),
        ]
        for fold, meta in data.snapshots
    ]
    header = ["fold", "snapshot", "size, px", "validation loss", *(metric.title for metric in metrics)]
    return Table(header, rows, "Snapshots, scored without TTA", beside=True) if rows else None


def _members_table(score: dict[str, Any]) -> Table | None:
    rows = [
        [member["name"], member["weight"], member["solo_score"], member["gain"]] for member in score.get("members", ())
    ]
    caption = "Models; gain: by how much the ensemble is better with it than without"
    return Table(["model", "weight", "own score", "gain"], rows, caption, beside=True) if rows else None


def _methods_table(score: dict[str, Any]) -> Table | None:
    rows = [
        [method["method"], method["score"], method["error"], "yes" if method["chosen"] else ""]
        for method in score.get("methods", ())
    ]
    caption = "Ensemble methods, by nested score"
    return Table(["method", "score", "±", "chosen"], rows, caption, beside=True) if len(rows) > 1 else None


def _views_table(data: RunData) -> Table | None:
    rows: list[list[Cell]] = [[view.name, view.solo_score, view.gain] for view in data.view_scores]
    caption = "TTA views of the last snapshot; gain: by how much the mean is better with it than without"
    header = ["view", f"own {data.competition.metric.title}", "gain"]
    return Table(header, rows, caption, beside=True) if rows else None


def _predictions(data: RunData, path: Path, draw: _Draw) -> list[Section]:
    oof = data.oof
    if oof is not None:
        return [*_scores(oof, draw), Section("Examples", _examples(data, oof, path))]
    if data.all_data:
        original = data.refit_of or ""
        text = f"There are no validation rows. Confusion matrix and examples: {data.command('report', original)}"
    else:
        command = data.command("predict", "--run", data.run.name)
        text = f"There are no out-of-fold predictions yet: {command}"
    return [Section("Predictions", [Text(text)])]


def _scores(oof: OofPredictions, draw: _Draw) -> list[Section]:
    if oof.is_numbers:
        return [Section("Predicted numbers", [Text(_IN_SAMPLE), numbers_table(oof), *draw(numbers_figure(oof))])]
    if oof.by_target:
        return [section for name, target in oof.by_target for section in _class_scores(target, draw, name)]
    if oof.is_multilabel:
        return [Section("Per label", [labels_table(oof), *draw(labels_figure(oof))]), _calibration(oof, draw)]
    return [*_class_scores(oof, draw), _calibration(oof, draw)]


def _class_scores(oof: OofPredictions, draw: _Draw, target: str = "") -> list[Section]:
    """The confusion matrix and the table of classes; of one of several targets with its name."""
    matrices, classes = confusion_figures(oof.confusion), classes_figure(oof)
    if target:
        matrices, classes = [named(figure, target) for figure in matrices], named(classes, target)
    first, *others = draw(*matrices)
    of_target = f" of {target}" if target else ""
    return [
        Section(f"Confusion matrix{of_target}", [Text(_IN_SAMPLE), first, confusion_table(oof.confusion), *others]),
        Section(f"Per class{of_target}", [*draw(classes), classes_table(oof)]),
    ]


def _calibration(oof: OofPredictions, draw: _Draw) -> Section:
    return Section("Calibration", draw(calibration_figure(oof), confidence_figure(oof)))


def _examples(data: RunData, oof: OofPredictions, path: Path) -> list[Block]:
    galleries = example_galleries(data, oof, path)
    if not galleries:
        return [Text(f"The images are not on this machine: {data.command('download')}")]
    if data.short_side is None:
        return [Text("Each image shows its bands side by side, in grey."), *galleries]
    return list(galleries)


def _leaderboard(data: RunData, draw: _Draw) -> list[Block]:
    figures = draw(*leaderboard_figures(data))
    if not figures:
        return [Text(f"No leaderboard is saved yet: {data.command('standings', '--refresh')}")]
    if not data.entries:
        return [Text("This run was not submitted; the figures show its CV score."), *figures]
    return [*(Text(f"{standing}.") for standing in standings_of(data)), *figures]

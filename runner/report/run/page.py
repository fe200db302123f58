"""report.html: what was trained, how good it is, what it confuses, and what to try next; and the same in a terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from runner.contract import Competition
from runner.report.page.figures import ReportFigure
from runner.report.page.page import Block, Bullets, Cell, KeyFigures, Link, Page, Section, Table, Text, write_page
from runner.report.run.confusion import matrix_blocks, matrix_figure, worst_table
from runner.report.run.curves import finder_figures, loss_figure, metric_figures, schedule_figure
from runner.report.run.data import OofPredictions, RunData, is_tags
from runner.report.run.leaderboard import leaderboard_figures, standings_of
from runner.report.run.per_class import (
    calibration_figure,
    classes_figure,
    classes_table,
    confidence_figure,
    galleries,
    tags_figure,
    tags_table,
)
from runner.report.run.summary import (
    LEARNS,
    answer_in_words,
    next_steps,
    recipe_in_words,
    score_facts,
    state,
    summary,
)
from runner.training.run import Run
from runner.workspace import Workspace

_Draws = Callable[..., list[Block]]


@dataclass(frozen=True)
class Essentials:
    """The report's heart, for a terminal."""

    brief: str
    summary: str
    facts: Sequence[tuple[str, str, str]]
    losses: dict[str, list[float]]  # of the first fold: by mini-batch, and by epoch
    worst: Table | None  # what it confuses or finds worst
    steps: Sequence[str]


@dataclass(frozen=True)
class Report:
    """The page, its path, and every figure that can be had alone."""

    path: Path
    page: Page
    figures: tuple[ReportFigure, ...]
    essentials: Essentials


def report_file(run: Run) -> Path:
    """Where a run's report lies."""
    return run.folder / "report.html"


def write_report(competition: Competition, workspace: Workspace, run: Run) -> Report:
    """Draw what the run left, and write it beside the run."""
    material = RunData(competition, workspace, run)
    path = report_file(run)
    sections, figures = _sections(material, path)
    title = f"{run.name}: {competition.title}"
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    versions = ", ".join(f"{name} {value}" for name, value in material.environment.items() if value is not None)
    page = Page(title, material.run.summary, sections, f"ReportFigure {made}. {versions}")
    write_page(path, page)
    return Report(path, page, tuple(figures), essentials(material))


def save_figures(report: Report, folder: Path) -> list[Path]:
    """Every figure alone, as SVG and as PNG."""
    return [figure.save(folder, suffix) for figure in report.figures for suffix in ("svg", "png")]


def essentials(material: RunData) -> Essentials:
    """What a terminal shows of the report."""
    lines = [line for line in material.log if line["fold"] == material.folds[0]]
    losses = {
        "training": [loss for line in lines for loss in line.get("losses", ())],
        "validation": [line["valid_loss"] for line in lines if line["valid_loss"] is not None],
    }
    held = material.held_out
    worst = None if held is None else tags_table(held) if is_tags(material.competition) else worst_table(held.confusion)
    said = "\n".join(filter(None, (summary(material), state(material))))
    return Essentials(material.run.summary, said, score_facts(material), losses, worst, next_steps(material))


def _sections(material: RunData, path: Path) -> tuple[list[Section], list[ReportFigure]]:
    figures: list[ReportFigure] = []

    def drawn(*made: ReportFigure | None) -> list[Block]:
        kept = [one for one in made if one is not None]
        figures.extend(kept)
        return [one.block() for one in kept]

    sections = [Section("In short", _in_short(material))]
    if material.members:
        sections.append(Section("What it blends", [_blended(material, path)]))
    else:
        sections.append(Section("Recipe", _recipe(material)))
        sections.append(Section("Training", _training(material, drawn)))
    sections.append(Section("Snapshots and views", _parts(material)))
    sections += _held_out(material, path, drawn)
    held = material.held_out
    if held is not None and not is_tags(material.competition):
        figures.append(matrix_figure(held.confusion))
    sections.append(Section("Leaderboard", _leaderboard(material, drawn)))
    return sections, figures


def _in_short(material: RunData) -> list[Block]:
    blocks: list[Block] = [Text(summary(material))]
    missing = state(material)
    if missing:
        blocks.append(Text(missing, warns=True))
    blocks.append(KeyFigures(score_facts(material)))
    steps = next_steps(material)
    if steps:
        blocks += [Text("What to try next:"), Bullets(steps)]
    return blocks


def _blended(material: RunData, path: Path) -> Table:
    """The runs of an ensemble, each with its own score and its part in the whole."""
    members = (material.score or {}).get("members", ())
    rows: list[list[Cell]] = []
    for name, run in material.blended.items():
        weight = sum(one["weight"] for one in members if one["name"].partition(":")[0] == name)
        score = ((run and run.read_score()) or {}).get("cv", {})
        brief = run.summary if run else "its files are gone"
        rows.append([link_to(run, path) if run else name, score.get("value"), score.get("error"), weight, brief])
    metric = material.competition.metric.title
    header = ["run", f"held-out {metric}", "±", "weight in the whole", "recipe"]
    return Table(header, rows, "The runs that are blended; nothing was trained for it")


def link_to(run: Run, page: Path) -> Cell:
    """The run's name, leading to its report where there is one."""
    report = report_file(run)
    if not report.exists():
        return run.name
    return Link(run.name, quote(Path(os.path.relpath(report, page.parent)).as_posix()))


def _recipe(material: RunData) -> list[Block]:
    recipe = material.recipe
    rows: list[list[Any]] = [
        [
            place + 1,
            stage.size,
            LEARNS[stage.mode],
            " + ".join(map(str, stage.cycle_epochs)),
            recipe.lr * stage.lr_scale,
        ]
        for place, stage in enumerate(recipe.stages)
    ]
    header = ["stage", "size, px", "what learns", "epochs, cycle by cycle", "top rate of the recipe"]
    return [Text(recipe_in_words(recipe)), Table(header, rows, "The stages")]


def _training(material: RunData, drawn: _Draws) -> list[Block]:
    figures = drawn(
        *finder_figures(material.found, material.recipe),
        schedule_figure(material),
        loss_figure(material),
        *metric_figures(material),
    )
    return figures or [Text("No epoch is finished yet.")]


def _parts(material: RunData) -> list[Block]:
    """The snapshots, what each adds to the ensemble, and what the views gain."""
    score = material.score or {}
    found = [_snapshots_table(material), *_member_tables(score), _views_table(material)]
    blocks: list[Block] = [one for one in found if one is not None]
    if score.get("views"):
        views = score["views"]
        blocks.append(Text(answer_in_words(score["plan"], views["look"]) + _gain(views)))
    if score.get("optimistic") is not None:
        blocks.append(
            Text(
                f"Fitted on the very rows that it is scored on it would show {score['optimistic']:.5f}: "
                "that figure flatters."
            )
        )
    return blocks or [Text("There is no snapshot yet.")]


def _gain(views: dict[str, Any]) -> str:
    return "" if views["gain"] is None else f" Averaging the views gains {views['gain']:+.5f} ± {views['error']:.5f}."


def _snapshots_table(material: RunData) -> Table | None:
    titles = {one.key: one.title for one in (material.competition.metric, *material.competition.extra_metrics)}
    rows = [
        [
            fold,
            f"snapshot-{one['cycle']}",
            one["size"],
            one["valid_loss"],
            *(one["scores"].get(key) for key in titles),
        ]
        for fold, one in material.snapshots
    ]
    header = ["fold", "snapshot", "size, px", "validation loss", *titles.values()]
    return Table(header, rows, "Snapshots as they were saved, one plain view", beside=True) if rows else None


def _member_tables(score: dict[str, Any]) -> list[Table]:
    members = [[one["name"], one["weight"], one["alone"], one["gain"]] for one in score.get("members", ())]
    ways = [
        [one["way"], one["score"], one["error"], "taken" if one["chosen"] else ""] for one in score.get("weighings", ())
    ]
    tables = []
    if members:
        caption = "What each member adds: the whole with it, less without it (above 0 is better)"
        tables.append(Table(["member", "weight", "score alone", "what it adds"], members, caption, beside=True))
    if len(ways) > 1:
        caption = "Ways to weigh the members, each scored on rows that its weights were not fitted on"
        tables.append(Table(["way", "score", "±", "taken"], ways, caption, beside=True))
    return tables


def _views_table(material: RunData) -> Table | None:
    header = ["view", f"{material.competition.metric.title} alone", "what it adds"]
    caption = "Views of the last snapshot: each alone, and what their mean gains by it (above 0 is better)"
    return Table(header, material.views, caption, beside=True) if material.views else None


def _held_out(material: RunData, path: Path, drawn: _Draws) -> list[Section]:
    held = material.held_out
    if held is not None:
        return [*_outcomes(material, held, drawn), Section("Images", _images(material, held, path))]
    if material.all_data:
        repeated = material.recipe.refit_of or ""
        how = f"what it confuses is in the report of {repeated}: {material.command_line('report', repeated)}"
        return [
            Section("Predictions", [Text(f"No row was held back, so there is nothing to score_rehearsal it by; {how}")])
        ]
    how = material.command_line("predict", "--run", material.run.name)
    return [Section("Predictions", [Text(f"There are no held-out predictions to draw yet: {how}")])]


def _outcomes(material: RunData, held: OofPredictions, drawn: _Draws) -> list[Section]:
    calibration = Section("Calibration", drawn(calibration_figure(held), confidence_figure(held)))
    if is_tags(material.competition):
        return [Section("Tags", [tags_table(held), *drawn(tags_figure(held))]), calibration]
    confusion = held.confusion
    first, *rest = matrix_blocks(confusion)
    return [
        Section("Confusions", [first, worst_table(confusion), *rest]),
        Section("Classes", [*drawn(classes_figure(confusion)), classes_table(confusion)]),
        calibration,
    ]


def _images(material: RunData, held: OofPredictions, path: Path) -> list[Block]:
    found: list[Block] = [*galleries(material, held, path)]
    if found:
        bands = material.short_side is None
        return [Text("Each image shows its bands side by side, in one grey scale a band."), *found] if bands else found
    how = material.command_line("download")
    return [Text(f"The images themselves are not on this machine, so none are shown: {how}")]


def _leaderboard(material: RunData, drawn: _Draws) -> list[Block]:
    figures = drawn(*leaderboard_figures(material))
    if not figures:
        return [Text(f"No leaderboard is kept yet: {material.command_line('standings', '--refresh')}")]
    told = [Text(f"{one}.") for one in standings_of(material)]
    if not material.entries:
        told = [Text("This run was not submitted; its held-out score is drawn where it would stand.")]
    return [*told, *figures]

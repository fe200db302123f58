"""report.html: what was trained, how good it is, what it confuses, and what to try next; and the same in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from runner.console import sparkline
from runner.contract import Competition, Recipe, State
from runner.contract.recipe import Stage
from runner.hosts.boards import Snapshot, read_terms
from runner.hosts.ledger import Entry
from runner.hosts.standings import Standing, find_standing
from runner.report.confusion import Confusion, matrix_block, matrix_figure, worst_table
from runner.report.curves import finder_figures, loss_figure, metric_figure, schedule_figure
from runner.report.figures import BLUE, GREEN, VERMILLION, Drawn, new_figure, style
from runner.report.material import HeldOut, Material, is_tags
from runner.report.outcomes import (
    calibration_figure,
    classes_figure,
    classes_table,
    confusion_of,
    galleries,
    tags_figure,
    tags_table,
)
from runner.report.page import Block, Facts, Page, Points, Section, Table, Text, write_page
from runner.training.diagnosis import diagnose
from runner.training.run import Run
from runner.workspace import Workspace

_LEARNS = {
    State.HEAD: "the head alone learns, on activations computed once",
    State.FROZEN: "the head alone learns, on augmented pictures",
    State.UNFROZEN: "the whole network learns",
}

_Draws = Callable[..., list[Block]]


@dataclass(frozen=True)
class Report:
    """The page, its path, and every figure that can be had alone."""

    path: Path
    page: Page
    figures: tuple[Drawn, ...]
    essentials: str


def report_file(run: Run) -> Path:
    """Where a run's report lies."""
    return run.folder / "report.html"


def write_report(competition: Competition, workspace: Workspace, run: Run) -> Report:
    """Draw what the run left, and write it beside the run."""
    material = Material(competition, workspace, run)
    path = report_file(run)
    sections, figures = _sections(material, path)
    title = f"{run.name}: {competition.title}"
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    versions = ", ".join(f"{name} {value}" for name, value in material.environment.items() if value is not None)
    page = Page(title, material.recipe.in_brief, sections, f"Drawn {made}. {versions}")
    write_page(path, page)
    return Report(path, page, tuple(figures), essentials(material))


def save_figures(report: Report, folder: Path) -> list[Path]:
    """Every figure alone, as SVG and as PNG."""
    return [figure.save(folder, suffix) for figure in report.figures for suffix in ("svg", "png")]


def essentials(material: Material) -> str:
    """The report's first lines, for a terminal: recipe, score, the loss as a line of blocks, what to try."""
    lines = [material.recipe.in_brief]
    for name, value, remark in _score_facts(material):
        lines.append(f"  {name}: {value}" + (f" ({remark})" if remark else ""))
    losses = [loss for line in material.log if line["fold"] == material.folds[0] for loss in line.get("losses", ())]
    if losses:
        valid = [line["valid_loss"] for line in material.log if line["fold"] == material.folds[0]]
        known = [one for one in valid if one is not None]
        lines.append(f"  training loss    {sparkline(losses)}  {losses[0]:.3f} to {losses[-1]:.3f}")
        if known:
            lines.append(f"  validation loss  {sparkline(known)}  {known[0]:.3f} to {known[-1]:.3f}")
    held = material.held_out
    if held is not None and not is_tags(material.competition):
        worst = confusion_of(held).worst[:3]
        lines += [f"  {true} taken for {said}: {count} of {total}" for true, said, count, total in worst]
    return "\n".join([*lines, *(f"  try: {one}" for one in _next_steps(material))])


def _sections(material: Material, path: Path) -> tuple[list[Section], list[Drawn]]:
    figures: list[Drawn] = []

    def drawn(*made: Drawn | None) -> list[Block]:
        kept = [one for one in made if one is not None]
        figures.extend(kept)
        return [one.block() for one in kept]

    held = material.held_out
    sections = [Section("In short", _in_short(material)), Section("Recipe", _recipe(material))]
    training = drawn(
        *finder_figures(material.found, material.recipe),
        schedule_figure(material),
        loss_figure(material),
        metric_figure(material),
    )
    sections.append(Section("Training", training or [Text(_untrained(material))]))
    sections.append(Section("Snapshots and views", _parts(material)))
    if held is None:
        how = f"runner {material.competition.name} predict --run {material.run.name}"
        sections.append(Section("Predictions", [Text(f"There are no held-out predictions to draw yet: {how}")]))
    else:
        sections += _outcomes(material, held, drawn)
        if not is_tags(material.competition):
            figures.append(matrix_figure(confusion_of(held)))
        sections.append(Section("Pictures", _pictures(material, held, path)))
    sections.append(Section("Leaderboard", _leaderboard(material, drawn)))
    return sections, figures


def _in_short(material: Material) -> list[Block]:
    blocks: list[Block] = []
    state = _state(material)
    if state:
        blocks.append(Text(state, warns=True))
    blocks.append(Facts(_score_facts(material)))
    steps = _next_steps(material)
    if steps:
        blocks += [Text("What to try next:"), Points(steps)]
    return blocks


def _state(material: Material) -> str:
    """What is missing of a run that still goes or was killed; else nothing."""
    recipe = material.recipe
    if recipe.blends:
        return ""
    done = len(material.log)
    wanted = recipe.epochs * (recipe.folds or 1)
    if done < wanted:
        how = f"runner {material.competition.name} train --run {material.run.name} --resume"
        return f"Not finished: {done} of {wanted} epochs are done. What is there is drawn. To go on: {how}"
    if material.score is None:
        return f"Trained, but not predicted yet: runner {material.competition.name} predict --run {material.run.name}"
    return ""


def _score_facts(material: Material) -> list[tuple[str, str, str]]:
    """The score with its error bar, what it is made of, and where it stands."""
    facts: list[tuple[str, str, str]] = []
    score, metric = material.score, material.competition.metric
    if score is not None:
        way = "higher is better" if metric.higher_is_better else "lower is better"
        cv = score["cv"]
        facts.append((f"Held-out {metric.title}", _with_error(cv), f"{way}; {cv['rows']:,} rows"))
        titles = {one.key: one.title for one in material.competition.also_report}
        also = score.get("also", {})
        facts += [(f"Held-out {titles.get(key, key)}", _with_error(one), "") for key, one in also.items()]
        if len(score.get("folds", {})) > 1:
            each = list(score["folds"].values())
            facts.append(("Folds", f"{min(each):.4f} to {max(each):.4f}", f"{len(each)} folds"))
    elif material.log:
        last = material.log[-1]
        told = ", ".join(f"{key} {value:.4f}" for key, value in last["scores"].items())
        facts.append(("Last epoch", told or f"loss {last['train_loss']:.4f}", "on held-out rows, one network"))
    facts += [
        (f"Place, {'private' if one.private else 'public'}", f"{one.rank:,} of {one.teams:,}", f"score {one.score:.5f}")
        for one in _standings(material)
    ]
    if material.log:
        seconds = sum(line["seconds"] for line in material.log)
        facts.append(("Training took", _duration(seconds), f"{len(material.log)} epochs"))
    return facts


def _with_error(score: dict[str, float]) -> str:
    return f"{score['value']:.4f} ± {score['error']:.4f}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _next_steps(material: Material) -> list[str]:
    """What the files speak for; never more than they say."""
    steps = []
    if material.log and material.log[-1]["valid_loss"] is not None:
        last = material.log[-1]
        lines = [line for line in material.log if line["fold"] == last["fold"]]
        steps.append(
            f"The last stage {diagnose(lines, last['stage'])}.".replace("still learning", "was still learning")
        )
    score, held = material.score, material.held_out
    if score is not None and score["cv"]["error"] > 0 and len(score.get("folds", {})) == 1:
        steps.append(
            f"One holdout of {score['cv']['rows']:,} rows: a change smaller than about {score['cv']['error']:.2g} is "
            f"within chance. `runner {material.competition.name} train --folds 5` narrows that."
        )
    if held is not None and not is_tags(material.competition):
        worst = confusion_of(held).worst[:3]
        if len(held.classes) > 2 and worst:
            told = "; ".join(f"{true} taken for {said} ({count} of {total})" for true, said, count, total in worst)
            steps.append(f"Most confused: {told}. A larger --size shows finer differences.")
    if score is not None and len(score.get("members", ())) == 1:
        steps.append("One snapshot answers alone: another run to blend with it (`ensemble`) usually helps.")
    return steps


def _recipe(material: Material) -> list[Block]:
    recipe = material.recipe
    if recipe.blends:
        return [Text(f"An ensemble of {', '.join(recipe.blends)}: nothing was trained for it.")]
    blocks: list[Block] = [Text(in_words(recipe))]
    rows: list[list[Any]] = [
        [
            place + 1,
            stage.size,
            _LEARNS[stage.state],
            " + ".join(map(str, stage.cycle_epochs)),
            recipe.lr * stage.lr_share,
        ]
        for place, stage in enumerate(recipe.stages)
    ]
    blocks.append(
        Table(
            ["stage", "size, px", "what learns", "epochs, cycle by cycle", "top rate of the recipe"], rows, "The stages"
        )
    )
    return blocks


def in_words(recipe: Recipe) -> str:
    """The recipe as sentences."""
    start = "random weights"
    if recipe.from_run:
        start = f"the weights of {recipe.from_run}"
    elif recipe.weights:
        start = f"pretrained weights ({recipe.weights})"
    elif recipe.pretrained:
        start = "pretrained weights"
    parts = [
        f"{recipe.backbone} from {start}, in {_count(len(recipe.stages), 'stage')}"
        f" and {_count(recipe.epochs, 'epoch')}."
    ]
    parts.append(_stages_in_words(recipe.stages))
    rate = "The rate of each stage was asked of the finder" if recipe.find_lr else f"The top rate is {recipe.lr:g}"
    slower = f", and each earlier part learns {recipe.lr_divisor:g} times slower" if recipe.lr_divisor != 1 else ""
    parts.append(f"{rate}; it falls by a cosine in each cycle{slower}.")
    extras = [f"batches of {recipe.batch_size}", f"weight decay {recipe.weight_decay:g}", f"seed {recipe.seed}"]
    if recipe.dropout:
        extras.append(f"dropout {recipe.dropout:g}")
    if recipe.oversample > 1:
        extras.append(f"rare classes shown up to {recipe.oversample:g} times")
    held = "No row was held back." if recipe.all_data else f"{recipe.folds} folds." if recipe.folds else "One holdout."
    return " ".join([*parts, ", ".join(extras).capitalize() + ".", held])


def _stages_in_words(stages: Sequence[Stage]) -> str:
    told = [f"at {stage.size} px {_LEARNS[stage.state]} ({_count(stage.epochs, 'epoch')})" for stage in stages]
    return ("First " + ", then ".join(told) + ".") if len(told) > 1 else f"{told[0].capitalize()}." if told else ""


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


def _untrained(material: Material) -> str:
    return "An ensemble is not trained." if material.recipe.blends else "No epoch is finished yet."


def _parts(material: Material) -> list[Block]:
    """The snapshots, what each adds to the ensemble, and what the views gain."""
    blocks: list[Block] = []
    titles = {one.key: one.title for one in (material.competition.metric, *material.competition.also_report)}
    if material.snapshots:
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
        blocks.append(Table(header, rows, "Snapshots as they were saved, one plain view"))
    score = material.score or {}
    if score.get("members"):
        rows = [[one["name"], one["weight"], one["alone"], one["gain"]] for one in score["members"]]
        header = ["member", "weight", "score alone", "what it adds"]
        blocks.append(
            Table(header, rows, "What each member adds: the ensemble with it, less without it (above 0 is better)")
        )
    if material.views:
        header = ["view", f"{material.competition.metric.title} alone", "what it adds"]
        caption = "Views of the last snapshot: each alone, and what their mean gains by it (above 0 is better)"
        blocks.append(Table(header, material.views, caption))
    if score.get("views"):
        views = score["views"]
        gain = (
            "" if views["gain"] is None else f" Averaging the views gains {views['gain']:+.5f} ± {views['error']:.5f}."
        )
        blocks.append(Text(f"What answers: {views['look']}.{gain} Final step: {score['plan']}."))
    if score.get("optimistic") is not None:
        blocks.append(
            Text(
                f"Fitted on the very rows that it is scored on it would show {score['optimistic']:.5f}: "
                "that figure flatters."
            )
        )
    return blocks or [Text("There is no snapshot yet.")]


def _outcomes(material: Material, held: HeldOut, drawn: _Draws) -> list[Section]:
    if is_tags(material.competition):
        tags: list[Block] = [tags_table(held), *drawn(tags_figure(held))]
        return [Section("Tags", tags), Section("Calibration", drawn(calibration_figure(held)))]
    confusion: Confusion = confusion_of(held)
    share = 100 * np.trace(confusion.counts) / max(confusion.counts.sum(), 1)
    intro = Text(f"{share:.1f} % of {confusion.counts.sum():,} held-out pictures are seen right.")
    return [
        Section("Confusions", [intro, matrix_block(confusion), worst_table(confusion)]),
        Section("Classes", [*drawn(classes_figure(confusion)), classes_table(confusion)]),
        Section("Calibration", drawn(calibration_figure(held))),
    ]


def _pictures(material: Material, held: HeldOut, path: Path) -> list[Block]:
    found: list[Block] = [*galleries(material, held, path)]
    if found:
        return found
    how = f"runner {material.competition.name} download"
    return [Text(f"The pictures themselves are not on this machine, so none are shown: {how}")]


def _standings(material: Material) -> list[Standing]:
    """Where the run's best submission stands, on each board that was kept."""
    found = []
    for snapshot in material.boards:
        best = _best_entry(material, snapshot)
        if best is not None and snapshot.board.rows:
            found.append(_standing(material, snapshot, best))
    return found


def _best_entry(material: Material, snapshot: Snapshot) -> float | None:
    scores = [value for one in material.entries if (value := _score_on(one, snapshot.board.private)) is not None]
    better = max if material.competition.metric.higher_is_better else min
    return better(scores) if scores else None


def _score_on(entry: Entry, private: bool) -> float | None:
    cell = entry.private if private else entry.public
    return float(cell) if cell else None


def _standing(material: Material, snapshot: Snapshot, score: float) -> Standing:
    terms = read_terms(material.workspace.boards(material.competition.name))
    return find_standing(
        snapshot.board,
        score,
        material.competition.metric,
        awards_medals=material.competition.awards_medals,
        team=terms.team,
        late=terms.is_late(snapshot.taken),
    )


def _leaderboard(material: Material, drawn: _Draws) -> list[Block]:
    kept = [one for one in material.boards if one.board.rows]
    if not kept:
        return [Text(f"No leaderboard is kept yet: runner {material.competition.name} standings")]
    told = [Text(f"{one}.") for one in _standings(material)]
    if not material.entries:
        told = [Text("This run was not submitted; its held-out score is drawn where it would stand.")]
    return [*told, *drawn(_board_figure(material, kept))]


def _board_figure(material: Material, kept: Sequence[Snapshot]) -> Drawn:
    with style():
        figure = new_figure(8.0, 0.4 + 2.4 * len(kept))
        for axes, snapshot in zip(figure.subplots(len(kept), squeeze=False)[:, 0], kept, strict=True):
            _draw_board(axes, material, snapshot)
    rows: list[list[str | int | float | None]] = []
    for snapshot in kept:
        scores = np.array([row.score for row in snapshot.board.rows])
        kind = "private" if snapshot.board.private else "public"
        quarters = np.percentile(scores, (0, 25, 50, 75, 100)).tolist()
        rows.append([kind, len(scores), *quarters, _best_entry(material, snapshot)])
    header = ["board", "teams", "lowest", "25 %", "median", "75 %", "highest", "this run"]
    alt = "; ".join(f"{row[0]} board of {row[1]} teams, median {row[4]:.4f}" for row in rows)
    numbers = Table(header, rows, "The boards in short")
    return Drawn("leaderboard", "Where it stands on the leaderboard", f"Histogram of scores: {alt}.", figure, numbers)


def _draw_board(drawing: Any, material: Material, snapshot: Snapshot) -> None:
    metric = material.competition.metric
    scores = np.array([row.score for row in snapshot.board.rows])
    mine = _best_entry(material, snapshot)
    cv = material.score["cv"] if material.score else None
    marks = [one for one in (mine, cv and cv["value"]) if one is not None]
    # The worst tail of a board is far away and tells nothing.
    low, high = np.percentile(scores, (0, 95) if not metric.higher_is_better else (5, 100))
    low, high = min([low, *marks]), max([high, *marks])
    room = 0.05 * (high - low) or 0.05
    shown = scores[(scores >= low - room) & (scores <= high + room)]
    drawing.hist(shown, bins=min(40, max(8, len(shown) // 8)), range=(low - room, high + room), color=BLUE, alpha=0.75)
    if mine is not None:
        drawing.axvline(mine, color=VERMILLION, label=f"submitted: {mine:.4f}")
    if cv is not None:
        drawing.axvspan(cv["value"] - cv["error"], cv["value"] + cv["error"], color=GREEN, alpha=0.25, linewidth=0)
        drawing.axvline(
            cv["value"], color=GREEN, linestyle="--", label=f"held-out: {cv['value']:.4f} ± {cv['error']:.4f}"
        )
    kind, left = ("private" if snapshot.board.private else "public"), len(scores) - len(shown)
    far = f"; {left:,} worse are not shown" if left else ""
    drawing.set(title=f"{kind} board, {len(scores):,} teams{far}", xlabel=metric.title, ylabel="teams")
    if marks:
        drawing.legend()

"""What the run makes of the held-out rows: per class or tag, calibration, and the images that tell most."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.contract.thresholds import DEFAULT_THRESHOLD
from runner.prediction.thresholds import DecisionRule
from runner.report.page.figures import BLUE, VERMILLION, ReportFigure, new_figure, put_legend, style
from runner.report.page.page import Gallery, Table
from runner.report.page.samples import Samples
from runner.report.run.confusion import Confusion
from runner.report.run.data import OofPredictions, RunData

Matrix = NDArray[Any]

_BINS = 10
_BARS = 40
_IMAGES = 12
_SIDE = 176
_CUTOFFS = np.arange(0.02, 1.0, 0.02)


def classes_table(confusion: Confusion) -> Table:
    """How each class fares: found and trusted."""
    counts = confusion.counts
    right, total, said = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    rows: list[list[Any]] = []
    for place, name in enumerate(confusion.classes):
        others = counts[place].copy()
        others[place] = 0
        rival = confusion.classes[int(others.argmax())] if others.any() else ""
        rows.append(
            [name, int(total[place]), _percent(right[place], total[place]), _percent(right[place], said[place]), rival]
        )
    rows.sort(key=lambda row: (row[2] is None, row[2]))
    return Table(
        ["class", "images", "found, %", "right when said, %", "mostly taken for"],
        rows,
        "Every class, the worst first",
    )


def classes_figure(confusion: Confusion) -> ReportFigure:
    """The share of each class that was found, the worst first."""
    rows = classes_table(confusion).rows[:_BARS]
    names, found = [str(row[0]) for row in rows], [float(row[2] or 0) for row in rows]  # type: ignore[arg-type]
    with style():
        figure = new_figure(height=0.9 + 0.24 * len(rows))
        axes = figure.subplots()
        axes.barh(range(len(rows)), found, color=BLUE, height=0.7)
        for place, value in enumerate(found):
            axes.annotate(
                f"{value:.0f}", (value, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8
            )
        axes.set_yticks(range(len(rows)), [name.replace("$", r"\$") for name in names], fontsize=9)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(xlabel="found (% of the class's images)", xlim=(0, 108))
    more = f" (the {len(rows)} worst of {len(confusion.classes)})" if len(rows) < len(confusion.classes) else ""
    alt = f"Share of each class that was found{more}; worst {names[0]} with {found[0]:.0f} %."
    return ReportFigure("classes", f"How much of each class was found{more}", alt, figure)


def tags_table(held: OofPredictions) -> Table:
    """How each tag fares, with its cutoff where each has its own."""
    true, said = held.targets > 0.5, held.values > 0.5
    cutoffs = held.decision.thresholds if held.decision else ()
    rows: list[list[Any]] = []
    for place, name in enumerate(held.classes):
        right = int((true[:, place] & said[:, place]).sum())
        total, named = int(true[:, place].sum()), int(said[:, place].sum())
        cutoff = [round(float(cutoffs[place]), 3)] if cutoffs else []
        rows.append(
            [name, total, named, _percent(right, total), _percent(right, named), _f2(right, total, named), *cutoff]
        )
    rows.sort(key=lambda row: (row[5], -row[1]))
    header = ["tag", "images", "named", "found, %", "right when said, %", "F2"]
    return Table([*header, *(["cutoff"] if cutoffs else [])], rows, "Every tag, the worst first")


def tags_figure(held: OofPredictions) -> ReportFigure:
    """For every tag its F2 over the cutoff, with the cutoff that is used where each has its own."""
    columns = 4
    count = len(held.classes)
    used = _cutoffs_used(held)
    how = held.decision.how.value if held.decision else "fixed cutoff"
    with style():
        lines = -(-count // columns)
        figure = new_figure(9.6, 0.5 + 1.55 * lines)
        grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
        for place, axes in enumerate(grid.flat):
            if place >= count:
                axes.axis("off")
                continue
            axes.plot(_CUTOFFS, _f2_by_cutoff(held, place), color=BLUE)
            if used:
                axes.axvline(used[place], color=VERMILLION, linestyle="--", linewidth=1.2)
            axes.tick_params(labelbottom=place + columns >= count)  # the last of each column
            axes.set_title(held.classes[place].replace("$", r"\$"), fontsize=9)
            axes.set(xlim=(0, 1), ylim=(0, 1.02))
        figure.supxlabel("cutoff on the probability", fontsize=10)
        figure.supylabel("F2 of the tag", fontsize=10)
    rows: list[list[Any]] = [
        [name, float(_CUTOFFS[curve.argmax()]), float(curve.max()), float(used[place]) if used else None]
        for place, name in enumerate(held.classes)
        for curve in (_f2_by_cutoff(held, place),)
    ]
    numbers = Table(["tag", "best cutoff by itself", "F2 there", "cutoff used"], rows, "The curves in short")
    note = f"Tags are named by: {how}." + (" The dashed line is the cutoff that is used." if used else "")
    return ReportFigure(
        "tags", "F2 of each tag, by cutoff", f"Curves of F2 over cutoff for {count} tags.", figure, numbers, note
    )


def _cutoffs_used(held: OofPredictions) -> tuple[float, ...]:
    """The cutoff of each tag; none where an image's tags are decided on together."""
    if held.decision is None or held.decision.how is DecisionRule.EXPECTED:
        return ()
    return tuple(held.decision.thresholds) or (DEFAULT_THRESHOLD,) * len(held.classes)


def _f2_by_cutoff(held: OofPredictions, place: int) -> Matrix:
    true, probability = held.targets[:, place] > 0.5, held.probabilities[:, place]
    said = probability[None, :] >= _CUTOFFS[:, None]
    right = (said & true).sum(axis=1)
    return np.array([_f2(int(a), int(true.sum()), int(b)) for a, b in zip(right, said.sum(axis=1), strict=True)])


def _f2(right: int, total: int, named: int) -> float:
    return round(5 * right / (4 * total + named), 4) if right else 0.0


def calibration_figure(held: OofPredictions) -> ReportFigure:
    """What was said against what came true, in bins."""
    said, came = _confidences(held)
    places = np.minimum((said * _BINS).astype(int), _BINS - 1)
    bins = [place for place in range(_BINS) if (places == place).any()]
    rows: list[list[Any]] = [
        [
            f"{place / _BINS:.1f} to {(place + 1) / _BINS:.1f}",
            int(mask.sum()),
            float(said[mask].mean()),
            float(came[mask].mean()),
        ]
        for place in bins
        for mask in (places == place,)
    ]
    points = [(row[2], row[3], _error_of_share(row[3], row[1])) for row in rows]
    gap = sum(abs(float(row[2]) - float(row[3])) * int(row[1]) for row in rows) / max(len(said), 1)
    with style():
        figure = new_figure(height=3.4)
        axes: Any = figure.subplots()
        axes.plot([0, 1], [0, 1], linestyle=":", color=VERMILLION, label="as sure as right")
        axes.errorbar(*zip(*points, strict=True), fmt="o-", color=BLUE, capsize=3, label="this run, ± standard error")
        axes.set(xlabel="probability that was said", ylabel="share that came true", xlim=(0, 1.02), ylim=(0, 1.02))
        put_legend(figure, axes)
    sure = float(said.mean() - came.mean())
    word = (
        "about as sure as it is right"
        if abs(sure) < 0.02
        else "too sure of itself"
        if sure > 0
        else "less sure than it could be"
    )
    numbers = Table(["probability said", "how often", "mean said", "share that came true"], rows, "Calibration by bin")
    note = f"Mean gap {100 * gap:.1f} points; on the whole it is {word} ({100 * sure:+.1f} points)."
    return ReportFigure("calibration", "Calibration", f"Reliability diagram. {note}", figure, numbers, note)


def _error_of_share(share: float, count: int) -> float:
    """How far chance moves a share of so many; a little drawn to one half, or one image would be certain."""
    likely = (share * count + 1) / (count + 2)
    return float(np.sqrt(likely * (1 - likely) / count))


def confidence_figure(held: OofPredictions) -> ReportFigure:
    """How often each probability was said."""
    said, _ = _confidences(held)
    counts, edges = np.histogram(said, _BINS, (0, 1))
    what = "tags of images" if held.decision is not None else "images"
    with style():
        figure = new_figure(height=3.4)
        axes: Any = figure.subplots()
        axes.bar((edges[:-1] + edges[1:]) / 2, counts, width=0.09, color=BLUE)
        axes.set(xlabel="probability that was said", ylabel=what, xlim=(0, 1))
        if held.decision is not None:
            axes.set(yscale="log", ylabel=f"{what}, log scale")  # most tags are plainly absent from most images
    alt = f"Histogram of what was said: {counts[-1]:,} of {len(said):,} {what} above 0.9."
    return ReportFigure("confidence", "How sure it is, how often", alt, figure)


def _confidences(held: OofPredictions) -> tuple[Matrix, Matrix]:
    if held.targets.shape[1] == 1 or held.decision is not None:
        return held.probabilities.ravel(), held.targets.ravel()
    true, said = held.true_and_said
    return held.probabilities.max(axis=1), (true == said).astype(float)


def galleries(material: RunData, held: OofPredictions, page: Path) -> list[Gallery]:
    """The most wrong, the least sure and the most right images, linked to their files."""
    index = material.index
    if index is None:
        return []
    samples = Samples(index, page, _SIDE)
    labelled = (index.table["subset"] != "test").to_numpy()
    place = {name: row for row, name in enumerate(index.table["id"]) if labelled[row]}
    made = []
    for title, rows in _chosen(held):
        shown = [
            (row, samples.show(place[held.ids[row]], _caption(held, row)))
            for row in rows.tolist()
            if held.ids[row] in place
        ]
        images = [replace(image, name=held.ids[row]) for row, image in shown if image is not None]
        made.append(Gallery(title, images))
    return made


def _chosen(held: OofPredictions) -> list[tuple[str, NDArray[np.int64]]]:
    losses = held.losses
    inside = np.clip(held.probabilities, 1e-9, 1 - 1e-9)
    if held.targets.shape[1] > 1 and held.decision is None:
        doubt = -(inside * np.log(inside)).sum(axis=1)
    else:
        doubt = -(inside * np.log(inside) + (1 - inside) * np.log1p(-inside)).mean(axis=1)
    worst = np.argsort(-losses, kind="stable")[:_IMAGES]
    unsure = np.argsort(-doubt, kind="stable")[:_IMAGES]
    best = np.argsort(losses, kind="stable")[:_IMAGES]
    return [
        ("Most wrong: the truth was given least", worst),
        ("Least sure: no answer stands out", unsure),
        ("Most right: the truth was given most", best),
    ]


def _caption(held: OofPredictions, row: int) -> tuple[str, ...]:
    target, probability = held.targets[row], held.probabilities[row]
    if held.decision is not None:
        return _tags_caption(held, row)
    if len(target) == 1:
        return f"true: {held.classes[0]} = {target[0]:.0f}", f"said: {probability[0]:.3f}"
    place, truth = int(probability.argmax()), int(target.argmax())
    given = "" if place == truth else f" {100 * probability[truth]:.1f}\u00a0%"
    said = f"said: {held.classes[place]} {100 * probability[place]:.0f}\u00a0%"
    return f"true: {held.classes[truth]}{given}", said


def _tags_caption(held: OofPredictions, row: int) -> tuple[str, ...]:
    true, said = held.targets[row] > 0.5, held.values[row] > 0.5

    def named(chosen: Matrix) -> str:
        return " ".join(name for name, on in zip(held.classes, chosen, strict=True) if on)

    parts = (("true", true), ("missed", true & ~said), ("wrongly named", said & ~true))
    return tuple(f"{what}: {names}" for what, chosen in parts if (names := named(chosen)))


def _percent(part: Any, whole: Any) -> float | None:
    return round(100 * float(part) / float(whole), 1) if whole else None

"""The finder's curves as a figure, the choice marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from runner.training.lr_finder import LRFindResult
from runner.workspace import atomic_path

_CURVE, _CHOICE, _STEEPEST = "#0072B2", "#D55E00", "#009E73"  # told apart by colour-blind eyes too


def draw_findings(findings: Sequence[tuple[str, LRFindResult]], path: Path) -> None:
    """Loss over rate for each stage, in one file: SVG or PNG by its name."""
    figure = Figure(figsize=(6.4, 3.2 * len(findings)), layout="constrained")
    for axes, (title, finding) in zip(figure.subplots(len(findings), squeeze=False)[:, 0], findings, strict=True):
        _draw(axes, title, finding)
    with atomic_path(path) as part:
        figure.savefig(part, dpi=150)


def _draw(axes: Axes, title: str, finding: LRFindResult) -> None:
    axes.plot(finding.curve.lrs, finding.curve.losses, color=_CURVE)
    for rate, colour, name in (
        (finding.minimum, _CHOICE, "suggested"),
        (finding.steep, _STEEPEST, "steep"),
    ):
        if rate is not None:
            axes.axvline(rate, color=colour, linestyle="--", label=f"{name}: {rate:.2g}")
    axes.set_xscale("log")
    axes.set_xlabel("learning rate of the head")
    axes.set_ylabel("training loss, smoothed")
    axes.set_title(title if finding.minimum else f"{title}: {finding.reason}", fontsize=10)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)

"""The table of epochs that grows below a notebook's cell while a run is trained, and the curve of its losses."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

from runner.console import shows_progress
from runner.notebook import Area, clock, is_notebook, output_area
from runner.report.page.figures import png_of
from runner.report.run.curves import loss_figure
from runner.report.run.data import read_run_data
from runner.session import Session
from runner.training.log import Line, read_log, watch_epochs
from runner.training.progress import read_progress
from runner.training.run import Run

_LAST = 60  # epochs shown; the run's log has all


@contextmanager
def live_epochs(session: Session, *, plot: bool) -> Iterator[None]:
    """Within the block show each epoch that ends; with `plot` the losses too. Outside of notebooks nothing is shown."""
    if not (is_notebook() and shows_progress()):
        yield
        return
    with output_area() as area:
        table = _LiveTable(session, area, plot)
        with watch_epochs(table.add):
            yield


class _LiveTable:
    """Rows of epochs, as they come."""

    def __init__(self, session: Session, area: Area, plot: bool):
        self._session, self._area, self._plot = session, area, plot
        self._rows: list[list[str]] = []
        self._seconds = 0.0
        metrics = (session.competition.metric, *session.competition.extra_metrics)
        self._metrics = {metric.key: metric.title for metric in metrics}

    def add(self, log_file: Path, line: Line) -> None:
        """Show one more epoch."""
        scores = [_number(line["scores"].get(key)) for key in self._metrics]
        lr = f"{line['lrs'][0]:.2g}" if line["lrs"] else "L-BFGS"
        self._rows.append(
            [
                str(line["fold"]),
                str(line["epoch"] + 1),
                f"{line['size']} px, {line['mode']}",
                lr,
                _number(line["train_loss"]),
                _number(line["valid_loss"]),
                *scores,
                f"{line['seconds']:.1f} s",
            ]
        )
        self._seconds += line["seconds"]
        run = Run(self._session.name, log_file.parent.name, log_file.parent)
        self._area.keep(self._html() + self._left(run) + (self._curve(run) if self._plot else ""))

    def _left(self, run: Run) -> str:
        """How far the run is, and the time left by its epochs so far; nothing after the last."""
        planned = read_progress(run).planned
        left = self._seconds / len(self._rows) * (planned - len(read_log(run.log_file)))
        return "" if left <= 0 else f"<div>{planned} epochs in all, about {clock(left)} left</div>"

    def _html(self) -> str:
        header = ["fold", "epoch", "stage", "lr", "training loss", "validation loss", *self._metrics.values(), "time"]
        rows = [header, *self._rows[-_LAST:]]
        cells = ["".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) for row, tag in _tagged(rows)]
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"

    def _curve(self, run: Run) -> str:
        figure = loss_figure(read_run_data(self._session, run))
        if figure is None:
            return ""
        source = base64.b64encode(png_of(figure.figure, dpi=80)).decode("ascii")
        return f'<img alt="{escape(figure.alt)}" src="data:image/png;base64,{source}">'


def _tagged(rows: list[list[str]]) -> Iterator[tuple[list[str], str]]:
    for number, row in enumerate(rows):
        yield row, "td" if number else "th"


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:.4f}"

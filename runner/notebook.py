"""What a notebook shows while a call works: progress bars and a live table, in one place below the cell."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any

_SECONDS = 0.2  # between two updates of the place: more would only keep the browser busy
_FIRST = 0.4  # a call that is done before shows nothing


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"


@dataclass
class Bar:
    """A progress bar; `unit` "B" counts bytes."""

    title: str
    total: float | None
    unit: str = ""
    done: float = 0.0
    note: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds_left(self) -> float | None:
        """By the time that it took so far; None before the first step, and without a total."""
        if not self.total or not self.done:
            return None
        return max(0.0, (time.monotonic() - self.started) * (self.total - self.done) / self.done)

    def html(self) -> str:
        """The bar as a line of a page."""
        value = "" if not self.total else f'value="{self.done:g}" max="{self.total:g}"'
        left = "" if self.seconds_left is None else f"{clock(self.seconds_left)} left"
        words = "&ensp;".join(filter(None, (self._count(), left, escape(self.note))))
        bar = f'<progress {value} style="width:20em;vertical-align:middle"></progress>'
        return f"<div>{escape(self.title)}&ensp;{bar}&ensp;{words}</div>"

    def _count(self) -> str:
        if self.unit == "B":
            total = f" of {self.total / 1e6:,.1f}" if self.total else ""
            return f"{self.done / 1e6:,.1f}{total} MB"
        return f"{self.done:g}/{self.total:g}" if self.total else f"{self.done:g}"


class Area:
    """One output of a cell that is updated in place: something that stays above bars that come and go."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._opened = self._updated = time.monotonic()
        self._kept = ""
        self._bars: list[Bar] = []

    def keep(self, html: str) -> None:
        """Show this above the bars from now on; it is still there when the call has ended."""
        self._kept = html
        self._update(at_once=True)

    @contextmanager
    def bar(self, title: str, total: float | None, unit: str = "") -> Iterator[Bar]:
        """A bar within the block; call `refresh` after changing it."""
        bar = Bar(title, total, unit)
        self._bars.append(bar)
        try:
            yield bar
        finally:
            self._bars.remove(bar)

    def refresh(self) -> None:
        """Show the bars as they are now, unless they were shown a moment ago."""
        self._update(at_once=False)

    def close(self) -> None:
        """Leave only what was kept."""
        self._bars.clear()
        if self._handle is not None:
            self._update(at_once=True)

    def _update(self, *, at_once: bool) -> None:
        now = time.monotonic()
        if not at_once and (now - self._updated < _SECONDS or now - self._opened < _FIRST):
            return
        shown: Any = importlib.import_module("IPython.display")  # only a kernel comes here, and has it
        self._updated = now
        content = shown.HTML(self._kept + "".join(bar.html() for bar in self._bars))
        if self._handle is None:
            self._handle = shown.display(content, display_id=True)
        else:
            self._handle.update(content)


_areas: list[Area] = []


@contextmanager
def output_area() -> Iterator[Area]:
    """The place where a call shows its progress; calls inside it show theirs there too."""
    if _areas:
        yield _areas[-1]
        return
    area = Area()
    _areas.append(area)
    try:
        yield area
    finally:
        _areas.remove(area)
        area.close()


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, from an hour on as hours too."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"

"""The time of a climb: what was spent before counts, and at the end of it the work is interrupted."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType


class TimeIsUp(KeyboardInterrupt):
    """The end of the time: it stops the work as Ctrl-C does, so that what is trained is kept."""


@dataclass
class Clock:
    """Seconds of a climb, those of earlier commands included."""

    budget: float
    spent_before: float = 0.0
    began: float = field(default_factory=time.monotonic)
    has_rung: bool = False

    @property
    def spent(self) -> float:
        """Seconds spent in all."""
        return self.spent_before + time.monotonic() - self.began

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.budget - self.spent

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Raise TimeIsUp in the block when the time is up; not where the system or the thread has no such alarm."""
        if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
            yield
            return

        def ring(_number: int, _frame: FrameType | None) -> None:
            self.has_rung = True
            raise TimeIsUp

        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, max(self.left, 0.001))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

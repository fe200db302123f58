"""Times that are compared: taken in turns, so that a busy moment meets all sides, and told as medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def in_turns(works: dict[str, Callable[[], object]], refit_of: int) -> dict[str, float]:
    """Median seconds of each, one after the other in each turn; the first turn, which meets all cold, is not told."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(refit_of + 1):
        for name, work in works.items():
            begun = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(each) for name, each in seconds.items()}

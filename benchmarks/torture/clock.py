"""A clock that can be made to run fast, so that hours of waiting for a host pass in seconds.

It is installed before the runner is imported, whose defaults keep the `time.sleep` that they find.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

_real_sleep, _real_monotonic = time.sleep, time.monotonic
_real_settimeout = socket.socket.settimeout
_LONGEST_SLEEP = 0.005  # real seconds, in a process whose clock is fast

_speed = 1.0
_began = 0.0
_slept = 0.0


def install() -> None:
    """Let `time.sleep` and `time.monotonic` be this clock's, which is the real one until `run_fast`."""
    time.sleep, time.monotonic = _sleep, _monotonic


def run_fast(speed: float) -> None:
    """In this process: sleeps pass at once; timers, timeouts of sockets and the rest run `speed` times as fast."""
    global _speed, _began, _slept
    _speed, _began, _slept = speed, _real_monotonic(), 0.0
    socket.socket.settimeout = _settimeout  # type: ignore[assignment]
    threading.Timer = _Timer  # type: ignore[assignment, misc]


class _Timer(threading.Timer):
    """A timer of the fast clock."""

    def __init__(self, interval: float, *arguments: Any, **options: Any) -> None:
        super().__init__(interval / _speed, *arguments, **options)


def elapsed() -> float:
    """Seconds of this clock since `run_fast`; 0 if it is not fast."""
    return _monotonic() - _began if _speed != 1 else 0.0


def _sleep(seconds: float) -> None:
    global _slept
    if _speed == 1:
        _real_sleep(seconds)
        return
    _slept += seconds
    _real_sleep(min(seconds / _speed, _LONGEST_SLEEP))


def _monotonic() -> float:
    now = _real_monotonic()
    return now if _speed == 1 else _began + (now - _began) * _speed + _slept


def _settimeout(connection: socket.socket, seconds: float | None) -> None:
    _real_settimeout(connection, seconds / _speed if seconds and _speed != 1 else seconds)

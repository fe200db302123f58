"""How often and how long to retry a request, and the limits of a transfer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from runner.console import log
from runner.hosts.http.errors import RequestError

# Seconds. The doubling delay stops here; a server's own Retry-After may be longer.
_MAX_DELAY = 60.0
# Seconds. A server that asks to wait longer than this ends the command with a message.
_MAX_RETRY_AFTER = 15 * 60.0

Result = TypeVar("Result")


@dataclass(frozen=True)
class RetryPolicy:
    """How many attempts to make, and how long to wait in between."""

    sleep: Callable[[float], None] = time.sleep
    attempts: int = 7
    initial_delay: float = 1.0  # seconds; doubled after every failure

    def wait(self, failures: int, error: RequestError, name: str) -> bool:
        """Sleep as long as the server asks, or twice as long as before; False if there is no further attempt."""
        delay = self.initial_delay * 2 ** (failures - 1) if error.retry_after is None else error.retry_after
        if not error.retryable or failures >= self.attempts or delay > _MAX_RETRY_AFTER:
            return False
        delay = min(delay, _MAX_DELAY) if error.retry_after is None else delay
        log.info(f"{name}: {error.message}; next attempt in {delay:.0f} s")
        self.sleep(delay)
        return True


@dataclass(frozen=True)
class TransferLimits:
    """Timeouts of every request, and the slowest download that is not cut off."""

    connect_timeout: float = 10.0  # seconds
    read_timeout: float = 60.0  # seconds between two pieces of a response
    min_speed: float = 1024.0  # bytes per second, over the next field's time: a trickle never times out by itself
    stall_seconds: float = 60.0
    chunk_size: int = 1 << 20  # bytes

    @property
    def timeouts(self) -> tuple[float, float]:
        """Connect and read timeout, as requests takes them."""
        return self.connect_timeout, self.read_timeout


def retry(
    attempt: Callable[[], Result],
    policy: RetryPolicy,
    name: str,
    *,
    may_repeat: Callable[[RequestError], bool] = lambda _: True,
    has_progressed: Callable[[], bool] = lambda: False,
) -> Result:
    """The result of the first attempt that succeeds, else the last RequestError; progress resets the failure count."""
    failures = 0
    while True:
        try:
            return attempt()
        except RequestError as error:
            failures = 1 if has_progressed() else failures + 1
            if not may_repeat(error) or not policy.wait(failures, error, name):
                raise

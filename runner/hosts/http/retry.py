"""How often and how long to retry a request, and the limits of a transfer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from runner.console import log
from runner.hosts.http.errors import RequestError

# Seconds. The doubling delay stops here; a server's own Retry-After may be longer.
_MAX_DELAY = 60.0
_HOUR = 3600.0

Result = TypeVar("Result")


@dataclass(frozen=True)
class RetryPolicy:
    """How many attempts to make, and how long to wait in between."""

    sleep: Callable[[float], None] = time.sleep
    attempts: int = 7
    initial_delay: float = 1.0  # seconds; doubled after every failure
    max_wait: float = 15 * 60.0  # seconds within an hour, over all requests that share a budget
    clock: Callable[[], float] = time.monotonic

    def delay(self, failures: int, error: RequestError) -> float | None:
        """Seconds until the next attempt: what the server asks for, or twice as long as before; None if it is none."""
        if not error.retryable or failures >= self.attempts:
            return None
        if error.retry_after is not None:
            return error.retry_after
        return min(self.initial_delay * 2.0 ** (failures - 1), _MAX_DELAY)


@dataclass
class WaitBudget:
    """The waits that a policy still allows: many requests cannot each wait as long as one may."""

    policy: RetryPolicy
    _waits: list[tuple[float, float]] = field(default_factory=list)  # when, and how long

    def allows(self, delay: float) -> bool:
        """Whether this wait is within what an hour allows."""
        now = self.policy.clock()
        self._waits = [(start, seconds) for start, seconds in self._waits if now - start < _HOUR]
        return sum(seconds for _, seconds in self._waits) + delay <= self.policy.max_wait

    def wait(self, delay: float, reason: str) -> None:
        """Sleep, and say why and until when."""
        log.info(f"{reason}; next attempt {describe_wait(delay)}")
        self._waits.append((self.policy.clock(), delay))
        self.policy.sleep(delay)


def describe_wait(seconds: float) -> str:
    """`in 8 s`, or `at 14:05 UTC, in 15 min`."""
    if seconds <= 60:
        return f"in {seconds:.0f} s"
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    return f"at {until:%H:%M} UTC, in {seconds / 60:.0f} min"


@dataclass(frozen=True)
class TransferLimits:
    """Timeouts of every request, the longest answer, and the slowest download that is not cut off."""

    connect_timeout: float = 10.0  # seconds
    read_timeout: float = 60.0  # seconds between two pieces of a response
    min_speed: float = 1024.0  # bytes per second, over the next field's time: a trickle never times out by itself
    stall_seconds: float = 60.0
    chunk_size: int = 1 << 20  # bytes
    answer_seconds: float = 60.0  # for a complete answer of the service, and for the headers of a download
    answer_bytes: int = 16 << 20  # of an answer, decompressed; a page of 200 items has less than one megabyte
    call_seconds: float = 300.0  # after which a call is not repeated
    list_pages: int = 5000  # 200 items each
    list_bytes: int = 256 << 20
    list_seconds: float = 1800.0

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
    budget: WaitBudget | None = None,
    max_seconds: float | None = None,
) -> Result:
    """The result of the first attempt that succeeds, else the last RequestError; progress resets the failure count.

    There is no further attempt after `max_seconds`, or once the budget of waits is used up.
    """
    failures, start = 0, policy.clock()
    budget = budget or WaitBudget(policy)
    while True:
        try:
            return attempt()
        except RequestError as error:
            failures = 1 if has_progressed() else failures + 1
            delay = policy.delay(failures, error)
            if delay is None or not may_repeat(error):
                raise
            if not budget.allows(delay):
                error.message += f"; this command waits no longer than {policy.max_wait / 60:.0f} min in an hour"
                raise
            if max_seconds is not None and policy.clock() - start > max_seconds:
                error.message += f"; {failures} attempts took more than {max_seconds / 60:.0f} min"
                raise
            budget.wait(delay, f"{name}: {error.message}")

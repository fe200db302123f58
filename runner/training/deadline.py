"""A training that has to end by a moment, as a session on a host's machine does: it stops between two epochs.

What is trained by then is kept: its snapshots, and a checkpoint after the last epoch.
"""

from __future__ import annotations

import time

from runner.options import Deadline
from runner.training.distributed import broadcast_from_main
from runner.training.schedule import Epoch

_MARGIN = 1.2  # of the longest epoch: the next may take longer


class DeadlineReached(Exception):  # noqa: N818 - the training has not failed
    """The next epoch, or the next cycle, would not end in time."""


def require_time(deadline: Deadline | None, epoch: Epoch, longest: float) -> None:
    """Raise a DeadlineReached on every process if this epoch would not end in time; `longest` is that of its stage.

    A cycle is begun only if it ends in time, except for the first epochs of a session: else a cycle that is longer than
    a session would never end.
    """
    if deadline is not None and broadcast_from_main(lambda: _is_too_late(deadline, epoch, longest)):
        raise DeadlineReached


def _is_too_late(deadline: Deadline, epoch: Epoch, longest: float) -> bool:
    begins_cycle = epoch.epoch_in_cycle == 0
    count = epoch.cycle_epochs if begins_cycle and deadline.epochs else 1
    return time.monotonic() + _MARGIN * longest * count > deadline.at

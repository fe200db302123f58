"""The size that a view is predicted at with `--size`, which its name tells: `hflip at 184 px`."""

from __future__ import annotations

import re
from collections.abc import Sequence

_AT_SIZE = re.compile(r" at (\d+) px$")


def name_at_size(name: str, size: int) -> str:
    """The name of a view at a size of its own."""
    return f"{name} at {size} px"


def name_without_size(name: str) -> str:
    """The name of what a view shows, at any size."""
    return _AT_SIZE.sub("", name)


def size_in(names: Sequence[str]) -> int | None:
    """The size that the names of a model's views tell; None: the size that it was trained at."""
    found = _AT_SIZE.search(names[0]) if names else None
    return int(found.group(1)) if found else None

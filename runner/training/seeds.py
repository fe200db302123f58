"""Seeds derived from names: a random draw depends on neither workers, order nor history.

Every draw is seeded by the run's seed and a name for where it is made. So one epoch can be repeated by itself, and
an interrupted run resumes exactly.
"""

from __future__ import annotations

import hashlib


def seed_for(seed: int, *names: object) -> int:
    """A 63-bit seed for one draw, such as `seed_for(42, "order", fold, epoch)`."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

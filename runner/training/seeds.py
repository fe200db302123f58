"""Randomness that depends on what is done, and on nothing else: not on workers, order or history.

Every draw is seeded by the run's seed and a name for the place where it is made. So an epoch can be
repeated alone, which is what makes a broken run go on as if nothing had happened.
"""

from __future__ import annotations

import hashlib


def seed_for(seed: int, *place: object) -> int:
    """A 63-bit seed for one place, such as `seed_for(42, "order", fold, epoch)`."""
    text = "/".join(map(str, (seed, *place)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

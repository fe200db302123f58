"""Practice data for notebooks: a small public test set with ids of its own, in the place of which the real one comes.

The hidden test set is the whole of the practice data's, so that leaderboard and solution stay what they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from runner.errors import HostError
from runner.practice.synthetic_data import Archive, SyntheticData

_PUBLIC_ROWS = 12  # Kaggle's public test sets are often a few rows


def public_archives(data: SyntheticData) -> tuple[Archive, ...]:
    """The archives with the small test set: those that differ have their counterpart among `data.archives`."""
    public_id = {id: hashlib.md5(f"public {id}".encode()).hexdigest() for id in data.test.ids[:_PUBLIC_ROWS]}
    archives = tuple(_with_public_test(archive, data, public_id) for archive in data.archives)
    if sum(ours != theirs for ours, theirs in zip(archives, data.archives, strict=True)) < 2:
        raise HostError(
            "the test images of this practice data are not files, so they cannot be exchanged for hidden ones",
            fix="runner demo --notebooks dog-breed",
        )
    return archives


def _with_public_test(archive: Archive, data: SyntheticData, public_id: Mapping[str, str]) -> Archive:
    hidden = set(data.test.ids)
    files: dict[str, bytes] = {}
    for name, content in archive.files.items():
        path = PurePosixPath(name)
        if content == data.sample_submission:
            files[name] = _public_sample(content, public_id)
        elif path.stem not in hidden:
            files[name] = content
        elif path.stem in public_id:
            files[str(path.with_name(public_id[path.stem] + path.suffix))] = content
    return archive if files == archive.files else replace(archive, files=files)


def _public_sample(content: bytes, public_id: Mapping[str, str]) -> bytes:
    header, *rows = content.decode().splitlines()
    cells = (row.partition(",") for row in rows)
    public = [f"{public_id[id]},{rest}" for id, _, rest in cells if id in public_id]
    return ("\n".join([header, *public]) + "\n").encode()

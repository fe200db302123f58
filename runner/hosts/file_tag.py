"""The mark in a submission's description that tells which file it was: the host's own list then knows it again."""

from __future__ import annotations

import re


def file_tag(digest: str) -> str:
    """The mark of a file with this sha256."""
    return f"sha256:{digest[:12]}"


def parse_file_tag(description: str) -> str:
    """The mark in a description; empty where there is none."""
    found = re.search(r"\bsha256:[0-9a-f]{12}\b", description)
    return found[0] if found else ""

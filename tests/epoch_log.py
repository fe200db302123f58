"""log.jsonl without what differs from one training to the same training again."""

from __future__ import annotations

import json
from typing import Any


def without_times(content: bytes) -> list[dict[str, Any]]:
    """The lines of a log without how long their epochs took, and without their checksums, which cover it."""
    return [
        {name: value for name, value in json.loads(line).items() if "second" not in name and name != "checksum"}
        for line in content.splitlines()
    ]

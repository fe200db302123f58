"""What the benchmarks claim: each figure with what it should be, told at once, and all together by `make bench`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

# `python -m benchmarks` names the file here in which all scripts leave theirs.
_FILE = "BENCHMARK_CLAIMS"


@dataclass(frozen=True)
class Claim:
    """One figure: what it is of, what came out, what it should be, and whether it is; None where nothing is asked."""

    of: str
    found: str
    wanted: str = ""
    holds: bool | None = None

    def __str__(self) -> str:
        verdict = {None: "", True: "yes", False: "NO"}[self.holds]
        return f"{self.of:<66}{self.found:>18}{self.wanted:>14}{verdict:>5}"


def claim(of: str, found: str, wanted: str = "", holds: bool | None = None) -> None:
    """Say a figure, and leave it for the table at the end."""
    made = Claim(of, found, wanted, holds)
    print(f"-> {made}", flush=True)
    if _FILE in os.environ:
        with Path(os.environ[_FILE]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(made)) + "\n")


def gather_into(path: Path) -> dict[str, str]:
    """The environment for scripts that are to leave their claims in this file."""
    return {**os.environ, _FILE: str(path)}


def read_claims(path: Path) -> list[Claim]:
    """What the scripts have left, in order."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Claim(**json.loads(line)) for line in lines]

"""How long `runner demo` takes on each practice competition, and its score beside the best baseline's."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.claims import claim
from competitions import load
from runner.practice.build import practice_names

LIMIT_SECONDS = 90


def main() -> None:
    print(f"{'competition':<12}{'seconds':>9}{'cv':>10}{'public':>10}{'private':>10}{'best baseline':>10}{'rank':>8}")
    for name in practice_names():
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            runner = [sys.executable, "-m", "runner", "--workspace", folder, "-q"]
            subprocess.run([*runner, "demo", name], check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - started
            asked = [*runner, "--host", "practice", name, "standings", "--json"]
            printed = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
            told = json.loads(printed)["submissions"][0]
            baselines = _baseline_scores(Path(folder) / "practice" / "practice-host" / name / "leaderboard.csv")
            best = load(name).metric.best(baselines, key=float)
        late = "" if seconds <= LIMIT_SECONDS else "  over the limit"
        print(
            f"{name:<12}{seconds:>9.1f}{float(told['cv']):>10.4f}{float(told['public']):>10.4f}"
            f"{float(told['private']):>10.4f}{best:>10.4f}{told['rank']:>8}{late}"
        )
        claim(f"runner demo {name}, rank {told['rank']}", f"{seconds:.1f} s", f"<= {LIMIT_SECONDS} s", not late)


def _baseline_scores(leaderboard: Path) -> list[float]:
    with leaderboard.open(encoding="utf-8", newline="") as file:
        return [float(row["private"]) for row in csv.DictReader(file)]


main()

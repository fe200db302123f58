"""`python -m benchmarks`: every benchmark, one after the other."""

from __future__ import annotations

import subprocess
import sys

SCRIPTS = ("demo", "submission_form", "ensemble_size", "unpack_memory", "transfer", "startup", "growth")


def main() -> None:
    for name in SCRIPTS:
        print(f"\n== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)


main()

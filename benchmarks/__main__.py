"""`python -m benchmarks`: every benchmark, one after the other, and a table of what they claim.

With a folder of real photographs and a weights file the comparison with fastai, and what speed costs in score, are run
too. Peers are measured where their environment is (`make peers`).
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.claims import Claim, gather_into, read_claims

SCRIPTS = (
    "startup",
    "input_speed",
    "stage_speed",
    "view_speed",
    "explore_speed",
    "demo",
    "growth",
    "submission_form",
    "ensemble_size",
    "unpack_memory",
    "transfer",
)


def main() -> int:
    """0 where every script ran; what is claimed and does not hold is said, and is no fault of the run."""
    options = parse_options()
    calls = [[name] for name in SCRIPTS if name in options.only.split(",") or not options.only]
    if options.folder:
        weights = ["--weights", str(options.weights)] if options.weights else []
        calls.append(["score_of_speed", str(options.folder), "--model", options.model, *weights])
        calls.append(["versus_fastai", str(options.folder), "--model", options.model, *weights, "--refit_of", "3"])
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "claims.jsonl"
        failed = [call[0] for call in calls if not run(call, told)]
        print_table(read_claims(told))
    if failed:
        print(f"broken off: {', '.join(failed)}")
    return int(bool(failed))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="of dog-breed's form, with real photographs: what needs them is run"
    )
    parser.add_argument("--model", default="mobilenetv2_100", metavar="NAME")
    parser.add_argument("--weights", type=Path, metavar="FILE")
    parser.add_argument("--only", default="", metavar="NAME,NAME", help=f"of {', '.join(SCRIPTS)}")
    return parser.parse_args()


def run(call: list[str], told: Path) -> bool:
    """One script in a process of its own; whether it came to its end. 1 is a claim that does not hold."""
    print(f"\n== {' '.join(call)}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{call[0]}", *call[1:]], env=gather_into(told), check=False
    )
    return done.returncode in (0, 1)


def print_table(claims: list[Claim]) -> None:
    """All claims below each other, under the date and the machine."""
    print(f"\n{datetime.now(UTC):%d %B %Y}, {machine()}")
    print(Claim("", "found", "wanted"))
    for claim in claims:
        print(claim)


def machine() -> str:
    """The processor and how many there are, the graphics card where there is one; nothing that names anybody."""
    import torch

    card = f", {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else ""
    kind = str(torch.cpu.get_capabilities().get("cpu_name", "") or platform.machine())
    return f"{os.cpu_count()} cores ({kind}){card}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    sys.exit(main())

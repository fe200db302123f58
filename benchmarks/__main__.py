"""`python -m benchmarks`: every benchmark, one after the other, then a table of all claims.

With a folder of photographs and a weights file, the comparison with fastai and the cost of fast inference run too.
Peers run if their environment is there (`make peers`).
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

import torch

from benchmarks.harness import CLAIM_MISSED, Claim, claims_environment, read_claims

BENCHMARKS = (
    "startup",
    "images loading",
    "training stages",
    "training fusing",
    "images tta",
    "images headers",
    "images arrival",
    "images checksums",
    "quality demo",
    "scale growth",
    "scale classes",
    "scale submission",
    "scale ensemble",
    "data json",
    "data download",
)


def main() -> int:
    """0 if every benchmark ran to its end, also if a claim does not hold."""
    options = parse_options()
    only = options.only.split(",") if options.only else []
    calls = [name.split() for name in BENCHMARKS if not only or name in only or name.split()[0] in only]
    if options.folder:
        weights = ["--weights", str(options.weights)] if options.weights else []
        flags = [str(options.folder), "--model", options.model, *weights]
        calls += [["training", "fast-inference", *flags], ["beside", *flags, "--repeats", "3"]]
    with tempfile.TemporaryDirectory() as folder:
        claims_file = Path(folder) / "claims.jsonl"
        failed = [call for call in calls if not run(call, claims_file)]
        print_table(read_claims(claims_file))
    if failed:
        print(f"failed: {', '.join(' '.join(call) for call in failed)}")
    return int(bool(failed))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="photographs laid out as dog-breed, for the benchmarks that need them"
    )
    parser.add_argument("--model", default="mobilenetv2_100", metavar="NAME")
    parser.add_argument("--weights", type=Path, metavar="FILE")
    parser.add_argument("--only", default="", metavar="NAME,NAME", help=f"of: {', '.join(BENCHMARKS)}")
    return parser.parse_args()


def run(call: list[str], claims_file: Path) -> bool:
    """Run a benchmark in a new process; whether it ran to its end."""
    module, *arguments = call
    print(f"\n== {' '.join(call)}", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    return subprocess.run(command, env=claims_environment(claims_file), check=False).returncode in (0, CLAIM_MISSED)


def print_table(claims: list[Claim]) -> None:
    """Print the date, the machine and all claims."""
    print(f"\n{datetime.now(UTC):%d %B %Y}, {describe_machine()}")
    print(Claim("", "value", "target"))
    for claim in claims:
        print(claim)


def describe_machine() -> str:
    """Cores, processor, GPU, torch and load; nothing that identifies a user."""
    gpu = f", {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else ""
    processor = str(torch.cpu.get_capabilities().get("cpu_name", "") or platform.machine())
    return f"{os.cpu_count()} cores ({processor}){gpu}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    sys.exit(main())

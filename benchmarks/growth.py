"""How index, split, check, ensemble and report grow with the rows: seconds and peak memory, each in its own process.

A step is what the command of its name does, from the files on the disk to the files on the disk. Seconds and memory are
what it takes beyond its imports; processor seconds are the steadier figure where others use the machine, and it is they
that are judged. At N rows there are N labelled ones, all of them held out once (5 folds, 2 members), and N to predict.
Up to 100,000 the images are files; a million are rows of an array (see growth_ground.py), which the smaller sizes are
measured with too, so that like grows beside like.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import runner  # noqa: F401  # isort: skip  # before torch: it sets how threads wait

from benchmarks.claims import claim
from benchmarks.growth_ground import KINDS, NAME, RUN, competition_of, lay_ground, write_run
from runner.workspace import Workspace

STEPS = ("index", "split", "ensemble", "check", "report")
ROWS = (1_000, 10_000, 100_000, 1_000_000)
MOST = {"files": 100_000, "array": 1_000_000, "tags": 10_000}
# Seconds or memory for ten times the rows. Ten is linear; of seconds a little more, because rows are sorted, and
# because a table of a million names does not lie in the processor's caches, which others use as well.
LINEAR = {"seconds": 13.0, "MB": 11.0}
CONSTANT = {"seconds": 0.5, "MB": 50.0}  # below it what does not grow is most of it


def main() -> int:
    """0 where everything grows no faster than the rows."""
    options = parse_options()
    if options.step:
        return take_step(options.step, options.kind, Workspace(options.ground))
    header = f"{'images':9}{'step':10}{'rows':>11}{'seconds':>10}{'cpu s':>8}{'x':>7}{'peak MB':>10}{'x':>7}  remark"
    print(header)
    grown = [name for kind in options.kinds.split(",") for name in measure_kind(kind, options.rows, options.ground)]
    print(
        "every step grows with its rows, but for sorting and the processor's caches"
        if not grown
        else f"faster than the rows grow: {', '.join(grown)}"
    )
    return int(bool(grown))


def parse_options() -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=lambda text: tuple(map(int, text.split(","))), default=ROWS, metavar="N,N")
    parser.add_argument("--kinds", default=",".join(KINDS), help="files, array, tags")
    parser.add_argument("--ground", type=Path, help="keep what is made in this folder")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    return parser.parse_args()


def measure_kind(kind: str, sizes: tuple[int, ...], kept: Path | None) -> list[str]:
    """A line a step and size; the steps that grew faster than the rows."""
    before: dict[str, Measured] = {}
    grown = []
    for rows in (size for size in sizes if size <= MOST[kind]):
        with tempfile.TemporaryDirectory(dir=kept) as folder:
            workspace = Workspace(Path(folder))
            lay_ground(workspace, kind, rows)
            for step in STEPS:
                if step == "ensemble":
                    write_run(workspace, kind, rows)
                found = measure(step, kind, rows, workspace)
                print(found.line(kind, step, before.get(step)), flush=True)
                if rows == MOST[kind]:
                    claim_growth(kind, step, found, before.get(step))
                grown += [f"{step} ({kind}, {rows:,})"] * found.is_faster_than_rows(before.get(step))
                before[step] = found
    return grown


def claim_growth(kind: str, step: str, found: Measured, before: Measured | None) -> None:
    """The figures of the largest size, beside a tenth of its rows."""
    if before is None:
        return
    cpu, megabytes = found.factors(before)
    holds = not found.is_faster_than_rows(before)
    told = f"{found.cpu:.1f} s, {found.megabytes:.0f} MB"
    wanted = f"x {LINEAR['seconds']:g}, x {LINEAR['MB']:g}"
    claim(f"{step}, {found.rows:,} rows ({kind}): x {cpu:.1f} time, x {megabytes:.1f} memory", told, wanted, holds)


@dataclass(frozen=True)
class Measured:
    """What a step took, beyond its imports."""

    rows: int
    seconds: float
    cpu: float
    megabytes: float
    remark: str

    def factors(self, before: Measured) -> tuple[float, float]:
        """Processor seconds and memory over those of the size before, for each ten times the rows."""
        share = self.rows / before.rows / 10
        return self.cpu / max(before.cpu, 1e-3) / share, self.megabytes / max(before.megabytes, 0.1) / share

    def is_faster_than_rows(self, before: Measured | None) -> bool:
        """Whether seconds or memory grew faster than the rows, once they are more than constant costs."""
        if before is None:
            return False
        cpu, megabytes = self.factors(before)
        slow = before.cpu > CONSTANT["seconds"] and cpu > LINEAR["seconds"]
        return slow or (before.megabytes > CONSTANT["MB"] and megabytes > LINEAR["MB"])

    def line(self, kind: str, step: str, before: Measured | None) -> str:
        """The line of the table."""
        cpu, megabytes = ("-", "-") if before is None else (f"{one:.1f}" for one in self.factors(before))
        time_told = f"{self.seconds:>10.2f}{self.cpu:>8.2f}{cpu:>7}"
        return f"{kind:9}{step:10}{self.rows:>11,}{time_told}{self.megabytes:>10.0f}{megabytes:>7}  {self.remark}"


def measure(step: str, kind: str, rows: int, workspace: Workspace) -> Measured:
    """The figures of a step in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.growth", "--step", step, "--kind", kind]
    done = subprocess.run([*command, "--ground", str(workspace.root)], stdout=subprocess.PIPE, text=True, check=True)
    seconds, cpu, megabytes, remark = done.stdout.splitlines()[-1].split(" ", 3)
    return Measured(rows, float(seconds), float(cpu), float(megabytes), remark)


def take_step(step: str, kind: str, workspace: Workspace) -> int:
    """One step here and now; its figures on the last line of stdout."""
    run = {"index": index, "split": split, "ensemble": ensemble, "check": check, "report": report}[step]
    act = run(competition_of(kind), workspace)
    held, begun, cpu = memory_held(), time.perf_counter(), time.process_time()
    remark = act()
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    print(f"{seconds:.3f} {cpu:.3f} {peak() - held:.1f} {remark}")
    return 0


def memory_held() -> float:
    """What this process holds now, in MB; from here on `peak` counts anew where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return peak()


def peak() -> float:
    """The most memory that this process has held, in MB."""
    try:
        # Not ru_maxrss: a process that was started by a larger one begins with the peak of that one.
        return _status("VmHWM")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name))


def index(competition: Any, workspace: Workspace) -> Callable[[], str]:
    """The checked table of all images."""
    from runner.data.index import build_index

    return lambda: f"{len(build_index(competition, workspace.data_dir(NAME)).table):,} images"


def split(competition: Any, workspace: Workspace) -> Callable[[], str]:
    """`runner COMPETITION split --folds 5`."""
    from runner import pipeline
    from runner.data.splits import SplitPlan

    return lambda: f"{megabytes(pipeline.split(competition, workspace, SplitPlan(folds=5))[0]):.1f} MB"


def ensemble(competition: Any, workspace: Workspace) -> Callable[[], str]:
    """`runner COMPETITION ensemble RUN`: the final step, its honest score, the submission."""
    from runner import pipeline
    from runner.training.run import find_run

    def act() -> str:
        run = pipeline.ensemble(competition, workspace, [find_run(workspace, NAME, RUN)])
        score = run.read_score()
        assert score is not None
        return f"cv {score['cv']['value']:.6f}, {score['plan']}"

    return act


def check(competition: Any, workspace: Workspace) -> Callable[[], str]:
    """`runner COMPETITION check FILE`, of the submission that the ensemble wrote."""
    from runner import pipeline

    path = workspace.submissions_dir(NAME) / f"{RUN}.csv"
    return lambda: f"{pipeline.check(competition, workspace, path):,} rows, {megabytes(path):.1f} MB"


def report(competition: Any, workspace: Workspace) -> Callable[[], str]:
    """`runner COMPETITION report RUN`."""
    from runner.report.run.page import write_report
    from runner.session import Session
    from runner.training.run import find_run

    run = find_run(workspace, NAME, RUN)
    return lambda: f"a page of {megabytes(write_report(Session(competition, workspace), run).path):.2f} MB"


def megabytes(path: Path) -> float:
    """The size of a file."""
    return path.stat().st_size / 1e6


if __name__ == "__main__":
    sys.exit(main())

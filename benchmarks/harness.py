"""What all benchmarks share: flags from a function's signature, claims, timing, and a generated competition.

A benchmark is a function whose parameters are its flags; it prints its figures by `claim`. A module ends with

    if __name__ == "__main__":
        main(loading, tta)

and then `python -m benchmarks.MODULE` runs all of them, `python -m benchmarks.MODULE loading --images 300` one.
"""

from __future__ import annotations

import argparse
import csv
import inspect
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import cv2
import numpy as np

from runner.contract import Recipe

Item = TypeVar("Item")
Result = TypeVar("Result")
Benchmark = Callable[..., None]

# `python -m benchmarks` names a file here, and every script appends its claims to it.
_CLAIMS_FILE = "BENCHMARK_CLAIMS"
CLAIM_MISSED = 3  # the exit code of a benchmark that ran, and a claim does not hold
_failed: list[Claim] = []

# --- command line -------------------------------------------------------------------------------


def main(*benchmarks: Benchmark) -> None:
    """Run the benchmark that the command line names, or all; exit code 3 if a claim does not hold."""
    parser = argparse.ArgumentParser(description=inspect.getdoc(benchmarks[0]) if len(benchmarks) == 1 else None)
    if len(benchmarks) == 1:
        _add_flags(parser, benchmarks[0])
    elif len(sys.argv) > 1:
        subparsers = parser.add_subparsers(required=True)
        for benchmark in benchmarks:
            text = inspect.getdoc(benchmark)
            _add_flags(
                subparsers.add_parser(benchmark.__name__.replace("_", "-"), help=text, description=text), benchmark
            )
    flags = vars(parser.parse_args())
    chosen = flags.pop("benchmark", None)
    for benchmark in [chosen] if chosen else benchmarks:
        print(f"{benchmark.__name__}; load before: {os.getloadavg()[0]:.1f}", flush=True)
        benchmark(**flags)
    sys.exit(CLAIM_MISSED if _failed else 0)


def _add_flags(parser: argparse.ArgumentParser, benchmark: Benchmark) -> None:
    """A flag for each parameter; one without a default is positional."""
    types = get_type_hints(benchmark)
    for name, parameter in inspect.signature(benchmark).parameters.items():
        positional = parameter.default is inspect.Parameter.empty
        flag = name if positional else f"--{name.replace('_', '-')}"
        options = {} if positional else {"default": parameter.default, "help": f"default: {parameter.default}"}
        parser.add_argument(flag, type=_parser_of(types[name]), **options)
    parser.set_defaults(benchmark=benchmark)


def _parser_of(annotation: Any) -> Callable[[str], Any]:
    """int, float, str, Path, each of them or None, or a tuple of them, written with commas; '' is an empty one."""
    arguments = [argument for argument in get_args(annotation) if argument not in (type(None), ...)]
    if getattr(annotation, "__origin__", None) is tuple:
        return lambda text: tuple(arguments[0](word) for word in text.split(",") if word)
    return arguments[0] if arguments else annotation  # type: ignore[no-any-return]


# --- claims -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claim:
    """A figure, its target and whether it is met; None if it has no target."""

    figure: str
    value: str
    target: str = ""
    holds: bool | None = None

    def __str__(self) -> str:
        verdict = {None: "", True: "yes", False: "NO"}[self.holds]
        return f"{self.figure:<72}{self.value:>18}{self.target:>14}{verdict:>5}"


def claim(figure: str, value: str, target: str = "", holds: bool | None = None) -> None:
    """Print a figure, and keep it for the table of `python -m benchmarks`."""
    result = Claim(figure, value, target, holds)
    print(f"-> {result}", flush=True)
    if holds is False:
        _failed.append(result)
    if _CLAIMS_FILE in os.environ:
        with Path(os.environ[_CLAIMS_FILE]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(result)) + "\n")


def claims_environment(path: Path) -> dict[str, str]:
    """The environment of a script that appends its claims to this file."""
    return {**os.environ, _CLAIMS_FILE: str(path)}


def read_claims(path: Path) -> list[Claim]:
    """The claims in the file, in order."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Claim(**json.loads(line)) for line in lines]


# --- timing and memory --------------------------------------------------------------------------


def median_seconds(works: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each work; they take turns, so that a busy moment meets all; the first turn is a warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def timed(title: str, work: Callable[[], Result]) -> Result:
    """Print the seconds of the work; return its result."""
    started = time.perf_counter()
    result = work()
    print(f"{title:<24}{time.perf_counter() - started:>8.2f} s", flush=True)
    return result


@dataclass(frozen=True)
class Measurement:
    """A work in a process of its own."""

    result: Any
    seconds: float
    cpu_seconds: float
    peak_mb: float  # of the process
    added_mb: float  # the peak less the memory before the work


def measure(prepare: Callable[..., Callable[[], object]], *arguments: object) -> Measurement:
    """Run `prepare(*arguments)()` in a new process; only the second call is timed, not the imports of the first."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure_here, prepare, arguments).result()


def _measure_here(prepare: Callable[..., Callable[[], object]], arguments: tuple[object, ...]) -> Measurement:
    work = prepare(*arguments)
    before, started, cpu = _memory_mb_and_reset_peak(), time.perf_counter(), time.process_time()
    result = work()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = _peak_mb()
    return Measurement(result, seconds, cpu, peak, peak - before)


def _memory_mb_and_reset_peak() -> float:
    try:
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
        return _status_mb("VmRSS")
    except OSError:
        return _peak_mb()


def _peak_mb() -> float:
    try:
        # Not ru_maxrss: a process that a larger one started begins with the peak of that one.
        return _status_mb("VmHWM")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def _status_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(name))


def children_cpu_seconds() -> float:
    """Processor seconds of the processes that this one has started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


# --- work side by side --------------------------------------------------------------------------


def finished_within(
    budget: float,
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    jobs: int,
    start: Callable[..., None],
    arguments: tuple[Any, ...],
    fresh: bool = False,
) -> Iterator[Result]:
    """What `work` makes of the items in forked processes, as soon as it is known, for at most so many seconds.

    `start` is called with the arguments in each process; `fresh` gives every item a process of its own.
    """
    began, context = time.perf_counter(), multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__])
    with context.Pool(jobs, start, arguments, maxtasksperchild=1 if fresh else None) as pool:
        finished = pool.imap_unordered(work, items)
        for number in range(len(items)):
            try:
                one = finished.next(timeout=max(0.0, budget - (time.perf_counter() - began)))
            except multiprocessing.TimeoutError:
                print(f"the budget is used up: {number} of {len(items)} have finished", flush=True)
                return
            yield one


# --- a generated competition --------------------------------------------------------------------

HEIGHT, WIDTH = 375, 500  # the size of most of dog-breed's photographs

_COMPETITION_FILE = '''"""Dog-breed with another recipe."""

from dataclasses import replace

from competitions.dog_breed import COMPETITION as DOG_BREED
from runner.contract.recipe import recipe_from_dict

COMPETITION = replace(DOG_BREED, slug={name!r}, title={name!r}, recipe=recipe_from_dict({recipe!r}))
'''


def write_dataset(folder: Path, images: int, *, breeds: int = 10, test: int = 20) -> None:
    """Write a dataset laid out as dog-breed: generated JPEGs, labels.csv and sample_submission.csv."""
    names = [f"breed_{number}" for number in range(breeds)]
    for subset, count in (("train", images), ("test", test)):
        paths = [folder / subset / f"{subset}{number:05d}.jpg" for number in range(count)]
        write_images(paths, breeds, first_seed=10**6 if subset == "test" else 0)
    labels = [[f"train{number:05d}", names[number % breeds]] for number in range(images)]
    write_csv(folder / "labels.csv", ["id", "breed"], labels)
    uniform = [1 / breeds] * breeds
    sample = [[f"test{number:05d}", *uniform] for number in range(test)]
    write_csv(folder / "sample_submission.csv", ["id", *names], sample)


def write_images(paths: Sequence[Path], classes: int = 10, first_seed: int = 0) -> None:
    """Write a generated JPEG to each path, always the same pixels; the classes alternate."""
    for folder in {path.parent for path in paths}:
        folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        numbers = range(len(paths))
        list(pool.map(_write_image, paths, [n % classes for n in numbers], [first_seed + n for n in numbers]))


def _write_image(path: Path, discs: int, seed: int) -> None:
    """Noise at three scales with discs on it: as slow to decode as a photograph, about 60 kB."""
    random = np.random.default_rng(seed)
    image = np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32)
    for cells, strength in ((6, 60), (40, 30), (190, 25)):
        noise = random.normal(scale=strength, size=(cells, cells, 3)).astype(np.float32)
        image += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for _ in range(discs + 1):
        centre = (int(random.integers(WIDTH)), int(random.integers(HEIGHT)))
        cv2.circle(image, centre, int(random.integers(20, 80)), random.normal(scale=70, size=3).tolist(), -1)
    cv2.imwrite(str(path), np.clip(image + 128, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])


def write_csv(path: Path, header: Sequence[object], rows: Sequence[Sequence[object]]) -> None:
    """Write a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def read_csv(path: Path) -> list[list[str]]:
    """The rows of a CSV file, its header first."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def write_competition(workspace: Path, name: str, recipe: Recipe) -> None:
    """Write a competition file in the workspace: dog-breed with this recipe."""
    path = workspace / "competitions" / f"{name.replace('-', '_')}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_COMPETITION_FILE.format(name=name, recipe=recipe.to_dict()), encoding="utf-8")


def run_runner(workspace: Path, *words: object) -> str:
    """The output of a `runner` command in a new process; the benchmark ends if it fails."""
    command = [sys.executable, "-m", "runner", "--workspace", str(workspace), "-q", *map(str, words)]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        sys.exit(f"runner {' '.join(map(str, words))}: exit code {run.returncode}")
    return run.stdout

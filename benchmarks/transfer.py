"""Memory and speed of a large download over Kaggle's wire, on this machine: the peak must not grow with the file."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.claims import claim
from competitions import load
from runner.hosts.practice import PracticeData, PracticeHost, create_practice_competition
from tests.kaggle_server import KaggleServer, environment_for

DOGS = load("dog-breed")
GROWTH_MB = 20


def download_and_measure(path: Path, answers: multiprocessing.Queue[tuple[float, float]]) -> None:
    """In a process of its own, whose peak is therefore the download's."""
    from runner.hosts.kaggle import KaggleHost

    host = KaggleHost(DOGS)
    (file,) = host.list_files(DOGS.slug)
    begun = time.perf_counter()
    host.download_file(DOGS.slug, file, path, lambda _: None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answers.put((time.perf_counter() - begun, peak * (1 if sys.platform == "darwin" else 1024) / 1e6))


def measure(folder: Path, megabytes: int) -> float:
    """Serve a file of that size, fetch it, print the figures; the peak in MB."""
    large, sample = folder / "large.bin", folder / "sample.csv"
    with large.open("wb") as file:
        file.truncate(megabytes * 10**6)  # a hole: it takes no room on the disk, and is read as fast as any
    sample.write_text("id\n")
    create_practice_competition(DOGS, folder / "host", PracticeData(files={}, sample=sample, classes=(), solution=()))
    offered = folder / "host" / "files" / "large.bin"
    offered.parent.mkdir(parents=True)
    large.rename(offered)
    with KaggleServer({DOGS.slug: PracticeHost(DOGS, folder / "host")}) as server:
        os.environ.update(environment_for(server))
        spawn = multiprocessing.get_context("spawn")
        answers: multiprocessing.Queue[tuple[float, float]] = spawn.Queue()
        child = spawn.Process(target=download_and_measure, args=(folder / "got.bin", answers))
        child.start()
        seconds, peak = answers.get()
        child.join()
    assert (folder / "got.bin").stat().st_size == megabytes * 10**6
    print(f"{megabytes} MB in {seconds:.1f} s, {megabytes / seconds:.0f} MB/s, peak memory {peak:.0f} MB")
    return peak


def main() -> int:
    """0 where ten times the bytes take no more memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=2000, help="size of the large file")
    chosen = parser.parse_args().megabytes
    peaks = []
    for megabytes in (chosen // 10, chosen):
        with tempfile.TemporaryDirectory() as folder:
            peaks.append(measure(Path(folder), megabytes))
    growth = peaks[1] - peaks[0]
    claim(
        f"download of {chosen} MB: memory beyond a tenth of it",
        f"{growth:.0f} MB",
        f"<= {GROWTH_MB} MB",
        growth <= GROWTH_MB,
    )
    return int(peaks[1] - peaks[0] > GROWTH_MB)


if __name__ == "__main__":
    sys.exit(main())

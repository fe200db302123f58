"""Seconds and peak memory of turning iceberg's JSON, in its real sizes, into arrays and tables."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.claims import claim

BANDS, SHAPE = ("band_1", "band_2"), (75, 75)
ROWS = {"train": 1604, "test": 8424}
CEILING_MB = 1000


def write_records(path: Path, rows: int, *, labelled: bool) -> None:
    """A file as Kaggle's, 0.18 MB an object. Bands repeat after 64: reading them costs no less for it."""
    rng = np.random.default_rng(1)
    bands = [json.dumps((rng.normal(-21, 5, SHAPE[0] * SHAPE[1]) / 3).round(11).tolist()) for _ in range(64)]
    with path.open("w", encoding="utf-8") as handle:
        for row in range(rows):
            angle = '"na"' if labelled and row % 12 == 0 else f"{30 + row % 997 / 70:.4f}"
            label = f', "is_iceberg": {row % 2}' if labelled else ""
            first, second = bands[row % 64], bands[(row * 7 + 1) % 64]
            handle.write(", " if row else "[")
            handle.write(f'{{"id": "{row:08x}", "band_1": {first}, "band_2": {second}, "inc_angle": {angle}{label}}}')
        handle.write("]")


def unpack_and_measure(path: Path, answers: multiprocessing.Queue[tuple[float, float]]) -> None:
    """In a process of its own, whose peak is therefore the unpacking's."""
    from runner.data.json_arrays import extract_json_arrays

    begun = time.perf_counter()
    extract_json_arrays(path, BANDS, SHAPE, missing=("na",))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answers.put((time.perf_counter() - begun, peak * (1 if sys.platform == "darwin" else 1024) / 1e6))


def measure(folder: Path, part: str, rows: int) -> float:
    """Make one file, unpack it, print the figures; the peak in MB."""
    path = folder / f"{part}.json"
    write_records(path, rows, labelled=part == "train")
    spawn = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[tuple[float, float]] = spawn.Queue()
    child = spawn.Process(target=unpack_and_measure, args=(path, answers))
    child.start()
    seconds, peak = answers.get()
    child.join()
    size = path.stat().st_size / 1e6
    array = np.load(path.with_suffix(".npy"), mmap_mode="r")
    assert array.shape == (rows, len(BANDS), *SHAPE), array.shape
    speed = f"{size:.0f} MB in {seconds:.1f} s, {size / seconds:.0f} MB/s"
    print(f"{part}.json: {rows} rows, {speed}, peak memory {peak:.0f} MB")
    return peak


def main() -> int:
    """0 where the peak stays under its ceiling."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, help="rows of each file, in place of the real 1,604 and 8,424")
    chosen = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        peaks = [measure(Path(folder), part, chosen or rows) for part, rows in ROWS.items()]
    peak = max(peaks)
    claim("iceberg's JSON unpacked: peak memory", f"{peak:.0f} MB", f"<= {CEILING_MB} MB", peak <= CEILING_MB)
    return int(max(peaks) > CEILING_MB)


if __name__ == "__main__":
    sys.exit(main())

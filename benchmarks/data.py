"""Memory and speed of data: iceberg's JSON, and a large download.

python -m benchmarks.data json|download
"""

from __future__ import annotations

import json as json_module
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.harness import claim, main, measure
from competitions import load
from runner.hosts.practice import PracticeData, PracticeHost, create_practice_competition
from tests.kaggle_server import KaggleServer, environment_for

BANDS, SHAPE = ("band_1", "band_2"), (75, 75)
MAX_JSON_MB, MAX_DOWNLOAD_GROWTH_MB = 1000, 20
DOG_BREED = load("dog-breed")


# --- JSON ---------------------------------------------------------------------------------------


def json(train: int = 1604, test: int = 8424) -> None:
    """Seconds and peak memory to extract arrays from iceberg's JSON, by default with the real numbers of rows."""
    with tempfile.TemporaryDirectory() as folder:
        peak = max(extract(Path(folder), subset, rows) for subset, rows in (("train", train), ("test", test)))
    claim("arrays from iceberg's JSON: peak memory", f"{peak:.0f} MB", f"<= {MAX_JSON_MB} MB", peak <= MAX_JSON_MB)


def extract(folder: Path, subset: str, rows: int) -> float:
    """Write a JSON file and extract its arrays; print the figures and return the peak in MB."""
    path = folder / f"{subset}.json"
    write_json_images(path, rows, labelled=subset == "train")
    measured = measure(prepare_extraction, path)
    array = np.load(path.with_suffix(".npy"), mmap_mode="r")
    assert array.shape == (rows, len(BANDS), *SHAPE), array.shape
    size = path.stat().st_size / 1e6
    speed = f"{size:.0f} MB in {measured.seconds:.1f} s, {size / measured.seconds:.0f} MB/s"
    print(f"{path.name}: {rows} rows, {speed}, peak memory {measured.peak_mb:.0f} MB")
    return measured.peak_mb


def write_json_images(path: Path, rows: int, *, labelled: bool) -> None:
    """Write a file like Kaggle's, 0.18 MB an object. Bands repeat after 64, which makes them no faster to read."""
    random = np.random.default_rng(1)
    bands = [json_module.dumps((random.normal(-21, 5, SHAPE[0] * SHAPE[1]) / 3).round(11).tolist()) for _ in range(64)]
    with path.open("w", encoding="utf-8") as file:
        for row in range(rows):
            angle = '"na"' if labelled and row % 12 == 0 else f"{30 + row % 997 / 70:.4f}"
            label = f', "is_iceberg": {row % 2}' if labelled else ""
            band_1, band_2 = bands[row % 64], bands[(row * 7 + 1) % 64]
            file.write(", " if row else "[")
            file.write(f'{{"id": "{row:08x}", "band_1": {band_1}, "band_2": {band_2}, "inc_angle": {angle}{label}}}')
        file.write("]")


def prepare_extraction(path: Path) -> Callable[[], None]:
    from runner.data.json_arrays import extract_json_arrays  # in the measured process

    return partial(extract_json_arrays, path, BANDS, SHAPE, missing=("na",))


# --- download -----------------------------------------------------------------------------------


def download(megabytes: int = 2000) -> None:
    """Peak memory of a large download from a local server that speaks Kaggle's protocol: it must not grow with size."""
    peaks = []
    for size in (megabytes // 10, megabytes):
        with tempfile.TemporaryDirectory() as folder:
            peaks.append(download_file(Path(folder), size))
    growth = peaks[1] - peaks[0]
    figure = f"download of {megabytes} MB: memory above that of a tenth"
    target = f"<= {MAX_DOWNLOAD_GROWTH_MB} MB"
    claim(figure, f"{growth:.0f} MB", target, growth <= MAX_DOWNLOAD_GROWTH_MB)


def download_file(folder: Path, megabytes: int) -> float:
    """Serve and download a file of this size; print the figures and return the peak in MB."""
    sample, target = folder / "sample.csv", folder / "downloaded.bin"
    sample.write_text("id\n")
    data = PracticeData(files={}, sample=sample, classes=(), solution=())
    create_practice_competition(DOG_BREED, folder / "host", data)
    offered = folder / "host" / "files" / "large.bin"
    offered.parent.mkdir(parents=True)
    with offered.open("wb") as file:
        file.truncate(megabytes * 10**6)  # a sparse file takes no disk, and is as fast to read
    with KaggleServer({DOG_BREED.slug: PracticeHost(DOG_BREED, folder / "host")}) as server:
        os.environ.update(environment_for(server))
        measured = measure(prepare_download, target)
    assert target.stat().st_size == megabytes * 10**6
    speed = f"{megabytes} MB in {measured.seconds:.1f} s, {megabytes / measured.seconds:.0f} MB/s"
    print(f"{speed}, peak memory {measured.peak_mb:.0f} MB")
    return measured.peak_mb


def prepare_download(path: Path) -> Callable[[], None]:
    from runner.hosts.kaggle import KaggleHost  # in the measured process, after its environment

    host = KaggleHost(DOG_BREED)
    (file,) = host.list_files(DOG_BREED.slug)
    return lambda: host.download_file(DOG_BREED.slug, file, path, lambda _: None)


if __name__ == "__main__":
    main(json, download)

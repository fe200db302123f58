"""Speed of images: loading beside other libraries, test-time augmentation, headers, the check of what has arrived.

python -m benchmarks.images loading|tta|headers|arrival|checksums|sources [--images N] ...
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import runner  # noqa: F401  # isort: skip  # before torch: it sets how threads wait

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks.harness import claim, main, median_seconds, write_dataset, write_images
from runner.contract import SIDE_ON, TOP_DOWN
from runner.data.checksums import CHECKSUMS, write_checksums
from runner.explore.image_stats import compute_image_stats, read_sizes
from runner.images.augment import build_augmentation
from runner.images.cache import CacheOptions
from runner.images.cached import open_cached_images
from runner.images.readers import ImageReader, open_images
from runner.images.unreadable import find_unreadable
from runner.images.views import MultiView, View, default_views
from runner.options import Compute
from runner.prediction.predict import EachView
from runner.training.distributed import get_accelerator, inference_context, keep_freed_memory
from runner.training.fold import worker_count
from runner.training.learner import predict_logits
from runner.training.loaders import ImageLoader, RowTargets, balanced_batches, inference_batch_size, shuffled_batches
from runner.training.model import build_network, normalise

PEERS_PYTHON = Path(__file__).parent.parent / ".venv-peers" / "bin" / "python"
BATCH_SIZE = 64

ImagesPerSecond = dict[str, list[list[float]]]  # by side, a list a repeat, of each epoch


# --- loading ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LoadingOptions:
    """The same for every side."""

    size: int
    batch_size: int
    workers: int
    epochs: int


def loading(
    images: int = 3000, size: int = 160, batch_size: int = 64, workers: int = 2, epochs: int = 3, repeats: int = 3
) -> None:
    """Images a second that reach a model, with and without the cache, beside fastai's loader and timm's.

    Every side reads the same 500 x 375 JPEGs and gives normalised floats. Sides take turns; the table has medians. Each
    turn begins without a cache. Peers run if their environment is there (`make peers`).
    """
    keep_freed_memory()
    options = LoadingOptions(size, batch_size, workers, epochs)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "images"
        # A folder a class, as the peers read them.
        write_images([source / f"breed_{number % 10}" / f"{number:05d}.jpg" for number in range(images)])
        print(f"{images} JPEGs 500 x 375, SIDE_ON at {size} px, {workers} workers")
        speeds: ImagesPerSecond = {}
        for repeat in range(repeats):
            for side, epoch_speeds in load_all_sides(options, source, Path(folder) / f"cache-{repeat}"):
                speeds.setdefault(side, []).append(epoch_speeds)
    report_loading(speeds)


def load_all_sides(options: LoadingOptions, source: Path, cache: Path) -> list[tuple[str, list[float]]]:
    """Each side's name and its images a second in each epoch."""
    sides = [
        ("runner", load_with_runner(options, source, CacheOptions(cache, 10**10))),
        ("runner, --cache-gb 0", load_with_runner(options, source, None)),
    ]
    if PEERS_PYTHON.exists():
        sides += [load_with_peer(peer, options, source) for peer in ("fastai", "timm")]
    return sides


def load_with_runner(options: LoadingOptions, source: Path, cache: CacheOptions | None) -> list[float]:
    paths = [path.relative_to(source).as_posix() for path in sorted(source.rglob("*.jpg"))]
    reader = open_cached_images(source, paths, SIDE_ON, options.size, cache)
    no_targets = np.zeros((len(paths), 1), dtype=np.float32)
    augment = build_augmentation(SIDE_ON, options.size, is_rgb=True)
    loader = ImageLoader(reader, RowTargets(no_targets, no_targets), augment, options.workers)
    mean, std = torch.full((1, 3, 1, 1), 120.0), torch.full((1, 3, 1, 1), 60.0)
    speeds = []
    for epoch in range(options.epochs):
        started, count = time.perf_counter(), 0
        for batch in loader.read(shuffled_batches(range(len(paths)), options.batch_size, epoch), epoch):
            count += len(normalise(batch.inputs, mean, std))
        speeds.append(count / (time.perf_counter() - started))
    return speeds


def load_with_peer(peer: str, options: LoadingOptions, source: Path) -> tuple[str, list[float]]:
    """The peer's name with its version, and its images a second."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in vars(options).items()]
    # -P: the folder of the script has a fastai.py of its own.
    command = [PEERS_PYTHON, "-P", Path(__file__).parent / "peers" / "loaders.py", peer, source, *flags]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result = json.loads(output.splitlines()[-1])
    return result["peer"], result["images_per_second"]


def report_loading(speeds: ImagesPerSecond) -> None:
    """Print medians of the first epoch and of later ones, and how many times faster the runner is."""
    first = {side: statistics.median(epochs[0] for epochs in turns) for side, turns in speeds.items()}
    later = {
        side: statistics.median(speed for epochs in turns for speed in epochs[1:]) for side, turns in speeds.items()
    }
    print(f"\n{'images a second':<22}{'first epoch':>13}{'later':>9}{'runner, first':>19}{'later':>9}")
    for side in speeds:
        ratios = f"{first['runner'] / first[side]:>18.1f}x{later['runner'] / later[side]:>8.1f}x"
        print(f"{side:<22}{first[side]:>13.0f}{later[side]:>9.0f}{ratios}")
    for side in [side for side in speeds if not side.startswith("runner")]:
        first_ratio, later_ratio = first["runner"] / first[side], later["runner"] / later[side]
        claim(f"images a second / {side}, first epoch", f"{first_ratio:.1f} x", ">= 1 x", first_ratio >= 1)
        claim(f"images a second / {side}, later epochs", f"{later_ratio:.1f} x", ">= 4 x", later_ratio >= 4)


# --- test-time augmentation ---------------------------------------------------------------------


def tta(model: str = "mobilenetv2_100", size: int = 160, images: int = 1200, repeats: int = 3) -> None:
    """Time of eight TTA views beside one view: the network eight times, the decoding once.

    500 x 375 JPEGs without a cache, through the loader and the network of `predict`, with random weights. With workers,
    decoding for one view overlaps with the network; without workers the times add up. Both are measured.
    """
    device = get_accelerator(Compute()).device
    network = build_network(model, classes=10, channels=3, pretrained=False, weights=None, dropout=0)
    network.to(device).set_single_convs(0)

    def predict(loader: ImageLoader, views: Sequence[View]) -> None:
        rows, batch_size = np.arange(images), inference_batch_size(BATCH_SIZE, len(views))
        with inference_context():
            predict_logits(EachView(network), loader, rows, batch_size, title="predicting")

    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder), images, test=1)
        paths = [f"train/{path.name}" for path in sorted((Path(folder) / "train").iterdir())]
        reader = open_cached_images(Path(folder), paths, TOP_DOWN, size)
        eight = default_views(TOP_DOWN)
        one = eight[:1]
        print(f"{images} JPEGs, {model} at {size} px")
        for workers in (worker_count(Compute()), 0):
            loaders = {len(views): view_loader(reader, views, size, workers) for views in (one, eight)}
            works: dict[str, Callable[[], object]] = {
                "one view": lambda loaders=loaders: predict(loaders[1], one),  # type: ignore[misc]
                "eight views": lambda loaders=loaders: predict(loaders[8], eight),  # type: ignore[misc]
                "decoding": lambda workers=workers: decode_all(reader, workers),  # type: ignore[misc]
            }
            seconds = median_seconds(works, repeats)
            report_tta(seconds, images, f"{workers} workers" if workers else "without workers")


def view_loader(reader: ImageReader, views: Sequence[View], size: int, workers: int) -> ImageLoader:
    return ImageLoader(reader, RowTargets.none(len(reader)), MultiView(TOP_DOWN, views, size), workers)


def decode_all(reader: ImageReader, workers: int) -> None:
    """Decode every image, resized to 8 px."""
    loader = view_loader(reader, default_views(TOP_DOWN)[:1], 8, workers)
    for _ in loader.read(balanced_batches(np.arange(len(reader)), BATCH_SIZE)):
        pass


def report_tta(seconds: dict[str, float], images: int, how: str) -> None:
    for name, value in seconds.items():
        print(f"{name:<14}{value:>8.2f} s{1000 * value / images:>9.2f} ms an image")
    ratio = seconds["eight views"] / (8 * seconds["one view"] - 7 * seconds["decoding"])
    claim(f"eight views / (8 x one view - 7 x decoding), {how}", f"{ratio:.2f}", "<= 1", ratio <= 1)


# --- headers ------------------------------------------------------------------------------------


def headers(images: int = 40_000, repeats: int = 3) -> None:
    """Time that `explore` needs for image headers and statistics, beside decoding every image."""
    different, side = min(images, 200), 176  # the other files are copies: as slow to read and to decode
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = [f"{number:05d}.jpg" for number in range(images)]
        write_images([folder / name for name in names[:different]])
        for name in names[:different]:
            small = cv2.resize(cv2.imread(str(folder / name)), (side * 4 // 3, side), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(folder / name), small)
        for number, name in enumerate(names[different:]):
            shutil.copyfile(folder / names[number % different], folder / name)
        works: dict[str, Callable[[], object]] = {
            "headers": lambda: read_sizes(folder, names),
            "decoding": lambda: [cv2.imread(str(folder / name)).shape for name in names],
            "statistics": lambda: compute_image_stats(folder, names, range(images)),
        }
        seconds = median_seconds(works, repeats)
    claim(f"explore: headers of {images:,} JPEGs", f"{seconds['headers']:.1f} s")
    claim(f"explore: statistics of {images:,} JPEGs", f"{seconds['statistics']:.1f} s")
    ratio = seconds["decoding"] / seconds["headers"]
    claim("explore: decoding every image / reading every header", f"{ratio:.1f} x", ">= 3 x", ratio >= 3)


# --- arrival ------------------------------------------------------------------------------------

MAX_ARRIVAL_RATIO = 1.0


def arrival(images: int = 100_000, repeats: int = 3) -> None:
    """Time in which `download` checks every image for damage, beside reading and beside listing the same files."""
    different = min(images, 50)  # the others are copies
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = [f"{number:06d}.jpg" for number in range(images)]
        write_images([folder / name for name in names[:different]])
        contents = [(folder / name).read_bytes() for name in names[:different]]
        for number, name in enumerate(names[different:]):
            (folder / name).write_bytes(contents[number % different])
        works: dict[str, Callable[[], object]] = {
            "check": lambda: find_unreadable(folder, names, workers=os.cpu_count() or 1),
            "read": lambda: [(folder / name).read_bytes()[:0] for name in names],
            "stat": lambda: [(folder / name).stat().st_size for name in names],
        }
        seconds = median_seconds(works, repeats)
    claim(f"download: check of {images:,} JPEGs", f"{seconds['check']:.1f} s")
    ratio = seconds["check"] / seconds["read"]
    holds = ratio <= MAX_ARRIVAL_RATIO
    claim("download: checking every image / reading every file", f"{ratio:.2f} x", f"<= {MAX_ARRIVAL_RATIO:g} x", holds)
    claim("download: checking every image / its size alone", f"{seconds['check'] / seconds['stat']:.1f} x")


# --- checksums ----------------------------------------------------------------------------------

MAX_CHECKSUM_RATIO = 1.1


def checksums(images: int = 600, size: int = 224, repeats: int = 3) -> None:
    """Time to decode images whose checksums are compared, beside the same without; and to write the checksums."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = [f"{number:06d}.jpg" for number in range(images)]
        write_images([folder / name for name in names])

        def decode() -> None:
            reader = open_cached_images(folder, names, SIDE_ON, size)
            for row in range(images):
                _ = reader[row]

        def without() -> None:
            (folder / CHECKSUMS).unlink(missing_ok=True)
            decode()

        def compared() -> None:
            write_checksums(folder, names)
            started = time.perf_counter()
            decode()
            seconds_compared.append(time.perf_counter() - started)

        seconds_compared: list[float] = []
        seconds = median_seconds({"without": without, "compared": compared}, repeats)
        ratio = statistics.median(seconds_compared[-repeats:]) / seconds["without"]
        writing = seconds["compared"] - statistics.median(seconds_compared[-repeats:])
    holds = ratio <= MAX_CHECKSUM_RATIO
    claim("decoding with checksums compared / without", f"{ratio:.2f} x", f"<= {MAX_CHECKSUM_RATIO:g} x", holds)
    claim(f"writing checksums / decoding, {images:,} JPEGs", f"{writing / seconds['without']:.2f} x")


# --- sources ------------------------------------------------------------------------------------

MAX_SOURCE_RATIO = 2.0  # values are compared with the layout of all, and must be finite


def sources(images: int = 100, side: int = 512, repeats: int = 3) -> None:
    """Time to read images that are not photographs, beside the bare call of the library that decodes each."""
    import h5py
    import pydicom
    import tifffile

    random = np.random.default_rng(0)
    # Smooth, so that it packs as real images do.
    grey = cv2.resize(random.integers(0, 4000, (side // 16, side // 16)).astype(np.uint16), (side, side))
    jpeg = cv2.imencode(".jpg", np.repeat((grey // 16).astype(np.uint8)[..., None], 3, axis=2))[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        numbers = [str(number) for number in range(images)]
        with h5py.File(folder / "all.hdf5", "w") as file:
            for number in numbers:
                file.create_dataset(number, data=np.void(jpeg.tobytes()))
                cv2.imwrite(str(folder / f"{number}.png"), grey)
                np.save(folder / f"{number}.npy", np.stack([grey] * 6).astype(np.float16))
                tifffile.imwrite(folder / f"{number}.tif", np.stack([grey] * 6, axis=2), photometric="minisblack")
                for colour in ("red", "green", "blue", "yellow"):
                    cv2.imwrite(str(folder / f"{number}_{colour}.png"), (grey // 16).astype(np.uint8))
                _write_dicom(folder / f"{number}.dcm", grey)
        colours = ("red", "green", "blue", "yellow")

        def each(read: Callable[[str], object]) -> Callable[[], object]:
            return lambda: [read(number) for number in numbers]

        def hdf5_bare() -> None:
            with h5py.File(folder / "all.hdf5") as file:
                for number in numbers:
                    Image.open(BytesIO(file[number][()].tobytes())).load()

        def stacked(number: str) -> object:
            return np.stack([np.asarray(Image.open(folder / f"{number}_{colour}.png")) for colour in colours], axis=2)

        bare: dict[str, Callable[[], object]] = {
            "16-bit PNG": each(lambda number: np.asarray(Image.open(folder / f"{number}.png"), dtype=np.float32)),
            "npy": each(lambda number: np.load(folder / f"{number}.npy").astype(np.float32).transpose(1, 2, 0).copy()),
            "TIFF of six bands": each(lambda number: tifffile.imread(folder / f"{number}.tif").astype(np.float32)),
            "DICOM": each(lambda number: pydicom.dcmread(folder / f"{number}.dcm").pixel_array),
            "HDF5": hdf5_bare,
            "stack": each(stacked),
        }
        names = {
            "16-bit PNG": [f"{number}.png" for number in numbers],
            "npy": [f"{number}.npy" for number in numbers],
            "TIFF of six bands": [f"{number}.tif" for number in numbers],
            "DICOM": [f"{number}.dcm" for number in numbers],
            "HDF5": [f"all.hdf5#{number}" for number in numbers],
            "stack": [" + ".join(f"{number}_{colour}.png" for colour in colours) for number in numbers],
        }
        for source, library in bare.items():
            reader = open_images(folder, names[source])
            works = {"runner": partial(_read_all, reader), "library": library}
            seconds = median_seconds(works, repeats)
            ratio = seconds["runner"] / seconds["library"]
            # Of DICOM the library only unpacks: rescale and window come on top.
            target = None if source == "DICOM" else MAX_SOURCE_RATIO
            text, holds = (f"<= {target:g} x", ratio <= target) if target else ("", None)
            claim(f"reading {side} x {side}, {source}: runner / the bare library", f"{ratio:.2f} x", text, holds)


def _read_all(reader: ImageReader) -> None:
    for row in range(len(reader)):
        _ = reader[row]


def _write_dicom(path: Path, pixels: np.ndarray) -> None:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel, dataset.PixelRepresentation = "MONOCHROME2", 1, 0
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelData = pixels.astype("<u2").tobytes()
    dataset.save_as(path, enforce_file_format=True)


if __name__ == "__main__":
    main(loading, tta, headers, arrival, checksums, sources)

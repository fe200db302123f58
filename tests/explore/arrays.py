"""A competition whose images are rows of .npy arrays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from runner.contract import NO_FLIP, Competition, ImageArray
from tests.builders import BREEDS, write_csv
from tests.competitions import SHAPES


def write_arrays(data_dir: Path, bands: int, dtype: type = np.float32) -> Competition:
    """Write 12 labelled and 6 test images with this number of bands; the competition that reads them."""
    random = np.random.default_rng(0)
    for subset, count in (("train", 12), ("test", 6)):
        np.save(data_dir / f"{subset}.npy", random.integers(0, 255, (count, bands, 20, 16)).astype(dtype))
        write_csv(data_dir / f"{subset}.csv", ("id",), ((f"{subset}{number}",) for number in range(count)))
    write_csv(data_dir / "labels.csv", ("id", "breed"), ((f"train{n}", BREEDS[n % 3]) for n in range(12)))
    write_csv(data_dir / "sample_submission.csv", ("id", *BREEDS), ((f"test{n}", 0.3, 0.3, 0.4) for n in range(6)))
    return replace(
        SHAPES,
        train_images=ImageArray("train.npy", "train.csv"),
        test_images=ImageArray("test.npy", "test.csv"),
        preset=NO_FLIP,
    )

"""What `explore` spends on headers: 40,000 small images' sizes from their headers, and by opening each of them.

`python -m benchmarks.explore_speed [--images N]`. A few hundred images are painted, and the rest are copies of
their files: what is read differs, what is decoded is as hard. Medians of three turns.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import cv2

from benchmarks.claims import claim
from benchmarks.rot90 import in_turns
from benchmarks.scratch import paint_image
from runner.explore.image_stats import compute_image_stats, read_sizes

PAINTED, SIDE = 200, 176  # as the short side of a small copy of dog-breed
TURNS = 3
WANTED = 3  # times, of images as small as these; larger ones take longer to open, their headers do not


def paint(folder: Path, images: int) -> list[str]:
    """So many JPEGs, by their names."""
    names = [f"{number:05d}.jpg" for number in range(images)]
    for number, name in enumerate(names):
        if number < PAINTED:
            paint_image(folder / name, number % 10, number)
            image = cv2.imread(str(folder / name))
            cv2.imwrite(str(folder / name), cv2.resize(image, (SIDE * 4 // 3, SIDE), interpolation=cv2.INTER_AREA))
        else:
            shutil.copyfile(folder / names[number % PAINTED], folder / name)
    return names


def open_all(folder: Path, names: list[str]) -> None:
    """Decode every image whole, one after the other, as a loop over the folder would."""
    for name in names:
        assert cv2.imread(str(folder / name)) is not None


def main() -> None:
    """Paint, read, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=40_000)
    count = parser.parse_args().images
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        names = paint(folder, count)
        works = {
            "headers": lambda: read_sizes(folder, names),
            "opened": lambda: open_all(folder, names),
            "stats": lambda: compute_image_stats(folder, names, range(len(names))),
        }
        headers, opened, stats = in_turns(works, TURNS).values()
    claim(f"explore: headers of {count:,} JPEGs, seconds", f"{headers:.1f}")
    claim(f"explore: statistics of {count:,} images, seconds", f"{stats:.1f}")
    claim(
        "explore: opening every image / reading every header",
        f"{opened / headers:.1f}",
        f">= {WANTED}",
        opened / headers >= WANTED,
    )


if __name__ == "__main__":
    main()

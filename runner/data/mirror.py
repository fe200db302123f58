"""Data from a mirror: somebody else put it together, so its images are counted before it is believed."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from runner.console import log
from runner.contract import Competition
from runner.contract.competition import Images
from runner.contract.labels import aliases
from runner.csv_file import read_csv
from runner.errors import DataError


def check_counts(competition: Competition, folder: Path) -> None:
    """Stop where there are fewer images than the tables have rows."""
    parts = [("test", competition.test_images, competition.sample_submission)]
    if competition.labels.csv:
        parts.append(("train", competition.train_images, competition.labels.csv))
    for part, images, table in parts:
        if isinstance(images, str | tuple):
            have, rows = _count(folder, images), sum(1 for _ in read_csv(folder / aliases(table)[0]))
            log.info(f"{part}: {have:,} images for {rows:,} rows")
            if have < rows:
                raise DataError(
                    f"the mirror is incomplete: {have:,} {part} images, and {rows:,} rows that want one",
                    where=competition.mirror,
                    fix=f"runner {competition.name} download --from DIR, with data from elsewhere",
                )


def _count(folder: Path, images: Images) -> int:
    assert isinstance(images, str | tuple)
    count = 0
    for template in aliases(images):
        below, suffix = folder / template.split("{", 1)[0], PurePosixPath(template).suffix
        count += sum(path.suffix == suffix or not suffix for path in below.rglob("*") if path.is_file())
    return count

"""What all peers read and write: the tables of `benchmarks.beside`, a submission, and how the turn went."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VALIDATION_FOLD = "0"


@dataclass(frozen=True)
class LabelledImage:
    """A row of train.csv."""

    image: str  # its path
    label: str
    fold: str

    @property
    def is_validation(self) -> bool:
        return self.fold == VALIDATION_FOLD


@dataclass(frozen=True)
class TestImage:
    """A row of test.csv."""

    id: str
    image: str


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """A parser of the flags that every peer has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path, help="with train.csv (image,label,fold) and test.csv (id,image)")
    parser.add_argument("--model", required=True, help="a timm model")
    parser.add_argument("--weights", type=Path, help="its weights; without, timm fetches them")
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--out", type=Path, required=True, help="folder for result.json and submission.csv")
    return parser


def read_train(folder: Path) -> list[LabelledImage]:
    return [LabelledImage(*row) for row in _read_rows(folder / "train.csv")]


def read_test(folder: Path) -> list[TestImage]:
    return [TestImage(*row) for row in _read_rows(folder / "test.csv")]


def write_submission(path: Path, ids: Sequence[str], classes: Sequence[str], rows: Sequence[Sequence[float]]) -> None:
    """Write a column of probabilities for each class."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", *classes])
        writer.writerows([id, *row] for id, row in zip(ids, rows, strict=True))


def write_result(
    out: Path, settings: dict[str, str], epochs: list[dict[str, Any]], train_seconds: float, seconds: float
) -> None:
    """Write result.json: versions and flags, a line for each validation, and the seconds since the process began."""
    result = {"settings": settings, "epochs": epochs, "train_seconds": train_seconds, "total_seconds": seconds}
    (out / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _read_rows(path: Path) -> list[list[str]]:
    """The rows below the header."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]

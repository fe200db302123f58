"""Submissions graded by the hidden labels of a `test_solution.csv`, which no training may see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness import read_csv

_LEAST = 1e-15  # probability, so that a loss is finite


@dataclass(frozen=True)
class Graded:
    """Of each hidden row, whether its class is the likeliest, and its log loss if there are probabilities."""

    right: np.ndarray
    losses: np.ndarray | None

    @property
    def values(self) -> np.ndarray:
        """What the submission is scored by: losses, or right answers if it names classes."""
        return self.right if self.losses is None else self.losses

    def scores(self) -> dict[str, float]:
        """Log loss and accuracy, each with its standard error."""
        known = {} if self.losses is None else {"log loss": self.losses}
        scores: dict[str, float] = {}
        for name, values in {**known, "accuracy": self.right}.items():
            scores |= {name: float(values.mean()), f"{name}, standard error": standard_error(values)}
        return scores


def standard_error(values: np.ndarray) -> float:
    """Of the mean of one value a row."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def read_labels(folder: Path) -> dict[str, str]:
    """The label of each hidden row by its id; empty if the folder has no `test_solution.csv`."""
    solution = folder / "test_solution.csv"
    return dict(row[:2] for row in read_csv(solution)[1:]) if solution.exists() else {}


def grade(label_of: Mapping[str, str], submission: Path) -> Graded:
    """Grade a submission of these rows: a probability of each class, one of the last class by name, or a class."""
    (_, *classes), *rows = read_csv(submission)
    labels = [label_of[row[0]] for row in rows]
    if len(rows) != len(label_of):
        raise ValueError(f"{submission} has {len(rows)} rows, and {len(label_of)} are hidden")
    if len(classes) == 1 and _are_names([row[1] for row in rows], set(label_of.values())):
        return Graded(np.array([float(row[1] == label) for row, label in zip(rows, labels, strict=True)]), None)
    probabilities = np.array([row[1:] for row in rows], dtype=np.float64)
    if len(classes) == 1:
        classes = sorted(set(label_of.values()))
        probabilities = np.hstack([1 - probabilities, probabilities])
    targets = np.array([classes.index(label) for label in labels])
    losses = -np.log(np.clip(probabilities[np.arange(len(rows)), targets], _LEAST, 1))
    return Graded((probabilities.argmax(axis=1) == targets).astype(np.float64), losses)


def _are_names(values: Sequence[str], labels: Set[str]) -> bool:
    """Whether these are classes and not probabilities; a class may be a number, or one that no hidden row has."""
    return all(value in labels for value in values) or not all(_is_number(value) for value in values)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

"""The label formats a competition can have: one of many classes, a set of tags, a probability."""

from __future__ import annotations

from dataclasses import dataclass

# The first name is the one the file gets here; the others are names it had in another vintage.
Names = str | tuple[str, ...]


@dataclass(frozen=True)
class OneOfMany:
    """Every picture shows exactly one of several classes.

    With `csv`, a table gives each id its class. Without it the folder is the label, and
    `train_images` says where: `train/{label}/{id}`.
    """

    csv: Names | None = None
    id: str = "id"
    label: str = "label"
    group: str | None = None


@dataclass(frozen=True)
class Tags:
    """Every picture bears a set of tags, written as words between blanks.

    `names` closes the vocabulary; left out, it is what the training rows hold.
    """

    csv: Names
    id: str = "id"
    label: str = "tags"
    group: str | None = None
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Probability:
    """Every picture shows the thing or does not: 1 or 0, and a probability is asked for."""

    csv: Names
    id: str = "id"
    label: str = "label"
    group: str | None = None


Labels = OneOfMany | Tags | Probability


def all_names(names: Names) -> tuple[str, ...]:
    """The canonical name first, then the names of other vintages."""
    return (names,) if isinstance(names, str) else names

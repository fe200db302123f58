"""The kinds of labels that a competition can have: multiclass, multilabel, binary."""

from __future__ import annotations

from dataclasses import dataclass

# The file's name here, then the names it has in other copies of the data.
FileNames = str | tuple[str, ...]


@dataclass(frozen=True)
class Multiclass:
    """Every image has exactly one of several classes.

    With `csv`, a table has the class of each id. Without it the folder is the class, and
    `train_images` has it in its template: `train/{label}/{id}`.
    """

    csv: FileNames | None = None
    id: str = "id"
    label: str = "label"
    group: str | None = None  # a column; rows with the same value are never in two folds


@dataclass(frozen=True)
class Multilabel:
    """Every image has a set of labels, separated by blanks.

    Without `classes`, they are those in the training rows. Two constraints may be declared, and are used only if
    that improves the score on validation rows: an image has just one label of `mutually_exclusive`, and no other
    label beside one of `standalone`.
    """

    csv: FileNames
    id: str = "id"
    label: str = "tags"
    group: str | None = None
    classes: tuple[str, ...] | None = None
    mutually_exclusive: tuple[str, ...] = ()
    standalone: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field, names, allowed in (
            ("standalone", self.standalone, self.mutually_exclusive),
            ("mutually_exclusive", self.mutually_exclusive, self.classes or self.mutually_exclusive),
        ):
            unknown = [name for name in names if name not in allowed]
            if unknown:
                raise ValueError(
                    f"Multilabel.{field}: {', '.join(unknown)} is not among {', '.join(allowed) or 'no labels'}"
                )


@dataclass(frozen=True)
class Binary:
    """Every image is positive (1) or negative (0); the submission has the probability of 1."""

    csv: FileNames
    id: str = "id"
    label: str = "label"
    group: str | None = None


Labels = Multiclass | Multilabel | Binary


def aliases(names: FileNames) -> tuple[str, ...]:
    """All names of a file, the one it has here first."""
    return (names,) if isinstance(names, str) else names

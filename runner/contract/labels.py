"""What is to be predicted for each image, and where the training rows say it."""

from __future__ import annotations

from dataclasses import dataclass

# The file's name here, then the names it has in other copies of the data.
FileNames = str | tuple[str, ...]


@dataclass(frozen=True)
class Coco:
    """A JSON file of images, annotations and categories, as a table with a row an annotated image.

    Its columns are those of `images` and of `annotations`, and `category_name`. A file without annotations has a row
    an image.
    """

    file: str

    def __str__(self) -> str:
        return self.file


Table = FileNames | Coco


@dataclass(frozen=True)
class Labels:
    """Where labels are: in a table, or in the names of the training images.

    `csv` is a table: CSV, TSV, parquet, a JSON list of records, or `Coco(FILE)`. Without it, `train_images` has a
    `{label}` in its template: `train/{label}/{id}`, `train/{label}.{id}.jpg`.

    The label is in the column `label`, or spread over `columns` (a name may end in `*`). `id` and `group` are
    columns, or patterns: `id="{patient}_{side}"` is made of two columns, and `group="{patient}_*"` is a part of the id.
    Rows with the same group are never in two folds. With `rows="{id}_{column}"` the table has a row per id and column,
    and the column `label` has its value.
    """

    csv: Table | None = None
    id: str = "id"
    label: str = "label"
    columns: tuple[str, ...] = ()
    group: str | None = None
    rows: str = ""

    def __post_init__(self) -> None:
        kind = type(self).__name__
        if isinstance(self.columns, str):  # type: ignore[unreachable]  # a plugin is not type-checked
            raise ValueError(f"{kind}.columns: {self.columns!r} is one name; write ({self.columns!r},)")
        if self.csv is None and (self.columns or self.rows):
            raise ValueError(f"{kind}.csv: columns and rows are those of a table; name it")
        if self.rows and not ("{id}" in self.rows and "{column}" in self.rows):
            raise ValueError(f"{kind}.rows: {self.rows!r} does not have the form '{{id}}_{{column}}'")
        if self.rows and not self.columns:
            raise ValueError(f"{kind}.columns: with rows, list the columns, in the order of the submission's")

    @property
    def separator(self) -> str:
        """What stands between the parts of a label's text, if it has several."""
        return "|"


@dataclass(frozen=True)
class Multiclass(Labels):
    """Every image has exactly one of several classes.

    With `columns`, each class has a column, with 1 for the class of the row. `soft`: the columns are votes or shares,
    and a row's shares are learned. `classes` lists them, where the training rows may lack some.
    """

    classes: tuple[str, ...] | None = None
    soft: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.soft and not self.columns:
            raise ValueError("Multiclass.soft: votes are in columns; name them")


@dataclass(frozen=True)
class Ordinal(Labels):
    """Every image has one of several grades in order: 0, 1, 2, up to `grades` - 1."""

    grades: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.grades) is not int or not 2 <= self.grades <= 100:
            raise ValueError(f"Ordinal.grades: {self.grades!r} is not a whole number from 2 to 100")
        if self.columns:
            raise ValueError("Ordinal.columns: a grade is in one column")


@dataclass(frozen=True)
class Multilabel(Labels):
    """Every image has a set of tags: a list in one cell, separated by `sep`, or a column of 0 and 1 for each tag.

    Without `classes`, they are those in the training rows. Two constraints may be declared, and are used only if
    that improves the score on validation rows: an image has just one label of `mutually_exclusive`, and no other
    label beside one of `standalone`. `may_be_empty`: an image without a tag is not an error.
    """

    label: str = "tags"
    sep: str = " "
    classes: tuple[str, ...] | None = None
    mutually_exclusive: tuple[str, ...] = ()
    standalone: tuple[str, ...] = ()
    may_be_empty: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for field, names, allowed in (
            ("standalone", self.standalone, self.mutually_exclusive),
            ("mutually_exclusive", self.mutually_exclusive, self.classes or self.columns or self.mutually_exclusive),
        ):
            unknown = [name for name in names if name not in allowed]
            if unknown:
                raise ValueError(
                    f"Multilabel.{field}: {', '.join(unknown)} is not among {', '.join(allowed) or 'no labels'}"
                )
        if not self.sep:
            raise ValueError("Multilabel.sep: an empty text separates nothing")

    @property
    def separator(self) -> str:
        """What stands between the tags of a label's text."""
        return "|" if self.columns else self.sep


@dataclass(frozen=True)
class Binary(Labels):
    """Every image is positive (1) or negative (0); the submission has the probability of 1.

    `positive`: the labels that are positive, if they are words.
    """

    positive: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.positive, str):  # type: ignore[unreachable]  # a plugin is not type-checked
            object.__setattr__(self, "positive", (self.positive,))  # type: ignore[unreachable]
        if self.columns and not self.rows:
            raise ValueError("Binary.columns: several columns of 0 and 1 are Multilabel")
        if self.csv is None and not self.positive:
            raise ValueError("Binary.positive: say which labels of the images' names are positive")


@dataclass(frozen=True)
class Regression(Labels):
    """Every image has a number, or several in `columns`. A blank is not learned and not scored.

    `low` and `high` are the bounds of every number, if it has any. `names` are those of the columns in the submission,
    if it calls them otherwise.
    """

    low: float | None = None
    high: float | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.csv is None:
            raise ValueError("Regression.csv: numbers are in a table; name it")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"Regression.high: {self.high:g} is not above low, {self.low:g}")
        if self.names and (len(self.names) != len(self.columns) or any(name.endswith("*") for name in self.columns)):
            raise ValueError(f"Regression.names: {len(self.names)} names for {len(self.columns)} columns; list both")


@dataclass(frozen=True)
class SeveralTargets(Labels):
    """Every image has a class of each of several targets: `SeveralTargets(Multiclass(...), Multiclass(...))`.

    Each lists its classes, and all are columns of one table.
    """

    targets: tuple[Multiclass, ...] = ()

    def __init__(self, *targets: Multiclass) -> None:
        if len(targets) < 2:
            raise ValueError("SeveralTargets: name at least two")
        for target in targets:
            if not isinstance(target, Multiclass) or target.soft or not target.classes:
                raise ValueError(f"SeveralTargets: {target.label} is not a Multiclass with its classes listed")
            if (target.csv, target.id, target.group) != (targets[0].csv, targets[0].id, targets[0].group):
                raise ValueError(f"SeveralTargets: csv, id and group of {target.label} are not those of the others")
        shared = {"csv": targets[0].csv, "id": targets[0].id, "group": targets[0].group, "label": "", "rows": ""}
        columns = tuple(target.label for target in targets)
        for field, value in {**shared, "columns": columns, "targets": targets}.items():
            object.__setattr__(self, field, value)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of all targets, each with the target's name before it."""
        return tuple(f"{target.label} {name}" for target in self.targets for name in target.classes or ())


def aliases(names: Table) -> tuple[str, ...]:
    """All names of a file, the one it has here first."""
    if isinstance(names, Coco):
        return (names.file,)
    return (names,) if isinstance(names, str) else names

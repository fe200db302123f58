"""What a metric scores: probabilities as they are, or what is decided from them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Average(Enum):
    """Over what the F-score of tags is a mean."""

    ROWS = "rows"  # the F-score of each image's tags
    ALL = "all"  # one F-score of all tags of all images: micro
    TAGS = "tags"  # the F-score of each tag: macro


@dataclass(frozen=True)
class TagSet:
    """A set of tags for each image, chosen for the greatest F-beta."""

    beta: int = 1
    average: Average = Average.ROWS

    def __post_init__(self) -> None:
        if self.beta not in (1, 2):
            raise ValueError(f"TagSet.beta: {self.beta!r} is neither 1 nor 2")

    @property
    def default_threshold(self) -> float:
        """A tag is worth predicting above it: half the F-score that may be reached, and less if recall counts more."""
        return 0.2 if self.beta == 2 else 0.4


@dataclass(frozen=True)
class OneClass:
    """One class for each image. `rare_count_as_much`: the metric is a mean over classes, so rare ones are favoured."""

    rare_count_as_much: bool = False


@dataclass(frozen=True)
class Grade:
    """One of several grades in order, near the mean grade."""


@dataclass(frozen=True)
class TopClasses:
    """The k likeliest classes, the likeliest first."""

    k: int

    def __post_init__(self) -> None:
        if type(self.k) is not int or self.k < 1:
            raise ValueError(f"TopClasses.k: {self.k!r} is not a whole number of at least 1")


@dataclass(frozen=True)
class ClassWithConfidence:
    """The likeliest class, and its probability."""


@dataclass(frozen=True)
class Sharpened:
    """One probability, moved towards 0 and 1 where the metric pays for it."""


# None: the probabilities, or numbers, as they are.
Decision = TagSet | OneClass | Grade | TopClasses | ClassWithConfidence | Sharpened | None

"""A recipe: the backbone, the stages to train, the optimizer. A frozen value, written into every run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Any


class TrainMode(Enum):
    """How much of the network learns in a stage."""

    FEATURES = "features"  # the head alone, on precomputed activations
    FROZEN = "frozen"  # the head alone, on augmented images
    UNFROZEN = "unfrozen"  # everything, earlier groups with smaller rates


@dataclass(frozen=True)
class Stage:
    """One image size and one freezing state, with its cycles.

    `cycles` cosines; the first is `cycle_len` epochs long, each next one `cycle_mult` times longer:
    3 cycles of length 1 and multiplier 2 are 1 + 2 + 4 = 7 epochs.
    """

    size: int
    mode: TrainMode
    cycles: int = 1
    cycle_len: int = 1
    cycle_mult: int = 1
    lr_scale: float = 1.0  # of the recipe's rate: what is learned already bears less
    freeze_to: int = 0  # unfrozen, but for the groups below this one: 1 keeps the early group as it is

    @property
    def cycle_epochs(self) -> tuple[int, ...]:
        """How many epochs each cycle has."""
        return tuple(self.cycle_len * self.cycle_mult**cycle for cycle in range(self.cycles))

    @property
    def epochs(self) -> int:
        return sum(self.cycle_epochs)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is trained, and nothing that does not."""

    backbone: str
    stages: tuple[Stage, ...]
    lr: float  # the top rate of the last group
    lr_divisor: float = 10.0  # how much smaller the rate of each earlier group is
    group_lrs: tuple[float, float, float] | None = None  # of early, late and head: overrides the two above
    find_lr: bool = False  # ask the finder before each stage
    batch_size: int = 64
    auto_batch: bool = False  # halve_batch_size the batch when memory runs out
    oversample: float = 1.0  # how many times at most a row of a rare class is shown in an epoch
    freeze_bn: bool = False  # BatchNorm's statistics stay as they were pretrained, if so: for images like those
    weight_decay: float = 0.01
    dropout: float = 0.0
    pretrained: bool = True
    weights: str | None = None  # name and hash of the file that it starts from, where it is not the hub's
    seed: int = 42
    folds: int | None = None  # None: one holdout
    all_data: bool = False  # no row held back
    refit_of: str | None = None  # the run whose steps and score these are, with `all_data`
    from_run: str | None = None  # RUN or RUN:SNAPSHOT whose weights are the start
    members: tuple[str, ...] = ()  # the runs that this one is an ensemble of: nothing is trained

    @property
    def epochs(self) -> int:
        return sum(stage.epochs for stage in self.stages)

    @property
    def from_scratch(self) -> bool:
        """Whether the weights are drawn at random: nothing was learned before."""
        return not (self.pretrained or self.weights or self.from_run)

    @property
    def summary(self) -> str:
        """One line: the backbone, then each stage as size, state and epochs; of an ensemble, its runs."""
        if self.members:
            return f"{self.backbone} of {', '.join(self.members)}"
        stages = ", ".join(f"{stage.size}px {stage.mode.value} x{stage.epochs}" for stage in self.stages)
        return f"{self.backbone}: {stages}"

    def to_dict(self) -> dict[str, Any]:
        """A plain value for recipe.json."""
        plain = asdict(self)
        plain["stages"] = [{**asdict(stage), "mode": stage.mode.value} for stage in self.stages]
        return plain

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Recipe:
        """The recipe that `to_dict` wrote."""
        stages = tuple(Stage(**{**stage, "mode": TrainMode(stage["mode"])}) for stage in plain["stages"])
        groups = tuple(plain["group_lrs"]) if plain.get("group_lrs") else None
        members = tuple(plain.get("members", ()))
        return cls(**{**plain, "stages": stages, "group_lrs": groups, "members": members})


def with_sizes(recipe: Recipe, sizes: Sequence[int]) -> Recipe:
    """The recipe at these sizes: its own, in order, take the new ones' place.

    With fewer sizes the later stages fall away; with more, the last size's stages are repeated.
    """
    declared = tuple(dict.fromkeys(stage.size for stage in recipe.stages))
    stages = [
        replace(stage, size=size)
        for place, size in enumerate(sizes)
        for stage in recipe.stages
        if stage.size == declared[min(place, len(declared) - 1)]
    ]
    return replace(recipe, stages=tuple(stages))


def scale_epochs(recipe: Recipe, scale: float) -> Recipe:
    """The recipe with longer or shorter cycles: never less than an epoch each."""
    stages = (replace(stage, cycle_len=max(1, round(stage.cycle_len * scale))) for stage in recipe.stages)
    return replace(recipe, stages=tuple(stages))


def quick_recipe(recipe: Recipe) -> Recipe:
    """The short way, at the first size: find the rate, one frozen epoch, three unfrozen cycles of 1, 2 and 4."""
    size = recipe.stages[0].size
    unfrozen = next((stage for stage in recipe.stages if stage.mode is TrainMode.UNFROZEN), None)
    share = unfrozen.lr_scale if unfrozen else 0.1
    stages = (
        Stage(size, TrainMode.FROZEN, cycles=1, cycle_len=1),
        Stage(size, TrainMode.UNFROZEN, cycles=3, cycle_len=1, cycle_mult=2, lr_scale=share),
    )
    return replace(recipe, stages=stages, find_lr=True)


def linear_probe(recipe: Recipe) -> Recipe:
    """The recipe without the stages that look at every image in every epoch: its head stages, or one head stage."""
    heads = tuple(stage for stage in recipe.stages if stage.mode is TrainMode.FEATURES)
    return replace(recipe, stages=heads or (Stage(recipe.stages[0].size, TrainMode.FEATURES, cycles=3, cycle_mult=2),))


def with_freeze_to(recipe: Recipe, freeze_to: int) -> Recipe:
    """The recipe whose unfrozen stages keep the groups below `freeze_to` as they are."""
    stages = (
        replace(stage, freeze_to=freeze_to) if stage.mode is TrainMode.UNFROZEN else stage for stage in recipe.stages
    )
    return replace(recipe, stages=tuple(stages))

"""A recipe: the backbone, the stages to train, the optimizer. A frozen value, written into every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any

from runner.contract.backbone_args import Argument, check_arguments
from runner.contract.limits import check_count, check_member, check_number
from runner.contract.training_practice import Augment, HeadRecipe, Loss, Optimizer, Regularize
from runner.fields import checked

FORMAT = 1  # of recipe.json


class TrainMode(Enum):
    """Which parameters a stage trains, and on what."""

    FEATURES = "features"  # the head alone, on precomputed features
    FROZEN = "frozen"  # the head alone, on augmented images
    UNFROZEN = "unfrozen"  # everything, earlier groups with a smaller lr


class Solver(Enum):
    """How a features stage trains the head."""

    LBFGS = "lbfgs"  # a regularised regression, solved to convergence; its strength by cross-validation
    SGDR = "sgdr"  # AdamW in cosine cycles, a snapshot each


@dataclass(frozen=True)
class Stage:
    """One image size and one train mode, for some cosine cycles.

    The first cycle is `cycle_len` epochs long, each next one `cycle_mult` times longer:
    3 cycles of length 1 and multiplier 2 are 1 + 2 + 4 = 7 epochs. A regression has one epoch and no lr.
    """

    size: int
    mode: TrainMode
    cycles: int = 1
    cycle_len: int = 1
    cycle_mult: int = 1
    lr_scale: float = 1.0  # factor of the recipe's lr: weights that are trained already need a smaller one
    freeze_to: int = 0  # an unfrozen stage keeps the groups below this one frozen: 1 keeps the early group
    solver: Solver = Solver.LBFGS  # of a features stage
    min_steps: int = 300  # of a features stage by SGDR: with few rows an epoch passes over them several times
    augment: Augment = Augment()  # noqa: RUF009  (frozen)  # of the training images, beyond the preset

    def __post_init__(self) -> None:
        if not isinstance(self.mode, TrainMode):
            raise ValueError(f"Stage.mode: {self.mode!r} is not a TrainMode")
        if not isinstance(self.solver, Solver):
            raise ValueError(f"Stage.solver: {self.solver!r} is not a Solver")
        check_count("Stage.size", self.size, 16, 2048)
        for name in ("cycles", "cycle_len", "cycle_mult"):
            check_count(f"Stage.{name}", getattr(self, name), 1)
        check_number("Stage.lr_scale", self.lr_scale, "above 0")
        check_count("Stage.freeze_to", self.freeze_to, 0, 2)
        check_count("Stage.min_steps", self.min_steps, 0)
        check_member("Stage.augment", self.augment, Augment)
        if self.mode is TrainMode.FEATURES and self.augment.changes_images:
            raise ValueError("Stage.augment: a features stage never sees an image; it can only have mixup")
        if self.is_regression and self.augment.mixes:
            raise ValueError("Stage.augment: a regression sees all rows at once; mixup needs Solver.SGDR")

    @property
    def is_regression(self) -> bool:
        """Whether the stage solves a regression on features."""
        return self.mode is TrainMode.FEATURES and self.solver is Solver.LBFGS

    @property
    def cycle_epochs(self) -> tuple[int, ...]:
        """The number of epochs of each cycle."""
        if self.is_regression:
            return (1,)
        return tuple(self.cycle_len * self.cycle_mult**cycle for cycle in range(self.cycles))

    @property
    def epochs(self) -> int:
        return sum(self.cycle_epochs)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is trained, and nothing else."""

    backbone: str
    stages: tuple[Stage, ...]
    lr: float  # the peak lr of the head
    backbone_args: dict[str, Argument] = field(default_factory=dict, hash=False)  # of timm's create_model
    layer_decay: float = 0.1  # the lr of each earlier group is multiplied by it
    group_lrs: tuple[float, float, float] | None = None  # of early, late and head: overrides the two above
    warmup: float = 0.0  # share of each stage's first cycle in which the lr rises from 0
    find_lr: bool = False  # run the lr finder before each stage
    batch_size: int = 64
    auto_batch: bool = False  # halve the batch size if memory runs out
    oversample: float = 1.0  # most repeats of an image of a rare class in an epoch; 1: no oversampling
    freeze_bn: bool = False  # keep the pretrained BatchNorm statistics: for images like the pretraining ones
    weight_decay: float = 0.01
    dropout: float = 0.0
    optimizer: Optimizer = Optimizer()  # noqa: RUF009  (frozen)
    loss: Loss = Loss()  # noqa: RUF009  (frozen)
    regularize: Regularize = Regularize()  # noqa: RUF009  (frozen)
    head: HeadRecipe = HeadRecipe()  # noqa: RUF009  (frozen)
    grad_checkpointing: bool = False  # less memory, about a third more time: activations are computed twice
    pretrained: bool = True
    weights: str | None = None  # name and hash of the weights file to start from, instead of the hub's
    seed: int = 42
    folds: int | None = None  # None: one holdout
    all_data: bool = False  # no validation rows
    refit_of: str | None = None  # with `all_data`: the run whose stages and score these are
    from_run: str | None = None  # RUN or RUN:SNAPSHOT to start from

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("Recipe.stages: at least one stage is needed")
        try:
            check_arguments(self.backbone_args)
        except ValueError as error:
            raise ValueError(f"Recipe.backbone_args: {error}") from None
        if self.group_lrs is not None and len(self.group_lrs) != 3:
            raise ValueError(f"Recipe.group_lrs: {self.group_lrs!r} is not one lr each for early, late and head")
        for lr in self.group_lrs or ():
            check_number("Recipe.group_lrs", lr, "above 0")
        check_number("Recipe.lr", self.lr, "above 0")
        check_number("Recipe.layer_decay", self.layer_decay, "above 0, at most 1")
        check_number("Recipe.warmup", self.warmup, "from 0 to 1")
        check_count("Recipe.batch_size", self.batch_size, 1, 4096)
        check_number("Recipe.oversample", self.oversample, "from 1 to 100")
        check_number("Recipe.weight_decay", self.weight_decay, "of at least 0")
        check_number("Recipe.dropout", self.dropout, "from 0 to 1")
        for name, kind in (("optimizer", Optimizer), ("loss", Loss), ("regularize", Regularize), ("head", HeadRecipe)):
            check_member(f"Recipe.{name}", getattr(self, name), kind)
        self._check_practice()
        if self.folds is not None:
            check_count("Recipe.folds", self.folds, 2)

    def _check_practice(self) -> None:
        """Refuse two fields that set the same, or that contradict each other."""
        if self.optimizer.layerwise and self.group_lrs is not None:
            raise ValueError("Recipe.group_lrs: with Optimizer.layerwise every layer has an lr of its own")
        if self.regularize.drop_path and "drop_path_rate" in self.backbone_args:
            raise ValueError("Recipe.backbone_args: drop_path_rate is Regularize.drop_path here")
        if self.head.pool is not None and "global_pool" in self.backbone_args:
            raise ValueError("Recipe.backbone_args: global_pool is HeadRecipe.pool here")

    @property
    def epochs(self) -> int:
        return sum(stage.epochs for stage in self.stages)

    @property
    def from_scratch(self) -> bool:
        """Whether training starts from random weights."""
        return not (self.pretrained or self.weights or self.from_run)

    @property
    def is_refitted_in_seconds(self) -> bool:
        """Whether only regressions on features are left to repeat, and one holdout keeps rows from them."""
        return all(stage.is_regression for stage in self.stages) and self.folds is None and not self.all_data

    @property
    def summary(self) -> str:
        """One line: the backbone, then size, mode and epochs of each stage."""
        lengths = ("" if stage.is_regression else f" x{stage.epochs}" for stage in self.stages)
        stages = (f"{stage.size}px {stage.mode.value}" for stage in self.stages)
        return f"{self.backbone}: {', '.join(map(''.join, zip(stages, lengths, strict=True)))}"

    def to_dict(self) -> dict[str, Any]:
        """A plain value for recipe.json."""
        plain: dict[str, Any] = _plain(asdict(self))
        return {"kind": "recipe", **plain}


@dataclass(frozen=True)
class EnsembleRecipe:
    """The runs that an ensemble averages; nothing is trained."""

    members: tuple[str, ...]
    refit_of: str | None = None  # the ensemble whose weights and score these are: its runs are refitted on all rows

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("EnsembleRecipe.members: at least one run is needed")

    @property
    def summary(self) -> str:
        """One line: the names of the runs."""
        of = f", refit of {self.refit_of}" if self.refit_of else ""
        return f"ensemble of {', '.join(self.members)}{of}"

    def to_dict(self) -> dict[str, Any]:
        """A plain value for recipe.json."""
        refit_of = {"refit_of": self.refit_of} if self.refit_of else {}
        return {"kind": "ensemble", "members": list(self.members), **refit_of}


def _plain(value: Any) -> Any:
    """The value with members of an Enum as their texts, and tuples of stages as lists."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, tuple) and value and isinstance(value[0], dict):
        return [_plain(item) for item in value]
    return value


def recipe_from_dict(plain: Mapping[str, Any]) -> Recipe | EnsembleRecipe:
    """The recipe in a recipe.json, of the kind that it names; ValueError if it is none."""
    kinds: dict[Any, type[Recipe] | type[EnsembleRecipe]] = {"recipe": Recipe, "ensemble": EnsembleRecipe}
    kind = plain.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(f"kind: {kind!r:.80} is neither 'recipe' nor 'ensemble'")
    return checked(kinds[kind], recipe_fields(plain))


def recipe_fields(plain: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a recipe alone; stages of earlier versions, which name no solver, are trained as they were."""
    fields = {name: value for name, value in plain.items() if name != "kind"}
    if isinstance(fields.get("stages"), list):
        earlier = {"solver": Solver.SGDR.value, "min_steps": 0}
        fields["stages"] = [
            {**earlier, **stage} if isinstance(stage, Mapping) and "solver" not in stage else stage
            for stage in fields["stages"]
        ]
    return fields


def with_sizes(recipe: Recipe, sizes: Sequence[int]) -> Recipe:
    """The recipe with its own sizes, in order, replaced by these.

    With fewer sizes the later stages are dropped; with more, the last size's stages are repeated.
    """
    declared = tuple(dict.fromkeys(stage.size for stage in recipe.stages))
    stages = [
        replace(stage, size=size)
        for position, size in enumerate(sizes)
        for stage in recipe.stages
        if stage.size == declared[min(position, len(declared) - 1)]
    ]
    return replace(recipe, stages=tuple(stages))


def scale_epochs(recipe: Recipe, scale: float) -> Recipe:
    """The recipe with longer or shorter cycles, each of at least one epoch."""
    stages = (
        stage if stage.is_regression else replace(stage, cycle_len=max(1, round(stage.cycle_len * scale)))
        for stage in recipe.stages
    )
    return replace(recipe, stages=tuple(stages))


def with_epochs(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe with exactly this many epochs in all, divided over its stages in their proportion.

    A stage keeps as many of its cycles as divide its epochs. With fewer epochs than stages the last are left out.
    """
    stages = recipe.stages[:epochs]
    trained = [stage for stage in stages if not stage.is_regression]  # a regression always counts as one
    lengths = iter(_apportion(epochs - len(stages) + len(trained), [stage.epochs for stage in trained]))
    return replace(
        recipe,
        stages=tuple(stage if stage.is_regression else _with_length(stage, next(lengths)) for stage in stages),
    )


def _apportion(total: int, sizes: Sequence[int]) -> list[int]:
    """Whole numbers of at least 1, in proportion to the sizes, whose sum is the total."""
    shares = [total * size / sum(sizes) for size in sizes]
    counts = [max(1, int(share)) for share in shares]
    while counts and sum(counts) != total:
        step = 1 if sum(counts) < total else -1
        open_ones = [number for number, count in enumerate(counts) if count + step >= 1]
        furthest = max(open_ones, key=lambda number: step * (shares[number] - counts[number]))
        counts[furthest] += step
    return counts


def _with_length(stage: Stage, epochs: int) -> Stage:
    """The stage with this many epochs, in as many of its cycles as can be."""
    for cycles in range(stage.cycles, 0, -1):
        for mult in dict.fromkeys((stage.cycle_mult, 1)):
            shortest = sum(mult**cycle for cycle in range(cycles))
            if epochs % shortest == 0:
                return replace(stage, cycles=cycles, cycle_len=epochs // shortest, cycle_mult=mult)
    raise AssertionError("one cycle has any length")


def short_recipe(recipe: Recipe) -> Recipe:
    """A short recipe at the first size: lr finder, one frozen epoch, unfrozen cycles of 1, 2 and 4 epochs."""
    size = recipe.stages[0].size
    unfrozen = next((stage for stage in recipe.stages if stage.mode is TrainMode.UNFROZEN), None)
    lr_scale, augment = (unfrozen.lr_scale, unfrozen.augment) if unfrozen else (0.1, Augment())
    stages = (
        Stage(size, TrainMode.FROZEN, cycles=1, cycle_len=1, augment=augment),
        Stage(size, TrainMode.UNFROZEN, cycles=3, cycle_len=1, cycle_mult=2, lr_scale=lr_scale, augment=augment),
    )
    return replace(recipe, stages=stages, find_lr=True)


def linear_probe(recipe: Recipe) -> Recipe:
    """The recipe's stages on precomputed features alone; one such stage if it has none."""
    stages = tuple(stage for stage in recipe.stages if stage.mode is TrainMode.FEATURES)
    return replace(recipe, stages=stages or (Stage(recipe.stages[0].size, TrainMode.FEATURES, cycles=3, cycle_mult=2),))


def with_solver(recipe: Recipe, solver: Solver) -> Recipe:
    """The recipe with this solver in its features stages."""
    stages = (replace(stage, solver=solver) if stage.mode is TrainMode.FEATURES else stage for stage in recipe.stages)
    return replace(recipe, stages=tuple(stages))


def with_freeze_to(recipe: Recipe, freeze_to: int) -> Recipe:
    """The recipe with the groups below `freeze_to` frozen in its unfrozen stages."""
    stages = (
        replace(stage, freeze_to=freeze_to) if stage.mode is TrainMode.UNFROZEN else stage for stage in recipe.stages
    )
    return replace(recipe, stages=tuple(stages))


def with_augment(recipe: Recipe, **changes: Any) -> Recipe:
    """The recipe with these fields of `Augment` in each stage on images."""
    stages = (
        stage if stage.mode is TrainMode.FEATURES else replace(stage, augment=replace(stage.augment, **changes))
        for stage in recipe.stages
    )
    return replace(recipe, stages=tuple(stages))


# What a competition file without a recipe trains: for photographs, which are like the pretraining images, and for
# images that are not: a radar's, a microscope's, of 32 pixels. The second was chosen on cifar: all layers at one lr,
# in one cycle with warmup, from a classifier at zero. A frozen stage before it, restarts, smaller lrs of earlier layers
# and frozen BatchNorms were each worth nothing or less (docs/training.md).
PHOTOGRAPHS = Recipe(
    backbone="resnet34",
    stages=(
        Stage(224, TrainMode.FEATURES),
        Stage(224, TrainMode.UNFROZEN, cycles=2, cycle_len=2, cycle_mult=2, lr_scale=0.1),
    ),
    lr=1e-3,
    weight_decay=0.05,
)
UNLIKE_PHOTOGRAPHS = Recipe(
    backbone="resnet34",
    stages=(Stage(224, TrainMode.UNFROZEN, cycle_len=10),),
    lr=5e-4,
    layer_decay=1.0,
    batch_size=32,
    warmup=0.1,
    head=HeadRecipe(zero_init=True),
)

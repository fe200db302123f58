"""Groups of a recipe's fields: augmentation, optimizer, loss, regularization and head. Each is off by default."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from runner.contract.limits import check_count, check_member, check_number

# Those whose whole state a checkpoint keeps, by timm's names.
OPTIMIZERS = ("adamw", "sgd", "nadamw", "radam", "lamb", "lion", "adan")


class Policy(Enum):
    """A published set of random changes of colours and geometry; of uint8 RGB images alone."""

    TRIVIAL = "trivial"  # TrivialAugment: one change an image, of any strength
    RAND = "rand"  # RandAugment: two changes an image, of one strength


@dataclass(frozen=True)
class Augment:
    """How a stage changes its training images beyond the preset."""

    policy: Policy | None = None
    magnitude: int = 9  # of RandAugment, from 0 to 30
    erase: float = 0.0  # the share of the images that lose a random rectangle
    mixup: float = 0.0  # alpha of the Beta distribution of the shares of two images; 0: images are not mixed
    cutmix: float = 0.0  # the same, of the area that is another image's; with both, each batch has one of them
    mix_share: float = 1.0  # the share of the batches that are mixed

    def __post_init__(self) -> None:
        if self.policy is not None:
            check_member("Augment.policy", self.policy, Policy)
        check_count("Augment.magnitude", self.magnitude, 0, 30)
        check_number("Augment.erase", self.erase, "from 0 to 1")
        check_number("Augment.mixup", self.mixup, "from 0 to 10")
        check_number("Augment.cutmix", self.cutmix, "from 0 to 10")
        check_number("Augment.mix_share", self.mix_share, "above 0, at most 1")

    @property
    def mixes(self) -> bool:
        """Whether rows are mixed with others of their batch."""
        return self.mixup > 0 or self.cutmix > 0

    @property
    def changes_images(self) -> bool:
        """Whether it needs images: features show what the backbone saw, and can only be mixed."""
        return self.policy is not None or self.erase > 0 or self.cutmix > 0


@dataclass(frozen=True)
class Optimizer:
    """The optimizer, and what is done with gradients before its step."""

    name: str = "adamw"
    betas: tuple[float, ...] | None = None  # None: the optimizer's own
    eps: float | None = None
    layerwise: bool = False  # `layer_decay` from each layer to the one before, instead of over three groups
    clip_grad: float | None = None  # the largest norm of all gradients together
    accumulate: int = 1  # mini-batches for a step

    def __post_init__(self) -> None:
        if self.name not in OPTIMIZERS:
            raise ValueError(f"Optimizer.name: {self.name!r} is not one of {', '.join(OPTIMIZERS)}")
        if self.betas is not None:
            if self.name == "sgd":
                raise ValueError("Optimizer.betas: sgd has none")
            if not isinstance(self.betas, tuple) or len(self.betas) != (3 if self.name == "adan" else 2):
                raise ValueError(f"Optimizer.betas: {self.betas!r} are not those of {self.name}")
            for beta in self.betas:
                check_number("Optimizer.betas", beta, "from 0 to below 1")
        if self.eps is not None:
            if self.name in ("sgd", "lion"):
                raise ValueError(f"Optimizer.eps: {self.name} has none")
            check_number("Optimizer.eps", self.eps, "above 0")
        check_member("Optimizer.layerwise", self.layerwise, bool)
        if self.clip_grad is not None:
            check_number("Optimizer.clip_grad", self.clip_grad, "above 0")
        check_count("Optimizer.accumulate", self.accumulate, 1, 1024)


class LossKind(Enum):
    """What is minimised. Validation always has the plain loss of the labels."""

    PLAIN = "plain"  # cross entropy of classes and tags, squared error of numbers
    FOCAL = "focal"  # Lin et al. 2017: rows that are right already count less
    ASYMMETRIC = "asl"  # Ridnik et al. 2021, of tags: most of those that are absent count less


@dataclass(frozen=True)
class Loss:
    """The training loss of classes and tags; numbers always have the squared error."""

    kind: LossKind = LossKind.PLAIN
    gamma: float = 2.0  # the exponent of focal loss; of the asymmetric loss for absent tags, where 4 is usual
    label_smoothing: float = 0.0  # the share of each label that is spread evenly
    class_weights: float = 0.0  # 0: none; 1: a class weighs inversely to its rows; 0.5: to their square root

    def __post_init__(self) -> None:
        check_member("Loss.kind", self.kind, LossKind)
        check_number("Loss.gamma", self.gamma, "from 0 to 10")
        check_number("Loss.label_smoothing", self.label_smoothing, "from 0 to 0.9")
        check_number("Loss.class_weights", self.class_weights, "from 0 to 1")


@dataclass(frozen=True)
class Regularize:
    """What keeps a network from learning rows by heart; dropout and weight decay are fields of the recipe."""

    drop_path: float = 0.0  # stochastic depth: the rate of the last block
    ema: float = 0.0  # decay of a moving average of the weights, which is what is validated and kept; 0: none

    def __post_init__(self) -> None:
        check_number("Regularize.drop_path", self.drop_path, "from 0 to 0.9")
        check_number("Regularize.ema", self.ema, "from 0 to below 1")


class Pool(Enum):
    """How the last map of features becomes one vector."""

    AVG = "avg"
    MAX = "max"
    AVGMAX = "avgmax"  # their mean
    CATAVGMAX = "catavgmax"  # both, side by side
    GEM = "gem"  # the generalised mean of Radenović et al. 2018, with exponent 3


@dataclass(frozen=True)
class HeadRecipe:
    """The head: BatchNorm, dropout and a linear layer over pooled features."""

    pool: Pool | None = None  # None: the backbone's own
    zero_init: bool = False  # the linear layer begins at zero: all classes are then equally likely

    def __post_init__(self) -> None:
        if self.pool is not None:
            check_member("HeadRecipe.pool", self.pool, Pool)
        check_member("HeadRecipe.zero_init", self.zero_init, bool)

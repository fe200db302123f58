"""MixUp (Zhang et al. 2018) and CutMix (Yun et al. 2019): each row of a batch with another one of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from runner.contract import Augment
from runner.training.loaders import Batch


@dataclass(frozen=True)
class Mixed:
    """A batch whose inputs are mixed: its own targets count `share`, and those of `partners` the rest."""

    batch: Batch
    share: float = 1.0
    partners: Tensor | None = None  # targets

    @property
    def is_mixed(self) -> bool:
        return self.partners is not None


def mix(batch: Batch, augment: Augment, seed: int) -> Mixed:
    """The batch, mixed as the seed decides; the rows are shuffled already, so each is mixed with the one before it."""
    if not augment.mixes or len(batch.targets) < 2:
        return Mixed(batch)
    random = np.random.Generator(np.random.PCG64(seed))
    if random.random() >= augment.mix_share:
        return Mixed(batch)
    cuts = augment.cutmix > 0 and (augment.mixup == 0 or random.random() < 0.5)
    alpha = augment.cutmix if cuts else augment.mixup
    share = float(random.beta(alpha, alpha))
    if cuts:
        inputs, share = _cut(batch.inputs, share, random)
    else:
        inputs = _blend(batch.inputs, share)
    mixed = replace(batch, inputs=inputs, tabular=_blend(batch.tabular, share))
    return Mixed(mixed, share, batch.targets.roll(1, 0))


def _blend(values: Tensor, share: float) -> Tensor:
    """Each row times the share, plus the row before it times the rest; bytes become floats."""
    own = values.float()
    return own.roll(1, 0).lerp(own, share)


def _cut(images: Tensor, share: float, random: np.random.Generator) -> tuple[Tensor, float]:
    """Each image with a rectangle of the one before it, and the share of its area that is its own."""
    height, width = images.shape[-2:]
    side = np.sqrt(1 - share)
    top, bottom = _span(height, side, random)
    left, right = _span(width, side, random)
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = images.roll(1, 0)[..., top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def _span(length: int, share: float, random: np.random.Generator) -> tuple[int, int]:
    """The ends of a part of this share around a point anywhere, cut off at the border."""
    centre, half = int(random.integers(length)), round(length * share / 2)
    return max(0, centre - half), min(length, centre + half)

"""How much half precision rounds off a backbone's features, and what must stay in single precision for it.

In bf16 most networks lose nothing: the features differ by a twentieth of what they differ from image to image. Some
have a layer whose outputs are large and nearly constant, mostly one of the first. On 600 hidden photographs of ten
breeds a mobilenet of that kind had a log loss of 0.276 in bf16 and 0.258 in single precision, for twice the time.
"""

from __future__ import annotations

import hashlib

import numpy as np
from accelerate import PartialState
from torch import Tensor

from runner.images.center_crop import CenterCrop
from runner.training.distributed import broadcast_from_main, inference_context, inference_precision
from runner.training.fold import FoldRun
from runner.training.fuse import fused_convolutions
from runner.training.loaders import ImageLoader
from runner.training.model import ALL_SINGLE, Network

# The mean over the features of what is rounded off, as a share of their standard deviation from image to image.
LIMIT = 0.08
_IMAGES = 32
_FIRST_CONVS = (0, 3, 8)  # what is tried before all

_known: dict[str, int] = {}  # of networks by their content: the folds of a run begin with the same one


def keep_precise(fold: FoldRun, network: Network, size: int) -> None:
    """Let inference compute as many of the first convolutions in single precision as the fold's images need."""
    if inference_precision() == "no":
        return
    network.set_single_convs(broadcast_from_main(lambda: _count_for(fold, network, size)))


def _count_for(fold: FoldRun, network: Network, size: int) -> int:
    told = (inference_precision(), size, fold.session.index.data_dir, network.backbone_args, network.pool)
    content = hashlib.sha256(repr(told).encode())
    for block in network.content():
        content.update(block)
    key = content.hexdigest()
    if key not in _known:
        _known[key] = needed_single_convs(network, _some_images(fold, size))
    return _known[key]


def _some_images(fold: FoldRun, size: int) -> Tensor:
    """The same ones in every fold, or folds would have features of their own."""
    rows = np.setdiff1d(np.arange(len(fold.train.table)), sorted(fold.train.skipped))
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(_IMAGES, len(rows))).astype(np.int64))]
    plain = CenterCrop(fold.competition.preset, size)
    (batch,) = ImageLoader(fold.train.images(size), fold.train.targets, plain, workers=0).read([chosen])
    return batch.inputs


def needed_single_convs(network: Network, images: Tensor) -> int:
    """The fewest of the first convolutions with which rounding stays within the limit on these images."""
    training, before = network.training, network.single_convs
    network.eval().fused_backbone()  # not in inference mode: it may be trained
    images = images.to(PartialState().device)
    try:
        network.set_single_convs(ALL_SINGLE)
        exact = _features(network, images)
        for count in _counts(network):
            network.set_single_convs(count)
            if rounded_off(_features(network, images), exact, network.head.norm.eps) <= LIMIT:
                return count
        return ALL_SINGLE
    finally:
        network.set_single_convs(before)
        network.train(training)


def rounded_off(features: Tensor, exact: Tensor, eps: float) -> float:
    """The mean over the columns of their error, as a share of their standard deviation from image to image."""
    error = (features - exact).square().mean(dim=0)
    return float((error / (exact.var(dim=0, correction=0) + eps)).sqrt().mean())


def _features(network: Network, images: Tensor) -> Tensor:
    with inference_context():
        return network.forward_features(images).float()


def _counts(network: Network) -> tuple[int, ...]:
    """What can be tried: a network that is not fused has no first convolutions to choose."""
    convolutions = len(fused_convolutions(network.fused_backbone()))
    return tuple(count for count in _FIRST_CONVS if count == 0 or count < convolutions)

"""Speed of training: epochs by train mode, feature extraction, and what fast inference costs in log loss.

python -m benchmarks.training stages [--images N] ...
python -m benchmarks.training fusing [--models NAME,NAME] [--size N]
python -m benchmarks.training fast-inference FOLDER --weights FILE
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import runner  # noqa: F401  # isort: skip  # before torch: it sets how threads wait

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.harness import (
    HEIGHT,
    WIDTH,
    claim,
    main,
    median_seconds,
    run_runner,
    write_competition,
    write_dataset,
)
from competitions import load
from runner.contract import LOG_LOSS, SIDE_ON, Recipe, Solver, Stage, TrainMode
from runner.data.index import build_index
from runner.images.cached import open_cached_images
from runner.images.readers import ImageReader, open_images
from runner.images.views import PLAIN, MultiView, default_views
from runner.options import Compute
from runner.training.distributed import get_accelerator, inference_context, inference_precision
from runner.training.features import FeatureSpec, cached_features
from runner.training.fold import worker_count
from runner.training.fuse import fuse_batchnorm
from runner.training.loaders import ImageLoader, RowTargets, balanced_batches
from runner.training.model import build_network, normalise

BATCH_SIZE, BREEDS, FOLDS = 64, 10, 5
COMPETITION = "stage-speed"

Epochs = dict[str, list[dict[str, Any]]]  # lines of log.jsonl by train mode
Forward = Callable[[torch.Tensor], torch.Tensor]


# --- stages -------------------------------------------------------------------------------------


def stages(model: str = "mobilenetv2_100", size: int = 160, images: int = 1200, epochs: int = 5) -> None:
    """Seconds of an epoch in each train mode, the share spent waiting for images, and feature extraction.

    Generated JPEGs of 500 x 375, random weights; the stages run by the command line. Medians over the epochs.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, workspace = Path(folder) / "source", Path(folder) / "workspace"
        write_dataset(source, images, breeds=BREEDS)
        print(f"{images} JPEGs {WIDTH} x {HEIGHT}, {model} at {size} px, ", end="")
        print(f"{torch.get_num_threads()} threads, {worker_count(Compute())} workers")
        log = train_each_mode(source, workspace, model, size, epochs)
        report_stages(log)
        compare_feature_extraction(source, Path(folder) / "cache", model, size)


def train_each_mode(source: Path, workspace: Path, model: str, size: int, epochs: int) -> Epochs:
    """The epochs of a run with one stage of each train mode."""
    modes = (TrainMode.FEATURES, TrainMode.FROZEN, TrainMode.UNFROZEN)
    stages = tuple(Stage(size, mode, cycle_len=epochs, solver=Solver.SGDR, min_steps=0) for mode in modes)
    recipe = Recipe(model, stages, lr=1e-3, batch_size=BATCH_SIZE, pretrained=False)
    write_competition(workspace, COMPETITION, recipe)
    for step in (["download", "--from", source], ["split"], ["train", "--run", "stages"]):
        run_runner(workspace, COMPETITION, *step)
    log: Epochs = {}
    for line in (workspace / "runs" / COMPETITION / "stages" / "log.jsonl").read_text().splitlines():
        epoch = json.loads(line)
        log.setdefault(epoch["mode"], []).append(epoch)
    return log


def report_stages(log: Epochs) -> None:
    """Print medians by train mode; how many epochs on features an epoch costs; the share of waiting."""
    seconds = {mode: statistics.median(epoch["seconds"] for epoch in epochs) for mode, epochs in log.items()}
    unit = seconds[TrainMode.FEATURES.value]
    print(f"\n{'mode':<10}{'epochs':>8}{'median s':>10}{'x features':>13}{'waiting':>9}{'first epoch':>14}")
    for mode, epochs in log.items():
        shares = f"{statistics.median(map(waiting_share, epochs)):>9.1%}{waiting_share(epochs[0]):>14.1%}"
        print(f"{mode:<10}{len(epochs):>8}{seconds[mode]:>10.3f}{seconds[mode] / unit:>11.1f} x{shares}")
    ratio = seconds["frozen"] / unit
    claim("a frozen epoch / an epoch on features", f"{ratio:.0f} x", ">= 20 x", ratio >= 20)
    for mode in ("frozen", "unfrozen"):
        first, *later = map(waiting_share, log[mode])
        for when, share in (("first epoch", first), *([("later", statistics.median(later))] if later else [])):
            claim(f"share of an epoch spent waiting for images, {mode}, {when}", f"{share:.1%}", "< 5 %", share < 0.05)


def waiting_share(epoch: dict[str, Any]) -> float:
    """The share of an epoch's seconds without a batch to train on."""
    return float(epoch["data_seconds"] / epoch["seconds"])


def compare_feature_extraction(source: Path, cache: Path, model: str, size: int) -> None:
    """Views a second: features from JPEGs, beside timm's backbone and the fused network fed from memory; in turns."""
    device = get_accelerator(Compute()).device
    network = build_network(model, classes=BREEDS, channels=3, pretrained=False, weights=None, dropout=0)
    network.to(device).set_single_convs(0)  # as most networks are found to need
    paths = [f"train/{path.name}" for path in sorted((source / "train").iterdir())]
    reader, views = open_cached_images(source, paths, SIDE_ON, size), default_views(SIDE_ON)
    count = len(paths) * len(views)
    floats = torch.rand(BATCH_SIZE, 3, size, size, device=device)
    pixels = (255 * floats).to(torch.uint8).contiguous(memory_format=torch.channels_last)
    floats = floats.contiguous(memory_format=torch.channels_last)
    speeds: dict[str, list[float]] = {"features": [], "backbone": [], "network": []}
    for turn in range(3):
        started = time.perf_counter()
        spec = FeatureSpec(network, reader, SIDE_ON, views, size)
        cached_features(spec, cache / str(turn), batch_size=BATCH_SIZE, workers=worker_count(Compute()))
        speeds["features"].append(count / (time.perf_counter() - started))
        network.eval()
        with torch.inference_mode():
            speeds["backbone"].append(images_per_second(network.backbone, floats, count))
        with inference_context():
            speeds["network"].append(images_per_second(network.forward_features, pixels, count))
    features, backbone, fused = (statistics.median(values) for values in speeds.values())
    print(f"\nviews a second ({len(views)} an image): features {features:.0f}; from memory: ", end="")
    print(f"timm's backbone {backbone:.0f}, fused network {fused:.0f}")
    ratio = features / backbone
    claim("features from JPEGs / timm's backbone from memory", f"{ratio:.0%}", ">= 95 %", ratio >= 0.95)
    claim("features from JPEGs / fused network from memory", f"{features / fused:.0%}")


def images_per_second(forward: Forward, batch: torch.Tensor, count: int) -> float:
    """The speed of a network on a batch in memory, repeated to about `count` images."""
    forward(batch)
    batches = max(1, count // BATCH_SIZE)
    started = time.perf_counter()
    for _ in range(batches):
        forward(batch)
    if batch.is_cuda:
        torch.cuda.synchronize()
    return batches * BATCH_SIZE / (time.perf_counter() - started)


# --- fusing -------------------------------------------------------------------------------------

FAMILIES = (
    "mobilenetv2_100",
    "mobilenetv2_100:same",
    "tf_efficientnet_lite0",
    "tf_efficientnetv2_b0",
    "resnet18",
    "regnety_004",
    "densenet121",
)
MAX_SAME_PADDING_COST = 1.25


def fusing(models: tuple[str, ...] = FAMILIES, size: int = 224, images: int = 8, repeats: int = 7) -> None:
    """Milliseconds an image of timm's backbone and of the fused one, by family; NAME:same has pad_type="same".

    Random weights, the inference precision, batches from memory; all models take turns, medians.
    """
    device = get_accelerator(Compute()).device
    batch = torch.rand(images, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
    works: dict[str, Callable[[], torch.Tensor]] = {}
    for name in models:
        model, _, padding = name.partition(":")
        backbone = timm.create_model(model, num_classes=0, **({"pad_type": padding} if padding else {}))
        backbone.eval().to(device, memory_format=torch.channels_last)
        works[f"{name} plain"] = partial(infer, backbone, batch)
        works[f"{name} fused"] = partial(infer, fuse_batchnorm(backbone, 3), batch)
    seconds = median_seconds(works, repeats)
    print(f"ms an image, {size} px, {torch.get_num_threads()} threads, {inference_precision()}")
    print(f"{'model':<28}{'plain':>8}{'fused':>8}{'ratio':>8}")
    for name in models:
        plain, fused = (1000 * seconds[f"{name} {kind}"] / images for kind in ("plain", "fused"))
        print(f"{name:<28}{plain:>8.2f}{fused:>8.2f}{plain / fused:>8.2f}")
        claim(f"plain / fused inference, {name}", f"{plain / fused:.2f}", "> 1", plain > fused)
    for name in models:
        if f"{name}:same" in models:
            cost = seconds[f"{name}:same fused"] / seconds[f"{name} fused"]
            holds = cost <= MAX_SAME_PADDING_COST
            claim(f"same / symmetric padding, {name} fused", f"{cost:.2f}", f"<= {MAX_SAME_PADDING_COST}", holds)


def infer(module: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
    with inference_context():
        return module(batch)  # type: ignore[no-any-return]


# --- fast inference -----------------------------------------------------------------------------


def fast_inference(
    folder: Path,
    model: str = "mobilenetv2_100",
    weights: Path | None = None,
    sizes: tuple[int, ...] = (72, 96, 112, 160),
) -> None:
    """What fast inference costs in log loss: a linear probe on features of photographs laid out as dog-breed.

    Plain: decode at full scale, resize once, timm's backbone in float32. Fast: decode at a reduced scale, resize to the
    cache's size and from there, the fused network in the fastest precision. The same rows, folds and probe. The table
    has the difference with the standard error of paired rows, beside the standard error of the log loss itself.
    """
    index = build_index(load("dog-breed"), folder)
    paths, targets = index.train["path"].tolist(), index.targets()
    device = get_accelerator(Compute()).device
    network = build_network(model, classes=2, channels=3, pretrained=True, weights=weights, dropout=0)
    network.to(device).eval().set_single_convs(0)

    def plain_features(images: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return network.backbone(normalise(images, network.mean, network.std))  # type: ignore[no-any-return]

    def fast_features(images: torch.Tensor) -> torch.Tensor:
        with inference_context():
            return network.forward_features(images)

    print(f"{len(paths)} images, {model}")
    print(f"{'size':<8}{'plain log loss':>18}{'fast':>10}{'difference':>20}")
    for size in sizes:
        plain = probe_losses(extract(open_images(folder, paths), size, plain_features), targets)
        fast = probe_losses(extract(open_cached_images(folder, paths, SIDE_ON, size), size, fast_features), targets)
        difference = fast - plain
        error, plain_error = (losses.std() / np.sqrt(len(losses)) for losses in (difference, plain))
        print(f"{size:<8}{plain.mean():>9.4f} ± {plain_error:.4f}{fast.mean():>10.4f}", end="")
        print(f"{difference.mean():>+11.4f} ± {error:.4f}")
        cost = difference.mean() / plain_error
        claim(f"log loss that fast inference costs, {size} px / standard error", f"{cost:.2f}", "<= 0.2", cost <= 0.2)


def extract(reader: ImageReader, size: int, forward: Forward) -> NDArray[np.float32]:
    """The features of every image's centre crop, (images, features)."""
    views = MultiView(SIDE_ON, (PLAIN,), size)
    loader = ImageLoader(reader, RowTargets.none(len(reader)), views, worker_count(Compute()))
    batches = loader.read(balanced_batches(np.arange(len(reader)), BATCH_SIZE))
    return np.concatenate([forward(batch.inputs.flatten(0, 1)).float().cpu().numpy() for batch in batches])


def probe_losses(features: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """The out-of-fold log loss of each row, by logistic regression."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=1000))
    probabilities = cross_val_predict(probe, features, targets, cv=FOLDS, method="predict_proba")
    return LOG_LOSS.row_scores(targets, probabilities)


if __name__ == "__main__":
    main(stages, fusing, fast_inference)

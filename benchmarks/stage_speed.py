"""What an epoch costs in each state, how long the network waits for images, and activations beside the bare model.

The images are painted, 500 x 375 JPEGs as photographs come; the weights are drawn at random, which
costs the same arithmetic. The stages run by the command line, from a competition file in a scratch workspace.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import runner  # noqa: F401  # isort: skip  # before torch: it sets how threads wait

import torch

from benchmarks.claims import claim
from benchmarks.scratch import HEIGHT, WIDTH, paint_competition, run_runner, write_plugin
from runner.contract import SIDE_ON, Recipe, Stage, TrainMode
from runner.images.cached import open_cached_images
from runner.images.views import default_views
from runner.training.distributed import build_accelerator, looking
from runner.training.features import cached_features
from runner.training.fold import default_workers
from runner.training.model import build_network

BREEDS, BATCH = 10, 64
Epochs = dict[str, list[dict[str, Any]]]


def main() -> None:
    options = parse_options()
    with tempfile.TemporaryDirectory() as folder:
        raw, workspace = Path(folder) / "raw", Path(folder) / "workspace"
        paint_competition(raw, options.images, breeds=BREEDS)
        workers = default_workers()
        print(f"{options.images} JPEGs {WIDTH} x {HEIGHT}, {options.model} at {options.size} px, ", end="")
        print(f"{torch.get_num_threads()} threads, {workers} workers, load before {os.getloadavg()[0]:.1f}")
        epochs = train_stages(options, raw, workspace)
        print_stages(epochs)
        claim_stages(epochs)
        print_activations(options, raw, workers, Path(folder) / "cache")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stage_speed", description=__doc__)
    parser.add_argument("--model", default="mobilenetv2_100", metavar="M")
    parser.add_argument("--size", type=int, default=160, metavar="N")
    parser.add_argument("--images", type=int, default=1200, metavar="N")
    parser.add_argument("--epochs", type=int, default=5, metavar="N", help="of each stage; medians are printed")
    return parser.parse_args()


def recipe_of(options: argparse.Namespace) -> Recipe:
    """A stage of each state, at one size."""
    states = (TrainMode.FEATURES, TrainMode.FROZEN, TrainMode.UNFROZEN)
    stages = tuple(Stage(options.size, state, cycle_len=options.epochs) for state in states)
    return Recipe(options.model, stages, lr=1e-3, batch_size=BATCH, pretrained=False)


def train_stages(options: argparse.Namespace, raw: Path, workspace: Path) -> Epochs:
    """Every epoch by state, as the log has them."""
    write_plugin(workspace, "stage-speed", recipe_of(options))
    for step in (["download", "--from", raw], ["split"], ["train", "--run", "stages"]):
        run_runner(workspace, "stage-speed", *step)
    epochs: Epochs = {}
    for line in (workspace / "runs" / "stage-speed" / "stages" / "log.jsonl").read_text().splitlines():
        epoch = json.loads(line)
        epochs.setdefault(epoch["mode"], []).append(epoch)
    return epochs


def print_stages(epochs: Epochs) -> None:
    """Medians over the epochs of each state; an epoch of a head is the unit of one column."""
    unit = median_of(epochs["head"], "seconds")
    print(f"\n{'state':<10}{'epochs':>8}{'median s':>10}{'head epochs':>13}{'waited':>9}{'in the first':>14}")
    for state, lines in epochs.items():
        middle, waited = median_of(lines, "seconds"), statistics.median(map(waiting, lines))
        shares = f"{waited:>9.1%}{waiting(lines[0]):>14.1%}"
        print(f"{state:<10}{len(lines):>8}{middle:>10.3f}{middle / unit:>11.1f} x{shares}")


def claim_stages(epochs: Epochs) -> None:
    ratio = median_of(epochs["frozen"], "seconds") / median_of(epochs["head"], "seconds")
    claim("a frozen epoch / a head epoch", f"{ratio:.0f} x", ">= 20 x", ratio >= 20)
    for state in ("frozen", "unfrozen"):
        for when, share in (
            ("first epoch", waiting(epochs[state][0])),
            ("later", statistics.median(map(waiting, epochs[state][1:]))),
        ):
            claim(f"share of a training epoch spent waiting, {state}, {when}", f"{share:.1%}", "< 5 %", share < 0.05)


def median_of(lines: list[dict[str, Any]], key: str) -> float:
    return statistics.median(line[key] for line in lines)


def waiting(line: dict[str, Any]) -> float:
    """The share of an epoch's seconds in which there was no batch to learn from."""
    return float(line["waited_seconds"] / line["seconds"])


def print_activations(options: argparse.Namespace, raw: Path, workers: int, cache: Path) -> None:
    """Images a second: features from the JPEGs on, and from a batch in memory the body as timm made it, and
    the network as we look through it. In turns.
    """
    accelerator = build_accelerator("auto")
    network = build_network(options.model, classes=BREEDS, channels=3, pretrained=False, weights=None, dropout=0).to(
        accelerator.device
    )
    paths = [f"train/{path.name}" for path in sorted((raw / "train").iterdir())]
    reader, views = open_cached_images(raw, paths, SIDE_ON, options.size), default_views(SIDE_ON)
    rates: dict[str, list[float]] = {"activations": [], "bare model": [], "our network": []}
    for turn in range(3):
        begun = time.perf_counter()
        cached_features(
            accelerator,
            network,
            reader,
            preset=SIDE_ON,
            views=views,
            size=options.size,
            cache=cache / str(turn),
            batch_size=BATCH,
            workers=workers,
        )
        looks = len(paths) * len(views)
        rates["activations"].append(looks / (time.perf_counter() - begun))
        network.eval()
        floats = torch.rand(BATCH, 3, options.size, options.size, device=accelerator.device)
        pixels = (255 * floats).to(torch.uint8).contiguous(memory_format=torch.channels_last)
        floats = floats.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            rates["bare model"].append(rate_of(network.backbone, floats, looks))
        with looking(accelerator):
            rates["our network"].append(rate_of(network.features, pixels, looks))
    computed, bare, ours = (statistics.median(rate) for rate in rates.values())
    print(f"\nlooks/s ({len(views)} views an image): activations {computed:.0f}, from memory: ", end="")
    print(f"bare model {bare:.0f}, our network {ours:.0f}")
    claim(
        "activations, from the JPEGs on / the bare model", f"{computed / bare:.0%}", ">= 95 %", computed >= 0.95 * bare
    )
    claim("activations, from the JPEGs on / our folded network, fed from memory", f"{computed / ours:.0%}")


def rate_of(look: Callable[[torch.Tensor], object], batch: torch.Tensor, looks: int) -> float:
    """Images a second, of a batch that lies ready."""
    look(batch)
    batches = max(1, looks // BATCH)
    begun = time.perf_counter()
    for _ in range(batches):
        look(batch)
    if batch.is_cuda:
        torch.cuda.synchronize()
    return batches * BATCH / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()

"""What an epoch costs in each state (head, frozen, unfrozen), and activations against the bare model.

The pictures are painted, 500 x 375 JPEGs as photographs come; the weights are drawn at random, which
costs the same arithmetic. The stages run by the command line, from a competition file in a scratch workspace.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import runner  # noqa: F401  # isort: skip  # before torch: it sets how threads wait

import torch

from benchmarks.scratch import HEIGHT, WIDTH, paint_competition, run_runner, write_plugin
from runner.contract import SIDE_ON, Recipe, Stage, State
from runner.data.pictures.reading import open_pictures
from runner.data.pictures.views import default_views
from runner.training.activations import activations_of
from runner.training.fold import default_workers
from runner.training.model import Network, build_network
from runner.training.processes import build_accelerator

BREEDS, BATCH = 10, 64


def main() -> None:
    options = parse_options()
    with tempfile.TemporaryDirectory() as folder:
        raw, workspace = Path(folder) / "raw", Path(folder) / "workspace"
        paint_competition(raw, options.pictures, breeds=BREEDS)
        workers = default_workers()
        print(f"{options.pictures} JPEGs {WIDTH} x {HEIGHT}, {options.model} at {options.size} px, ", end="")
        print(f"{torch.get_num_threads()} threads, {workers} workers, load before {os.getloadavg()[0]:.1f}")
        print_stages(train_stages(options, raw, workspace))
        print_activations(options, raw, workers, Path(folder) / "cache")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stage_speed", description=__doc__)
    parser.add_argument("--model", default="mobilenetv2_100", metavar="M")
    parser.add_argument("--size", type=int, default=160, metavar="N")
    parser.add_argument("--pictures", type=int, default=600, metavar="N")
    parser.add_argument("--epochs", type=int, default=5, metavar="N", help="of each stage; medians are printed")
    return parser.parse_args()


def recipe_of(options: argparse.Namespace) -> Recipe:
    """A stage of each state, at one size."""
    states = (State.HEAD, State.FROZEN, State.UNFROZEN)
    stages = tuple(Stage(options.size, state, cycle_len=options.epochs) for state in states)
    return Recipe(options.model, stages, lr=1e-3, batch_size=BATCH, pretrained=False)


def train_stages(options: argparse.Namespace, raw: Path, workspace: Path) -> dict[str, list[float]]:
    """Seconds of every epoch by state, as the log has them."""
    write_plugin(workspace, "stage-speed", recipe_of(options))
    for step in (["download", "--from", raw], ["split"], ["train", "--run", "stages"]):
        run_runner(workspace, "stage-speed", *step)
    seconds: dict[str, list[float]] = {}
    for line in (workspace / "runs" / "stage-speed" / "stages" / "log.jsonl").read_text().splitlines():
        epoch = json.loads(line)
        if "seconds" in epoch and "state" in epoch:
            seconds.setdefault(epoch["state"], []).append(epoch["seconds"])
    return seconds


def print_stages(seconds: dict[str, list[float]]) -> None:
    """Medians over the epochs of each state; an epoch of a head is the unit of the last column."""
    unit = statistics.median(seconds["head"])
    print(f"\n{'state':<10}{'epochs':>8}{'median s':>10}{'least':>8}{'most':>8}{'head epochs':>13}")
    for state, all_of_it in seconds.items():
        middle = statistics.median(all_of_it)
        spread = f"{min(all_of_it):>8.2f}{max(all_of_it):>8.2f}"
        print(f"{state:<10}{len(all_of_it):>8}{middle:>10.3f}{spread}{middle / unit:>11.1f} x")


def print_activations(options: argparse.Namespace, raw: Path, workers: int, cache: Path) -> None:
    """Looks a second: activations from the JPEGs on, and the body alone on a batch that lies in memory. In turns."""
    accelerator = build_accelerator("auto")
    network = build_network(options.model, classes=BREEDS, channels=3, pretrained=False, weights=None, dropout=0).to(
        accelerator.device
    )
    paths = [f"train/{path.name}" for path in sorted((raw / "train").iterdir())]
    reader, views = open_pictures(raw, paths), default_views(SIDE_ON)
    rates: dict[str, list[float]] = {"activations": [], "bare model": []}
    for turn in range(3):
        begun = time.perf_counter()
        activations_of(
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
        rates["bare model"].append(bare_rate(network, options.size, looks))
    computed, bare = (statistics.median(rate) for rate in rates.values())
    print(
        f"\nactivations {computed:.0f} looks/s ({len(views)} views a picture), bare model {bare:.0f} looks/s: ", end=""
    )
    print(f"{computed / bare:.0%}")


@torch.inference_mode()
def bare_rate(network: Network, size: int, looks: int) -> float:
    """Looks a second through the body alone, of floats that lie ready."""
    network.eval()
    batch = torch.rand(BATCH, 3, size, size, device=network.mean.device).contiguous(memory_format=torch.channels_last)
    network.body(batch)
    batches = max(1, looks // BATCH)
    begun = time.perf_counter()
    for _ in range(batches):
        network.body(batch)
    if batch.is_cuda:
        torch.cuda.synchronize()
    return batches * BATCH / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()

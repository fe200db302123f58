"""How many rows a batch has: what was asked for, or what fits and is remembered to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from runner.console import say
from runner.contract import Recipe
from runner.errors import TrainingError
from runner.workspace import read_json, write_json

if TYPE_CHECKING:
    from runner.training.fold import Fold


def starting_batch_size(recipe: Recipe, cache: Path) -> int:
    """The recipe's; with `auto_batch` no more than what fitted this recipe on this device before."""
    if not recipe.auto_batch:
        return recipe.batch_size
    fitted = _read(cache).get(_key(recipe))
    return min(recipe.batch_size, fitted) if fitted else recipe.batch_size


def remember_batch_size(batch_size: int, recipe: Recipe, cache: Path) -> None:
    """Keep what fitted, for the next run."""
    if recipe.auto_batch and _read(cache).get(_key(recipe)) != batch_size:
        write_json(_file(cache), {**_read(cache), _key(recipe): batch_size})


def halve(batch_size: int, fold: Fold, error: Exception) -> int:
    """Half the batch, said; a TrainingError where that was not asked for, or nothing is left to halve."""
    if not fold.recipe.auto_batch or batch_size == 1:
        raise TrainingError(
            f"the memory of the device does not hold a batch of {batch_size}",
            where=fold.folder,
            cure="--batch-size auto, or a smaller --size or --model",
        ) from error
    say(f"a batch of {batch_size} does not fit into memory: going on with {batch_size // 2} from the last epoch")
    return batch_size // 2


def _key(recipe: Recipe) -> str:
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
    return f"{recipe.backbone} {max(stage.size for stage in recipe.stages)} {device}"


def _file(cache: Path) -> Path:
    return cache / "batch_size.json"


def _read(cache: Path) -> dict[str, int]:
    return read_json(_file(cache)) if _file(cache).exists() else {}

"""Precomputed activations: what a frozen body says of every picture, through every view, computed once.

They lie in the cache under a name that is a hash of all that decides them: the pictures' contents, the
body and its weights, the size, the views, the normalisation. What is there under that name is right, and
half of it is never there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from runner.console import progress
from runner.contract import Preset
from runner.data.pictures import PictureReader
from runner.data.views import View, ViewedPictures
from runner.training.batches import Answers, PictureFeed
from runner.training.loop import gather_rows
from runner.training.model import Network
from runner.workspace import atomic_path

# Raised when what is stored, or how it is computed, changes.
_LAYOUT = 1


def activations_of(
    accelerator: Accelerator,
    network: Network,
    reader: PictureReader,
    *,
    preset: Preset,
    views: Sequence[View],
    size: int,
    cache: Path,
    batch_size: int,
    workers: int,
) -> NDArray[np.float32]:
    """Activations shaped (rows, views, width), memory-mapped; computed now where they are not there yet."""
    key = _key(network, reader, preset, views, size)
    path = cache / "activations" / f"{key}.npy"
    if not path.exists():
        _compute(accelerator, network, reader, ViewedPictures(preset, views, size), path, batch_size, workers)
    array: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _key(network: Network, reader: PictureReader, preset: Preset, views: Sequence[View], size: int) -> str:
    content = hashlib.sha256()
    for part in (_LAYOUT, timm.__version__, torch.__version__, preset, tuple(views), size, repr(network.body)):
        content.update(repr(part).encode() + b"\0")
    for name, tensor in [*network.body.state_dict().items(), ("mean", network.mean), ("std", network.std)]:
        content.update(name.encode() + b"\0" + tensor.detach().cpu().contiguous().numpy().tobytes())
    for row in range(len(reader)):
        content.update(reader.digest(row))
    return content.hexdigest()[:32]


def _compute(
    accelerator: Accelerator,
    network: Network,
    reader: PictureReader,
    looks: ViewedPictures,
    path: Path,
    batch_size: int,
    workers: int,
) -> None:
    nothing = np.zeros((len(reader), 0), dtype=np.float32)
    feed = PictureFeed(reader, Answers(nothing, nothing), looks, workers)
    network.to(accelerator.device).eval()
    rows = np.arange(accelerator.process_index, len(reader), accelerator.num_processes)
    pictures = max(1, batch_size // len(looks.views))
    batches = [rows[start : start + pictures] for start in range(0, len(rows), pictures)]
    parts = []
    with progress("activations", len(rows)) as advance:
        for batch in feed.read(batches):
            parts.append(_activate(accelerator, network, batch.inputs))
            advance(len(batch.rows))
    whole = gather_rows(accelerator, parts, len(reader)).numpy()
    if accelerator.is_main_process:
        _write(path, whole)
    accelerator.wait_for_everyone()


@torch.inference_mode()
def _activate(accelerator: Accelerator, network: Network, looks: torch.Tensor) -> torch.Tensor:
    """Activations of a batch shaped (rows, views, channels, height, width)."""
    flat = looks.flatten(0, 1).to(accelerator.device, non_blocking=True)
    with accelerator.autocast():
        said = network.features(flat)
    return said.float().cpu().reshape(*looks.shape[:2], -1)


def _write(path: Path, array: NDArray[Any]) -> None:
    with atomic_path(path) as part:
        np.save(part, array, allow_pickle=False)

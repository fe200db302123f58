"""Precomputed activations: what a frozen body says of every image, through every view, computed once.

They lie in the cache under a name that is a hash of all that takes_decisions them: the images' contents, the
body and its weights, the size, the views, the normalisation. What is there under that name is right, and
half of it is never there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import timm
import torch
from accelerate import Accelerator
from numpy.typing import NDArray

from runner.console import progress
from runner.contract import Preset
from runner.images.decode import ImageReader
from runner.images.views import MultiView, View
from runner.training.distributed import broadcast_from_main, inference_autocast, inference_dtype
from runner.training.loaders import ImageLoader, Rows, RowTargets, even_batches, inference_batch_size
from runner.training.model import Network
from runner.workspace import atomic_path

# Rows that are copied at a time.
_BLOCK = 1024

# Raised when what is stored, or how it is computed, changes.
_LAYOUT = 3


def cached_features(
    accelerator: Accelerator,
    network: Network,
    reader: ImageReader,
    *,
    preset: Preset,
    views: Sequence[View],
    size: int,
    cache: Path,
    batch_size: int,
    workers: int,
) -> NDArray[np.float32]:
    """Activations shaped (rows, views, width), memory-mapped; computed now where they are not there yet."""
    key = _key(network, reader, preset, views, size, inference_dtype(accelerator))
    path = cache / "activations" / f"{key}.npy"
    if not broadcast_from_main(accelerator, lambda: _is_whole(path)):
        _compute(accelerator, network, reader, MultiView(preset, views, size), path, batch_size, workers)
    array: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _is_whole(path: Path) -> bool:
    """Whether the file is there, and as long as its first line says."""
    try:
        np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return True


def _key(
    network: Network, reader: ImageReader, preset: Preset, views: Sequence[View], size: int, precision: str
) -> str:
    content = hashlib.sha256()
    versions = (_LAYOUT, timm.__version__, torch.__version__, precision)
    for part in (*versions, preset, tuple(views), size, repr(network.backbone)):
        content.update(repr(part).encode() + b"\0")
    for name, tensor in [*network.backbone.state_dict().items(), ("mean", network.mean), ("std", network.std)]:
        content.update(name.encode() + b"\0" + tensor.detach().cpu().contiguous().numpy().tobytes())
    for row in range(len(reader)):
        content.update(reader.digest(row))
    return content.hexdigest()[:32]


def _compute(
    accelerator: Accelerator,
    network: Network,
    reader: ImageReader,
    looks: MultiView,
    path: Path,
    batch_size: int,
    workers: int,
) -> None:
    """Every process computes and writes its share of the rows; the main process joins them."""
    processes, place = accelerator.num_processes, accelerator.process_index
    mine = np.array_split(np.arange(len(reader)), processes)[place]
    blocks = _activate_rows(accelerator, network, reader, looks, mine, batch_size, workers)
    _write_rows(_shard(path, place, processes), len(mine), blocks)
    accelerator.wait_for_everyone()
    broadcast_from_main(accelerator, lambda: _join(path, processes, len(reader)))


def _shard(path: Path, process: int, processes: int) -> Path:
    """Where a process keeps its rows until all have theirs; one process alone keeps all of them at once."""
    return path.with_name(f"{path.stem}-{process}-of-{processes}.npy") if processes > 1 else path


def _activate_rows(
    accelerator: Accelerator,
    network: Network,
    reader: ImageReader,
    looks: MultiView,
    rows: Rows,
    batch_size: int,
    workers: int,
) -> Iterator[NDArray[np.float32]]:
    """Activations of these rows, shaped (some rows, views, width) at a time."""
    feed = ImageLoader(reader, RowTargets.none(len(reader)), looks, workers)
    network.to(accelerator.device).eval()
    with progress("activations", len(rows)) as advance:
        for batch in feed.read(even_batches(rows, inference_batch_size(batch_size, len(looks.views)))):
            yield _activate(accelerator, network, batch.inputs).numpy()
            advance(len(batch.rows))


def _join(path: Path, processes: int, rows: int) -> None:
    """All processes' rows in one file, which has its name when all of it is there."""
    if processes == 1:
        return
    shards = [_shard(path, process, processes) for process in range(processes)]
    held = [np.load(shard, mmap_mode="r", allow_pickle=False) for shard in shards]
    blocks = (one[start : start + _BLOCK] for one in held for start in range(0, len(one), _BLOCK))
    _write_rows(path, rows, blocks)
    for shard in shards:
        shard.unlink()


def _write_rows(path: Path, rows: int, blocks: Iterable[NDArray[np.float32]]) -> None:
    """Blocks of so many rows in all, one after the other: no more than one is held at a time."""
    with atomic_path(path) as part, part.open("wb") as file:
        for number, block in enumerate(blocks):
            if number == 0:
                header = {"descr": "<f4", "fortran_order": False, "shape": (rows, *block.shape[1:])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(block, dtype="<f4").data)


def _activate(accelerator: Accelerator, network: Network, looks: torch.Tensor) -> torch.Tensor:
    """Activations of a batch shaped (rows, views, channels, height, width)."""
    flat = looks.flatten(0, 1).to(accelerator.device, non_blocking=True)
    with inference_autocast(accelerator):
        said = network.features(flat)
    return said.float().cpu().reshape(*looks.shape[:2], -1)

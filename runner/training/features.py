"""Precomputed features: the frozen backbone's outputs for every image in every view, computed once.

They are cached under a hash of all that decides them: the images' contents, the backbone and its weights, the size,
the views, the normalisation. A file ends with the SHA-256 of all before it, which is compared whenever it is read: one
that is cut short or damaged is computed again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import timm
import torch
from accelerate import PartialState
from numpy.typing import NDArray

from runner.console import progress
from runner.contract import Preset
from runner.images.readers import ImageReader
from runner.images.views import MultiView, View
from runner.training.distributed import broadcast_from_main, entered_by_main, inference_context, inference_precision
from runner.training.loaders import ImageLoader, Rows, RowTargets, balanced_batches, inference_batch_size
from runner.training.model import Network
from runner.workspace import atomic_path, locked

# Rows that are copied, and bytes that are compared, at a time.
_BLOCK = 1024
_CHUNK_BYTES = 1 << 20

# Raised when what is stored, or how it is computed, changes.
_LAYOUT = 4

_DIGEST_BYTES = 32


@dataclass(frozen=True)
class FeatureSpec:
    """All that decides the features: the frozen network, the images, and the views at one size."""

    network: Network
    images: ImageReader
    preset: Preset
    views: tuple[View, ...]
    size: int

    def key(self) -> str:
        """A hash of everything that decides the features, the images' contents included."""
        content = hashlib.sha256()
        precision = inference_precision()
        single = () if precision == "no" else (self.network.single_convs,)
        versions = (_LAYOUT, timm.__version__, torch.__version__, precision, *single)
        arguments = self.network.backbone_args
        pool = () if self.network.pool is None else (repr(self.network.pool),)
        told = (repr(self.network.backbone), *((sorted(arguments.items()),) if arguments else ()), *pool)
        for value in (*versions, self.preset, self.views, self.size, *told):
            content.update(repr(value).encode() + b"\0")
        for block in self.network.content():
            content.update(block)
        for row in range(len(self.images)):
            content.update(self.images.digest(row))
        return content.hexdigest()[:32]


def cached_features(spec: FeatureSpec, cache_dir: Path, *, batch_size: int, workers: int) -> NDArray[np.float32]:
    """Features shaped (rows, views, width), memory-mapped; computed now if the cache lacks them."""
    path = cache_dir / "features" / f"{spec.key()}.npy"
    if not broadcast_from_main(lambda: _is_intact(path)):
        # Another command that needs the same ones may compute them at this moment.
        with entered_by_main(lambda: locked(path.with_name(f".{path.stem}.lock"))):
            if not broadcast_from_main(lambda: _is_intact(path)):
                _compute(spec, path, batch_size, workers)
    array: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _is_intact(path: Path) -> bool:
    """Whether the file is there, and is byte for byte what was written."""
    content = hashlib.sha256()
    try:
        with path.open("rb") as file:
            left = max(0, path.stat().st_size - _DIGEST_BYTES)
            while chunk := file.read(min(left, _CHUNK_BYTES)):
                content.update(chunk)
                left -= len(chunk)
            return file.read() == content.digest()
    except OSError:
        return False


def _compute(spec: FeatureSpec, path: Path, batch_size: int, workers: int) -> None:
    """Every process computes and writes its share of the rows; the main process joins them."""
    state = PartialState()
    rows = np.array_split(np.arange(len(spec.images)), state.num_processes)[state.process_index]
    _write_rows(
        _shard(path, state.process_index, state.num_processes), len(rows), _blocks(spec, rows, batch_size, workers)
    )
    state.wait_for_everyone()
    broadcast_from_main(lambda: _join(path, state.num_processes, len(spec.images)))


def _shard(path: Path, process: int, processes: int) -> Path:
    """A process's own file until all have written theirs; with one process, the final file."""
    return path.with_name(f"{path.stem}-{process}-of-{processes}.npy") if processes > 1 else path


def _blocks(spec: FeatureSpec, rows: Rows, batch_size: int, workers: int) -> Iterator[NDArray[np.float32]]:
    """Features of these rows, shaped (some rows, views, width), batch by batch."""
    views = MultiView(spec.preset, spec.views, spec.size)
    loader = ImageLoader(spec.images, RowTargets.none(len(spec.images)), views, workers)
    spec.network.to(PartialState().device).eval()
    with progress("features", len(rows)) as advance:
        for batch in loader.read(balanced_batches(rows, inference_batch_size(batch_size, len(spec.views)))):
            yield _features(spec.network, batch.inputs).numpy()
            advance(len(batch.rows))


def _features(network: Network, images: torch.Tensor) -> torch.Tensor:
    """Features (rows, views, width) of a batch shaped (rows, views, channels, height, width)."""
    flat = images.flatten(0, 1).to(PartialState().device, non_blocking=True)
    with inference_context():
        features = network.forward_features(flat)
    return features.float().cpu().reshape(*images.shape[:2], -1)


def _join(path: Path, processes: int, rows: int) -> None:
    """All processes' rows in one file, which gets its name once it is complete."""
    if processes == 1:
        return
    shards = [_shard(path, process, processes) for process in range(processes)]
    arrays = [np.load(shard, mmap_mode="r", allow_pickle=False) for shard in shards]
    blocks = (array[start : start + _BLOCK] for array in arrays for start in range(0, len(array), _BLOCK))
    _write_rows(path, rows, blocks)
    for shard in shards:
        shard.unlink()


def _write_rows(path: Path, rows: int, blocks: Iterable[NDArray[np.float32]]) -> None:
    """Write blocks that have `rows` rows in all, one after another, and their digest: no more than one is in memory."""
    content = hashlib.sha256()
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        for number, block in enumerate(blocks):
            if number == 0:
                header = BytesIO()
                described = {"descr": "<f4", "fortran_order": False, "shape": (rows, *block.shape[1:])}
                np.lib.format.write_array_header_1_0(header, described)
                content.update(header.getvalue())
                file.write(header.getvalue())
            data = np.ascontiguousarray(block, dtype="<f4").data
            content.update(data)
            file.write(data)
        file.write(content.digest())

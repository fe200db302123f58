"""Snapshots, the weights at the end of a cycle; and the checkpoint from which an interrupted run resumes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from runner.errors import TrainingError
from runner.training.model import Network
from runner.workspace import atomic_path, read_json, write_json

FORMAT = 1  # of a snapshot's JSON file
_TRAIN_AGAIN = "delete the run's folder and train it again"


@dataclass(frozen=True)
class Snapshot:
    """The weights at the end of one cycle, and their validation scores."""

    cycle: int
    stage: int
    size: int
    valid_loss: float | None  # None without validation rows
    scores: dict[str, float]

    @property
    def name(self) -> str:
        return f"snapshot-{self.cycle}"


def write_snapshot(folder: Path, snapshot: Snapshot, network: Network) -> None:
    """Write the weights, then the JSON file: where that is, the weights are."""
    _save(folder / f"{snapshot.name}.safetensors", network.state_dict(), {})
    write_json(folder / f"{snapshot.name}.json", asdict(snapshot), format=FORMAT)


def read_snapshots(folder: Path) -> tuple[Snapshot, ...]:
    """The finished snapshots of a fold, oldest first."""
    snapshots = [_read_snapshot(path) for path in folder.glob("snapshot-*.json")]
    return tuple(sorted(snapshots, key=lambda snapshot: snapshot.cycle))


def drop_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Delete a snapshot: first the JSON file, which is never without its weights."""
    (folder / f"{snapshot.name}.json").unlink(missing_ok=True)
    (folder / f"{snapshot.name}.safetensors").unlink(missing_ok=True)


def load_weights(path: Path, network: Network) -> None:
    """Load a snapshot's weights into a network of the same shape."""
    with _unreadable("the snapshot's weights", path, _TRAIN_AGAIN):
        network.load_state_dict(load_file(path))


def write_checkpoint(path: Path, network: Network, optimizer: torch.optim.Optimizer, meta: dict[str, Any]) -> None:
    """Everything the next epoch starts from, in one file: no part of it can be newer than another.

    A frozen backbone is not written: it is still that of the last snapshot, or of the start.
    """
    trained = network.head if network.frozen else network
    tensors = {f"network.{name}": tensor for name, tensor in trained.state_dict().items()}
    for number, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{slot}": tensor for slot, tensor in slots.items()}
    _save(path, tensors, {"meta": json.dumps({**meta, "head_only": network.frozen})})


def read_checkpoint_meta(path: Path) -> dict[str, Any]:
    """The checkpoint's metadata: the last finished epoch, its stage and batch size."""
    fix = "delete it; this fold is then trained from its start by: `...`"
    with _unreadable("the checkpoint", path, fix), safe_open(path, framework="pt") as file:
        meta: dict[str, Any] = json.loads(file.metadata()["meta"])
    return meta


def load_network_checkpoint(path: Path, network: Network) -> None:
    """Load the trained weights: those of the head alone if the backbone was frozen."""
    trained = network.head if read_checkpoint_meta(path)["head_only"] else network
    tensors = load_file(path)
    trained.load_state_dict({name[8:]: tensor for name, tensor in tensors.items() if name.startswith("network.")})


def load_optimizer_checkpoint(path: Path, optimizer: torch.optim.Optimizer) -> None:
    """Load the optimizer's moments, in its parameters' memory order."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in load_file(path).items():
        if name.startswith("optimizer."):
            _, number, slot = name.split(".", 2)
            slots.setdefault(int(number), {})[slot] = _in_memory_order_of(parameters[int(number)], tensor)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})


def _read_snapshot(path: Path) -> Snapshot:
    with _unreadable("the snapshot's JSON file", path, _TRAIN_AGAIN):
        return Snapshot(**read_json(path, format=FORMAT))


@contextmanager
def _unreadable(what: str, path: Path, fix: str) -> Iterator[None]:
    """Turn any failure in the block into an error that names the file."""
    try:
        yield
    except Exception as error:  # safetensors, json and torch each have their own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TrainingError(f"{what} cannot be read: {reason}", where=path, fix=fix) from error


def _in_memory_order_of(parameter: Tensor, tensor: Tensor) -> Tensor:
    """The optimizer reads a parameter and its moments side by side: both need one memory order."""
    return torch.empty_like(parameter).copy_(tensor) if tensor.shape == parameter.shape else tensor


def _save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    # safetensors stores contiguous rows; channels_last comes back when the network copies them in.
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(contiguous, temporary, metadata=metadata)

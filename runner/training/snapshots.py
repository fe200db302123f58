"""Snapshots, the weights at the end of a cycle; and the checkpoint from which an interrupted run resumes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from runner.commands import TYPED
from runner.errors import RunnerError, TrainingError
from runner.fields import checked
from runner.training.ema import WeightEMA
from runner.training.model import Network
from runner.training.snapshot_list import train_fold_again
from runner.workspace import atomic_path, read_record, remove_file, write_json

FORMAT = 1  # of a snapshot's JSON file
_RESTART_FOLD = f"delete it; this fold is then trained from its start: `{TYPED}`"


@dataclass(frozen=True)
class Snapshot:
    """The weights at the end of one cycle, and their validation scores."""

    cycle: int
    stage: int
    size: int
    valid_loss: float | None  # None without validation rows
    scores: dict[str, float]
    folds: str = ""  # the digest of the split whose training rows the weights have learned from
    sha256: str = ""  # of the weights file; empty in a file of an earlier version

    @property
    def name(self) -> str:
        return f"snapshot-{self.cycle}"


AnySnapshot = TypeVar("AnySnapshot", bound=Snapshot)


def write_snapshot(folder: Path, snapshot: Snapshot, network: Network) -> None:
    """Write the weights, then the JSON file with their checksum: where that is, the weights are."""
    weights = weights_file(folder, snapshot)
    remove_file(folder / f"{snapshot.name}.json")
    _save(weights, network.state_dict(), {})
    write_json(folder / f"{snapshot.name}.json", {**asdict(snapshot), "sha256": file_sha256(weights)}, format=FORMAT)


def weights_file(folder: Path, snapshot: Snapshot) -> Path:
    """The weights of a snapshot in a fold's folder."""
    return folder / f"{snapshot.name}.safetensors"


def read_snapshots(folder: Path) -> tuple[Snapshot, ...]:
    """The finished snapshots of a fold, oldest first."""
    snapshots = [read_snapshot(path, Snapshot) for path in folder.glob("snapshot-*.json")]
    return tuple(sorted(snapshots, key=lambda snapshot: snapshot.cycle))


def read_snapshot(path: Path, kind: type[AnySnapshot]) -> AnySnapshot:
    """What the JSON file beside a snapshot's weights holds."""
    with _unreadable("the snapshot's JSON file", path, train_fold_again(path)):
        snapshot = read_record(path, kind, format=FORMAT, name="snapshot")
        if path.stem != snapshot.name:
            raise ValueError(f"it is of {snapshot.name}")
    return snapshot


def drop_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Delete a snapshot: first the JSON file, which is never without its weights."""
    remove_file(folder / f"{snapshot.name}.json")
    remove_file(weights_file(folder, snapshot))


def load_weights(path: Path, network: Network, sha256: str) -> None:
    """Load a snapshot's weights into a network of the same shape; a TrainingError if they are not what was written."""
    tensors = read_weights(path, sha256)
    with _unreadable("the snapshot's weights", path, train_fold_again(path)):
        network.load_state_dict(tensors)


def read_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    """The tensors of a snapshot; a TrainingError if the file has another checksum, or holds NaN."""
    with _unreadable("the snapshot's weights", path, train_fold_again(path)):
        if sha256 and file_sha256(path) != sha256:
            raise ValueError("the file has changed since it was written")
        tensors: dict[str, Tensor] = load_file(path)
        for name, tensor in tensors.items():
            if not bool(torch.isfinite(tensor).all()):
                raise ValueError(f"{name} holds NaN or infinite values")
    return tensors


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checkpoint(
    path: Path,
    network: Network,
    optimizer: torch.optim.Optimizer,
    meta: Mapping[str, Any],
    scaler: torch.amp.GradScaler | None = None,
    ema: WeightEMA | None = None,
) -> None:
    """Everything the next epoch starts from, in one file: no part of it can be newer than another.

    A frozen backbone is not written: it is still that of the last snapshot, or of the start. With mixed precision in
    fp16 the scale of the gradients is part of it, and so is the average of the weights if one is kept.
    """
    trained = network.head if network.frozen else network
    tensors = {f"network.{name}": tensor for name, tensor in trained.state_dict().items()}
    state = optimizer.state_dict()
    for number, slots in state["state"].items():
        tensors |= {f"optimizer.{number}.{slot}": tensor for slot, tensor in slots.items() if tensor is not None}
    meta = {**meta, "head_only": network.frozen, "scaler": scaler.state_dict() if scaler else None}
    # Some optimizers count steps for a group and not for each parameter: as numbers, or as tensors.
    steps = {f"{number}": group["step"] for number, group in enumerate(state["param_groups"]) if "step" in group}
    tensors |= {f"step.{number}": step for number, step in steps.items() if isinstance(step, Tensor)}
    if counted := {number: step for number, step in steps.items() if not isinstance(step, Tensor)}:
        meta["optimizer_steps"] = counted
    if ema is not None:
        tensors |= {f"ema.{name}": tensor for name, tensor in ema.tensors.items()}
        meta["ema_steps"] = ema.steps
    text = json.dumps(meta, allow_nan=False)
    _save(path, tensors, {"meta": text, "sha256": _content_sha256(text, tensors)})


@dataclass(frozen=True)
class CheckpointMeta:
    """What a checkpoint was written after."""

    epoch: int
    stage: int
    batch_size: int
    head_only: bool
    folds: str = ""  # as in a snapshot
    scaler: dict[str, float] | None = None  # the state of the gradients' scaler in fp16
    optimizer_steps: dict[str, int] | None = None  # by the group's number, where the optimizer counts them there
    ema_steps: int | None = None  # in the average of the weights; None if there is none


def read_checkpoint_meta(path: Path) -> CheckpointMeta:
    """The last finished epoch, its stage and batch size."""
    with _unreadable("the checkpoint", path, _RESTART_FOLD), safe_open(path, framework="pt") as file:
        return checked(CheckpointMeta, json.loads(file.metadata()["meta"]), "meta")


def load_network_checkpoint(path: Path, network: Network, *, averaged: bool = False) -> None:
    """Load the trained weights: those of the head alone if the backbone was frozen; their average, if it is wanted."""
    trained = network.head if read_checkpoint_meta(path).head_only else network
    tensors = _read_checkpoint(path)
    with _unreadable("the checkpoint", path, _RESTART_FOLD):
        trained.load_state_dict(_under("network.", tensors) | (_under("ema.", tensors) if averaged else {}))


def load_ema_checkpoint(path: Path, ema: WeightEMA) -> None:
    """Load the average of the weights."""
    steps, tensors = read_checkpoint_meta(path).ema_steps, _under("ema.", _read_checkpoint(path))
    with _unreadable("the checkpoint", path, _RESTART_FOLD):
        if steps is None:
            raise ValueError("it holds no average of the weights")
        ema.load(tensors, steps)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def load_optimizer_checkpoint(path: Path, optimizer: torch.optim.Optimizer) -> None:
    """Load the optimizer's moments, in its parameters' memory order."""
    tensors = _read_checkpoint(path)
    with _unreadable("the checkpoint", path, _RESTART_FOLD):
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        slots: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, number, slot = name.split(".", 2)
                slots.setdefault(int(number), {})[slot] = _in_memory_order_of(parameters[int(number)], tensor)
        groups = optimizer.state_dict()["param_groups"]
        for number, step in ((read_checkpoint_meta(path).optimizer_steps or {}) | _under("step.", tensors)).items():
            groups[int(number)]["step"] = step
        optimizer.load_state_dict({"state": slots, "param_groups": groups})


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors, which must fit the checksum in the header; files of an earlier version have none."""
    with _unreadable("the checkpoint", path, _RESTART_FOLD):
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
        tensors: dict[str, Tensor] = load_file(path)
        if header.keys() != {"meta"} and header["sha256"] != _content_sha256(header["meta"], tensors):
            raise ValueError("its content does not fit its checksum")
    return tensors


def _content_sha256(meta: str, tensors: Mapping[str, Tensor]) -> str:
    """A digest of a checkpoint's metadata and of the names, types, shapes and values of its tensors."""
    content = hashlib.sha256(meta.encode())
    for name, tensor in sorted(tensors.items()):
        content.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        content.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return content.hexdigest()


@contextmanager
def _unreadable(what: str, path: Path, fix: str) -> Iterator[None]:
    """Turn any failure in the block into an error that names the file."""
    try:
        yield
    except Exception as error:  # safetensors, json and torch each have their own
        text = error.message if isinstance(error, RunnerError) else str(error)
        reason = (text or type(error).__name__).splitlines()[0]
        raise TrainingError(f"{what} cannot be read: {reason}", where=path, fix=fix) from error


def _in_memory_order_of(parameter: Tensor, tensor: Tensor) -> Tensor:
    """The optimizer reads a parameter and its moments side by side: both need one memory order."""
    return torch.empty_like(parameter).copy_(tensor) if tensor.shape == parameter.shape else tensor


def _save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    # safetensors stores contiguous rows; channels_last comes back when the network copies them in.
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(contiguous, temporary, metadata=metadata)

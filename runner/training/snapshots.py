"""Snapshots, the weights at the end of a cycle; and the state from which a broken run goes on."""

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


@dataclass(frozen=True)
class Snapshot:
    """The weights at the end of one cycle, and how they did on the held-out rows."""

    cycle: int
    stage: int
    size: int
    valid_loss: float | None  # None where no rows were held out
    scores: dict[str, float]

    @property
    def name(self) -> str:
        return f"snapshot-{self.cycle}"


def write_snapshot(folder: Path, snapshot: Snapshot, network: Network) -> None:
    """The weights first, the facts last: facts that are there have their weights beside them."""
    _save(folder / f"{snapshot.name}.safetensors", network.state_dict(), {})
    write_json(folder / f"{snapshot.name}.json", asdict(snapshot))


def read_snapshots(folder: Path) -> tuple[Snapshot, ...]:
    """The finished snapshots of a fold, oldest first."""
    found = [_read_snapshot(path) for path in folder.glob("snapshot-*.json")]
    return tuple(sorted(found, key=lambda snapshot: snapshot.cycle))


def drop_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Forget a snapshot; the facts go first, so that none are ever without their weights."""
    (folder / f"{snapshot.name}.json").unlink(missing_ok=True)
    (folder / f"{snapshot.name}.safetensors").unlink(missing_ok=True)


def load_weights(path: Path, network: Network) -> None:
    """Put the weights of a snapshot's file into a network of the same shape."""
    with _naming("a snapshot", path, "delete the run's folder and train it again"):
        network.load_state_dict(load_file(path))


def write_checkpoint(path: Path, network: Network, optimizer: torch.optim.Optimizer, facts: dict[str, Any]) -> None:
    """Everything the next epoch starts from, in one file: no half of it can be newer than the other.

    Of a frozen body nothing is written: it is still that of the last snapshot, or of the start.
    """
    learned = network.head if network.frozen else network
    tensors = {f"network.{name}": tensor for name, tensor in learned.state_dict().items()}
    for number, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{slot}": tensor for slot, tensor in slots.items()}
    _save(path, tensors, {"facts": json.dumps({**facts, "head_only": network.frozen})})


def read_checkpoint_meta(path: Path) -> dict[str, Any]:
    """The facts alone: which epoch was the last that finished."""
    fix = "delete it and type the same command: this fold is then trained from its start"
    with _naming("the state of a broken-off training", path, fix), safe_open(path, framework="pt") as file:
        facts: dict[str, Any] = json.loads(file.metadata()["facts"])
    return facts


def load_network_checkpoint(path: Path, network: Network) -> None:
    """Put back what had been learned; into a head alone where the body was frozen."""
    learned = network.head if read_checkpoint_meta(path)["head_only"] else network
    tensors = load_file(path)
    learned.load_state_dict({name[8:]: tensor for name, tensor in tensors.items() if name.startswith("network.")})


def load_optimizer_checkpoint(path: Path, optimizer: torch.optim.Optimizer) -> None:
    """Put back the optimizer's moments, laid out as its parameters are."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in load_file(path).items():
        if name.startswith("optimizer."):
            _, number, slot = name.split(".", 2)
            slots.setdefault(int(number), {})[slot] = _laid_out_like(parameters[int(number)], tensor)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})


def _read_snapshot(path: Path) -> Snapshot:
    with _naming("a snapshot's facts", path, "delete the run's folder and train it again"):
        return Snapshot(**read_json(path))


@contextmanager
def _naming(what: str, path: Path, fix: str) -> Iterator[None]:
    """A file that is not whole is named, and nothing of it is used."""
    try:
        yield
    except Exception as error:  # safetensors, json and torch each have their own
        found = (str(error).splitlines() or [type(error).__name__])[0]
        raise TrainingError(f"{what} cannot be read: {found}", where=path, fix=fix) from error


def _laid_out_like(parameter: Tensor, tensor: Tensor) -> Tensor:
    """The optimizer walks a parameter and its moments through memory side by side: both need one order."""
    return torch.empty_like(parameter).copy_(tensor) if tensor.shape == parameter.shape else tensor


def _save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    # safetensors stores plain rows; channels_last comes back when the network copies them in.
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as part:
        save_file(plain, part, metadata=metadata)

"""What the flags of a command choose, as frozen values with real defaults. Free of torch: `--help` must be fast."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# Dog-breed's 20,000 images at three sizes, or planet's 100,000 at one.
DEFAULT_CACHE_BYTES = 20 * 10**9
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Compute:
    """The device and how much of the machine is used. Nothing here changes what is trained."""

    device: str = "auto"  # one of DEVICES
    workers: int | None = None  # data-loading processes; None: as many as help on the device
    cache_bytes: int = DEFAULT_CACHE_BYTES  # disk that resized images may take
    compile: bool = False


@dataclass
class Deadline:
    """The moment at which a training must have ended, and how many epochs it has trained by now."""

    at: float  # on the monotonic clock
    epochs: int = 0


@dataclass(frozen=True)
class TrainOptions:
    """Options of one training; everything that defines the model is in the recipe."""

    weights: Path | None = None  # a weights file instead of the hub's
    tracker: str | None = None  # tensorboard, wandb or mlflow
    time_budget: float | None = None  # minutes; the recipe is shortened to fit
    only_fold: int | None = None
    engine: str | None = None  # ray or ray:ADDRESS: folds are spread over it
    skip_unreadable: bool = False  # train without the rows whose image cannot be read
    deadline: Deadline | None = None  # a session on a host's machine ends then


@dataclass(frozen=True)
class PredictOptions:
    """Which test-time views and which snapshots to predict with, and at which size."""

    tta: str = "default"  # none, default, all or random:N
    snapshots: int | None = None  # the last N; None: at most 3 of the last stage, and the last of each other
    size: int | None = None  # of the images, in px; None: the size that each snapshot was trained at


@dataclass(frozen=True)
class SubmitOptions:
    """How to submit a file."""

    message: str = ""
    wait: bool = True  # until the host has scored it
    resubmit: bool = False  # even if the host has this very file already


@dataclass(frozen=True)
class NotebookOptions:
    """Where a notebook runs that predicts or trains on the host's machines."""

    accelerator: str | None = "NvidiaTeslaT4"  # None: the CPU
    hours: float = 9.0  # after which the host ends its session


@dataclass(frozen=True)
class RehearsalOptions:
    """How many labelled rows a rehearsal hides, and which."""

    test_fraction: float = 0.1
    seed: int = 42

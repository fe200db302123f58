"""log.jsonl: one JSON object per epoch of a run; and the tracker that follows it."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, cast
from zlib import crc32

from runner.console import log
from runner.contract import Recipe
from runner.errors import UsageError
from runner.fields import checked
from runner.full_disk import telling_full_disk
from runner.training.run import Run
from runner.workspace import explain_damage, flush_to_disk, locked, write_bytes

if TYPE_CHECKING:
    from accelerate import Accelerator

Line = dict[str, Any]


class LogLine(TypedDict):
    """What a line holds."""

    fold: int
    epoch: int
    stage: int
    size: int
    mode: str
    cycle: int
    ends_cycle: bool
    batch_size: int
    train_loss: float
    mixed: NotRequired[bool]  # the training loss is of mixed rows, and not comparable with the validation loss
    valid_rows: NotRequired[int]
    valid_loss: float | None
    valid_error: NotRequired[float | None]
    prior_loss: NotRequired[float | None]
    prior_error: NotRequired[float | None]
    scores: dict[str, float]
    seconds: float
    data_seconds: NotRequired[float]
    images_per_second: float
    losses: list[float]
    lrs: list[float]  # empty for a regression
    strength: NotRequired[float]  # of a regression's penalty
    inner_loss: NotRequired[float | None]  # by which it was chosen: of rows left out within the training rows
    inner_error: NotRequired[float | None]
    checksum: NotRequired[int]


_watchers: list[Callable[[Path, Line], None]] = []


@contextmanager
def watch_epochs(watcher: Callable[[Path, Line], None]) -> Iterator[None]:
    """Within the block call `watcher` with the log file and the line of each epoch that this process trains."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def append_line(path: Path, line: Line) -> None:
    """Add one line; it is on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(_lock_of(path)), telling_full_disk(path):
        is_new = not path.exists()
        with path.open("ab") as log:
            log.write(_encoded(line))
            log.flush()
            os.fsync(log.fileno())
        if is_new:
            flush_to_disk(path.parent)
    for watcher in _watchers:
        watcher(path, line)


def read_log(path: Path) -> list[Line]:
    """Every complete line; a last one that a power cut left half written is dropped."""
    if not path.exists():
        return []
    *lines, rest = path.read_bytes().split(b"\n")
    if not _is_half_written(rest):
        lines.append(rest)
    return [_decoded(path, number, line) for number, line in enumerate(lines, start=1)]


def _is_half_written(text: bytes) -> bool:
    """Whether the text is nothing, or the beginning of a line."""
    if not text.startswith(b"{"):
        return not text
    try:
        json.loads(text)
    except ValueError:
        return True
    return False


def _encoded(line: Line) -> bytes:
    text = json.dumps({**line, "checksum": _checksum(line)}, allow_nan=False)
    return text.encode() + b"\n"


def _decoded(path: Path, number: int, text: bytes) -> Line:
    with explain_damage(path, f"delete line {number} of the file: its epoch is then missing in the curves alone"):
        try:
            line = cast(Line, checked(LogLine, json.loads(text.decode("utf-8")), "it"))
        except ValueError as error:
            raise ValueError(f"line {number} cannot be read: {error}") from error
        if "checksum" in line and line.pop("checksum") != _checksum(line):  # earlier versions wrote none
            raise ValueError(f"line {number} does not fit its checksum")
        return line


def _checksum(line: Line) -> int:
    return crc32(json.dumps(line, sort_keys=True, allow_nan=False).encode())


def keep_lines(path: Path, wanted: Callable[[Line], bool]) -> None:
    """Drop the lines that are not wanted: those of epochs that will be trained again."""
    if path.exists():
        # Another process may train another fold of this run, and append a line at this moment.
        with locked(_lock_of(path)):
            write_bytes(path, b"".join(_encoded(line) for line in read_log(path) if wanted(line)))


def check_tracker(tracker: str | None) -> None:
    """A UsageError if the tracker's package is not installed."""
    if tracker is None or importlib.util.find_spec(tracker):
        return
    raise UsageError(f"--track {tracker} needs a package that is not installed", fix=f"pip install {tracker}")


def start_tracking(accelerator: Accelerator, tracker: str | None, run: Run, recipe: Recipe) -> None:
    """Log to the tracker from now on; its files are in the run's folder."""
    if tracker is None:
        return
    from accelerate.tracking import filter_trackers
    from accelerate.utils import ProjectConfiguration

    # A run must need neither a network nor an account: for live logging set WANDB_MODE=online.
    os.environ.setdefault("WANDB_MODE", "offline")
    os.environ.setdefault("MLFLOW_TRACKING_URI", (run.folder / "mlflow").resolve().as_uri())
    folder = str(run.folder)
    accelerator.project_configuration = ProjectConfiguration(project_dir=folder, logging_dir=folder)
    accelerator.log_with = filter_trackers([tracker], folder)
    options = {"tensorboard": {}, "wandb": {"name": run.name, "dir": folder}, "mlflow": {"run_name": run.name}}
    project = "tensorboard" if tracker == "tensorboard" else run.competition
    # TensorBoard would write the recipe into a folder of its own at every start; recipe.json is there anyway.
    config = None if tracker == "tensorboard" else _flat(recipe)
    accelerator.init_trackers(project, config=config, init_kwargs={tracker: options[tracker]})
    if accelerator.is_main_process:
        log.info(_where_tracked(tracker, run.folder))


def _where_tracked(tracker: str, folder: Path) -> str:
    """Where the tracker writes, and the command that shows it."""
    shown = {
        "tensorboard": f"tensorboard --logdir {shlex.quote(str(folder / 'tensorboard'))}",
        "mlflow": f"mlflow ui --backend-store-uri {shlex.quote(os.environ.get('MLFLOW_TRACKING_URI', ''))}",
        "wandb": f"wandb sync {shlex.quote(str(folder / 'wandb'))}/*run-*",
    }
    if tracker == "wandb" and os.environ["WANDB_MODE"] == "online":
        return "logging to wandb, online"
    return f"logging to {tracker}; to see it: `{shown[tracker]}`"


def track_line(accelerator: Accelerator, line: Line) -> None:
    """Log one epoch's losses, scores and last lr, each under its fold's name."""
    values = {
        "train_loss": line["train_loss"],
        "valid_loss": line["valid_loss"],
        "lr": line["lrs"][-1] if line["lrs"] else None,
    }
    values |= line["scores"]
    accelerator.log(
        {f"fold-{line['fold']}/{name}": value for name, value in values.items() if value is not None},
        step=line["epoch"],
    )


def stop_tracking(accelerator: Accelerator) -> None:
    """Flush the trackers, and stop logging to them."""
    for tracker in accelerator.trackers:
        tracker.finish()
    accelerator.trackers = []


def _flat(recipe: Recipe) -> dict[str, Any]:
    """The recipe as trackers take it: names with plain values."""
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in recipe.to_dict().items()
    }


def _lock_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")

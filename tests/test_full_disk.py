"""A write that fails for want of space names the file and what is missing, whatever library writes it."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from runner.csv_file import write_csv
from runner.full_disk import DiskFullError, full_disk_reason, telling_full_disk
from runner.workspace import atomic_path, write_bytes, write_json
from tests.full_disks import files_of_at_most


def write_weights(path: Path) -> None:
    with atomic_path(path) as part:
        save_file({"weight": torch.zeros(100_000)}, part)


def write_arrays(path: Path) -> None:
    with atomic_path(path) as part, part.open("wb") as file:
        np.savez(file, values=np.arange(100_000))


WRITERS = {
    "bytes": lambda path: write_bytes(path, bytes(400_000)),
    "JSON": lambda path: write_json(path, {"text": "x" * 400_000}, format=1),
    "a table": lambda path: write_csv(path, ("id",), ((number,) for number in range(100_000))),
    "weights": write_weights,
    "arrays": write_arrays,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_that_may_not_grow_is_named_and_the_old_one_stays(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "results.bin"
    path.write_bytes(b"old")
    with pytest.raises(DiskFullError, match=r"results\.bin: ") as caught, files_of_at_most(65_536):
        WRITERS[kind](path)
    assert caught.value.where == str(path)
    assert "free some space" in str(caught.value.fix)
    assert [file.name for file in tmp_path.iterdir()] == ["results.bin"]
    assert path.read_bytes() == b"old"


def test_a_full_disk_tells_how_much_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.full_disk._free_bytes", lambda _path: 1000)
    with (
        pytest.raises(DiskFullError, match=r"the disk is full: big\.bin: 999\.0 kB of 1\.0 MB are missing"),
        telling_full_disk(tmp_path / "big.bin", size=1_000_000),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_every_kind_of_full_disk_is_known(number: int) -> None:
    assert full_disk_reason(OSError(number, "text"))
    assert full_disk_reason(RuntimeError(f"Error while serializing: I/O error: text (os error {number})"))


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "denied"), ValueError("no space between words"), OSError()])
def test_other_errors_pass(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as caught, telling_full_disk(tmp_path / "x"):
        raise error
    assert caught.value is error


def test_a_full_device_is_told_with_its_path() -> None:
    path = Path("/dev/full")
    with pytest.raises(DiskFullError, match="the disk is full: full"), telling_full_disk(path), path.open("wb") as file:
        file.write(b"x")

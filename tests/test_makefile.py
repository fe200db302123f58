"""The Makefile builds one environment once, however many `make` are started."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Stands in for Python: `-m venv` makes an environment whose pip writes a line when it begins and when it ends.
_PYTHON = """#!/bin/sh
if [ "$1" != -m ]; then exec {python} "$@"; fi
mkdir -p "$3/bin"
printf '#!/bin/sh\\necho begin >> log; sleep 0.2; echo end >> log\\n' > "$3/bin/python"
chmod +x "$3/bin/python"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the Makefile, what it depends on, and a Python that only pretends to install."""
    (tmp_path / "benchmarks").mkdir()
    requirements = (f"benchmarks/{name}-constraints.txt" for name in ("peers", "autogluon"))
    for name in ("Makefile", "pyproject.toml", "constraints.txt", *requirements):
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / "fake-python"
    python.write_text(_PYTHON.format(python=sys.executable))
    python.chmod(0o755)
    return tmp_path


def make(checkout: Path, target: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["make", f"PYTHON={checkout / 'fake-python'}", target], cwd=checkout)


@pytest.mark.skipif(shutil.which("make") is None or sys.platform == "win32", reason="needs make")
@pytest.mark.parametrize("environment", [".venv", ".venv-peers", ".venv-autogluon"])
def test_two_makes_at_once_build_an_environment_once(checkout: Path, environment: str) -> None:
    started = [make(checkout, f"{environment}/.ready") for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    assert (checkout / "log").read_text().split() == ["begin", "end"]
    assert (checkout / environment / ".ready").exists()


@pytest.mark.skipif(shutil.which("make") is None or sys.platform == "win32", reason="needs make")
def test_a_change_of_the_requirements_builds_again(checkout: Path) -> None:
    assert make(checkout, ".venv/.ready").wait(60) == 0
    newer = (checkout / ".venv" / ".ready").stat().st_mtime + 2
    os.utime(checkout / "constraints.txt", (newer, newer))
    assert make(checkout, ".venv/.ready").wait(60) == 0
    assert (checkout / "log").read_text().split() == ["begin", "end"] * 2

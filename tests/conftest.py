"""No test reaches anything but loopback, and none sees the credentials of whoever runs it."""

from __future__ import annotations

import atexit
import gc
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.cli.invocation import Invocation
from runner.console import complete_commands_by, set_verbosity, wrap_messages
from runner.errors import RunnerError

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
# The tests already run side by side: a process with two threads of its own would only wait for itself.
os.environ["OMP_NUM_THREADS"] = "1"

_LOOPBACK = ("127.", "::1", "localhost")
_CREDENTIALS = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", "XDG_CONFIG_HOME")


# Files of more than ten seconds are begun first: the last one decides when the suite is done.
_LONG_FILES = (
    "api/test_kernel.py",
    "api/test_session.py",
    "cli/test_predict.py",
    "cli/test_repeat.py",
    "climb/test_climb.py",
    "export/test_export.py",
    "hosts/kaggle/test_send_once.py",
    "layouts/test_layouts.py",
    "report/test_report.py",
    "torture/test_torture.py",
    "training/test_determinism.py",
    "training/test_distributed.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Have pytest-xdist hand out files in the order below; by itself it begins with those of the most tests."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first; the tests of a file stay in their order."""
    items.sort(key=lambda item: not str(item.path).endswith(_LONG_FILES))


def pytest_collection_finish() -> None:
    """At the end all is collected as in any program."""
    import hypothesis  # noqa: F401  # its plugins look for references, and would not find those that are frozen

    atexit.register(gc.unfreeze)


@pytest.fixture(autouse=True, scope="module")
def imported_is_no_garbage() -> None:
    """Hide from the garbage collector what imports left: each training calls it, and it took 0.6 seconds."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_kaggle_account(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An empty home, no token, and a client that could only ever talk to a closed loopback port."""
    home = tmp_path_factory.mktemp("home")
    for name in _CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy", "RUNNER_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def default_verbosity() -> None:
    """Messages are printed in one line each, whatever a command left set in this process."""
    set_verbosity()
    wrap_messages(None)
    complete_commands_by(str)


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Any other connection fails loudly."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else None
        if host is not None and not str(host).startswith(_LOOPBACK):
            raise AssertionError(f"a test tried to reach {address}")
        return connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)
    return


@pytest.fixture(autouse=True)
def every_fix_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test in which an error has, or a command prints, a fix that the real command line does not parse."""
    fixes: set[str] = set()
    construct, complete = RunnerError.__init__, Invocation.complete

    def recording(self: RunnerError, message: str, **more: Any) -> None:
        construct(self, message, **more)
        fixes.add(self.fix or "")

    def printing(self: Invocation, command: str) -> str:
        completed = complete(self, command)
        fixes.add(completed)
        return completed

    monkeypatch.setattr(RunnerError, "__init__", recording)
    monkeypatch.setattr(Invocation, "complete", printing)
    yield
    from tests.fixes import find_faults  # the command line, for the tests that need it

    faults = [fault for fix in sorted(fixes) if fix for fault in find_faults(fix)]
    assert faults == []


@pytest.fixture
def short_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """An LR finder of a dozen steps, for tests that do not look at its curve."""
    from runner.training import lr_finder  # torch, for the tests that need it

    monkeypatch.setattr(lr_finder, "_STEPS", 12)


@pytest.fixture
def workspace_folder(tmp_path: Path) -> Path:
    """An empty folder to be a workspace."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def shapes_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of `tests.competitions.SHAPES`, laid out as dog-breed's: tiny images that a tiny network learns."""
    from tests.builders import write_dataset

    folder = tmp_path_factory.mktemp("shapes")
    write_dataset(folder)
    return folder

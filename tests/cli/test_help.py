"""Help answers at once, says something of everything, and drags nothing in."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from runner.cli.command_groups import CompetitionGroup, LazyGroup, RootGroup

HEAVY = ("torch", "timm", "pandas", "albumentations", "cv2", "kaggle", "kagglesdk", "sklearn", "accelerate", "numpy")


def _commands() -> list[tuple[str, ...]]:
    return [*((name,) for name in RootGroup.table), *(("dog-breed", name) for name in CompetitionGroup.table)]


def _find(words: tuple[str, ...]) -> click.Command:
    group: LazyGroup = RootGroup("runner") if len(words) == 1 else CompetitionGroup(words[0])
    command = group.get_command(click.Context(group), words[-1])
    assert command is not None
    return command


@pytest.mark.parametrize("words", _commands(), ids=" ".join)
def test_every_command_and_every_flag_has_help(words: tuple[str, ...]) -> None:
    command = _find(words)
    assert command.help
    assert all(option.help for option in command.params if isinstance(option, click.Option))


@dataclass(frozen=True)
class Called:
    """A command that ran in another process: its exit code, and what was imported until its end."""

    code: int
    imported: set[str]


def _call_in_turn(*commands: Sequence[str]) -> list[Called]:
    """These commands, one after the other in one new process: what none of them imports, each alone does not."""
    code = (
        "import json, sys\n"
        "from runner.cli import run_command\n"
        f"for words in {list(map(list, commands))!r}:\n"
        "    code = run_command(words)\n"
        "    print('\\n#' + json.dumps([code, sorted({name.split('.')[0] for name in sys.modules})]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told = [json.loads(line[1:]) for line in done.stdout.splitlines() if line.startswith("#")]
    return [Called(code, set(imported)) for code, imported in told]


HELPED = ((), ("dog-breed",), *_commands())


@pytest.fixture(scope="module")
def helped() -> dict[tuple[str, ...], Called]:
    """The help of every command."""
    return dict(zip(HELPED, _call_in_turn(*((*words, "--help") for words in HELPED)), strict=True))


@pytest.mark.parametrize("words", HELPED, ids=" ".join)
def test_help_imports_no_heavy_package(words: tuple[str, ...], helped: dict[tuple[str, ...], Called]) -> None:
    assert helped[words].code == 0
    assert not helped[words].imported & set(HEAVY)


def test_list_imports_no_heavy_package(tmp_path: Path) -> None:
    (called,) = _call_in_turn(["--workspace", str(tmp_path), "list"])
    assert called.code == 0 and not called.imported & set(HEAVY)


OFFLINE = ("download", "split", "check", "runs", "standings", "clean")


@pytest.fixture(scope="module")
def offline(shapes_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Called]:
    """Commands that need neither network nor torch, in a workspace whose data is here."""
    workspace = tmp_path_factory.mktemp("line")
    start = ["--workspace", str(workspace), "-q", "dog-breed"]
    sample = workspace / "data" / "dog-breed" / "sample_submission.csv"
    behind = {"check": [str(sample)], "download": ["--from", str(shapes_folder)]}
    calls = _call_in_turn(*([*start, command, *behind.get(command, [])] for command in OFFLINE))
    return dict(zip(OFFLINE, calls, strict=True))


@pytest.mark.parametrize("command", OFFLINE)
def test_commands_without_a_network_do_not_import_torch(offline: dict[str, Called], command: str) -> None:
    assert offline[command].code == 0
    assert not offline[command].imported & (set(HEAVY) - {"numpy", "pandas"})


def test_ensemble_submit_and_report_do_not_import_torch() -> None:
    code = (
        "import sys, runner.steps.ensemble, runner.remote.route, runner.report.run.page\nprint('\\n'.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "timm", "albumentations", "accelerate"} & set(done.stdout.split())


def test_python_m_runner_is_the_runner_command() -> None:
    said = [
        subprocess.run([*start, "--help"], capture_output=True, text=True, check=True).stdout
        for start in ([sys.executable, "-m", "runner"], [str(Path(sys.executable).with_name("runner"))])
    ]
    assert said[0] == said[1]
    assert "dog-breed" in said[0]

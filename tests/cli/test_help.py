"""Help answers at once, says something of everything, and drags nothing in."""

from __future__ import annotations

import json
import subprocess
import sys
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


def _imported_by(*arguments: str) -> set[str]:
    code = (
        "import json, sys\n"
        "from runner.cli import run_command\n"
        f"code = run_command({list(arguments)!r})\n"
        "print('\\n' + json.dumps([code, sorted({name.split('.')[0] for name in sys.modules})]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


@pytest.mark.parametrize("words", [(), ("dog-breed",), *_commands()], ids=" ".join)
def test_help_imports_no_heavy_package(words: tuple[str, ...]) -> None:
    assert not _imported_by(*words, "--help") & set(HEAVY)


def test_list_imports_no_heavy_package(tmp_path: Path) -> None:
    assert not _imported_by("--workspace", str(tmp_path), "list") & set(HEAVY)


@pytest.fixture(scope="module")
def line_so_far(shapes_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The words before a command, in a workspace whose data is here."""
    words = ["--workspace", str(tmp_path_factory.mktemp("line")), "-q", "dog-breed"]
    _imported_by(*words, "download", "--from", str(shapes_folder))
    return words


@pytest.mark.parametrize("command", ["download", "split", "check", "runs", "standings", "clean"])
def test_commands_without_a_network_do_not_import_torch(line_so_far: list[str], command: str) -> None:
    sample = Path(line_so_far[1]) / "data" / "dog-breed" / "sample_submission.csv"
    behind = {"check": [str(sample)], "download": ["--from", str(sample.parent)]}.get(command, [])
    assert not _imported_by(*line_so_far, command, *behind) & (set(HEAVY) - {"numpy", "pandas"})


@pytest.mark.parametrize("module", ["runner.steps.ensemble", "runner.remote.route", "runner.report.run.page"])
def test_ensemble_submit_and_report_do_not_import_torch(module: str) -> None:
    code = f"import sys, {module}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "timm", "albumentations", "accelerate"} & set(done.stdout.split())


def test_python_m_runner_is_the_runner_command() -> None:
    said = [
        subprocess.run([*start, "--help"], capture_output=True, text=True, check=True).stdout
        for start in ([sys.executable, "-m", "runner"], [str(Path(sys.executable).with_name("runner"))])
    ]
    assert said[0] == said[1]
    assert "dog-breed" in said[0]

"""Every fix in the source and every fix that the suite makes can be pasted."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import runner
from tests.fixes import find_faults

ROOT = Path(runner.__file__).parents[1]
SOURCES = sorted([*(ROOT / "runner").rglob("*.py"), *(ROOT / "competitions").glob("*.py")])
_ANY = "64"  # stands for a value that only running the program would tell: a name, a path, or a number
# Functions that return a command.
_WHOLE_COMMANDS = {
    "predict_again": f"runner {_ANY} predict",
    "predict_command": f"runner {_ANY} predict",
    "redownload_command": f"runner {_ANY} download",
}


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the text of every fix in a file; values that are put in are `64`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        values: list[ast.expr] = []
        if (isinstance(node, ast.keyword) and node.arg in ("fix", "default_fix")) or (
            isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "fix" for t in node.targets)
        ):
            values = [node.value]
        for value in values:
            for text in _texts(value):
                yield value.lineno, text


def _texts(node: ast.expr) -> Iterator[str]:
    """The texts that an expression can be; both sides of a condition."""
    if isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(_piece(value) for value in node.values)
    elif isinstance(node, ast.BinOp):
        yield next(_texts(node.left), _ANY) + next(_texts(node.right), _ANY)
    elif isinstance(node, ast.Call) and (made := _made(node)):
        yield made


def _piece(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.FormattedValue)
    return (_made(node.value) if isinstance(node.value, ast.Call) else "") or _ANY


def _made(node: ast.Call) -> str:
    """The text of a command that `command`, `again` or a session makes; nothing for other calls."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    words = [_word(each) for each in node.args]
    if called in _WHOLE_COMMANDS:
        return _WHOLE_COMMANDS[called]
    beginnings = {"command": "runner", "again": "...", "command_line": "runner"}
    is_unknown = called == "again" and words[:1] == [_ANY]
    if called not in beginnings or is_unknown or any(isinstance(each, ast.Starred) for each in node.args):
        return ""
    if called == "command" and isinstance(node.func, ast.Attribute):
        words = [_ANY, *words] if len(words) != 1 or " " not in words[0] else [_ANY, *words[0].split()]
    return " ".join([beginnings[called], *words])


def _word(node: ast.expr) -> str:
    """A word of a command; of a condition its first choice."""
    node = node.body if isinstance(node, ast.IfExp) else node
    return str(node.value) if isinstance(node, ast.Constant) else _ANY


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_fix_in_the_source_can_be_pasted(path: Path) -> None:
    found = [(line, fault) for line, text in texts_of(path) for fault in find_faults(text)]
    # A name that is put in, such as that of a device, may be no number.
    faults = [f"{path}:{line}: {fault}" for line, fault in found if f"'{_ANY}' is not" not in fault]
    assert faults == []


@pytest.mark.parametrize(
    "fix",
    [
        "get a copy, then: runner planet download",
        "`runner planet train --run NAME`",
        "runner planet fly",
        "`... --no-such-flag`",
        "runner planet train --size big",
        "`... --size big`",
        "runner planet train --weights a.pth --no-pretrained",
        "runner planet split --folds 3 --holdout 0.2",
        "`... --epochs 3 --time-budget 5`",
        "runner planet predict first",
        "runner planet predict --run ''",
    ],
)
def test_a_fix_that_cannot_be_pasted_is_found(fix: str) -> None:
    assert find_faults(fix)


@pytest.mark.parametrize(
    "fix",
    [
        "runner planet train --run 'my run'",
        "get a copy, then: `runner planet download --from '/a b/c.zip'`",
        "`...`",
        "`... --size 64,128` or: `runner list`",
        "pip install wandb",
    ],
)
def test_a_fix_that_can_be_pasted_passes(fix: str) -> None:
    assert find_faults(fix) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_program_names_the_competition_of_what_it_reads(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    for call in calls:
        if ast.unparse(call.func) == "read_folds":
            assert "competition" in [keyword.arg for keyword in call.keywords], f"{path}:{call.lineno}"


def test_there_are_fixes_to_check() -> None:
    assert sum(1 for path in SOURCES for _ in texts_of(path)) > 100

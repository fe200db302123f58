"""The examples of docs/python.md, run in order on a tiny competition."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from tests.competitions import SHAPES, write_plugin
from tests.docs.pages import ROOT, handwritten

PAGE = ROOT / "docs" / "python.md"
NOT_RUN = "<!-- not run by the tests -->\n"


def _blocks() -> tuple[list[str], list[str]]:
    """The Python blocks that run, and those of which only the imports run."""
    run, imported = [], []
    for before, block in _pieces():
        (imported if before.endswith(NOT_RUN) else run).append(block)
    return run, imported


def _pieces() -> list[tuple[str, str]]:
    pieces = handwritten(PAGE).split("```")
    texts, blocks = pieces[::2], pieces[1::2]
    return [(text, block.removeprefix("python\n")) for text, block in zip(texts, blocks, strict=False)]


@pytest.fixture
def tiny_dog_breed(tmp_path: Path, shapes_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder with the data that the page names, and a workspace whose dog-breed trains in seconds."""
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "dog-breed").symlink_to(shapes_folder)
    write_plugin(tmp_path / "work", replace(SHAPES, name="dog-breed"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("tiny_dog_breed")
def test_the_examples_run_in_order() -> None:
    run, _ = _blocks()
    namespace: dict[str, object] = {}
    for block in run:
        exec(compile(block, PAGE.name, "exec"), namespace)
    names = namespace["dogs"].runs()["run"]  # type: ignore[attr-defined]
    assert sorted(names) == ["both", "first", "second"]
    assert {path.name for path in Path().iterdir()} >= {"explore.html", "loss.svg"}


def test_the_imports_of_the_other_examples_exist() -> None:
    _, imported = _blocks()
    assert imported
    for block in imported:
        imports = [node for node in ast.parse(block).body if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), PAGE.name, "exec"), {})

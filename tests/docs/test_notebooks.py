"""The notebooks in docs/notebooks: their outputs are those of their cells, small, and of no machine; they still run."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

import runner.api
from docs import generate_notebooks

NOTEBOOKS = sorted(generate_notebooks.FOLDER.glob("*.ipynb"))
MAX_BYTES = 1_500_000  # of all of them
_MACHINE = re.compile(r"(?<![\w.-])(?:/(?:tmp|root|work|Users)/|/home/(?!you/))|site-packages")


def name_of(path: Path) -> str:
    return path.stem


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds_of(cell: Any) -> list[str]:
    """What kinds of outputs a cell has, not their number: a chart may come with a line of text."""
    kinds = {output.get("name") or ",".join(sorted(output.get("data", {}))) for output in cell.outputs}
    return sorted(kinds)


def test_there_are_notebooks_and_they_are_small():
    assert {path.stem for path in NOTEBOOKS} == {"dog-breed", "iceberg", "own-competition", "planet"}
    assert sum(path.stat().st_size for path in generate_notebooks.FOLDER.iterdir()) < MAX_BYTES


def test_each_is_listed():
    page = (generate_notebooks.FOLDER / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in NOTEBOOKS if f"]({path.name})" not in page] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_each_cell_was_executed_in_order_without_an_error(path: Path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "run `make notebooks`"
    for cell in cells:
        assert all(output.output_type != "error" and output.get("name") != "stderr" for output in cell.outputs)
        if isinstance(ast.parse(cell.source).body[-1], ast.Expr) and not cell.source.endswith(";"):
            assert cell.outputs, f"no output is kept of: {cell.source}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_no_output_tells_of_a_machine(path: Path):
    notebook = nbformat.read(path, as_version=4)
    for cell in code_cells(notebook):
        assert cell.metadata == {}
        for output in cell.outputs:
            data = output.get("data", {})
            texts = [output.get("text", ""), *(str(data[kind]) for kind in data if kind.startswith("text/"))]
            assert not any(_MACHINE.search(text) for text in texts), cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_each_call_in_a_cell_exists(path: Path):
    """A method that is renamed is found here, and not only by the slow test."""
    kinds = (runner.api.Session, runner.api.Run)
    known = {name for kind in kinds for name in (*dir(kind), *kind.__dataclass_fields__)}
    for cell in code_cells(nbformat.read(path, as_version=4)):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                owner, name = node.value.id, node.attr
                if owner == "runner":
                    assert hasattr(runner, name), f"runner.{name}"
                if owner in ("dogs", "planet", "iceberg", "bars", "run", "first", "both", "unfrozen", "start", "sgdr"):
                    assert name in known, f"{owner}.{name}"


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_each_runs_with_outputs_of_the_same_kinds(path: Path):
    kept = nbformat.read(path, as_version=4)
    made = generate_notebooks.execute(path)
    for before, after in zip(code_cells(kept), code_cells(made), strict=True):
        assert kinds_of(after) == kinds_of(before), f"run `make notebooks`: {after.source}"

"""The calls in a real kernel: what a notebook shows while they work, of their results, and of errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

CELLS = (
    "import runner\n"
    "from tests.api.conftest import TINY\n"
    "shapes = runner.open(TINY, {workspace!r}, device='cpu', workers=0)\n"
    "shapes",
    "shapes.download({data!r})",
    "shapes.explore()",
    "run = shapes.train(run='first', epochs=2, plot=True)\nrun.score",
    "run",
    "run.top_losses(2)",
    "run.oof.head(2)",
    "shapes.report(run)",
    "shapes.train(sizes=[64])",
)


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory, shapes_folder: Path) -> list[Any]:
    """The cells, executed in order in a new kernel; an error stops none of them."""
    workspace = tmp_path_factory.mktemp("notebook")
    sources = [cell.format(workspace=str(workspace), data=str(shapes_folder)) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    client = NotebookClient(notebook, timeout=240, kernel_name="python3", allow_errors=True)
    client.execute(cwd=str(Path(__file__).parents[2]))
    return list(notebook.cells)


def html_of(cell: Any) -> str:
    return "".join(output.get("data", {}).get("text/html", "") for output in cell.outputs)


def test_nothing_is_printed(cells):
    streams = [output.text for cell in cells for output in cell.outputs if output.output_type == "stream"]
    assert [text for text in streams if "data loading took" not in text] == []  # that of a busy machine


def test_a_session_and_a_run_show_tables(cells):
    assert "Shapes (kaggle)" in html_of(cells[0]) and "test_resnet" in html_of(cells[0])
    assert "log loss" in html_of(cells[4]) and "first" in html_of(cells[4])


def test_pages_are_shown_in_frames(cells):
    for cell in (cells[2], cells[7]):
        assert "<iframe srcdoc=" in html_of(cell)


def test_a_table_of_epochs_and_the_losses_stay_when_training_is_over(cells):
    shown = html_of(cells[3])
    assert "<th>validation loss</th>" in shown and shown.count("<tr>") == 3
    assert "data:image/png" in shown and "<progress" not in shown


def test_images_and_tables_are_drawn(cells):
    assert any("image/jpeg" in output.get("data", {}) for output in cells[5].outputs)
    assert "akita" in html_of(cells[6])


def test_an_error_shows_its_line_its_message_and_its_fix_alone(cells):
    (error,) = cells[8].outputs
    assert error.ename == "UsageError"
    assert [line for text in error.traceback for line in text.splitlines()] == [
        "line 1: shapes.train(sizes=[64])",
        "UsageError: train() has no keyword 'sizes'; the nearest is 'size'",
        "  fix: session.train(size=[64])",
    ]

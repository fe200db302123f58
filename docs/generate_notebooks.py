"""Execute the notebooks in docs/notebooks/ and keep their outputs: `make notebooks`, or with the names of some.

Each runs in an empty folder of its own, which the outputs do not tell. A slow test executes them too, and compares what
kinds of outputs come.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).with_name("notebooks")
ROOT = Path(__file__).parents[1]
TIMEOUT = 600  # seconds of a cell
SHOWN_FOLDER = "/home/you/kaggle"  # in the place of the folder that a notebook ran in


def main() -> None:
    """Execute the named notebooks, or all."""
    for path in map(Path, sys.argv[1:]) if len(sys.argv) > 1 else sorted(FOLDER.glob("*.ipynb")):
        notebook = execute(path)
        nbformat.write(notebook, path)
        print(path.name, f"{path.stat().st_size / 1000:.0f} kB")


def execute(path: Path) -> Any:
    """The notebook with new outputs; nbclient.exceptions.CellExecutionError if a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=TIMEOUT, kernel_name="python3", record_timing=False)
        client.execute(cwd=folder)
        for cell in notebook.cells:
            _clean(cell, str(Path(folder).resolve()))
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


def _clean(cell: Any, folder: str) -> None:
    """Without the folder that it ran in, and without places where a progress bar was."""
    if cell.cell_type != "code":
        return
    cell.metadata.clear()
    cell.outputs = [output for output in cell.outputs if not _is_empty(output)]
    for output in cell.outputs:
        output.get("metadata", {}).clear()
        output.pop("transient", None)
        for kind, text in output.get("data", {}).items():
            if isinstance(text, str) and kind.startswith("text/"):
                output.data[kind] = text.replace(folder, SHOWN_FOLDER)
            if kind == "image/png":
                output.data[kind] = _smaller(text)
        if "text" in output:
            output.text = output.text.replace(folder, SHOWN_FOLDER)


def _smaller(png: str) -> str:
    """A figure in few colours: a third of its size, and no difference to the eye."""
    out = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").quantize(96).save(out, "PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode("ascii")


def _is_empty(output: Any) -> bool:
    """Whether it was only a bar, or tells of how busy the machine was."""
    if output.output_type == "stream":
        return "data loading took" in output.text
    return output.output_type == "display_data" and output.get("data", {}).get("text/html", "x") == ""


if __name__ == "__main__":
    main()

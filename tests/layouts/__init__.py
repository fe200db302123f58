"""For each shipped competition a function that makes a tiny data set with its real files, and a hidden solution.

The names of files, folders and columns, the forms of ids and archives are those that Kaggle's users get. The images
are easy to learn: each class or tag has a colour.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.layouts import of_classes, of_columns, of_numbers, of_sources, of_tags
from tests.layouts.engine import Data, Solution

Layout = Callable[[Data], Solution]

_MODULES = (of_classes, of_columns, of_tags, of_numbers, of_sources)

# By the name of the competition's command.
LAYOUTS: dict[str, Layout] = {
    name.replace("_", "-"): value
    for module in _MODULES
    for name, value in vars(module).items()
    if getattr(value, "__module__", "") == module.__name__ and callable(value) and not name.startswith("_")
}


def write_layout(name: str, folder: Path) -> Solution:
    """Make the data set of a competition in a folder; the hidden labels of its test rows."""
    folder.mkdir(parents=True, exist_ok=True)
    return LAYOUTS[name](Data(folder))

"""Write the reference in docs/python.md from the docstrings of `runner.api`; `make docs` runs it.

The page above the marker is written by hand. A test fails if the rest is stale.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from runner import api
from runner.api.commands import CALLS

PAGE = Path(__file__).with_name("python.md")
MARKER = "<!-- Everything below is written by `make docs`. -->\n"

# A run is one of the steps too; these of its members are of use in a notebook.
_INHERITED = {
    "Session": ("index", "competition", "workspace", "folds_file"),
    "Run": ("name", "folder", "summary", "read_members"),
    "Board": ("path",),
    "Report": ("path",),
    "LRSearch": ("path",),
    "Exploration": ("page",),
    "Rehearsal": ("run",),
    "Climb": ("run", "page"),
}
_FIELDS = {
    "index": "The table of all images: `.train`, `.test`, `.classes`, `.targets()`.",
    "competition": "What the competition is, as a frozen value.",
    "workspace": "Where data, runs and submissions live.",
    "name": "Its name, by which calls find it.",
    "folder": "Its files.",
    "path": "Its file.",
    "page": "The page's file.",
    "run": "The run that it comes to.",
}


def update(page: str) -> str:
    """The page with a new reference below the marker."""
    return page[: page.index(MARKER) + len(MARKER)] + "\n" + "\n\n".join(_blocks()) + "\n"


def _blocks() -> Iterator[str]:
    yield "## Reference"
    functions = [name for name in api.__all__ if inspect.isfunction(getattr(api, name))]
    classes = [name for name in api.__all__ if inspect.isclass(getattr(api, name))]
    yield "### Functions"
    yield _table("call", [(f"runner.{_call(name, getattr(api, name))}", getattr(api, name)) for name in functions])
    for name in sorted(classes, key=lambda name: (name not in ("Session", "Run"), name == "Run", name)):
        kind = getattr(api, name)
        yield f"### {name}"
        yield _paragraphs(inspect.getdoc(kind) or "")
        yield _table("member", [(_call(member, value), value) for member, value in _members(name, kind)])


def _members(name: str, kind: type) -> Iterator[tuple[str, Any]]:
    """The public members of a class in the order of its source, those that it inherits last."""
    own = [(member, value) for member, value in vars(kind).items() if not member.startswith("_") and _is_told(value)]
    yield from own
    for member in _INHERITED.get(name, ()):
        yield member, getattr(kind, member, None)


def _is_told(value: Any) -> bool:
    return inspect.isfunction(value) or isinstance(value, property)


def _call(name: str, value: Any) -> str:
    """A function with its arguments; of a command's call those that it is usually called with, and `...`."""
    if not inspect.isfunction(value):
        return name
    shown = []
    for parameter in inspect.signature(value).parameters.values():
        is_first = parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        if parameter.name == "self" or (hasattr(value, CALLS) and not is_first):
            continue
        default = "" if parameter.default is inspect.Parameter.empty else f"={_default(parameter.default)}"
        shown.append(f"{'**' if parameter.kind is inspect.Parameter.VAR_KEYWORD else ''}{parameter.name}{default}")
    return f"{name}({', '.join([*shown, *(['...'] if hasattr(value, CALLS) else [])])})"


def _default(value: Any) -> str:
    return repr(value).replace("'", '"')


def _table(title: str, rows: list[tuple[str, Any]]) -> str:
    lines = [f"| `{call}` | {_first_paragraphs(call, value)} |" for call, value in rows]
    return "\n".join([f"| {title} | what it is |", "|---|---|", *lines])


def _first_paragraphs(call: str, value: Any) -> str:
    """The docstring without the list of keywords, which is the command's."""
    text = _FIELDS.get(call) or _doc(value)
    link = ""
    if command := getattr(value, CALLS, None):
        link = f" Keywords: [{command}](commands.md#runner-competition-{command})."
    return " ".join(text.split()).replace("|", "\\|") + link


def _doc(value: Any) -> str:
    of: Callable[..., Any] | Any = value.fget if isinstance(value, property) else value
    text = inspect.getdoc(of) or ""
    assert text, f"{value} has no docstring"
    return text.partition("\n\nKeywords:")[0]


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


if __name__ == "__main__":
    PAGE.write_text(update(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

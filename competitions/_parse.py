"""What a competition file says about itself, read from its text: nothing in the file is executed."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import contract
from runner.contract import Metric

# The positional fields of Competition and Metric, as far as they are read here.
_COMPETITION_FIELDS = (
    *("slug", "title", "labels", "train_images", "test_images"),
    *("sample_submission", "preset", "metric", "recipe"),
)
_METRIC_FIELDS = ("key", "title", "function")

# Expressions by the name that the file gives them.
_Names = Mapping[str, ast.expr]


@dataclass(frozen=True)
class PluginSummary:
    """Slug, title and metric as the text gives them; slug "" and metric None if only running the file would tell."""

    name: str
    path: Path
    slug: str
    title: str
    metric: Metric | None = None


def parse_plugin(name: str, path: Path) -> PluginSummary:
    """The summary of a competition file.

    OSError if it cannot be read, SyntaxError if it is not Python, ValueError if it holds no COMPETITION.
    """
    tree = ast.parse(path.read_bytes(), str(path))
    names = _assigned(tree)
    if "COMPETITION" not in names and not _binds(tree, "COMPETITION"):
        raise ValueError("the competition file holds no COMPETITION")
    fields = _fields(names.get("COMPETITION"), names, _COMPETITION_FIELDS)
    slug, title = (_constant(fields.get(field), names) for field in ("slug", "title"))
    return PluginSummary(
        name,
        path,
        slug=slug if isinstance(slug, str) else "",
        title=title if isinstance(title, str) else name,
        metric=_metric(fields.get("metric"), names, _imported(tree)),
    )


def _assigned(tree: ast.Module) -> dict[str, ast.expr]:
    """What the file's top level assigns to plain names; the last assignment counts."""
    names: dict[str, ast.expr] = {}
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name):
                names[target.id] = node.value
    return names


def _binds(tree: ast.Module, name: str) -> bool:
    """Whether the file gives anything that name in a way whose value only running it would tell."""
    return any(
        (isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store))
        or (isinstance(node, ast.alias) and (node.asname or node.name) in (name, "*"))
        for node in ast.walk(tree)
    )


def _imported(tree: ast.Module) -> dict[str, str]:
    """The names that come from the contract, by the name that they have in the file."""
    return {
        alias.asname or alias.name: alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("runner.contract")
        for alias in node.names
    }


def _fields(node: ast.expr | None, names: _Names, positions: tuple[str, ...]) -> dict[str, ast.expr]:
    """The arguments of a call by field; those of `replace(other, ...)` on top of the other's."""
    node = _resolved(node, names)
    if not isinstance(node, ast.Call):
        return {}
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    keywords = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    if called == "replace" and node.args:
        return {**_fields(node.args[0], names, positions), **keywords}
    return {**dict(zip(positions, node.args, strict=False)), **keywords}


def _resolved(node: ast.expr | None, names: _Names) -> ast.expr | None:
    """The expression that a chain of names stands for; None for a circle."""
    seen: set[str] = set()
    while isinstance(node, ast.Name) and node.id in names:
        if node.id in seen:
            return None
        seen.add(node.id)
        node = names[node.id]
    return node


def _constant(node: ast.expr | None, names: _Names) -> Any:
    """The value of a literal, or of a name that stands for one; None for anything else."""
    node = _resolved(node, names)
    return node.value if isinstance(node, ast.Constant) else None


def _metric(node: ast.expr | None, names: _Names, imported: Mapping[str, str]) -> Metric | None:
    """A metric of the contract by its name, or one that the file makes; its function is not there."""
    node = _resolved(node, names)
    known = getattr(contract, _contract_name(node, imported), None)
    if isinstance(known, Metric):
        return known
    if isinstance(node, ast.Call) and (made_by_contract := _made_by_contract(node, imported)):
        return made_by_contract
    made = {field: _constant(value, names) for field, value in _fields(node, names, _METRIC_FIELDS).items()}
    title, higher = made.get("title"), made.get("higher_is_better")
    if not isinstance(title, str) or not isinstance(higher, bool):
        return None
    return Metric(str(made.get("key")), title, _not_run, higher_is_better=higher)


def _made_by_contract(node: ast.Call, imported: Mapping[str, str]) -> Metric | None:
    """The metric of a call such as `map_at(5)`; None if the call is another one, or is not of plain values."""
    make = getattr(contract, _contract_name(node.func, imported), None)
    if make is None or isinstance(make, type):
        return None
    try:
        positional = [ast.literal_eval(argument) for argument in node.args]
        keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords if keyword.arg}
        metric = make(*positional, **keywords)
    except (ValueError, TypeError):
        return None
    return metric if isinstance(metric, Metric) else None


def _contract_name(node: ast.expr | None, imported: Mapping[str, str]) -> str:
    """The name in the contract that an expression stands for; "" if it stands for none."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Name):
        return imported.get(node.id, node.id if "*" in imported else "")
    return ""


def _not_run(*_matrices: Any) -> float:
    raise RuntimeError("this metric was read from the text of a competition file, which was not executed")

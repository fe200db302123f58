"""A recipe from a file, such as a run's recipe.json, and fields of a recipe set one by one."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from runner.commands import again
from runner.contract import EnsembleRecipe, Recipe
from runner.contract.recipe import FORMAT, recipe_from_dict
from runner.errors import DamagedFileError, UsageError
from runner.field_paths import UnknownFieldError, flat_fields, with_text
from runner.problems import did_you_mean
from runner.workspace import read_json

_UNSETTABLE = {
    "all_data": "a refit on all rows is made of a finished run: --all-data",
    "refit_of": "a refit on all rows is made of a finished run: --all-data",
}


def read_recipe_file(path: Path) -> Recipe:
    """The recipe in a recipe.json, or in a JSON object of its fields; a UsageError that says why the file has none."""
    plain = _read_plain(path)
    if "kind" not in plain and "backbone" in plain:
        plain = {"kind": "recipe", **plain}  # written by hand
    try:
        recipe = recipe_from_dict(plain)
    except ValueError as error:
        raise UsageError(f"the file is no recipe: {error}", where=path, fix=_fix_of(plain, str(error))) from None
    if isinstance(recipe, EnsembleRecipe):
        raise UsageError(
            f"the file is the recipe of an ensemble of {', '.join(recipe.members)}: it has nothing to train",
            where=path,
            fix="name the recipe.json of one of its runs",
        )
    return recipe


def _read_plain(path: Path) -> dict[str, Any]:
    if path.is_dir():
        inside = path / "recipe.json"
        fix = again("--recipe", inside) if inside.exists() else "name the file recipe.json in the folder of a run"
        raise UsageError("a folder is no recipe", where=path, fix=fix)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(
            "there is no such recipe file", where=path, fix="name the recipe.json in the folder of a run"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the recipe file cannot be read: {error}", where=path, fix="name another file") from None
    try:
        plain = json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"the recipe file is no JSON: {error}", where=path, fix="name the recipe.json of a run"
        ) from None
    if not isinstance(plain, dict):
        raise UsageError("the file is no recipe: it is no object", where=path, fix="name the recipe.json of a run")
    if "format" not in plain and "checksum" not in plain:
        return plain
    try:
        return read_json(path, format=FORMAT)  # type: ignore[no-any-return]
    except DamagedFileError as error:
        fix = 'if you have edited it by hand, delete its line "checksum"; else name another file'
        raise UsageError(error.message, where=path, fix=fix) from None


def _fix_of(plain: dict[str, Any], reason: str) -> str:
    """How to mend the file: the nearest name of a field that there is not, or where a recipe is."""
    unknown = re.search(r"has no field (\w+)", reason)
    if unknown and plain.get("kind") == "recipe":
        if near := did_you_mean(unknown[1], _field_names()):
            return near
        return "leave it out, or read it with the version of the runner that wrote it"
    if plain.get("kind") == "recipe":
        return "correct that field in the file"
    return "name the recipe.json in the folder of a run"


def _field_names() -> list[str]:
    return [field.name for field in fields(Recipe)]


def with_fields(recipe: Recipe, texts: Sequence[str]) -> Recipe:
    """The recipe with each FIELD=VALUE of these set, in their order; a UsageError for one that cannot be.

    A path such as `stages[1].size` leads to a field; `stages[*].size` to that of every stage.
    """
    for at, text in enumerate(texts):
        recipe = _with_field(recipe, text, lambda right, at=at: _again_with(texts, at, right))
    return recipe


def _again_with(texts: Sequence[str], at: int, right: str) -> str:
    """The typed command with one of its --set corrected."""
    corrected = [right if number == at else text for number, text in enumerate(texts)]
    return again(*(word for text in corrected for word in ("--set", text)))


def _with_field(recipe: Recipe, text: str, fix_with: Any) -> Recipe:
    path, equals, value = text.partition("=")
    path = path.strip().removeprefix("recipe.")
    if not equals or not path:
        fix = fix_with("seed=7") if not equals else None
        raise UsageError(f"--set {text}: it has not the form FIELD=VALUE", fix=fix)
    if path in _UNSETTABLE:
        raise UsageError(f"--set {text}: {path} cannot be set", fix=_UNSETTABLE[path])
    try:
        for each in every_path(recipe, path):
            recipe = with_text(recipe, each, value.strip())
        return recipe
    except UnknownFieldError as error:
        fix = fix_with(f"{error.near}={value}") if error.near else f"the fields are: {', '.join(_field_names())}"
        raise UsageError(f"--set {text}: {error}", fix=fix) from None
    except ValueError as error:
        example = flat_fields(recipe).get(path)
        like = f", as in {path}={example}" if example is not None else ""
        raise UsageError(f"--set {text}: {error}", fix=f"give a value that it takes{like}") from None


def every_path(recipe: Recipe, path: str) -> list[str]:
    """The paths that one with `[*]` means; itself, if it has none."""
    if "[*]" not in path:
        return [path]
    return [path.replace("[*]", f"[{number}]", 1) for number in range(len(recipe.stages))]

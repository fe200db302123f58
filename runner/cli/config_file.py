"""runner.toml in the workspace: recipe flags and fields of the recipe, for every competition and for one.

    [recipe]                  # of every competition
    seed = 7

    [dog-breed.recipe]        # of this one
    backbone = "convnext_tiny"
    size = [128, 224]
    "stages[1].lr_scale" = 0.2

They change the competition's own recipe in this workspace. Flags change the result, so they win.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from competitions import names
from runner.cli.flag_conflicts import conflicts_among
from runner.cli.options import changed_recipe, recipe_options
from runner.console import log
from runner.contract import Recipe
from runner.errors import UsageError
from runner.field_paths import UnknownFieldError, flat_fields, with_value
from runner.problems import did_you_mean
from runner.session import Session
from runner.training.recipe_file import every_path

OfSession = TypeVar("OfSession", bound=Session)

NAME = "runner.toml"
_SECTION = "recipe"
# Flags of `train` that say how and not what is trained, or that begin with another recipe.
_NOT_OF_RECIPE = {
    "recipe_of", "recipe_file", "fields", "weights", "only_fold", "engine", "time_budget", "skip_unreadable", "workers",
    "cache_gb", "device", "compile", "track",
}  # fmt: skip
_KEY = re.compile(r"""\s*(?:"(?P<basic>[^"]*)"|'(?P<literal>[^']*)'|(?P<bare>[A-Za-z0-9_-]+))\s*""")


@dataclass(frozen=True)
class _Section:
    """One table of the file: its keys' path, and what it sets."""

    file: Path
    text: str
    path: tuple[str, ...]
    values: Mapping[str, Any]

    def where(self, key: str) -> str:
        """The file and the line of a key, as an editor counts."""
        return f"{self.file}:{_line_of(self.text, (*self.path, key))}"


def config_file(root: Path) -> Path:
    """The config file of a workspace."""
    return root / NAME


def configured(session: OfSession, root: Path) -> OfSession:
    """The session with its competition's recipe as the workspace's runner.toml changes it; itself without one.

    A UsageError names file, line and the nearest name of what cannot be.
    """
    file = config_file(root)
    if not file.is_file():
        return session
    for section in _read_sections(file, session.name, root):
        recipe = _changed(session, section)
        if recipe != session.competition.recipe:
            log.debug(f"{section.file} changes the recipe of {session.name}")
            session = replace(session, competition=replace(session.competition, recipe=recipe))
    return session


def _read_sections(file: Path, competition: str, root: Path) -> Iterator[_Section]:
    """The tables that are about a competition: that of all, then its own."""
    text, content = _read(file)
    known = names(root / "competitions")
    for name, value in content.items():
        _check_table(_Section(file, text, (), content), name, value)
        if name != _SECTION and name not in known:
            raise _unknown(
                _Section(file, text, (), content), name, [_SECTION, *known], "neither recipe nor a competition"
            )
        if name != _SECTION:
            of_one = _Section(file, text, (name,), value)
            for inner, table in value.items():
                if inner != _SECTION:
                    raise _unknown(of_one, inner, [_SECTION], f"not recipe, the one table of {name}")
                _check_table(of_one, inner, table)
    if _SECTION in content:
        yield _Section(file, text, (_SECTION,), content[_SECTION])
    if own := content.get(competition, {}).get(_SECTION):
        yield _Section(file, text, (competition, _SECTION), own)


def _read(file: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))
        where = f"{file}:{found[1]}" if found else file
        fix = 'correct that line; texts stand in quotes, as backbone = "resnet34"'
        raise UsageError(f"{NAME} is no TOML: {error}", where=where, fix=fix) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{NAME} cannot be read: {error}", where=file, fix="write it as UTF-8 text") from None


def _check_table(section: _Section, name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise UsageError(
            f"{name} = {value!r:.60} stands in no table",
            where=section.where(name),
            fix=f"put it below a line [{_SECTION}], or [COMPETITION.{_SECTION}] for one competition",
        )


def _unknown(section: _Section, name: str, known: Sequence[str], what: str) -> UsageError:
    near = did_you_mean(name, known)
    return UsageError(f"{name!r} is {what}", where=section.where(name), fix=near or f"one of: {', '.join(known[:12])}")


def _changed(session: Session, section: _Section) -> Recipe:
    """The recipe with what a section sets: flags first, then fields."""
    flags, fields = _split(section)
    _check_conflicts(section, flags)
    try:
        recipe = changed_recipe(session, _typed(section, flags))
    except ValueError as error:
        raise UsageError(
            f"the recipe cannot be so: {error}", where=section.where(next(iter(flags), "")), fix="correct it"
        ) from None
    for key, value in fields.items():
        recipe = _with_fields(section, recipe, key, value)
    return recipe


def _split(section: _Section) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys that are flags, and those that are fields of a recipe."""
    options = _options()
    flags, fields = {}, {}
    for key, value in section.values.items():
        name = key.replace("_", "-").lower()
        if name in options and not (isinstance(value, Mapping) and name != "backbone-arg"):
            flags[key] = value
        else:
            fields[key] = value
    return flags, fields


def _options() -> dict[str, click.Option]:
    """The flags that change a recipe, by their names without dashes before them."""

    @recipe_options
    def command(**_flags: Any) -> None:
        """Nothing."""

    options = [each for each in click.command()(command).params if isinstance(each, click.Option)]
    of_recipe = [each for each in options if each.name not in _NOT_OF_RECIPE]
    names_of = ((name.lstrip("-"), each) for each in of_recipe for name in (*each.opts, f"--{each.name}"))
    return {name.replace("_", "-"): each for name, each in names_of}


def _defaults() -> dict[str, Any]:
    """The values of all flags that are not typed."""

    @recipe_options
    def command(**_flags: Any) -> None:
        """Nothing."""

    return dict(click.command()(command).make_context("train", []).params)


def _check_conflicts(section: _Section, flags: Mapping[str, Any]) -> None:
    options = _options()
    key_of = {_flag_of(options[key.replace("_", "-").lower()]): key for key in flags}
    for flag, excluded, reason in conflicts_among(list(key_of)):
        first, second = key_of[flag], key_of[excluded]
        raise UsageError(
            f"{first} excludes {second}: {reason}", where=section.where(second), fix="leave one of the two out"
        )


def _flag_of(option: click.Option) -> str:
    return next(name for name in option.opts if name.startswith("--"))


def _typed(section: _Section, flags: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all flags, those of the section as if they were typed."""
    values, options = _defaults(), _options()
    for key, value in flags.items():
        option = options[key.replace("_", "-").lower()]
        values[str(option.name)] = _converted(section, key, option, value)
    return values


def _converted(section: _Section, key: str, option: click.Option, value: Any) -> Any:
    if option.is_flag:
        if not isinstance(value, bool):
            raise _wrong(section, key, f"{value!r:.60} is not true or false", f"{key} = true")
        return value
    words = _words(value)
    if words is None:
        raise _wrong(section, key, f"{value!r:.60} is no value of it", None)
    try:
        converted = [option.type.convert(word, option, None) for word in words]
    except click.ClickException as error:
        raise _wrong(section, key, error.message, None) from None
    return tuple(converted) if option.multiple else converted[0]


def _words(value: Any) -> list[str] | None:
    """A value as it would be typed, once for each item of a table; None if it could not be."""
    if isinstance(value, Mapping):
        items = {name: _words(item) for name, item in value.items()}
        return [f"{name}={words[0]}" for name, words in items.items() if words]
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, int | float):
        return [repr(value)]
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(item, int | float | str) for item in value):
        return [",".join(map(str, value))]
    return None


def _wrong(section: _Section, key: str, message: str, fix: str | None) -> UsageError:
    return UsageError(f"{key}: {message}", where=section.where(key), fix=fix or f"correct {key}, or leave it out")


def _with_fields(section: _Section, recipe: Recipe, key: str, value: Any) -> Recipe:
    """The recipe with a field set, or those of a table."""
    for path, plain in _flat(key, value, recipe):
        try:
            for each in every_path(recipe, path):
                recipe = with_value(recipe, each, plain)
        except UnknownFieldError as error:
            raise _unknown_key(section, key, path, recipe, error) from None
        except ValueError as error:
            raise _wrong(section, key, str(error), None) from None
    return recipe


def _flat(path: str, value: Any, recipe: Recipe) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and not _is_dictionary(recipe, path):
        for name, item in value.items():
            yield from _flat(f"{path}.{name}", item, recipe)
    else:
        yield path, value


def _is_dictionary(recipe: Recipe, path: str) -> bool:
    return isinstance(getattr(recipe, path, None), Mapping)


def _unknown_key(section: _Section, key: str, path: str, recipe: Recipe, error: UnknownFieldError) -> UsageError:
    """What was meant by a key that is neither a flag nor a field."""
    word = path.replace("_", "-").lower()
    if word.replace("-", "_") in _NOT_OF_RECIPE or word in ("cache-gb", "time-budget", "skip-unreadable", "only-fold"):
        return _wrong(section, key, "it is no part of a recipe", f"type it: --{word} is a flag of the command")
    known = [*dict.fromkeys(_options()), *flat_fields(recipe)]
    near = did_you_mean(word, known).removeprefix("did you mean '").removesuffix("'?") or error.near
    fix = f"did you mean {near!r}?" if near else "a flag of `runner COMPETITION train`, or a field of the recipe"
    return UsageError(f"{path!r} is neither a flag nor a field of a recipe", where=section.where(key), fix=fix)


def _line_of(text: str, path: Sequence[str]) -> int:
    """The line of a key, counted from 1; that of the table that it is in, if it is not found."""
    table: tuple[str, ...] = ()
    best = 1
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("["):
            table = tuple(_keys(stripped.strip("[] ").partition("]")[0]))
            found = table
        else:
            key, equals, _ = stripped.partition("=")
            found = (*table, *_keys(key)) if equals else ()
        if found[: len(path)] == tuple(path):
            return number
        if found and found == tuple(path)[: len(found)]:
            best = number
    return best


def _keys(text: str) -> list[str]:
    """The parts of a dotted key."""
    parts, at = [], 0
    while match := _KEY.match(text, at):
        parts.append(match["basic"] or match["literal"] or match["bare"] or "")
        at = match.end()
        if text[at : at + 1] != ".":
            break
        at += 1
    return parts

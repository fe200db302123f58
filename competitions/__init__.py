"""Find and load competitions: each .py file here, or in `competitions/` of the workspace, defines one.

A competition file is code. It is executed when a command of its own is called; for lists and help its text is parsed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import PluginError, UsageError

if TYPE_CHECKING:
    from competitions._parse import PluginSummary
    from runner.contract import Competition

# The commands beside the competitions: a file of such a name could not be called.
RESERVED_NAMES = ("list", "doctor", "board", "demo", "new")

# What a message names where it needs any competition.
EXAMPLE = "dog-breed"

_SHIPPED = Path(__file__).parent
_DOCS = "docs/competitions.md has a complete example"


@dataclass(frozen=True)
class _Found:
    """The competition files by command name, and what is wrong with the others."""

    files: dict[str, Path]
    errors: tuple[PluginError, ...]


def names(extra: Path | None = None) -> tuple[str, ...]:
    """The command names of all competitions, sorted; executes none of them."""
    return tuple(files(extra))


def load(name: str, extra: Path | None = None) -> Competition:
    """The competition of that name; a file in the workspace's folder `extra` goes before a shipped one."""
    found = _find(extra)
    if name not in found.files:
        for error in found.errors:
            if _command_name(Path(str(error.where))) == name:
                raise error
        raise _unknown(name, list(found.files))
    return replace(_constant(found.files[name]), name=name)


def files(extra: Path | None = None) -> dict[str, Path]:
    """The file of each competition by command name, sorted; the workspace's go before the shipped ones."""
    return _find(extra).files


def summaries(extra: Path | None = None) -> Iterator[PluginSummary | PluginError]:
    """Slug, title and metric of every competition, sorted by name, from the parsed text; errors come last.

    Nothing is executed: a list of what is in a folder must not run what a stranger put there.
    """
    from competitions._parse import parse_plugin  # here and below: the names alone, for `--help`, need none of it

    found, errors = _find(extra), []
    for name, path in found.files.items():
        try:
            yield parse_plugin(name, path)
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
            errors.append(_unreadable(path, error))
    yield from (*errors, *found.errors)


def _find(extra: Path | None) -> _Found:
    found: dict[str, Path] = {}
    errors: dict[str, PluginError] = {}
    for folder in [_SHIPPED] if extra is None or extra.resolve() == _SHIPPED else [_SHIPPED, extra]:
        for path in _python_files(folder):
            name = _command_name(path)
            if error := _refusal(name, path):
                errors[name] = error
            else:
                found[name] = path
    return _Found(dict(sorted(found.items())), tuple(error for _, error in sorted(errors.items())))


def _python_files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.glob("*.py") if not path.name.startswith(("_", ".")))
    except OSError:  # a folder that may not be read has no competitions for this user
        return []


def _command_name(path: Path) -> str:
    return path.name.removesuffix(".py").replace("_", "-")


def _refusal(name: str, path: Path) -> PluginError | None:
    """Why a file cannot be a competition, as far as its name and kind tell."""
    if name in RESERVED_NAMES:
        return PluginError(
            f"the competition file is named like the command `runner {name}`, so it cannot be called",
            where=path,
            fix="rename the file",
        )
    if path.is_file():
        return None
    kind = "a folder" if path.is_dir() else "a link to nothing" if path.is_symlink() else "not a file"
    return PluginError(f"the competition file is {kind}", where=path, fix="remove it, or rename it")


def file_of(name: str) -> Path | None:
    """The file of a competition that is loaded; None if it was made in a program, as tests do."""
    modules = (sys.modules.get(f"competitions.{stem}") for stem in (name.replace("-", "_"), name))
    return next((Path(module.__file__) for module in modules if module is not None and module.__file__), None)


def _unknown(name: str, known: list[str]) -> UsageError:
    import difflib

    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    fix = f"did you mean {near[0]}? all of them: `runner list`" if near else "runner list"
    return UsageError(f"no competition is named {name!r}", fix=fix)


def _unreadable(path: Path, error: BaseException) -> PluginError:
    """The error of a file that cannot be parsed or executed, with its line."""
    line = _line_within(path, error)
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return PluginError(
        f"the competition file cannot be loaded: {type(error).__name__}: {reason}",
        where=f"{path}:{line}" if line else path,
        fix=f"correct that line; {_DOCS}",
    )


def _constant(path: Path) -> Competition:
    import importlib.util

    from runner.contract import Competition

    module_name = f"competitions.{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec and spec.loader, path
    module = importlib.util.module_from_spec(spec)
    # Registered: a dataclass in the file, a pickle of `prepare` or an import by name needs to find this module.
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except KeyboardInterrupt:  # from the keyboard, as far as can be told
        del sys.modules[module_name]
        raise
    except BaseException as error:  # the file may fail in any way
        del sys.modules[module_name]
        raise _unreadable(path, error) from error
    constant = getattr(module, "COMPETITION", None)
    if not isinstance(constant, Competition):
        content = "no COMPETITION" if constant is None else f"a COMPETITION of type {type(constant).__name__}"
        raise PluginError(
            f"the competition file holds {content}",
            where=path,
            fix=f"end it with COMPETITION = Competition(...); {_DOCS}",
        )
    return constant


def _line_within(path: Path, error: BaseException) -> int | None:
    """The last line of this file in the error's traceback; None if it is not there."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return lines[-1] if lines else None

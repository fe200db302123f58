"""Find and load competitions: each .py file here, or in `competitions/` of the workspace, defines one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import PluginError, UsageError

if TYPE_CHECKING:
    from runner.contract import Competition

_SHIPPED = Path(__file__).parent
_DOCS = "docs/competitions.md has a complete example"


def names(extra: Path | None = None) -> tuple[str, ...]:
    """The command names of all competitions, sorted; imports none of them."""
    return tuple(files(extra))


def load(name: str, extra: Path | None = None) -> Competition:
    """The competition of that name; a file in the workspace's folder `extra` goes before a shipped one."""
    known = files(extra)
    if name not in known:
        raise _unknown(name, list(known))
    return replace(_constant(known[name]), name=name)


def files(extra: Path | None = None) -> dict[str, Path]:
    """The file of each competition by command name, sorted; the workspace's go before the shipped ones."""
    folders = [_SHIPPED] if extra is None or extra.resolve() == _SHIPPED else [_SHIPPED, extra]
    by_name = {
        path.stem.replace("_", "-"): path
        for folder in folders
        if folder.is_dir()
        for path in folder.glob("*.py")
        if not path.name.startswith(("_", "."))
    }
    return dict(sorted(by_name.items()))


def _unknown(name: str, known: list[str]) -> UsageError:
    import difflib  # here and below: only errors need it

    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    fix = f"did you mean {near[0]}? all of them: runner list" if near else "runner list"
    return UsageError(f"no competition is named {name!r}", where=f"known: {', '.join(known)}", fix=fix)


def _constant(path: Path) -> Competition:
    # Imported here: the names alone, for `runner --help`, need none of it.
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
    except (Exception, SystemExit) as error:  # the file may fail in any way; other competitions must still load
        del sys.modules[module_name]
        line = _line_within(path, error)
        raise PluginError(
            f"the competition file cannot be loaded: {type(error).__name__}: {error}",
            where=f"{path}:{line}" if line else path,
            fix=f"correct that line; {_DOCS}",
        ) from error
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

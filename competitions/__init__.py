"""The competitions: every .py file here, or in `competitions/` of the workspace, is one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import PluginError, UsageError

if TYPE_CHECKING:
    from runner.contract import Competition

_SHIPPED = Path(__file__).parent


def names(extra: Path | None = None) -> tuple[str, ...]:
    """Every competition's command name, sorted. Nothing is imported to answer this."""
    return tuple(files(extra))


def load(name: str, extra: Path | None = None) -> Competition:
    """The competition of that name, from the workspace's folder `extra` before the shipped ones."""
    from dataclasses import replace

    known = files(extra)
    if name not in known:
        import difflib

        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        guess = f"did you mean {near[0]}? " if near else ""
        raise UsageError(
            f"no competition is named {name!r}",
            where=f"known: {', '.join(sorted(known))}",
            fix=f"{guess}`runner list` shows them all",
        )
    return replace(_constant(known[name]), name=name)


def files(extra: Path | None = None) -> dict[str, Path]:
    """Every competition's file by its command name, sorted; the workspace's go before the shipped ones."""
    folders = [_SHIPPED] if extra is None or extra.resolve() == _SHIPPED else [_SHIPPED, extra]
    found = {
        path.stem.replace("_", "-"): path
        for folder in folders
        if folder.is_dir()
        for path in folder.glob("*.py")
        if not path.name.startswith(("_", "."))
    }
    return dict(sorted(found.items()))


def _constant(path: Path) -> Competition:
    # Imported here, so that the names alone (`runner --help`) cost nothing.
    import importlib.util

    from runner.contract import Competition

    module_name = f"competitions.{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec and spec.loader, path
    module = importlib.util.module_from_spec(spec)
    # Registered so that a dataclass in the plugin, a pickle of `prepare`, or a second import by name
    # finds this very module.
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a plugin may fail in any way; the others must go on
        del sys.modules[module_name]
        line = _line_within(path, error)
        raise PluginError(
            f"the competition file cannot be loaded: {type(error).__name__}: {error}",
            where=f"{path}:{line}" if line else path,
            fix="mend that line; README.md, 'Add a competition', has a whole one",
        ) from error
    constant = getattr(module, "COMPETITION", None)
    if not isinstance(constant, Competition):
        found = "no COMPETITION" if constant is None else f"a COMPETITION that is a {type(constant).__name__}"
        raise PluginError(
            f"the competition file holds {found}",
            where=path,
            fix="end it with COMPETITION = Competition(...); README.md, 'Add a competition', has one",
        )
    return constant


def _line_within(path: Path, error: BaseException) -> int | None:
    """The last line of this file that the error went through."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return lines[-1] if lines else None

"""Which file a recipe's weights are: found by name and digest, so that a run needs its `--weights` only once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import competitions
from runner.contract import Recipe
from runner.errors import RunnerError, UsageError
from runner.options import TrainOptions
from runner.session import Session
from runner.training.weights_kind import check_weights_file
from runner.workspace import read_json, write_json

_FORMAT = 1
_DIGEST = " sha256:"


def fingerprint(weights: Path) -> str:
    """A weights file in a recipe: its name and a digest of its content, never its path."""
    return f"{weights.name}{_DIGEST}{hashlib.sha256(weights.read_bytes()).hexdigest()[:16]}"


def resolve_weights(session: Session, recipe: Recipe, options: TrainOptions) -> tuple[Recipe, TrainOptions]:
    """The recipe with the fingerprint of its weights file, and the options with that file if it is on this disk.

    The file is the one of `--weights`, else the path in the recipe, else the one with the recipe's fingerprint.
    """
    declared = recipe.weights
    is_fixed = declared is not None and _DIGEST in declared
    if options.weights is not None:
        given = fingerprint(check_weights_file(options.weights))
        if is_fixed and given != declared:
            raise UsageError(
                f"the run started from other weights: {declared}, not {given}",
                where=options.weights,
                fix="leave --weights out, or give the file that the run started from",
            )
        return _remembered(session, recipe, options, options.weights, given)
    if declared is None:
        return recipe, options
    if is_fixed:
        return recipe, replace(options, weights=find_weights_file(session, declared))
    path = _declared_file(session, declared)
    return _remembered(session, recipe, options, path, fingerprint(path))


def missing_weights_error(session: Session, weights: str) -> UsageError:
    """The error for a run whose weights file is nowhere to be found."""
    name = weights.partition(_DIGEST)[0]
    return UsageError(
        f"the weights file that the run starts from is not found: {weights}",
        where=", ".join(map(str, _folders(session))),
        fix=f"put {name} into one of these folders, or give --weights {name} with its path",
    )


def _remembered(
    session: Session, recipe: Recipe, options: TrainOptions, path: Path, given: str
) -> tuple[Recipe, TrainOptions]:
    # In the cache, because a path of this machine belongs into no file of a run.
    known = _known_paths(session)
    if known.get(given) != str(path.resolve()):
        write_json(_paths_file(session), {"paths": {**known, given: str(path.resolve())}}, format=_FORMAT)
    return replace(recipe, weights=given), replace(options, weights=path)


def find_weights_file(session: Session, weights: str) -> Path | None:
    """The file with this name and digest, where it was last seen or where a declared one would be; None without."""
    name = weights.partition(_DIGEST)[0]
    seen = _known_paths(session).get(weights)
    declared = session.competition.recipe.weights or ""
    places = [Path(seen)] if seen else []
    places += [folder / file for folder in _folders(session) for file in (name, declared) if Path(file).name == name]
    return next((path for path in places if path.is_file() and fingerprint(path) == weights), None)


def _declared_file(session: Session, declared: str) -> Path:
    """The file that a competition's recipe names: a path in the workspace, or beside the competition's file."""
    places = [folder / Path(declared).expanduser() for folder in _folders(session)]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise UsageError(
            f"the weights file of the competition's recipe is missing: {declared}",
            where=", ".join(dict.fromkeys(map(str, places))),
            fix="put it there, or give another one with --weights FILE",
        )
    return found


def _folders(session: Session) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(_folders_to_search(session)))


def _folders_to_search(session: Session) -> Iterator[Path]:
    yield session.workspace.root
    plugin = competitions.file_of(session.name)
    if plugin is not None:
        yield plugin.parent
        # Practice and rehearsals have workspaces inside the one with the competition's file.
        if plugin.parent.name == "competitions" and session.workspace.root.is_relative_to(plugin.parent.parent):
            yield plugin.parent.parent


def _known_paths(session: Session) -> dict[str, str]:
    try:
        return dict(read_json(_paths_file(session), format=_FORMAT)["paths"])
    except (RunnerError, OSError, KeyError, TypeError, ValueError):
        return {}  # a cache: `--weights` names the file again


def _paths_file(session: Session) -> Path:
    return session.cache_dir / "weights.json"

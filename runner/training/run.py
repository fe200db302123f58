"""A run: one training with one recipe, in one folder; its files, and how runs are found."""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from runner import __version__
from runner.commands import command
from runner.contract import EnsembleRecipe, Recipe
from runner.contract.recipe import FORMAT as RECIPE_FORMAT
from runner.contract.recipe import recipe_from_dict
from runner.errors import InUseError, RunnerError, UsageError
from runner.locks import hold, wait_for
from runner.training.score_record import RunScore, ScoreRecord
from runner.workspace import Workspace, explain_damage, read_json, read_record, remove_leftovers_below, write_json

_LISTED = 8  # runs in a message, the newest
SCORE_FORMAT = 1  # of score.json
REQUEST_FORMAT = 1  # of request.json


@dataclass(frozen=True)
class Run:
    """One run's folder and the files in it."""

    competition: str
    name: str
    folder: Path

    @property
    def log_file(self) -> Path:
        return self.folder / "log.jsonl"

    @property
    def folds_file(self) -> Path:
        return self.folder / "folds.csv"

    @property
    def recipe_file(self) -> Path:
        return self.folder / "recipe.json"

    @property
    def request_file(self) -> Path:
        """What the training was asked for, by which a repeated command finds its run."""
        return self.folder / "request.json"

    @property
    def score_file(self) -> Path:
        return self.folder / "score.json"

    @property
    def skipped_file(self) -> Path:
        """Which images the run skips because they cannot be read; written with --skip-unreadable alone."""
        return self.folder / "unreadable.json"

    @property
    def annotation_file(self) -> Path:
        """What the user said of the run; missing if nothing."""
        return self.folder / "annotation.txt"

    @property
    def setup_lock(self) -> Path:
        """The lock of the files that all folds of the run share, while they are written."""
        return self.folder.with_name(f".setup-{self.name}.lock")

    def fold_dir(self, number: int) -> Path:
        return self.folder / f"fold-{number}"

    @property
    def is_empty(self) -> bool:
        """Whether nothing was trained, averaged or scored: no epoch in the log, and no file of weights in a fold."""
        has_weights = any(self.folder.glob("fold-*/*.safetensors"))
        return not (self.log_file.exists() or has_weights or self.score_file.exists())

    def read_recipe(self) -> Recipe:
        """The recipe that this run trains; a UsageError if the run is an ensemble, which trains nothing."""
        recipe = self._read_recipe_file()
        if isinstance(recipe, EnsembleRecipe):
            raise UsageError(
                f"{self.name} is an ensemble of {', '.join(recipe.members)}: it has nothing to train",
                where=self.recipe_file,
                fix=command(self.competition, "train", "--run", recipe.members[0], "--resume"),
            )
        return recipe

    def read_members(self) -> tuple[str, ...]:
        """The names of the runs in this ensemble; empty for a trained run."""
        recipe = self._read_recipe_file()
        return recipe.members if isinstance(recipe, EnsembleRecipe) else ()

    def read_refit_of(self) -> str | None:
        """The name of the run or ensemble that this one is a refit of on all labelled rows; None if of none."""
        return self._read_recipe_file().refit_of

    @property
    def summary(self) -> str:
        """The recipe in one line."""
        return self._read_recipe_file().summary

    def _read_recipe_file(self) -> Recipe | EnsembleRecipe:
        fix = f"train it again, as a new run: `{command(self.competition, 'train')}`"
        plain = read_json(self.recipe_file, format=RECIPE_FORMAT, fix=fix)
        with explain_damage(self.recipe_file, fix, "the recipe"):
            return recipe_from_dict(plain)

    def read_score(self) -> RunScore | None:
        """The CV score and how it was computed; None before there are predictions."""
        if not self.score_file.exists():
            return None
        fix = command(self.competition, "predict", "--run", self.name)
        return read_record(self.score_file, RunScore, format=SCORE_FORMAT, fix=fix, name="score")

    def write_score(self, score: RunScore) -> None:
        """Write score.json."""
        write_json(self.score_file, score, format=SCORE_FORMAT)


@dataclass(frozen=True)
class RunOverview:
    """A run as one row of a table: a damaged file is told in place of the recipe, and hides nothing else."""

    run: Run
    recipe: str
    score: RunScore | None
    damage: str = ""  # empty if every file can be read

    @property
    def cv(self) -> ScoreRecord | None:
        """The CV score; None before `predict`, and if it cannot be read."""
        return self.score["cv"] if self.score else None


def read_overview(run: Run) -> RunOverview:
    """The run's recipe in a line and its score."""
    recipe, score, damages = "", None, []
    try:
        recipe = run.summary
    except (RunnerError, OSError) as error:
        damages.append(_damage(run.recipe_file, error))
    try:
        score = run.read_score()
    except (RunnerError, OSError) as error:
        damages.append(_damage(run.score_file, error))
    damage = "; ".join(damages)
    return RunOverview(run, damage or recipe, score, damage)


def _damage(file: Path, error: RunnerError | OSError) -> str:
    fix = getattr(error, "fix", None)
    return f"damaged {file.name}" + (f"; fix: {fix}" if fix else "")


def read_annotation(run: Run) -> str | None:
    """What the user said of the run; None if nothing."""
    try:
        return " ".join(run.annotation_file.read_text(encoding="utf-8", errors="replace").split()) or None
    except OSError:
        return None


def find_runs(workspace: Workspace, competition: str) -> tuple[Run, ...]:
    """Every run of a competition, oldest first."""
    folder = workspace.runs_dir(competition)
    # The folder of a run that is being deleted begins with a dot.
    found = [path for path in folder.glob("*/recipe.json") if not path.parent.name.startswith(".")]
    recipes = sorted(found, key=lambda path: (path.stat().st_mtime_ns, path))
    return tuple(Run(competition, path.parent.name, path.parent) for path in recipes)


def find_run(workspace: Workspace, competition: str, name: str | None = None) -> Run:
    """The run of that name, or the newest that has something in it."""
    runs = find_runs(workspace, competition)
    chosen = [run for run in runs if name in (None, run.name)]
    if chosen:
        return ([run for run in chosen if not run.is_empty] or chosen)[-1]
    near = get_close_matches((name or "").lower().rpartition("/")[2], [run.name for run in runs], n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    names = ", ".join(run.name for run in runs[-_LISTED:]) + (", ..." if len(runs) > _LISTED else "")
    raise RunnerError(
        f"there is no run {name!r}{meant}" if name else "there is no run yet",
        where=f"{workspace.runs_dir(competition)} ({f'holds {names}' if names else 'holds none'})",
        fix=workspace.command_line(competition, "runs" if names else "train"),
    )


def existing_run(workspace: Workspace, competition: str, name: str) -> Run | None:
    """The run of that name, if there is one."""
    check_run_name(name)
    run = Run(competition, name, workspace.run_dir(competition, name))
    return run if run.recipe_file.exists() else None


@contextmanager
def started_run(
    workspace: Workspace,
    competition: str,
    recipe: Recipe | EnsembleRecipe,
    name: str | None,
    command: str,
    fold: int | None = None,
    request: dict[str, Any] | None = None,
) -> Iterator[Run]:
    """A run's folder with its recipe and environment, locked for the block; an existing one must have the same recipe.

    `command` and `fold` as in `hold_run`; `request` is the content of request.json.
    """
    with ExitStack() as stack:
        with wait_for(workspace.runs_dir(competition) / ".start.lock"):  # two that start at once get two names
            run = _named_run(workspace, competition, recipe, name)
            stack.enter_context(hold_run(run, _command_for(workspace, run, command), fold=fold))
            _write_start(workspace, run, recipe, request)
        yield run


@contextmanager
def hold_run(run: Run, command: str, *, fold: int | None = None, shared: bool = False, fix: str = "") -> Iterator[None]:
    """Keep other commands from writing into the run's folder during the block; an InUseError says who does already.

    With `fold` this fold alone is locked: others of the run may be trained at the same time. With `shared` the block
    only reads.
    """
    lock, what = run.folder.with_name(f".run-{run.name}.lock"), f"run {run.name}"
    fix = fix or "give this run another name with --run"
    with hold(lock, command, what=what, fix=fix, shared=shared or fold is not None):
        if not shared:
            remove_leftovers_below([run.folder])  # of a killed command: this one may have nothing to write there
        if fold is None:
            yield
            return
        of_fold = run.folder.with_name(f".fold-{fold}-{run.name}.lock")
        with hold(of_fold, command, what=f"fold {fold} of {what}", fix=fix):
            yield


def _named_run(workspace: Workspace, competition: str, recipe: Recipe | EnsembleRecipe, name: str | None) -> Run:
    name = name or free_name(workspace, competition, recipe)
    check_run_name(name)
    return Run(competition, name, workspace.run_dir(competition, name))


def _command_for(workspace: Workspace, run: Run, command: str) -> str:
    return workspace.command_line(run.competition, command, "--run", run.name)


def _write_start(
    workspace: Workspace, run: Run, recipe: Recipe | EnsembleRecipe, request: dict[str, Any] | None
) -> None:
    if run.recipe_file.exists() and run._read_recipe_file() != recipe:
        raise UsageError(
            f"run {run.name!r} exists already, with another recipe",
            where=run.recipe_file,
            fix="give this one another name with --run, or go on with that one by its own recipe: "
            f"`{workspace.command_line(run.competition, 'train', '--run', run.name, '--resume')}`",
        )
    # recipe.json last: where it is, the others are.
    if request is not None:
        write_json(run.request_file, request, format=REQUEST_FORMAT)
    write_json(run.folder / "environment.json", describe_environment())
    write_json(run.recipe_file, recipe.to_dict(), format=RECIPE_FORMAT)


def remove_unstarted_run(run: Run) -> None:
    """Remove a run that ended before its first epoch: there is nothing in it to resume.

    If another command trains a fold of it, the folder stays.
    """
    with suppress(InUseError), hold_run(run, "train"):
        if run.is_empty:
            shutil.rmtree(run.folder, ignore_errors=True)


def check_run_name(name: str) -> None:
    """Refuse a name that cannot be a folder and a file on every system."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UsageError(
            f"{name!r} cannot name a run",
            fix="use letters, digits, '.', '-' and '_', beginning with a letter or digit",
        )


def describe_environment() -> dict[str, Any]:
    """Versions, system and GPU; no names, paths or secrets of the machine."""
    from importlib.metadata import version  # slow to import, as torch: `runner list` needs neither

    import torch

    return {
        "runner": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        **{name: version(name) for name in ("torch", "timm", "numpy", "pandas", "albumentations", "accelerate")},
    }


def free_name(workspace: Workspace, competition: str, recipe: Recipe | EnsembleRecipe) -> str:
    """The name of a run that is given none: the backbone and a number."""
    backbone = recipe.backbone if isinstance(recipe, Recipe) else "ensemble"
    stem = re.sub(r"[^A-Za-z0-9]+", "-", backbone).strip("-")
    taken = {run.name for run in find_runs(workspace, competition)}
    # The submission of a run that was deleted stays, and so does its line in the ledger.
    taken |= {path.stem for path in workspace.submissions_dir(competition).glob("*.csv")}
    # Those that a host trains are not here yet; what is in the names behind the point says which kind of note it is.
    taken |= {
        path.name.rpartition(".")[0].rpartition(".")[0] for path in workspace.remote_dir(competition).glob("*.json")
    }
    number = 1
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"

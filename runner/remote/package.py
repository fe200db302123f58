"""The package: one file with the runner, the competition's file and a run, the same bytes for the same content.

It is a zip under another suffix, because Kaggle unpacks the zips of a dataset. Its name has the beginning of its
digest, so that the dataset's list of files tells whether it is there.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import competitions
import runner
from competitions import file_of
from runner.contract.recipe import FORMAT as RECIPE_FORMAT
from runner.csv_file import write_csv
from runner.errors import RunnerError, UsageError
from runner.prediction.blend import postprocess_file
from runner.prediction.weighted_models import WeightedModel, weighted_models
from runner.remote.archive import pack_files
from runner.remote.result import MANIFEST
from runner.session import Session
from runner.training.run import Run, find_run
from runner.training.snapshots import file_sha256
from runner.workspace import write_json

PACKAGE_FORMAT = 1
LABELLED, SUFFIX = "labelled.csv", ".pyz"


@dataclass(frozen=True)
class Package:
    """A package on this disk."""

    path: Path
    digest: str  # SHA-256 of the file
    content: str = ""  # of what it predicts with, whatever the runner's version

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.path.stat().st_size


@dataclass(frozen=True)
class Manifest:
    """What package.json says about a run to predict with."""

    competition: str
    slug: str
    run: str  # whose postprocess is applied
    models: tuple[WeightedModel, ...]
    classes: tuple[str, ...]
    columns: tuple[str, ...]  # of labelled.csv


def build_package(session: Session, run: Run, folder: Path) -> Package:
    """The package to predict with a run, written into `folder`."""
    if not postprocess_file(run).exists():
        raise UsageError(
            f"{run.name} is not predicted yet, so nothing says how its models become a submission",
            where=run.folder,
            fix=session.command("predict", "--run", run.name),
        )
    with tempfile.TemporaryDirectory() as temporary:
        staging = Path(temporary)
        stage_code(session, staging)
        table = session.index.train
        write_csv(staging / LABELLED, list(table.columns), table.itertuples(index=False, name=None))
        models = weighted_models(run)
        _stage_runs(session, run, models, staging / "runs")
        manifest = Manifest(
            session.name, session.competition.slug, run.name, models, session.index.classes, tuple(table.columns)
        )
        write_json(staging / MANIFEST, asdict(manifest), format=PACKAGE_FORMAT)
        return replace(pack(staging, folder), content=_content_digest(staging / "runs"))


def _content_digest(runs: Path) -> str:
    """A digest of the weights and the postprocess: the same for every version of the runner."""
    names = ("*.safetensors", "postprocess.json")
    paths = sorted(path for name in names for path in runs.rglob(name))
    lines = [f"{path.relative_to(runs).as_posix()} {file_sha256(path)}" for path in paths]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def stage_code(session: Session, staging: Path) -> None:
    """Copy the runner, the shipped competitions, and the competition's own file in the place of a shipped one."""
    plugin = file_of(session.name)
    if plugin is None:
        raise UsageError(
            f"{session.name} has no competition file, so it cannot be packed", fix="write it into competitions/"
        )
    for package in (runner, competitions):
        source = Path(package.__file__ or "").parent
        for path in _content_of(source):
            copy_file(path, staging / source.name / path.relative_to(source))
    copy_file(plugin, staging / "competitions" / f"{session.name.replace('-', '_')}.py")


def pack(staging: Path, folder: Path) -> Package:
    """The package of everything in a folder, named by its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{staging.name}.part"
    try:
        pack_files({path.relative_to(staging).as_posix(): path for path in _content_of(staging)}, part)
        digest = file_sha256(part)
        path = folder / package_name(digest)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return Package(path, digest)


def package_name(digest: str) -> str:
    """The name of a package's file."""
    return f"package-{digest[:16]}{SUFFIX}"


def _content_of(folder: Path) -> Iterator[Path]:
    """The files below a folder in one order, without what Python has compiled."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
            yield path


def _stage_runs(session: Session, run: Run, models: tuple[WeightedModel, ...], runs: Path) -> None:
    """Copy what inference needs of each run: recipe, folds, snapshots' records, and the weights of these models."""
    copy_file(postprocess_file(run), runs / run.name / "postprocess.json")
    for name in dict.fromkeys(model.run for model in models):
        part = find_run(session.workspace, session.name, name)
        wanted = {model.model for model in models if model.run == name}
        recipe = replace(part.read_recipe(), from_run=None, weights=None, pretrained=False)
        write_json(runs / name / "recipe.json", recipe.to_dict(), format=RECIPE_FORMAT)
        for file in (part.folds_file, part.folds_file.with_suffix(".json"), part.skipped_file, postprocess_file(part)):
            if file.exists():
                copy_file(file, runs / name / file.name)
        for fold in sorted(part.folder.glob("fold-*")):
            _stage_fold(session, part, fold, wanted, runs / name / fold.name)


def _stage_fold(session: Session, run: Run, fold: Path, wanted: set[str], target: Path) -> None:
    records = [*fold.glob("snapshot-*.json"), *fold.glob("swa.json")]
    for record in records:
        copy_file(record, target / record.name)
    for model in wanted:
        weights = fold / f"{model}.safetensors"
        if not weights.exists():
            raise RunnerError(
                f"the weights of {fold.name}/{model} are missing, and a notebook predicts with them",
                where=weights,
                fix=session.command("train", "--run", run.name, "--resume"),
            )
        copy_file(weights, target / weights.name)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's content; the folder of the new one is made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)

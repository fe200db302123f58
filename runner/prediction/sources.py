"""What a score and a submission file were made from, and whether that is still what there is.

sources.json is written after everything else that `predict` or `ensemble` writes. It holds the digests of what they
read and of what they wrote: a result that is older than its sources, or was left half written, is noticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from runner import __version__
from runner.console import log
from runner.contract import Competition
from runner.data.checksums import CHECKSUMS
from runner.data.folds import Folds, read_folds
from runner.errors import RunnerError
from runner.images.view_size import size_in
from runner.options import PredictOptions
from runner.prediction.blend import oof_targets_file, postprocess_file
from runner.prediction.out_of_fold import Member, read_oof_targets
from runner.prediction.postprocess import read_postprocess
from runner.prediction.predictions import read_weights_digest
from runner.training.run import Run
from runner.training.snapshot_list import FORMAT as SNAPSHOT_FORMAT
from runner.training.snapshot_list import choose_snapshots, list_snapshots, train_fold_again
from runner.workspace import Workspace, read_json, write_json

_FORMAT = 1  # of sources.json


@dataclass(frozen=True)
class Sources:
    """What a result was made from, and the digests of its own files by name."""

    weights: dict[str, str]  # of RUN/fold-K/MODEL, as the prediction files have it; empty if unknown
    folds: str  # a digest of the split; empty for a refit, which has none
    postprocess: str  # of the original's postprocess.json, for a refit
    views: tuple[str, ...]
    tta: str
    snapshots: int | None
    metrics: tuple[str, ...]
    data: str = ""  # a digest of the data's list of checksums; empty if there is none
    version: str = __version__
    results: dict[str, str] = field(default_factory=dict)

    @property
    def options(self) -> PredictOptions:
        """The options of `predict`."""
        return PredictOptions(self.tta, self.snapshots, size_in(self.views))


def sources_of(
    workspace: Workspace,
    competition: Competition,
    run: Run,
    members: Sequence[Member],
    options: PredictOptions = PredictOptions(""),
    *,
    refit_of: Run | None = None,
) -> Sources:
    """What a result for these members is made from now."""
    return Sources(
        weights=_predicted_weights([path for member in members for path in (*member.valid, *member.test)]),
        folds="" if refit_of else _folds_digest(read_folds(run.folds_file, competition=run.competition)),
        postprocess="" if refit_of is None else _digest(postprocess_file(refit_of)),
        views=members[0].views,
        tta=options.tta,
        snapshots=options.snapshots,
        metrics=tuple(metric.key for metric in (competition.metric, *competition.extra_metrics)),
        data=_data_digest(workspace, run),
    )


def write_sources(workspace: Workspace, run: Run, sources: Sources) -> None:
    """Write sources.json for the results that are on the disk now."""
    write_json(_file(run), asdict(replace(sources, results=_results(workspace, run))), format=_FORMAT)


def read_sources(run: Run) -> Sources | None:
    """What the run's result was made from; None before there is one, and for one of an earlier version."""
    if not _file(run).exists():
        return None
    fix = f"runner {run.competition} predict --run {run.name}"
    plain = read_json(_file(run), format=_FORMAT, fix=fix)
    try:
        return Sources(**{**plain, "views": tuple(plain["views"]), "metrics": tuple(plain["metrics"])})
    except (KeyError, TypeError, ValueError) as error:
        raise RunnerError(f"the list of sources cannot be read: {error}", where=_file(run), fix=fix) from error


def has_result_of(workspace: Workspace, run: Run, sources: Sources) -> bool:
    """Whether the files on the disk are the result of exactly these sources."""
    try:
        written = read_sources(run)
    except RunnerError:
        return False
    has_targets = bool(sources.postprocess) or _are_readable(oof_targets_file(run))
    return has_targets and written == replace(sources, results=_results(workspace, run))


def _are_readable(targets: Path) -> bool:
    try:
        read_oof_targets(targets)
    except (OSError, RunnerError):
        return False
    return True


def stale_reason(workspace: Workspace, run: Run) -> str:
    """Why the run's result is not what `predict` would make now; empty if it is, or if there is none."""
    sources = read_sources(run)
    return "" if sources is None else next(_differences(workspace, run, sources), "")


def tell_why_again(workspace: Workspace, run: Run) -> None:
    """Say which file of an earlier result is the reason that it is made again."""
    targets = oof_targets_file(run)
    try:
        reason = stale_reason(workspace, run)
    except RunnerError as error:
        reason = f"{error.message}: {error.where}"
    if not reason and targets.exists() and not _are_readable(targets):
        reason = f"{targets.name} is damaged"
    if reason:
        log.info(f"the result of {run.name} is made again: {reason}")


def warn_if_stale(workspace: Workspace, run: Run) -> None:
    """Warn if the run's result is not what `predict` would make now."""
    try:
        if reason := stale_reason(workspace, run):
            log.warning(f"the predictions of {run.name} are stale: {reason}\n  fix: {predict_again(workspace, run)}")
    except RunnerError as error:
        log.warning(f"whether the predictions of {run.name} are stale cannot be told: {error}")


def predict_again(workspace: Workspace, run: Run) -> str:
    """The command that makes a run's result again, with the options that it was made with."""
    words = ["predict", "--run", run.name]
    sources = None if run.read_members() or run.read_refit_of() else read_sources(run)
    if sources is not None and sources.tta not in ("", "default"):
        words += ["--tta", sources.tta]
    if sources is not None and sources.snapshots is not None:
        words += ["--snapshots", str(sources.snapshots)]
    if sources is not None and sources.options.size is not None:
        words += ["--size", str(sources.options.size)]
    return workspace.command_line(run.competition, *words)


def _differences(workspace: Workspace, run: Run, sources: Sources) -> Iterator[str]:
    yield from _changed_weights(run, sources)
    members, refit_of = run.read_members(), run.read_refit_of()
    if members:
        yield from _stale_members(workspace, run, members)
    if refit_of:
        yield from _changed_original(Run(run.competition, refit_of, run.folder.with_name(refit_of)), sources)
    elif not members:
        yield from _untold_models(run, sources)
    if sources.data and _data_digest(workspace, run) not in (sources.data, ""):
        yield "the data has changed since"
    if sources.folds and _folds_digest(read_folds(run.folds_file, competition=run.competition)) != sources.folds:
        yield "its folds have changed"
    for name, digest in _results(workspace, run).items():
        if digest != sources.results.get(name):
            yield f"{name} is missing" if not digest else f"{name} has changed since"


def _changed_weights(run: Run, sources: Sources) -> Iterator[str]:
    for model, digest in sources.weights.items():
        now = _weights_digest_now(run.folder.parent / model)
        if digest and now and now != digest:
            yield f"{_told(run, model)} has been trained again"


def _stale_members(workspace: Workspace, run: Run, members: Sequence[str]) -> Iterator[str]:
    for name in members:
        member = Run(run.competition, name, run.folder.with_name(name))
        if not member.recipe_file.exists():
            continue  # its predictions may be deleted: the ensemble's own files count
        if reason := stale_reason(workspace, member):
            yield f"its member {name} is stale: {reason}"


def _changed_original(original: Run, sources: Sources) -> Iterator[str]:
    """The postprocess of a refit is that of its original."""
    if not postprocess_file(original).exists():
        return
    if _digest(postprocess_file(original)) != sources.postprocess:
        yield f"{original.name} has been predicted again"
    used = {model.rpartition("/")[2] for model in sources.weights}
    postprocess = read_postprocess(postprocess_file(original))
    weighted = zip(postprocess.members, postprocess.weights, strict=True)
    wanted = {name.rpartition(":")[2] for name, weight in weighted if weight > 0}
    if wanted - used:
        yield f"{', '.join(sorted(wanted - used))} is not predicted yet"


def _untold_models(run: Run, sources: Sources) -> Iterator[str]:
    """Snapshots that `predict` would use now, and the result does not."""
    folders = {folder: list_snapshots(folder) for folder in sorted(run.folder.glob("fold-*"))}
    most = max(map(len, folders.values()), default=0)
    for folder, snapshots in folders.items():
        if not most or len(snapshots) < most:
            continue
        chosen = {f"{run.name}/{folder.name}/{it.name}" for it in choose_snapshots(snapshots, sources.options)}
        if new := sorted(chosen - sources.weights.keys()):
            yield f"{', '.join(_told(run, model) for model in new)} is newer"


def _predicted_weights(paths: Sequence[Path]) -> dict[str, str]:
    """The digest of each model's weights in these prediction files."""
    digests: dict[str, str] = {}
    for path in paths:
        digest = read_weights_digest(path)
        # Validation and test rows by different weights are a result of neither.
        digests[_model_of(path)] = digest if digests.get(_model_of(path), digest) == digest else "mixed"
    return digests


def _told(run: Run, model: str) -> str:
    return model.removeprefix(f"{run.name}/")


def _model_of(path: Path) -> str:
    """RUN/fold-K/MODEL of a prediction file."""
    model = path.name.removesuffix(".valid.npz").removesuffix(".test.npz")
    return f"{path.parent.parent.name}/{path.parent.name}/{model}"


def _weights_digest_now(model: Path) -> str:
    """A digest of a model's weights, from its JSON file where that has one; empty if they were deleted."""
    weights = model.with_name(f"{model.name}.safetensors")
    if not weights.exists():
        return ""
    path = model.with_name(f"{model.name}.json")
    known = read_json(path, format=SNAPSHOT_FORMAT, fix=train_fold_again(path)).get("sha256")
    return str(known)[:32] if known else _digest(weights)


def _results(workspace: Workspace, run: Run) -> dict[str, str]:
    """The digests of the files that a result consists of; empty for one that is missing."""
    submission = workspace.submissions_dir(run.competition) / f"{run.name}.csv"
    return {path.name: _digest(path) for path in (run.score_file, postprocess_file(run), submission)}


def _folds_digest(folds: Folds) -> str:
    return hashlib.sha256(json.dumps(sorted(folds.fold_of.items())).encode()).hexdigest()[:32]


def _data_digest(workspace: Workspace, run: Run) -> str:
    path = workspace.data_dir(run.competition) / CHECKSUMS
    try:
        status = path.stat()
    except OSError:
        return ""
    return _unchanged_digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _unchanged_digest(path: Path, _size: int, _changed: int) -> str:
    # The list of a large competition has megabytes, and `runs` asks for every run.
    return _digest(path)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32] if path.exists() else ""


def _file(run: Run) -> Path:
    return run.folder / "sources.json"

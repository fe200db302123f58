"""The straight line: a function a step, each working alone from the files that the step before left."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runner.console import log
from runner.contract import Competition, Recipe
from runner.contract.labels import aliases
from runner.data.download import data_folder
from runner.data.folds import ClassCounts, copy_folds, read_folds, shared_folds
from runner.data.index import Index, build_index
from runner.data.problems import describe
from runner.data.write_split import SplitPlan, write_split
from runner.errors import RunnerError, UsageError
from runner.hosts.entries import RunInfo
from runner.hosts.file_tag import file_tag, parse_file_tag
from runner.hosts.protocol import Host, Status
from runner.hosts.submit import SubmitOptions, SubmitResult, limit_error, submit_and_record
from runner.prediction.blend import ensemble_recipe, oof_targets_file, postprocess_file, read_blend
from runner.prediction.members import members_of
from runner.prediction.oof_targets import oof_targets, write_oof_targets
from runner.prediction.out_of_fold import Member
from runner.prediction.predictions import read_classes, read_ids
from runner.prediction.results import FittedPostprocess, fit_postprocess
from runner.prediction.submission import check_submission, write_submission
from runner.submission_format.submission_format import SubmissionFormat, read_submission_format
from runner.training.run import Run, discard_unbegun, find_run, find_runs, start_run
from runner.workspace import Workspace, read_json, write_json

# torch and what stands on it take seconds to import: the steps that train or predict do it themselves, so that
# `split`, `check`, `ensemble`, `submit` and `report` need not.
if TYPE_CHECKING:
    from runner.prediction.predict import Asked
    from runner.training.fold import Machine
    from runner.training.stage import Found


def read_index(competition: Competition, workspace: Workspace) -> Index:
    """The checked table of all images; what is odd but not fatal is said."""
    index = build_index(competition, data_folder(competition, workspace))
    if index.problems:
        log.info(f"odd, but no obstacle:\n{describe(index.problems)}")
    return index


def split(competition: Competition, workspace: Workspace, how: SplitPlan) -> tuple[Path, list[ClassCounts]]:
    """Write runs/COMPETITION/folds.csv: every later run holds out the same rows."""
    path = shared_folds(workspace, competition)
    return path, write_split(read_index(competition, workspace), how, path)


def train(competition: Competition, workspace: Workspace, recipe: Recipe, *, name: str | None, machine: Machine) -> Run:
    """Train every fold of the recipe; what a broken-off call of the same run finished is kept."""
    from runner.training.distributed import broadcast_from_main, build_accelerator, main_process_first
    from runner.training.folds import build_folds, resolve_recipe
    from runner.training.model import check_backbone
    from runner.training.ray import check_engine, train_on_ray
    from runner.training.tracking import check_tracker, start_tracking, stop_tracking
    from runner.training.train import train_fold

    _require_stages(competition, recipe)
    check_backbone(recipe.backbone)
    check_tracker(machine.tracker)
    check_engine(machine)
    index = read_index(competition, workspace)
    accelerator = build_accelerator(machine.device)
    recipe = resolve_recipe(recipe, competition, workspace, index, machine, accelerator)
    run = broadcast_from_main(accelerator, lambda: start_run(workspace, competition.name, recipe, name))
    start_tracking(accelerator, machine.tracker, run, recipe)
    try:
        folds = main_process_first(accelerator, lambda: build_folds(competition, workspace, index, run))
        chosen = [fold for fold in folds if machine.only_fold in (None, fold.number)]
        if machine.on:
            train_on_ray(competition, workspace, run.name, [fold.number for fold in chosen], machine)
        else:
            for fold in chosen:
                train_fold(fold, machine, accelerator)
    except RunnerError:
        if accelerator.is_main_process:
            discard_unbegun(run)
        raise
    finally:
        stop_tracking(accelerator)
    return run


def train_all_data(competition: Competition, workspace: Workspace, original: Run, *, machine: Machine) -> Run:
    """Repeat a run's steps with no row held back; the score it reports is the one of the run it refit_of."""
    from runner.training.distributed import broadcast_from_main, build_accelerator
    from runner.training.folds import copy_findings

    _require_stages(competition, original.read_recipe())
    recipe = replace(original.read_recipe(), all_data=True, refit_of=original.name, folds=None)
    run = Run(competition.name, f"{original.name}-all", workspace.run_dir(competition.name, f"{original.name}-all"))
    broadcast_from_main(build_accelerator(machine.device), lambda: copy_findings(original, run))
    return train(competition, workspace, recipe, name=run.name, machine=machine)


def _require_stages(competition: Competition, recipe: Recipe) -> None:
    if recipe.members:
        raise UsageError(
            f"an ensemble of {', '.join(recipe.members)} has nothing to train",
            fix=f"runner {competition.name} train --run {recipe.members[0]} --resume",
        )


def find_lr(competition: Competition, workspace: Workspace, recipe: Recipe, *, machine: Machine) -> list[Found]:
    """Sweep the rate for each stage of the recipe, from the start that the recipe has; nothing is trained."""
    from runner.training.distributed import build_accelerator, main_process_first
    from runner.training.folds import preview_fold
    from runner.training.model import check_backbone
    from runner.training.stage import find_stage_rate

    check_backbone(recipe.backbone)
    index = read_index(competition, workspace)
    accelerator = build_accelerator(machine.device)
    fold = main_process_first(accelerator, lambda: preview_fold(competition, workspace, index, recipe))
    return [find_stage_rate(fold, machine, accelerator, stage) for stage in recipe.stages]


def predict(
    competition: Competition, workspace: Workspace, run: Run, *, machine: Machine, asked: Asked | None = None
) -> Path:
    """Predict, score the held-out rows, and write the submission; the path of it."""
    recipe = run.read_recipe()
    if recipe.members:
        blended = [find_run(workspace, competition.name, name) for name in recipe.members]
        ensemble(competition, workspace, blended, name=run.name)
        return _submission_path(workspace, run)
    return _predict_anew(competition, workspace, run, recipe, machine, asked)


def _predict_anew(
    competition: Competition, workspace: Workspace, run: Run, recipe: Recipe, machine: Machine, asked: Asked | None
) -> Path:
    from runner.images.views import choose_views
    from runner.prediction.predict import Asked, predict_fold, trained_folds
    from runner.prediction.swa import choose_models
    from runner.training.distributed import broadcast_from_main, build_accelerator, main_process_first
    from runner.training.folds import build_folds, copy_score

    index = read_index(competition, workspace)
    accelerator = build_accelerator(machine.device)
    if recipe.all_data:
        broadcast_from_main(accelerator, lambda: copy_score(workspace, run))
    asked = _repeated(workspace, run) if recipe.all_data else asked or Asked()
    folds = trained_folds(main_process_first(accelerator, lambda: build_folds(competition, workspace, index, run)))
    looks = choose_views(competition.preset, asked.views)
    for fold in folds:
        chosen = choose_models(fold, machine, accelerator, asked)
        predict_fold(fold, machine, accelerator, chosen, looks)
    members = members_of(
        [fold.folder for fold in folds],
        [one.name for one in chosen],
        [view.name for view in looks],
        held_out=not recipe.all_data,
    )
    return broadcast_from_main(
        accelerator, lambda: _write_results(competition, workspace, index, run, members, asked.views)
    )


def _repeated(workspace: Workspace, run: Run) -> Asked:
    """What has a say in the run that this one refit_of: its views, and those of its networks that have weight."""
    from runner.prediction.predict import Asked

    told = read_json(postprocess_file(_original(workspace, run)))
    wanted = tuple(name for name, weight in told["weights"].items() if weight > 0)
    return Asked(told["choice"], names=tuple(told["names"]), wanted=wanted)


def _original(workspace: Workspace, run: Run) -> Run:
    return find_run(workspace, run.competition, run.read_recipe().refit_of)


def _write_results(
    competition: Competition,
    workspace: Workspace,
    index: Index,
    run: Run,
    members: Sequence[Member],
    views: str,
) -> Path:
    """The score, the final step and the submission, from the folds' predictions."""
    if run.read_recipe().all_data:
        final = FittedPostprocess.read(postprocess_file(_original(workspace, run)))
    else:
        write_oof_targets(oof_targets_file(run), oof_targets(index))
        fold_of = read_folds(run.folds_file, competition=competition.name).fold_of
        final, told = fit_postprocess(competition, members, oof_targets(index), fold_of)
        write_json(run.score_file, told)
    _write_final(run, final, members, views)
    return _write_submission(competition, workspace, run, final, members)


def _write_final(run: Run, final: FittedPostprocess, members: Sequence[Member], choice: str) -> None:
    names = [member.name for member in members]
    final.write(postprocess_file(run), names=names, views=list(members[0].views), choice=choice)


def _write_submission(
    competition: Competition, workspace: Workspace, run: Run, final: FittedPostprocess, members: Sequence[Member]
) -> Path:
    classes = read_classes(members[0].test[0])
    ids = read_ids(members[0].test[0])
    return write_submission(
        _form(competition, workspace),
        _submission_path(workspace, run),
        classes=classes,
        ids=ids,
        values=final.answer(members, ids, classes).values,
    )


def _submission_path(workspace: Workspace, run: Run) -> Path:
    return workspace.submissions_dir(run.competition) / f"{run.name}.csv"


def ensemble(competition: Competition, workspace: Workspace, runs: Sequence[Run], *, name: str | None = None) -> Run:
    """Blend runs from their files alone into a run of its own; one run without a name is fitted anew itself."""
    blend = read_blend(runs, lambda: oof_targets(read_index(competition, workspace)))
    final, told = fit_postprocess(competition, blend.members, blend.truth, blend.folds.fold_of)
    if len(runs) == 1 and name is None:
        run = runs[0]
        choice = read_json(postprocess_file(run))["choice"] if postprocess_file(run).exists() else "default"
        _write_final(run, final, blend.members, choice)
    else:
        run = _ensemble_run(competition, workspace, runs, name)
        copy_folds(runs[0].folds_file, run.folds_file)
        final.write(postprocess_file(run), members={one.name: list(one.views) for one in blend.members})
    write_oof_targets(oof_targets_file(run), blend.truth)
    write_json(run.score_file, told)
    _write_submission(competition, workspace, run, final, blend.members)
    return run


def _ensemble_run(competition: Competition, workspace: Workspace, runs: Sequence[Run], name: str | None) -> Run:
    """The run of these members; an ensemble that has them already is taken up again."""
    recipe = ensemble_recipe(runs)
    known = [run for run in find_runs(workspace, competition.name) if run.read_recipe() == recipe]
    name = name or (known[-1].name if known else None)
    return start_run(workspace, competition.name, recipe, name)


def check(competition: Competition, workspace: Workspace, path: Path) -> int:
    """Check a file's form against the sample submission; the number of its rows."""
    index = read_index(competition, workspace)
    form = _form(competition, workspace)
    check_submission(form, path, index.classes)
    return len(form.ids)


def submit(
    competition: Competition,
    workspace: Workspace,
    host: Host,
    what: Path | Run,
    *,
    message: str,
    wait: bool,
    again: bool = False,
) -> SubmitResult:
    """Check a run's submission, or a file, once more; hand it in; note it in the ledger."""
    path = what if isinstance(what, Path) else workspace.submissions_dir(competition.name) / f"{what.name}.csv"
    if not path.is_file():
        raise UsageError(
            "there is no such submission file",
            where=path,
            fix=f"runner {competition.name} predict, or name a FILE",
        )
    check(competition, workspace, path)
    origin = RunInfo() if isinstance(what, Path) else _origin(what, workspace)
    handing = SubmitOptions(message, wait, again, boards=workspace.leaderboards_dir(competition.name))
    return submit_and_record(host, competition, path, workspace.ledger_file, origin, handing)


def best_unsubmitted(competition: Competition, workspace: Workspace, host: Host, count: int) -> list[Run]:
    """The runs with the best CV whose submission the host has not seen: as many as today's limit lets."""
    sent = {
        parse_file_tag(one.message)
        for one in host.fetch_submissions(competition.slug)
        if one.status is not Status.ERROR
    }
    scored = []
    for run in find_runs(workspace, competition.name):
        path, score = workspace.submissions_dir(competition.name) / f"{run.name}.csv", run.read_score()
        if score and path.is_file() and file_tag(hashlib.sha256(path.read_bytes()).hexdigest()) not in sent:
            scored.append((score["cv"]["value"], run))
    scored.sort(key=lambda one: one[0], reverse=competition.metric.higher_is_better)
    limits = host.fetch_limits(competition.slug)
    if scored and limits.left_today <= 0:
        raise limit_error(competition, limits, host.now())
    return [run for _, run in scored[: min(count, limits.left_today)]]


def _form(competition: Competition, workspace: Workspace) -> SubmissionFormat:
    raw = data_folder(competition, workspace)
    sample = raw / aliases(competition.sample_submission)[0]
    return read_submission_format(competition.labels, sample, competition=competition.name)


def _origin(run: Run, workspace: Workspace) -> RunInfo:
    score = run.read_score()
    cv = score["cv"] if score else None
    return RunInfo(
        run=run.name,
        recipe=run.read_recipe().summary,
        commit=_commit(workspace.root),
        cv=f"{cv['value']:.6g}" if cv else "",
        cv_error=f"{cv['error']:.2g}" if cv else "",
    )


def _commit(folder: Path) -> str:
    """The commit that the workspace's folder is at; empty where it is in no repository."""
    if not folder.is_dir():
        return ""
    asked = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=folder, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() if asked.returncode == 0 else ""

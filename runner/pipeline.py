"""The straight line: a function a step, each working alone from the files that the step before left."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runner.console import say
from runner.contract import Competition, Recipe
from runner.contract.form import Form, read_form
from runner.contract.labels import all_names
from runner.data.arriving.download import download, read_raw
from runner.data.held_out.folds import ClassCounts, copy_folds, read_folds, shared_folds
from runner.data.held_out.splitting import SplitPlan, write_split
from runner.data.table.complaints import describe
from runner.data.table.index import Index, build_index
from runner.errors import RunnerError, UsageError
from runner.hosts.marks import mark_in, mark_of
from runner.hosts.opening import open_host
from runner.hosts.practice import PracticeHost
from runner.hosts.protocol import Host, Status
from runner.hosts.submitting import Handing, Origin, Outcome, limit_error, require_open, submit_and_record
from runner.practice.rehearsal import Hiding, build_rehearsal, ground_of
from runner.practice.verdict import Verdict, find_board, judge
from runner.prediction.blend import ensemble_recipe, final_step_file, read_blend, truth_file
from runner.prediction.files import read_classes, read_ids
from runner.prediction.members import members_of
from runner.prediction.out_of_fold import Member
from runner.prediction.results import Final, fit_final
from runner.prediction.score import Score
from runner.prediction.submission import check_submission, write_submission
from runner.prediction.truth import truth_of, write_truth
from runner.training.run import Run, discard_unbegun, find_run, find_runs, start_run
from runner.workspace import Workspace, read_json, write_json

# torch and what stands on it take seconds to import: the steps that train or predict do it themselves, so that
# `split`, `check`, `ensemble`, `submit` and `report` need not.
if TYPE_CHECKING:
    from runner.prediction.predict import Asked
    from runner.training.fold import Machine
    from runner.training.stage import Found


@dataclass(frozen=True)
class WholeLine:
    """What the whole line left behind."""

    run: Run
    score: Score
    path: Path
    outcome: Outcome


def read_index(competition: Competition, workspace: Workspace) -> Index:
    """The checked table of all pictures; what is odd but not fatal is said."""
    index = build_index(competition, read_raw(competition, workspace))
    if index.complaints:
        say(f"odd, but no obstacle:\n{describe(index.complaints)}")
    return index


def split(competition: Competition, workspace: Workspace, how: SplitPlan) -> tuple[Path, list[ClassCounts]]:
    """Write runs/COMPETITION/folds.csv: every later run holds out the same rows."""
    path = shared_folds(workspace, competition)
    return path, write_split(read_index(competition, workspace), how, path)


def train(competition: Competition, workspace: Workspace, recipe: Recipe, *, name: str | None, machine: Machine) -> Run:
    """Train every fold of the recipe; what a broken-off call of the same run finished is kept."""
    from runner.training.assembly import folds_of_run, settle_recipe
    from runner.training.fan_out import check_engine, train_on_ray
    from runner.training.model import check_backbone
    from runner.training.processes import build_accelerator, by_main, main_first
    from runner.training.tracking import check_tracker, start_tracking, stop_tracking
    from runner.training.train import train_fold

    _require_stages(competition, recipe)
    check_backbone(recipe.backbone)
    check_tracker(machine.tracker)
    check_engine(machine)
    index = read_index(competition, workspace)
    accelerator = build_accelerator(machine.device)
    recipe = settle_recipe(recipe, competition, workspace, index, machine, accelerator)
    run = by_main(accelerator, lambda: start_run(workspace, competition.name, recipe, name))
    start_tracking(accelerator, machine.tracker, run, recipe)
    try:
        folds = main_first(accelerator, lambda: folds_of_run(competition, workspace, index, run))
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
    """Repeat a run's steps with no row held back; the score it reports is the one of the run it repeats."""
    from runner.training.assembly import copy_findings
    from runner.training.processes import build_accelerator, by_main

    _require_stages(competition, original.read_recipe())
    recipe = replace(original.read_recipe(), all_data=True, repeats=original.name, folds=None)
    run = Run(competition.name, f"{original.name}-all", workspace.run(competition.name, f"{original.name}-all"))
    by_main(build_accelerator(machine.device), lambda: copy_findings(original, run))
    return train(competition, workspace, recipe, name=run.name, machine=machine)


def _require_stages(competition: Competition, recipe: Recipe) -> None:
    if recipe.blends:
        raise UsageError(
            f"an ensemble of {', '.join(recipe.blends)} has nothing to train",
            cure=f"runner {competition.name} train --run {recipe.blends[0]} --resume",
        )


def find_lr(competition: Competition, workspace: Workspace, recipe: Recipe, *, machine: Machine) -> list[Found]:
    """Sweep the rate for each stage of the recipe, from the start that the recipe has; nothing is trained."""
    from runner.training.assembly import fold_without_run
    from runner.training.model import check_backbone
    from runner.training.processes import build_accelerator, main_first
    from runner.training.stage import find_stage_rate

    check_backbone(recipe.backbone)
    index = read_index(competition, workspace)
    accelerator = build_accelerator(machine.device)
    fold = main_first(accelerator, lambda: fold_without_run(competition, workspace, index, recipe))
    return [find_stage_rate(fold, machine, accelerator, stage) for stage in recipe.stages]


def predict(
    competition: Competition, workspace: Workspace, run: Run, *, machine: Machine, asked: Asked | None = None
) -> Path:
    """Predict, score the held-out rows, and write the submission; the path of it."""
    recipe = run.read_recipe()
    if recipe.blends:
        blended = [find_run(workspace, competition.name, name) for name in recipe.blends]
        ensemble(competition, workspace, blended, name=run.name)
        return _submission_path(workspace, run)
    return _predict_anew(competition, workspace, run, recipe, machine, asked)


def _predict_anew(
    competition: Competition, workspace: Workspace, run: Run, recipe: Recipe, machine: Machine, asked: Asked | None
) -> Path:
    from runner.data.pictures.views import choose_views
    from runner.prediction.predict import Asked, predict_fold, trained_folds
    from runner.prediction.weight_average import choose_networks
    from runner.training.assembly import copy_score, folds_of_run
    from runner.training.processes import build_accelerator, by_main, main_first

    index = read_index(competition, workspace)
    accelerator = build_accelerator(machine.device)
    if recipe.all_data:
        by_main(accelerator, lambda: copy_score(workspace, run))
    asked = _repeated(workspace, run) if recipe.all_data else asked or Asked()
    folds = trained_folds(main_first(accelerator, lambda: folds_of_run(competition, workspace, index, run)))
    looks = choose_views(competition.preset, asked.views)
    for fold in folds:
        chosen = choose_networks(fold, machine, accelerator, asked)
        predict_fold(fold, machine, accelerator, chosen, looks)
    members = members_of(
        [fold.folder for fold in folds],
        [one.name for one in chosen],
        [view.name for view in looks],
        held_out=not recipe.all_data,
    )
    return by_main(accelerator, lambda: _write_results(competition, workspace, index, run, members, asked.views))


def _repeated(workspace: Workspace, run: Run) -> Asked:
    """What has a say in the run that this one repeats: its views, and those of its networks that have weight."""
    from runner.prediction.predict import Asked

    told = read_json(final_step_file(_original(workspace, run)))
    wanted = tuple(name for name, weight in told["weights"].items() if weight > 0)
    return Asked(told["choice"], names=tuple(told["names"]), wanted=wanted)


def _original(workspace: Workspace, run: Run) -> Run:
    return find_run(workspace, run.competition, run.read_recipe().repeats)


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
        final = Final.read(final_step_file(_original(workspace, run)))
    else:
        write_truth(truth_file(run), truth_of(index))
        fold_of = read_folds(run.folds, competition=competition.name).fold_of
        final, told = fit_final(competition, members, truth_of(index), fold_of)
        write_json(run.score_file, told)
    _write_final(run, final, members, views)
    return _write_submission(competition, workspace, run, final, members)


def _write_final(run: Run, final: Final, members: Sequence[Member], choice: str) -> None:
    names = [member.name for member in members]
    final.write(final_step_file(run), names=names, views=list(members[0].views), choice=choice)


def _write_submission(
    competition: Competition, workspace: Workspace, run: Run, final: Final, members: Sequence[Member]
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
    return workspace.submissions(run.competition) / f"{run.name}.csv"


def ensemble(competition: Competition, workspace: Workspace, runs: Sequence[Run], *, name: str | None = None) -> Run:
    """Blend runs from their files alone into a run of its own; one run without a name is fitted anew itself."""
    blend = read_blend(runs, lambda: truth_of(read_index(competition, workspace)))
    final, told = fit_final(competition, blend.members, blend.truth, blend.folds.fold_of)
    if len(runs) == 1 and name is None:
        run = runs[0]
        choice = read_json(final_step_file(run))["choice"] if final_step_file(run).exists() else "default"
        _write_final(run, final, blend.members, choice)
    else:
        run = _ensemble_run(competition, workspace, runs, name)
        copy_folds(runs[0].folds, run.folds)
        final.write(final_step_file(run), members={one.name: list(one.views) for one in blend.members})
    write_truth(truth_file(run), blend.truth)
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
) -> Outcome:
    """Check a run's submission, or a file, once more; hand it in; note it in the ledger."""
    path = what if isinstance(what, Path) else workspace.submissions(competition.name) / f"{what.name}.csv"
    if not path.is_file():
        raise UsageError(
            "there is no such submission file",
            where=path,
            cure=f"runner {competition.name} predict, or name a FILE",
        )
    check(competition, workspace, path)
    origin = Origin() if isinstance(what, Path) else _origin(what, workspace)
    handing = Handing(message, wait, again, boards=workspace.boards(competition.name))
    return submit_and_record(host, competition, path, workspace.ledger, origin, handing)


def best_unsubmitted(competition: Competition, workspace: Workspace, host: Host, count: int) -> list[Run]:
    """The runs with the best CV whose submission the host has not seen: as many as today's limit lets."""
    sent = {mark_in(one.message) for one in host.fetch_submissions(competition.slug) if one.status is not Status.ERROR}
    scored = []
    for run in find_runs(workspace, competition.name):
        path, score = workspace.submissions(competition.name) / f"{run.name}.csv", run.read_score()
        if score and path.is_file() and mark_of(hashlib.sha256(path.read_bytes()).hexdigest()) not in sent:
            scored.append((score["cv"]["value"], run))
    scored.sort(key=lambda one: one[0], reverse=competition.metric.higher_is_better)
    limits = host.fetch_limits(competition.slug)
    if scored and limits.left_today <= 0:
        raise limit_error(competition, limits, host.now())
    return [run for _, run in scored[: min(count, limits.left_today)]]


def run_whole_line(
    competition: Competition,
    workspace: Workspace,
    host: Host,
    recipe: Recipe,
    *,
    name: str | None,
    machine: Machine,
    message: str = "",
    asked: Asked | None = None,
) -> WholeLine:
    """Everything, in order. Steps that are done already are not done again."""
    from runner.data.pictures.views import choose_views
    from runner.prediction.predict import Asked
    from runner.training.processes import build_accelerator, by_main

    choose_views(competition.preset, (asked or Asked()).views)  # a slip is told now, not after training
    accelerator = build_accelerator(machine.device)
    # Whether the host would take a file at all is asked before a night is spent on making one.
    by_main(accelerator, lambda: require_open(host, competition))
    by_main(accelerator, lambda: download(competition, workspace, host))
    run = train(competition, workspace, recipe, name=name, machine=machine)
    path = predict(competition, workspace, run, machine=machine, asked=asked)
    score = run.read_score()
    assert score is not None
    outcome = by_main(accelerator, lambda: submit(competition, workspace, host, run, message=message, wait=True))
    return WholeLine(run, Score(**score["cv"]), path, outcome)


def run_demo(competition: Competition, workspace: Workspace, host_name: str = "practice") -> WholeLine:
    """The whole line on practice data, with a network small enough for two cores and a minute.

    With the host `http` the data and the submission travel as they do to and from Kaggle.
    """
    from runner.practice.build import build_practice
    from runner.practice.recipes import practice_recipe
    from runner.training.fold import Machine, default_workers
    from runner.training.processes import build_accelerator, by_main

    machine = Machine(workers=default_workers())
    by_main(build_accelerator(machine.device), lambda: build_practice(competition, workspace))
    host = open_host(host_name, competition, workspace)
    recipe = practice_recipe(competition)
    return run_whole_line(competition, workspace, host, recipe, name="demo", machine=machine)


def rehearse(
    competition: Competition,
    workspace: Workspace,
    recipe: Recipe,
    *,
    hiding: Hiding,
    machine: Machine,
    asked: Asked | None = None,
    leaderboard: Path | None = None,
) -> tuple[WholeLine, Verdict]:
    """The whole line on a part of the labelled rows, graded on the rest, which nothing of it has seen."""
    from runner.training.processes import build_accelerator, by_main

    board = find_board(competition, leaderboard, workspace.boards(competition.name))
    index = read_index(competition, workspace)
    ground = ground_of(workspace, competition, hiding)
    accelerator = build_accelerator(machine.device)
    rows = by_main(accelerator, lambda: build_rehearsal(competition, index, ground, hiding))
    by_main(accelerator, lambda: _split_by_seed(competition, ground, recipe, hiding))
    host = PracticeHost(competition, ground.practice(competition.name))
    name, recipe = _rehearsal_run(ground, competition, recipe)
    line = run_whole_line(competition, ground, host, recipe, name=name, machine=machine, asked=asked)
    sample = read_raw(competition, ground) / all_names(competition.sample_submission)[0]
    verdict = judge(competition, line.score, line.path, rows, sample=sample, classes=index.classes, board=board)
    by_main(accelerator, lambda: write_json(line.run.folder / "rehearsal.json", verdict.to_json()))
    return line, verdict


def _split_by_seed(competition: Competition, ground: Workspace, recipe: Recipe, hiding: Hiding) -> None:
    """Another seed holds out other rows too: else all rehearsals would promise by the same few."""
    if not shared_folds(ground, competition).exists():
        split(competition, ground, SplitPlan(folds=recipe.folds, seed=hiding.seed))


def _rehearsal_run(ground: Workspace, competition: Competition, recipe: Recipe) -> tuple[str, Recipe]:
    """The run's name, which is its recipe's: the same rehearsal goes on where it was broken off."""
    name = f"rehearsal-{hashlib.sha256(json.dumps(recipe.to_json()).encode()).hexdigest()[:8]}"
    known = [run for run in find_runs(ground, competition.name) if run.name == name]
    # A time budget was settled then, and would be settled a little otherwise now.
    return name, known[0].read_recipe() if known else recipe


def tell_score(competition: Competition, run: Run) -> str:
    """The run's held-out score, and what it is made of, a line a thing."""
    written = run.read_score()
    if written is None:
        return f"{run.name}: not predicted yet"
    cv = Score(**written["cv"])
    also = "".join(
        f", {metric.title} {Score(**written['also'][metric.key])}"
        for metric in competition.also_report
        if metric.key in written["also"]
    )
    return f"{run.name}: held-out {competition.metric.title} {cv}{also} ({cv.rows:,} rows)"


def tell_parts(run: Run) -> str:
    """What the run's score is made of: folds, views, members, and the figure that flatters, named so."""
    told = run.read_score()
    if told is None or "plan" not in told:
        return ""
    views, folds = told["views"], told["folds"]
    lines = [f"  final step: {told['plan']}"]
    if len(folds) > 1:
        lines.append("  folds: " + ", ".join(f"{fold}: {score:.5f}" for fold, score in folds.items()))
    if views["gain"] is not None:
        lines.append(f"  {views['look']}; averaging views gains {views['gain']:+.5f} ± {views['error']:.5f}")
    if len(told["members"]) > 1:
        lines.append(f"  {'member':<24}{'weight':>8}{'alone':>10}{'gain':>10}")
        lines += [
            f"  {one['name']:<24}{one['weight']:>8.3f}{one['alone']:>10.5f}{one['gain']:>+10.5f}"
            for one in told["members"]
        ]
    return "\n".join([*lines, f"  optimistic, fitted on the rows that it is scored on: {told['optimistic']:.5f}"])


def tell_outcome(outcome: Outcome) -> str:
    """What became of a submission, a line a board."""
    submission = outcome.submission
    scores = {"public": submission.public, "private": submission.private}
    told = "".join(f", {board} {score:.5f}" for board, score in scores.items() if score is not None)
    lines = [f"submission {submission.ref}: {submission.status.value}{told}"]
    return "\n".join([*lines, *(f"  {standing}" for standing in outcome.standings)])


def _form(competition: Competition, workspace: Workspace) -> Form:
    raw = read_raw(competition, workspace)
    sample = raw / all_names(competition.sample_submission)[0]
    return read_form(competition.labels, sample, competition=competition.name)


def _origin(run: Run, workspace: Workspace) -> Origin:
    score = run.read_score()
    cv = score["cv"] if score else None
    return Origin(
        run=run.name,
        recipe=run.read_recipe().in_brief,
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

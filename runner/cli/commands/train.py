"""`runner COMPETITION train`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from runner.cli.completion import complete_runs
from runner.cli.flag_conflicts import check_unused
from runner.cli.global_options import GlobalOptions, command
from runner.cli.options import (
    new_option,
    on_host_options,
    read_compute,
    read_notebook_options,
    read_recipe,
    read_train_options,
    recipe_options,
)
from runner.cli.print_json import print_json
from runner.cli.tables import print_table
from runner.console import is_first_process, log

if TYPE_CHECKING:
    from runner.remote.train import HostedRun
    from runner.session import Session
    from runner.steps.plan_training import TrainingPlan
    from runner.training.run import Run


@command("train", all_processes=True)
@click.option(
    "--run",
    "name",
    metavar="NAME",
    shell_complete=complete_runs,
    help="The run's name.  [default: the backbone and a number]",
)
@click.option("--resume", is_flag=True, help="Go on with the named run, or the newest, by its own recipe.")
@click.option("--all-data", is_flag=True, help="Refit the named run, or the runs of an ensemble, on all labelled rows.")
@click.option(
    "--dry-run", is_flag=True, help="Print the recipe, its epochs, and the minutes and memory to expect; train nothing."
)
@new_option
@on_host_options
@click.option("--no-wait", is_flag=True, help="With --on: do not wait for the run; `remote fetch` brings it back.")
@recipe_options
def train(
    options: GlobalOptions,
    name: str | None,
    resume: bool,
    all_data: bool,
    dry_run: bool,
    new: bool,
    on: str | None,
    no_wait: bool,
    **flags: Any,
) -> None:
    """Train by the competition's recipe, changed by the flags. The same command again goes on with its run.

    With --on kaggle it is trained and predicted there, and comes back: it is then as if it had been trained here.
    """
    from runner.steps.runs import next_command

    session = options.session(read_compute(flags))
    if dry_run:
        _print_plan(plan_run(session, name=name, new=new, **flags), as_json=options.as_json)
        return
    if on is not None:
        if is_first_process():
            there = train_there(session, name=name, resume=resume, all_data=all_data, new=new, no_wait=no_wait, **flags)
            _print_hosted(options, session, there)
        return
    check_unused(("--accelerator", "--hours", "--no-wait"))
    run = train_run(session, name=name, resume=resume, all_data=all_data, new=new, **flags)
    if options.as_json:
        print_json({"run": run.name, "folder": run.folder})
    else:
        click.echo(run.name)
    log.info(f"next: {next_command(session, run)}")


def train_run(session: Session, *, name: str | None, resume: bool, all_data: bool, new: bool, **flags: Any) -> Run:
    """The run that was trained, resumed or refitted."""
    from runner.steps.refit_ensemble import refit_run
    from runner.steps.train import resume as resume_run
    from runner.steps.train import train
    from runner.training.run import find_run

    train_options = read_train_options(flags)
    if all_data:
        return refit_run(session, find_run(session.workspace, session.name, name), train_options)
    if resume:
        run = find_run(session.workspace, session.name, name)
        resume_run(session, run, train_options)
        return run
    return train(session, read_recipe(session, flags), train_options, name=name, new=new)


def plan_run(session: Session, *, name: str | None, new: bool, **flags: Any) -> TrainingPlan:
    """What `train_run` would train with these flags, and what that is expected to take."""
    from runner.steps.plan_training import plan_training

    return plan_training(session, read_recipe(session, flags), read_train_options(flags), name=name, new=new)


def _print_plan(plan: TrainingPlan, *, as_json: bool) -> None:
    if as_json:
        print_json({**vars(plan), "recipe": plan.recipe.to_dict(), "epochs": plan.epochs})
        return
    _print_recipe(plan)
    folds = f" in {plan.folds} folds" if plan.folds > 1 else ""
    click.echo(f"\nepochs:  {plan.epochs}{folds}")
    click.echo(f"images:  {plan.train_rows:,} training, {plan.valid_rows:,} validation")
    click.echo(f"minutes: about {plan.minutes:.1f} of training on {plan.device}, by a few mini-batches of each stage")
    memory = "unknown" if plan.memory_bytes is None else f"{plan.memory_bytes / 1e9:.1f} GB in this process"
    of_gpu = "" if plan.gpu_bytes is None else f", {plan.gpu_bytes / 1e9:.1f} GB of the GPU"
    click.echo(f"memory:  {memory}{of_gpu}")
    if plan.run:
        log.info(f"{plan.run} has been asked for the same, and is {plan.status}; --new trains another")


def _print_recipe(plan: TrainingPlan) -> None:
    from runner.field_paths import flat_fields

    click.echo(f"{plan.recipe.summary}\n")
    texts = {True: "yes", False: "no", None: "none"}
    rows = [
        [path, texts[value] if isinstance(value, bool | None) else str(value)]
        for path, value in flat_fields(plan.recipe).items()
    ]
    print_table(["field", "value"], rows)


def train_there(
    session: Session, *, name: str | None, resume: bool, all_data: bool, new: bool, no_wait: bool, **flags: Any
) -> HostedRun:
    """The run that was trained, resumed or refitted on the host's machines, as far as it is."""
    from runner.remote.train import OnHost, refit_on_host, resume_on_host, train_on_host
    from runner.training.run import find_run

    train_options, on = read_train_options(flags), OnHost(read_notebook_options(flags), wait=not no_wait)
    if all_data:
        return refit_on_host(session, find_run(session.workspace, session.name, name), train_options, on)
    if resume:
        return resume_on_host(session, find_run(session.workspace, session.name, name), train_options, on)
    return train_on_host(session, read_recipe(session, flags), train_options, on, name=name, new=new)


def _print_hosted(options: GlobalOptions, session: Session, hosted: HostedRun) -> None:
    from runner.cli.messages import format_score
    from runner.steps.runs import next_command

    if options.as_json:
        print_json({"run": hosted.name, "folder": hosted.run.folder if hosted.run else None})
    else:
        click.echo(hosted.name)
    if hosted.run is not None and hosted.is_complete:
        if hosted.run.read_score() is not None:
            log.info(format_score(session.competition, hosted.run))
        log.info(f"next: {next_command(session, hosted.run)}")

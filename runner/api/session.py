"""A competition in a workspace, as a notebook works with it: each command is a call, with its flags as keywords."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.api.calls import calling, explained
from runner.api.commands import documented
from runner.api.keywords import Call, told_without_session
from runner.api.results import Climb, Comparison, Exploration, LRSearch, Rehearsal, Report, Submitted, titled_curves
from runner.api.run import Run
from runner.api.work import forget, predict, predict_other_images, read_submit_options, report, submit, with_compute
from runner.cli.commands.find_lr import UNUSED
from runner.cli.commands.train import plan_run, train_run, train_there
from runner.cli.flag_conflicts import check_unused
from runner.cli.global_options import HOSTS, GlobalOptions
from runner.cli.options import read_notebook_options, read_predict_options, read_recipe, read_train_options
from runner.contract import Competition
from runner.errors import UsageError
from runner.notebook import output_area
from runner.session import Session as StepSession
from runner.training.run import Run as StepRun
from runner.training.run import find_run, find_runs
from runner.workspace import Workspace

if TYPE_CHECKING:
    import click
    import pandas as pd

    from runner.api.shown import ShownFigure
    from runner.contract import Recipe


_FIRST = ("submitted", "run", "cv", "public", "private", "rank", "teams", "status")  # columns of the standings


@dataclass(frozen=True, repr=False)
class Session(StepSession):
    """One competition in one workspace: every command of it is a method, with the same flags as keywords.

    What a call prints in a terminal it returns: values, DataFrames, figures, runs. Nothing is printed; in a notebook
    progress bars are shown. `index`, `competition`, `workspace` and the other fields are those that steps work with.
    """

    @documented("download")
    def download(self, source: str | Path | None = None, **keywords: Any) -> Path:
        """Download, verify and extract the data, from the host or from a folder or archive `source`; its folder.

        With `accept_changes` nothing is downloaded, and the files are taken as they are now.
        """
        from runner.steps import download as step

        with calling(self, "download", source=source, **keywords) as context:
            values = context.params
            if values["accept_changes"]:
                step.accept_changes(self)
            elif values["mirror"]:
                step.download_mirror(self, force=values["force"])
            else:
                step.download(self, values["source"], force=values["force"])
            forget(self)
            if not values["accept_changes"]:
                step.check_images(self, skip_unreadable=values["skip_unreadable"])
            return self.workspace.data_dir(self.name)

    @documented("explore")
    def explore(self, **keywords: Any) -> Exploration:
        """Look at the data: classes, sizes, duplicates, train/test shift. Nothing is trained."""
        from runner.steps.explore import explore

        with calling(self, "explore", **keywords) as context:
            found = explore(self, sample=context.params["sample"])
            return Exploration(self, found.exploration, found.page, found.figures)

    @documented("split")
    def split(self, **keywords: Any) -> pd.DataFrame:
        """Choose the validation rows, the same for all later runs; the rows of each class by fold."""
        import pandas as pd

        from runner.data.splits import SplitPlan
        from runner.steps.split import split

        with calling(self, "split", **keywords) as context:
            values = context.params
            plan = SplitPlan(values["folds"], values["holdout"], values["seed"])
            _, counts = split(self, plan, force=values["force"])
            folds = [f"fold {number}" for number in range(len(counts[0].valid_per_fold))]
            rows = [[count.name, count.rows, *count.valid_per_fold, count.train_only] for count in counts]
            return pd.DataFrame(rows, columns=["class", "rows", *folds, "train only"])

    @documented("find-lr")
    def find_lr(self, **keywords: Any) -> LRSearch:
        """Raise the learning rate batch by batch and suggest one for each stage. No training is kept."""
        from runner.report.run.curves import save_lr_finder_figure
        from runner.steps.find_lr import find_lr

        with calling(self, "find-lr", **keywords) as context:
            check_unused(UNUSED)
            values = context.params
            session = with_compute(self, context)
            found = tuple(find_lr(session, read_recipe(session, values), read_train_options(values)))
            figure = self.workspace.runs_dir(self.name) / "find-lr.svg"
            save_lr_finder_figure(titled_curves(found), figure)
            return LRSearch(found, figure)

    @documented("train")
    def train(self, *, plot: bool = False, **keywords: Any) -> Run:
        """Train by the competition's recipe, changed by the keywords. The same call again goes on with its run.

        A notebook shows a table of epochs while it trains, with `plot` the losses too. With `dry_run` nothing is
        trained, and a `TrainingPlan` is returned: the recipe, the epochs, and the minutes and memory to expect.
        With `on` it is trained on Kaggle's machines, and comes back; with `no_wait` an error says that it is still
        there, and `remote("follow")` brings it.
        """
        from runner.api.live import live_epochs

        with calling(self, "train", **keywords) as context:
            session, values = with_compute(self, context), dict(context.params)
            if values.pop("dry_run"):
                return plan_run(session, **values)  # type: ignore[return-value]  # a Run for all but --dry-run
            if values["on"] is not None:
                return Run.of(self, train_there(session, **values).require_run(session))
            with live_epochs(session, plot=plot):
                return Run.of(self, train_run(session, **values))

    @documented("predict")
    def predict(self, run: str | StepRun | None = None, **keywords: Any) -> Run:
        """Predict validation and test rows, score the first, write the submission; without a run, the newest."""
        with calling(self, "predict", run=run, **keywords) as context:
            found = self._find(context.params["name"])
            images, out = context.params["images"], context.params["out"]
            if images is not None:
                return predict_other_images(with_compute(self, context), found, images, out)  # type: ignore[no-any-return]
            if out is not None:
                raise UsageError(
                    "out is where the predictions of images go", fix="session.predict(run, images=..., out=...)"
                )
            predict(self, found, context)
            return found

    @documented("ensemble")
    def ensemble(self, runs: Sequence[str | StepRun] | str | StepRun, **keywords: Any) -> Run:
        """Blend runs from their prediction files alone: weights fitted on out-of-fold rows, a run of its own.

        One run without a name gets its postprocess fitted again. Runs that are not predicted yet are predicted first.
        """
        from runner.steps.ensemble import ensemble

        members = [runs] if isinstance(runs, str | StepRun) else list(runs)
        with calling(self, "ensemble", *members, **keywords) as context:
            found = self._find_predicted(context.params["names"])
            return Run.of(self, ensemble(self, found, name=context.params["name"]))

    @documented("compare")
    def compare(self, runs: Sequence[str | StepRun] | str | StepRun, **keywords: Any) -> Comparison:
        """Runs beside the first: the difference of their scores on the same rows, recipes, times, classes, images.

        Runs that are not predicted yet are predicted first.
        """
        from runner.report.compare.page import write_comparison

        members = [runs] if isinstance(runs, str | StepRun) else list(runs)
        with calling(self, "compare", *members, **keywords) as context:
            found = self._find_predicted(context.params["names"])
            return Comparison(write_comparison(self, found))

    @documented("check")
    def check(self, what: str | Path | StepRun | None = None, **keywords: Any) -> int:
        """The number of rows of a file or a run's submission that the host would accept; else an error."""
        from runner.steps.check import check

        with calling(self, "check", *_present(what), **keywords) as context:
            found = self._find_submission(context.params["what"])
            file = found if isinstance(found, Path) else found.submission
            return check(self, file, strict=context.params["strict"])

    @documented("submit")
    def submit(self, what: str | Path | StepRun | None = None, **keywords: Any) -> Submitted | list[Submitted] | Path:
        """Check, submit, wait for the score, and write it in the ledger; without a name, the newest run.

        With `best` a list, of the runs that were submitted; with `dry_run` the folder of the notebook that is built.
        """
        from runner.steps.submit import best_unsubmitted

        with calling(self, "submit", *_present(what), **keywords) as context:
            if context.params["dry_run"]:
                return self._build_notebook(context)
            if context.params["best"] is not None:
                runs = best_unsubmitted(self, context.params["best"])
                return [submit(self, run, context) for run in runs]
            return submit(self, self._find_submission(context.params["what"]), context)

    def _build_notebook(self, context: click.Context) -> Path:
        from runner.remote.submit import owner_here, prepare

        found = self._find_submission(context.params["what"])
        if isinstance(found, Path):
            raise UsageError("a notebook predicts with a run, not with a file", fix="session.submit(run, dry_run=True)")
        return prepare(self, found, owner_here(self), read_notebook_options(context.params)).folder

    @documented("standings")
    def standings(self, **keywords: Any) -> pd.DataFrame:
        """Every submission with its scores and rank, oldest first.

        `.attrs["standings"]` has the current ranks as sentences, `.attrs["cv_correlations"]` how CV and leaderboard
        correlate.
        """
        from runner.api.tables import rows_of
        from runner.cli.commands.standings import plain_entry
        from runner.hosts.ledger import Entry, read_ledger
        from runner.hosts.standings import find_current_standings, find_cv_correlations
        from runner.steps.submit import refresh_standings

        with calling(self, "standings", **keywords) as context:
            if context.params["refresh"]:
                refresh_standings(self)
            ledger = read_ledger(self.workspace.ledger_file, refresh=self.command("standings", "--refresh"))
            entries = [entry for entry in ledger if entry.competition == self.name]
            current = find_current_standings(self.competition, entries, self.leaderboards_dir)
            correlations = find_cv_correlations(self.competition.metric, entries)
            names = [*inspect.signature(Entry).parameters, "teams"]
            columns = [*_FIRST, *(name for name in names if name not in (*_FIRST, "competition"))]
            table = rows_of(map(plain_entry, entries)).reindex(columns=columns)
            table.attrs.update(standings=[*map(str, current)], cv_correlations=[*map(str, correlations)])
            return table

    @documented("runs")
    def runs(self, **keywords: Any) -> pd.DataFrame:
        """Every run, the best CV score first: its status, its scores, when and how long it was trained."""
        from runner.api.tables import rows_of
        from runner.steps.runs import RunRow, list_runs
        from runner.steps.select_runs import select_runs

        with calling(self, "runs", **keywords) as context:
            values, metric = context.params, self.competition.metric
            choice = {"filters": values["filters"], "sort": values["sort"], "reverse": values["reverse"]}
            rows = select_runs(list_runs(self), metric, **choice)
            return rows_of(rows).reindex(columns=list(inspect.signature(RunRow).parameters))

    @documented("remote")
    def remote(self, action: str = "list", job: str | None = None, **keywords: Any) -> pd.DataFrame | Run | Path | None:
        """What runs on the host: a table of it; or `"follow"`, `"fetch"` or `"cancel"` a run or a job of it.

        A training comes back as a run, a prediction as the folder of its files.
        """
        from runner.api.tables import rows_of
        from runner.remote.jobs import JobRow, cancel_job, fetch_job, find_job, follow_job, list_jobs

        with calling(self, "remote", *_present(action), *_present(job), **keywords) as context:
            if context.params["action"] == "list":
                return rows_of(list_jobs(self)).reindex(columns=list(inspect.signature(JobRow).parameters))
            found = find_job(self, context.params["job"])
            if context.params["action"] == "cancel":
                cancel_job(self, found)
                return None
            came = (follow_job if context.params["action"] == "follow" else fetch_job)(self, found)
            return came if came is None or isinstance(came, Path) else Run.of(self, came.require_run(self))

    def find_run(self, name: str | None = None) -> Run:
        """The run of that name; without one, the newest that has something in it."""
        with explained(Call(self, "report")):
            return self._find(name)

    @documented("export")
    def export(self, run: str | StepRun, folder: str | Path, **keywords: Any) -> Path:
        """A run in one folder that works without this package: networks, preprocessing, thresholds, model card."""
        from runner.export.export import export_run

        with calling(self, "export", run, folder, **keywords) as context:
            found, target = self._find(context.params["name"]), Path(context.params["target"]).expanduser()
            return export_run(self, found, target, context.params["format"]).folder

    @documented("report")
    def report(self, run: str | StepRun | None = None, **keywords: Any) -> Report:
        """One page about a run, the newest or the named one: training, score, confusion matrix, examples, standing."""
        with calling(self, "report", *_present(run), **keywords) as context:
            return report(self, self._find(context.params["name"]))

    @documented("run")
    def run(self, *, plot: bool = False, **keywords: Any) -> Run:
        """Download, split, train, predict, check and submit; the run that was submitted, whose `score` it is."""
        from runner.api.live import live_epochs
        from runner.workflow import RunOptions, run_and_submit, run_until_submission

        with calling(self, "run", **keywords) as context:
            values = context.params
            session = with_compute(self, context)
            recipe = read_recipe(session, values)
            options = RunOptions(
                read_train_options(values),
                read_predict_options(values),
                read_submit_options({"no_wait": False, "resubmit": False, **values}),
                values["source"],
                values["new"],
                not values["no_refit"],
                read_notebook_options(values),
                on_host=values["on"] is not None,
            )
            go = run_until_submission if values["no_submit"] else run_and_submit
            with live_epochs(session, plot=plot):
                finished = go(session, recipe, options, name=values["name"])
            forget(self)
            return Run.of(self, finished.run)

    @documented("rehearse")
    def rehearse(self, *, plot: bool = False, **keywords: Any) -> Rehearsal:
        """Hide some labelled rows, run everything on the others, and compare the CV score with the hidden score."""
        from runner.api.live import live_epochs
        from runner.options import RehearsalOptions
        from runner.practice.rehearsal import rehearsal_workspace
        from runner.workflow import RunOptions, rehearse

        with calling(self, "rehearse", **keywords) as context:
            values = context.params
            session = with_compute(self, context)
            recipe = read_recipe(session, values)
            hiding = RehearsalOptions(values["hidden"])
            if values["seed"] is not None:
                hiding = replace(hiding, seed=values["seed"])
            options = RunOptions(read_train_options(values), read_predict_options(values))
            with live_epochs(session, plot=plot):
                done, result = rehearse(
                    session, recipe, hiding, options, leaderboard=values["leaderboard"], force=values["force"]
                )
            inner = Session(self.competition, rehearsal_workspace(session, hiding), "practice", self.compute)
            return Rehearsal(result, Run.of(inner, done.run))

    @documented("climb")
    def climb(self, **keywords: Any) -> Climb | pd.DataFrame:
        """The best submission within `time_budget` minutes, step by step; the same call goes on.

        With `dry_run` nothing is trained: a row for each step that could be bought now, with its price and promise.
        """
        from runner.api.tables import rows_of
        from runner.climb.climb import ClimbOptions, climb, plan_climb
        from runner.report.climb import write_climb_page

        with calling(self, "climb", **keywords) as context:
            values = context.params
            options = ClimbOptions(values["time_budget"], values["weights"], values["source"], values["new"])
            session = with_compute(self, context)
            if values["dry_run"]:
                return rows_of(plan_climb(session, options))
            result = climb(session, options)
            forget(self)
            run = Run.of(self, result.run)
            return Climb(self, result.record, run, result.reason, write_climb_page(session))

    @documented("clean")
    def clean(self, **keywords: Any) -> int:
        """Delete the cache, which is made again when needed; how many bytes that freed."""
        from runner.steps.clean import clean

        with calling(self, "clean", **keywords):
            return clean(self.workspace, self.name)

    def make_practice_data(self, *, scale: float = 1.0, seed: int = 2017) -> Session:
        """Draw practice data with a leaderboard, for a session on the practice host; this session again.

        `scale` multiplies the number of images. Three competitions have it: dog-breed, planet and iceberg.
        """
        from runner.practice.build import build_practice

        with explained(Call(self, "download")):
            if self.host_name != "practice":
                raise UsageError(
                    "practice data is on the practice host", fix=f'runner.open({self.name!r}, host="practice")'
                )
            if not isinstance(scale, int | float) or not 0.01 <= scale <= 100:
                raise UsageError(f"scale: {scale!r:.40} is not a number from 0.01 to 100", fix="scale=0.5")
            with output_area():
                build_practice(self, scale=float(scale), seed=seed)
        return self

    def recipe(self, **keywords: Any) -> Recipe:
        """The recipe that `train` would train with these keywords, as a frozen value."""
        with calling(self, "train", **keywords) as context:
            return read_recipe(self, context.params)

    def schedule(self, **keywords: Any) -> ShownFigure:
        """The learning rate of every mini-batch that `train` would use with these keywords."""
        from runner.api.schedule import planned_schedule
        from runner.api.shown import ShownFigure

        with calling(self, "train", **keywords) as context:
            return ShownFigure(planned_schedule(self, read_recipe(self, context.params)))

    def show_images(self, count: int = 12, *, label: str | None = None, seed: int = 0) -> ShownFigure:
        """Labelled images drawn at random, of one label if it is named."""
        from runner.api.images import labelled_images
        from runner.api.shown import ShownFigure

        with explained(Call(self, "explore")):
            return ShownFigure(labelled_images(self, count, label, seed), photographs=True)

    def show_views(self, tta: str = "default", *, image: str | None = None, size: int = 224) -> ShownFigure:
        """The test-time views of an image, the first labelled one or that of the id `image`."""
        from runner.api.images import views_of
        from runner.api.shown import ShownFigure

        with explained(Call(self, "predict")):
            return ShownFigure(views_of(self, tta, image, size), photographs=True)

    def show_augmentations(self, count: int = 12, *, image: str | None = None, size: int = 224) -> ShownFigure:
        """An image as training sees it, differently in each epoch."""
        from runner.api.images import augmentations_of
        from runner.api.shown import ShownFigure

        with explained(Call(self, "explore")):
            return ShownFigure(augmentations_of(self, count, image, size), photographs=True)

    def _find(self, run: str | StepRun | None) -> Run:
        return Run.of(self, find_run(self.workspace, self.name, run.name if isinstance(run, StepRun) else run))

    def _find_predicted(self, names: Sequence[str]) -> list[Run]:
        """The runs of these names, predicted by now."""
        found = [self._find(name) for name in names]
        for run in found:
            if run.read_score() is None:
                run.predict()
        return found

    def _find_submission(self, what: str | None) -> Path | Run:
        from runner.steps.submit import find_submission

        found = find_submission(self, what)
        return found if isinstance(found, Path) else Run.of(self, found)

    def __repr__(self) -> str:
        host = "" if self.host_name == "kaggle" else f" on the {self.host_name} host"
        return f"<{self.name}{host} in {self.workspace.root}>"

    def _repr_html_(self) -> str:
        from runner.api.shown import facts

        competition, runs = self.competition, find_runs(self.workspace, self.name)
        has_data = (self.workspace.data_dir(self.name) / ".complete").exists()
        rows = [
            ("metric", competition.metric.title),
            ("recipe", competition.recipe.summary),
            ("data", "downloaded" if has_data else "not here: session.download()"),
            ("runs", f"{len(runs)}" + (f", the newest {runs[-1].name}" if runs else "")),
            ("workspace", self.workspace.root),
        ]
        return facts(f"{competition.title} ({self.host_name})", rows)


def open_session(
    competition: str | Competition,
    workspace: str | os.PathLike[str] | None = None,
    *,
    host: str = "kaggle",
    device: str | None = None,
    workers: int | None = None,
) -> Session:
    """A session of a competition, by its name or as a value that is defined in a cell.

    The workspace is a folder; without one, RUNNER_WORKSPACE, else the current folder. The host is "kaggle" or
    "practice". Device and workers hold for every call that names no others.
    """
    if host not in HOSTS:
        raise UsageError(f"there is no host {host!r}", fix=f"one of: {', '.join(HOSTS)}")
    with told_without_session():
        session = _opened(competition, Workspace.at(workspace), host)
    given = {name: value for name, value in (("device", device), ("workers", workers)) if value is not None}
    try:
        with calling(session, "predict", **given) as context:
            return with_compute(session, context)
    except UsageError as error:
        fix = error.fix and error.fix.replace("session.predict(", f"runner.open({session.name!r}, ")
        raise UsageError(error.message, fix=fix) from None


def _opened(competition: str | Competition, workspace: Workspace, host: str) -> Session:
    from competitions import load

    if isinstance(competition, Competition):
        found = replace(competition, name=competition.name or competition.slug)
        return Session(found, workspace.for_host(host), host)
    if not isinstance(competition, str):
        raise UsageError(f"{competition!r:.80} is neither a competition's name nor a Competition", fix="`runner list`")
    found = load(_name(competition, workspace), workspace.plugins_dir)
    return GlobalOptions(folder=str(workspace.root)).configured(Session(found, workspace.for_host(host), host))


def _name(word: str, workspace: Workspace) -> str:
    """The name of a competition from its name, slug or address."""
    from competitions import names

    if word in names(workspace.plugins_dir):
        return word
    return GlobalOptions(folder=str(workspace.root)).name_from_slug(word) or word


def _present(value: Any) -> list[Any]:
    return [] if value is None else [value]

"""Train on the host's machines: a run is sent, trained there, and comes back as if it had been trained here.

Each step finds what the one before has left on the host, so the same command goes on after a kill or Ctrl-C, and the
next session after one that has reached its limit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from runner.commands import TYPED, again
from runner.console import log
from runner.contract import Recipe
from runner.data.packages import needed_extras
from runner.errors import HostError, TrainingError, UsageError
from runner.hosts.ledger import file_sha256
from runner.hosts.notebooks import Kernel, NotebookHost, PushedKernel, QuotaError
from runner.hosts.open_host import open_notebooks
from runner.hosts.submit import require_rules
from runner.images.views import choose_views
from runner.locks import hold, wait_for
from runner.options import NotebookOptions, PredictOptions, TrainOptions
from runner.remote.install import install, require_unchanged, run_of, state_of
from runner.remote.job import RemoteJob, read_job, read_jobs, remote_name, train_kind, write_job
from runner.remote.package import Package, package_name
from runner.remote.result import RESULT, RESULT_FORMAT
from runner.remote.script import write_script
from runner.remote.sessions import Remote
from runner.remote.train_manifest import DONE, FAILED, OUTPUT, Training, TrainingResult
from runner.remote.train_package import build_train_package
from runner.session import Session
from runner.steps.train import begun_run, check_recipe, refit_recipe
from runner.training.folds import check_only_fold, resolve_start
from runner.training.log import read_log
from runner.training.progress import Progress, read_progress
from runner.training.request import Request, check_same_data, read_request
from runner.training.run import Run, check_run_name, free_name
from runner.workspace import read_record

_SPARE = 600  # seconds before the session's end at which training stops


@dataclass(frozen=True)
class OnHost:
    """How a training is done on the host's machines."""

    notebook: NotebookOptions = NotebookOptions()
    predict: PredictOptions = PredictOptions()
    refit: bool = False  # on all labelled rows afterwards, where that takes seconds
    wait: bool = True  # until it has come back


@dataclass(frozen=True)
class HostedRun:
    """A run that was sent: how far it is, if it has come back."""

    name: str
    run: Run | None  # None: not here yet
    is_complete: bool = False  # trained and predicted; else another session goes on with it

    def require_run(self, session: Session) -> Run:
        """The run; a HostError if it is still on the host."""
        if self.run is None:
            fix = f"`{session.command('remote', 'follow', self.name)}`"
            raise HostError(f"{self.name} is still being trained on the host", fix=fix)
        return self.run


def train_on_host(
    session: Session,
    recipe: Recipe,
    options: TrainOptions = TrainOptions(),
    on: OnHost = OnHost(),
    *,
    name: str | None = None,
    new: bool = False,
    remote: Remote | None = None,
) -> HostedRun:
    """Train every fold of the recipe there. The same call again goes on with its run, or finds it finished."""
    _check(session, options, on)
    check_recipe(session, recipe)
    recipe, options = resolve_start(session, recipe, options)
    check_only_fold(session, recipe, options)
    request = Request.of(session, recipe, options)
    training = Training(recipe, options, on.predict, on.refit)
    return _train(session, training, on, remote, lambda: _name_of(session, request, training, name, new), request)


def resume_on_host(
    session: Session,
    run: Run,
    options: TrainOptions = TrainOptions(),
    on: OnHost = OnHost(),
    *,
    remote: Remote | None = None,
) -> HostedRun:
    """Go on there with a run by its own recipe, wherever it was trained until now."""
    recipe = run.read_recipe()
    _check(session, options, on)
    check_only_fold(session, recipe, options, run)
    check_same_data(session, run)
    _, options = resolve_start(session, recipe, options)
    request = read_request(run) or Request.of(session, recipe, options)
    return _train(session, Training(recipe, options, on.predict, on.refit), on, remote, lambda: run.name, request)


def refit_on_host(
    session: Session,
    original: Run,
    options: TrainOptions = TrainOptions(),
    on: OnHost = OnHost(),
    *,
    remote: Remote | None = None,
) -> HostedRun:
    """Repeat a run's steps there on all labelled rows."""
    recipe = refit_recipe(session, original)
    if original.read_score() is None:
        raise UsageError(
            f"{original.name} has no score yet, which its refit keeps",
            fix=session.command("predict", "--run", original.name),
        )
    return train_on_host(session, recipe, options, on, name=f"{original.name}-all", remote=remote)


def _check(session: Session, options: TrainOptions, on: OnHost) -> None:
    """Refuse what a host's machine has not, and views that there are not, before anything is sent."""
    if options.engine or options.tracker:
        flag = "--engine" if options.engine else "--track"
        raise UsageError(f"{flag} is for a training on this machine", fix="leave it out, or train here")
    choose_views(session.competition.preset, on.predict.tta)
    require_rules(session.host.fetch_info(session.competition.slug))


def _name_of(session: Session, request: Request, training: Training, name: str | None, new: bool) -> str:
    """The name of the run: of one that is being trained there, or was begun here; else of a new one."""
    asked = _digest_of(request)
    pending = [job for job in read_jobs(session) if job.is_training and not job.is_done]
    same = [job.run for job in pending if job.request == asked]
    if name is None:
        if not new and same:
            return same[-1]
        run = begun_run(session, request, None, new)
        return run.name if run else free_name(session.workspace, session.name, training.recipe)
    check_run_name(name)
    if any(job.run == name and job.request != asked for job in pending):
        raise UsageError(
            f"{name} is being trained on the host, and was asked for something else",
            where=session.workspace.remote_dir(session.name),
            fix=f"another --run NAME, or fetch it first: `{session.command('remote', 'fetch', name)}`",
        )
    if name not in same or new:
        begun_run(session, request, name, new)
    return name


def _digest_of(request: Request) -> str:
    return hashlib.sha256(json.dumps(request.to_dict(), sort_keys=True).encode()).hexdigest()[:32]


def _train(
    session: Session,
    training: Training,
    on: OnHost,
    remote: Remote | None,
    name_of: Callable[[], str],
    request: Request,
) -> HostedRun:
    """Send, follow and fetch one session of a training."""
    remote = remote or Remote(open_notebooks(session.host))
    folder = session.workspace.remote_dir(session.name)
    kind = train_kind(training.train.only_fold)
    with wait_for(folder / ".start.lock"):  # two that start at once get two names
        name = name_of()
        job = read_job(session, kind, name)
        if job is None or job.is_done:
            if (finished := _finished(session, name, training)) is not None:
                return finished
            _require_nothing_else(session, name, training)
            job = _begin(session, name, training, on.notebook, remote.notebooks, request)
    with hold_job(session, job):
        job = _send(session, job, training, remote)
        if not on.wait:
            log.info(f"{name} is trained on the host; to fetch it: `{session.command('remote', 'fetch', job.name)}`")
            return HostedRun(name, None)
        return bring_back(session, job, remote)


def _require_nothing_else(session: Session, name: str, training: Training) -> None:
    """UsageError if the same folds of the run are being trained there already, by a command of other folds."""
    fold = training.train.only_fold
    for job in read_jobs(session):
        if job.is_training and job.run == name and not job.is_done and None in (job.fold, fold):
            what = "the run" if job.fold is None else f"fold {job.fold} of it"
            raise UsageError(
                f"{name} cannot be sent: {what} is being trained on the host already",
                where=session.workspace.remote_dir(session.name),
                fix=f"fetch that first: `{session.command('remote', 'follow', job.name)}`",
            )


def hold_job(session: Session, job: RemoteJob) -> AbstractContextManager[None]:
    """Keep other commands from sending or fetching the same."""
    lock = session.workspace.remote_dir(session.name) / f".{job.name}.lock"
    fix = f"later: `{TYPED}`"
    return hold(lock, session.command("remote", "follow", job.name), what=f"the training of {job.run}", fix=fix)


def _finished(session: Session, name: str, training: Training) -> HostedRun | None:
    """The run, if there is nothing left to train or to predict."""
    run = Run(session.name, name, session.workspace.run_dir(session.name, name))
    if not run.recipe_file.exists():
        return None
    fold = training.train.only_fold
    progress = _progress(run, fold)
    is_predicted = any(run.fold_dir(fold).glob("*.test.npz")) if fold is not None else run.read_score() is not None
    if training.recipe.all_data:
        is_predicted = session.submission_file(name).exists()
    if not (progress.is_finished and is_predicted):
        return None
    log.info(f"{name} is trained already: {progress}")
    return HostedRun(name, run, is_complete=True)


# --- sending ------------------------------------------------------------------------------------


def _begin(
    session: Session,
    name: str,
    training: Training,
    options: NotebookOptions,
    notebooks: NotebookHost,
    request: Request,
) -> RemoteJob:
    """The note of a new session, written once its package is."""
    hours = _allowed_hours(notebooks, options)
    kind, fold = train_kind(training.train.only_fold), training.train.only_fold
    run = Run(session.name, name, session.workspace.run_dir(session.name, name))
    _tell_what_is_left(run, training)
    package = build_train_package(session, name, training, _dataset_dir(session, name, kind))
    for old in package.path.parent.glob("package-*"):
        if old != package.path:
            old.unlink()
    owner, before = notebooks.fetch_username(), read_job(session, kind, name)
    job = RemoteJob(
        kind,
        name,
        package.digest,
        dataset=f"{owner}/{remote_name(session.name, name, kind, 'data')}",
        kernel=f"{owner}/{remote_name(session.name, name, kind)}",
        fold=fold,
        request=_digest_of(request),
        base=state_of(run, fold),
        accelerator=options.accelerator or "",
        hours=hours,
    )
    if before is not None and before.digest == job.digest:
        job = replace(job, failed=before.failed)  # the same again: its version is not taken for a new one
    write_job(session, job)
    return job


def _allowed_hours(notebooks: NotebookHost, options: NotebookOptions) -> float:
    """The hours that the session may take, which is told; QuotaError if none is left."""
    quota = notebooks.fetch_quota() if options.accelerator else None
    if quota is None:
        where = options.accelerator or "a CPU, which costs no quota"
        log.info(f"training on the host takes {options.hours:g} h at most, on {where}")
        return options.hours
    left, allowed = quota.left.total_seconds() / 3600, quota.allowed.total_seconds() / 3600
    refreshed = f", until {quota.refreshes_at:%Y-%m-%d %H:%M} UTC" if quota.refreshes_at else ""
    if left <= 0:
        raise QuotaError(
            f"the {allowed:g} GPU hours of this week are used up{refreshed}",
            fix=f"`{again('--accelerator', 'none')}` trains on a CPU there",
        )
    hours = min(options.hours, round(max(left, 0.1), 2))
    log.info(
        f"{left:.1f} of {allowed:g} GPU hours are left this week{refreshed}: "
        f"this session takes at most {hours:g} of them, on {options.accelerator}"
    )
    return hours


def _tell_what_is_left(run: Run, training: Training) -> None:
    """Say how long the rest takes at the speed of the epochs that are trained."""
    if not run.recipe_file.exists():
        return
    fold = training.train.only_fold
    lines, progress = read_log(run.log_file), _progress(run, fold)
    if lines and not progress.is_finished:
        each = sum(line["seconds"] for line in lines) / len(lines)
        hours = each * (progress.planned - progress.done) / 3600
        log.info(f"going on with {run.name} after {progress}: {hours:.1f} h at the speed until now")


def _dataset_dir(session: Session, run: str, kind: str) -> Path:
    return session.workspace.remote_dir(session.name) / run / kind / "dataset"


def _send(session: Session, job: RemoteJob, training: Training, remote: Remote) -> RemoteJob:
    """Upload and push what is not there; the note with the version."""
    if job.version and job.version != job.failed:
        return job
    path = _dataset_dir(session, job.run, job.kind) / package_name(job.digest)
    if not path.exists() or file_sha256(path) != job.digest:
        raise HostError(
            f"the package that was to be sent for {job.run} is damaged or missing",
            where=path,
            fix=f"to pack it again: `{session.command('remote', 'cancel', job.name)}`, then: `{TYPED}`",
        )
    remote.upload(job.dataset, Package(path, job.digest))
    pushed = remote.push(kernel_of(session, job, training), failed=job.failed, url=job.url)
    job = replace(job, version=pushed.version, url=pushed.url, failed=0)
    write_job(session, job)
    return job


def kernel_of(session: Session, job: RemoteJob, training: Training | None = None) -> Kernel:
    """The kernel of a job; only to push it the training is needed."""
    seconds = int(job.hours * 3600)
    script = write_script(
        f"{job.run}: train {session.competition.title}",
        "runner.remote.train_session",
        job.digest,
        {"seconds": max(seconds - _SPARE, seconds // 2)},
    )
    return Kernel(
        ref=job.kernel,
        title=job.kernel.partition("/")[2],
        source=script,
        competition=session.competition.slug,
        datasets=(job.dataset,),
        accelerator=job.accelerator,
        internet=training is not None and (training.needs_internet or bool(needed_extras(session.competition))),
        timeout=seconds,
    )


# --- coming back --------------------------------------------------------------------------------


def bring_back(session: Session, job: RemoteJob, remote: Remote) -> HostedRun:
    """Follow the session to its end, and put what it has trained where the runs are."""
    pushed = PushedKernel(job.kernel, job.version, job.url)
    state = remote.follow(kernel_of(session, job), pushed)
    try:
        remote.require_complete(pushed, state)
    except HostError:
        write_job(session, replace(job, failed=job.version))
        raise
    return fetch(session, job, remote)


def fetch(session: Session, job: RemoteJob, remote: Remote) -> HostedRun:
    """Fetch the output of a session that has ended well, and install it."""
    require_unchanged(session, job)
    folder = session.workspace.remote_dir(session.name) / job.run / job.kind / "output"
    files = remote.fetch(job.kernel, (RESULT, OUTPUT), folder)
    result = read_record(files[RESULT], TrainingResult, format=RESULT_FORMAT, fix=f"{TYPED}", name=RESULT)
    _require_its_own(job, result, files[OUTPUT])
    before = _done_epochs(session, job)
    job = replace(job, is_arriving=True)
    write_job(session, job)
    run = install(session, job, files[OUTPUT], result)
    is_complete = result.ended == DONE
    write_job(session, replace(job, is_arriving=False, is_done=True, failed=0 if is_complete else job.version))
    for file in (files[OUTPUT], *_dataset_dir(session, job.run, job.kind).glob("package-*")):
        file.unlink(missing_ok=True)
    return _told(job, result, run, before)


def _require_its_own(job: RemoteJob, result: TrainingResult, archive: Path) -> None:
    """HostError for an output of another package, or one that has been cut off."""
    if result.digest != job.digest:
        raise HostError(
            f"the output of {job.kernel} is of another package: {result.digest[:12]}, not {job.digest[:12]}",
            where=job.url,
            fix=f"the host still shows an older version: later, `{TYPED}`",
        )
    if file_sha256(archive) != result.archive:
        raise HostError(f"{OUTPUT} of {job.kernel} is not what the session wrote", where=job.url, fix=f"`{TYPED}`")


def _done_epochs(session: Session, job: RemoteJob) -> int:
    run = run_of(session, job)
    return _progress(run, job.fold).done if run.recipe_file.exists() else 0


def _progress(run: Run, fold: int | None) -> Progress:
    """How far a fold of the run is; without one, all of them."""
    return read_progress(run, None if fold is None else [fold])


def _told(job: RemoteJob, result: TrainingResult, run: Run, before: int) -> HostedRun:
    """What has come back, told; a TrainingError if the training has failed, or has not come further."""
    if result.ended == FAILED:
        raise TrainingError(
            f"the training of {run.name} failed on the host: {result.error}",
            where=job.url,
            fix=f"what was finished before is here; to go on with it: `{TYPED}`",
        )
    progress = _progress(run, job.fold) if run.recipe_file.exists() else None
    where = ", ".join(result.gpus) or "a CPU"
    minutes = f"{result.seconds / 60:.0f} min on {where}"
    if result.ended == DONE:
        log.info(f"{run.name} is trained, predicted and here: {minutes}")
    elif progress is None or (progress.done <= before and not progress.is_finished):
        raise TrainingError(
            f"no epoch of {run.name} was finished in the session: {minutes}",
            where=job.url,
            fix=f"a longer session: `{again('--hours', 12)}`; or a shorter recipe",
        )
    else:
        left = "its predictions are left" if progress.is_finished else f"{progress} are trained and here"
        log.info(f"the session of {run.name} has ended in time: {left}; to go on: `{TYPED}`")
    return HostedRun(run.name, run, result.ended == DONE)

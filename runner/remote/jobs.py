"""What is on the host of a competition's runs: listed, followed, fetched, cancelled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from runner.console import log
from runner.errors import HostError, UsageError
from runner.hosts.notebooks import PushedKernel
from runner.hosts.open_host import open_notebooks
from runner.remote.job import RemoteJob, job_file, read_jobs, write_job
from runner.remote.result import RESULT, SUBMISSION
from runner.remote.sessions import Remote
from runner.remote.train import HostedRun, bring_back, hold_job, kernel_of
from runner.session import Session
from runner.workspace import remove_file


@dataclass(frozen=True)
class JobRow:
    """One kernel: a row of `runner COMPETITION remote`."""

    job: str
    state: str  # of its session, or fetched, or not sent
    version: int
    accelerator: str
    hours: float  # at most
    kernel: str
    url: str
    note: str  # why it failed


def list_jobs(session: Session, *, remote: Remote | None = None) -> list[JobRow]:
    """Every kernel that was sent from here, the newest first, with what the host says of it now."""
    jobs = read_jobs(session)
    remote = remote or Remote(open_notebooks(session.host))
    return [_row(job, remote) for job in reversed(jobs)]


def _row(job: RemoteJob, remote: Remote) -> JobRow:
    state, note = "not sent", ""
    if job.is_done:
        state = "fetched"
    elif job.version:
        try:
            told = remote.notebooks.fetch_kernel_state(job.kernel)
            state, note = told.status.value, told.failure
        except HostError as error:
            state, note = "unknown", error.message
    return JobRow(job.name, state, job.version, job.accelerator, job.hours, job.kernel, job.url, note)


def find_job(session: Session, name: str | None) -> RemoteJob:
    """The job of that name, or of that run; without a name the only one that is not fetched yet."""
    jobs = read_jobs(session)
    found = [job for job in jobs if name in (None, job.run, job.name)]
    waiting = [job for job in found if not job.is_done]
    chosen = waiting if len(waiting) == 1 or name is None else [job for job in found if job.name == name]
    if len(found) == 1 and name is not None:
        chosen = found
    if len(chosen) == 1:
        return chosen[0]
    names = [job.name for job in (waiting or found or jobs)]
    if not names:
        raise UsageError("nothing was sent to the host from here", fix=session.command("train", "--on", "kaggle"))
    raise UsageError(
        "nothing is left to be fetched" if name is None and not waiting else _which(name, found),
        where=session.workspace.remote_dir(session.name),
        fix=f"name one of {', '.join(names)}; `{session.command('remote')}` lists them",
    )


def _which(name: str | None, found: list[RemoteJob]) -> str:
    return "several jobs are meant" if found else f"there is no job {name!r}"


def follow_job(session: Session, job: RemoteJob, *, remote: Remote | None = None) -> HostedRun | None:
    """Show the log until the session ends; a training then comes back."""
    remote = _remote_of(session, job, remote)
    with hold_job(session, job):
        if job.is_training:
            return bring_back(session, job, remote)
        pushed = PushedKernel(job.kernel, job.version, job.url)
        remote.require_complete(pushed, remote.follow(kernel_of(session, job), pushed))
    log.info(f"{job.kernel} has ended well; to submit it: `{session.command('submit', job.run)}`")
    return None


def fetch_job(session: Session, job: RemoteJob, *, remote: Remote | None = None) -> HostedRun | Path:
    """Bring a training that has ended back; of a prediction the folder with its files."""
    remote = _remote_of(session, job, remote)
    state = remote.notebooks.fetch_kernel_state(job.kernel)
    if not state.status.is_over:
        raise HostError(
            f"{job.kernel} is {state.status.value}",
            where=job.url,
            fix=f"to wait for its end: `{session.command('remote', 'follow', job.name)}`",
        )
    with hold_job(session, job):
        if job.is_training:
            return bring_back(session, job, remote)
        folder = session.workspace.remote_dir(session.name) / job.run / "output"
        remote.fetch(job.kernel, (RESULT, SUBMISSION), folder)
        return folder


def cancel_job(session: Session, job: RemoteJob, *, remote: Remote | None = None) -> None:
    """End the session on the host; what was never sent is forgotten."""
    if not job.version:
        remove_file(job_file(session, job.kind, job.run))
        log.info(f"{job.name} was not sent yet, and is forgotten")
        return
    remote = _remote_of(session, job, remote)
    state = remote.notebooks.fetch_kernel_state(job.kernel)
    if state.status.is_over:
        log.info(f"{job.kernel} has ended already: {state.status.value}")
        return
    remote.notebooks.cancel_kernel(PushedKernel(job.kernel, job.version, job.url))
    write_job(session, replace(job, failed=job.version))
    log.info(f"{job.kernel} is cancelled; the command that began it sends it again")


def _remote_of(session: Session, job: RemoteJob, remote: Remote | None) -> Remote:
    """The host's notebooks; a UsageError if there is nothing to ask it about."""
    if job.is_done:
        raise UsageError(
            f"{job.run} is fetched already",
            where=session.workspace.run_dir(session.name, job.run),
            fix=session.command("runs"),
        )
    if not job.version:
        raise UsageError(
            f"{job.name} was not sent yet: its command was ended before that",
            where=job_file(session, job.kind, job.run),
            fix=f"call that command again, or forget it: `{session.command('remote', 'cancel', job.name)}`",
        )
    return remote or Remote(open_notebooks(session.host))

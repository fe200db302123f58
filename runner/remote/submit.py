"""Submit a run where only notebooks may: its package as a dataset, a kernel that predicts, a code submission.

Each step finds what the one before has left on the host, so the same command goes on after a kill: the dataset's file
and the script have the package's digest in them, the submission's description that of the script.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from runner.commands import TYPED
from runner.console import log
from runner.errors import HostError
from runner.hosts.credentials import find_credentials
from runner.hosts.notebooks import Kernel, PushedKernel
from runner.hosts.open_host import open_notebooks
from runner.hosts.practice_notebooks import OWNER
from runner.hosts.submit import SubmitResult, require_open
from runner.locks import hold
from runner.options import NotebookOptions, SubmitOptions
from runner.prediction.submission import check_submission
from runner.remote.estimate import measure_inference
from runner.remote.infer import InferenceResult
from runner.remote.job import PREDICT, RemoteJob, read_job, remote_name, write_job
from runner.remote.package import Package, build_package
from runner.remote.result import RESULT, RESULT_FORMAT, SUBMISSION
from runner.remote.script import write_script
from runner.remote.sessions import Remote
from runner.session import Session
from runner.steps.submit import require_current, run_info_of, submitter_of
from runner.training.run import Run
from runner.workspace import read_record, write_json, write_text

_RERUN_SECONDS = 12 * 3600.0  # until the score of a rerun is there
_SPARE = 600  # seconds before the session's end at which prediction stops


@dataclass(frozen=True)
class Prepared:
    """Everything that is sent, as files on this disk."""

    package: Package
    kernel: Kernel
    dataset: str
    folder: Path


def owner_here(session: Session) -> str:
    """Whose name a dry run writes, without asking the host: the account's, if its credentials name it."""
    if session.host_name == "practice":
        return OWNER
    used = find_credentials().used
    return used.username if used and used.username else "USERNAME"


def prepare(session: Session, run: Run, owner: str, options: NotebookOptions = NotebookOptions()) -> Prepared:
    """Write package and script into `remote/`, with the files that the official command needs to push them."""
    require_current(session, run)
    folder = session.workspace.remote_dir(session.name) / run.name
    package = build_package(session, run, folder / "dataset")
    for old in package.path.parent.glob("package-*"):
        if old != package.path:
            old.unlink()
    name = remote_name(session.name, run.name)
    title = remote_name(session.name, run.name, PREDICT)
    seconds = int(options.hours * 3600)
    script = write_script(
        f"{run.name}: predict {session.competition.title}",
        "runner.remote.infer",
        package.digest,
        {"seconds": max(seconds - _SPARE, seconds // 2)},
        content=package.content,
    )
    kernel = Kernel(
        ref=f"{owner}/{title}",
        title=title,
        source=script,
        competition=session.competition.slug,
        datasets=(f"{owner}/{name}",),
        accelerator=options.accelerator or "",
        timeout=seconds,
    )
    prepared = Prepared(package, kernel, f"{owner}/{name}", folder)
    _write_by_hand(prepared)
    write_text(session.notebook_file(run.name), script)
    return prepared


def submit_notebook(
    session: Session,
    run: Run,
    options: SubmitOptions = SubmitOptions(),
    notebook: NotebookOptions = NotebookOptions(),
    *,
    remote: Remote | None = None,
) -> SubmitResult:
    """The result of submitting a run by a notebook; nothing is uploaded, pushed or submitted twice."""
    require_open(session.host, session.competition, by_notebook=True)
    notebooks = open_notebooks(session.host)
    remote = remote or Remote(notebooks)
    lock = session.workspace.remote_dir(session.name) / f".{run.name}.lock"
    with hold(lock, session.command("submit", run.name), what=f"the notebook of {run.name}", fix=f"later: `{TYPED}`"):
        prepared = prepare(session, run, notebooks.fetch_username(), notebook)

        submitter = replace(submitter_of(session), score_timeout=_RERUN_SECONDS, sleep=remote.sleep)
        script = session.notebook_file(run.name)
        if options.resubmit or not submitter.has_submitted(script):  # else no kernel runs for nothing
            _tell_estimate(session, run, notebook)
            pushed = _run_kernel(session, run, prepared, remote)
            _check_output(session, prepared, pushed, remote, notebook)
            send = partial(notebooks.submit_kernel, session.competition.slug, pushed, SUBMISSION)
            submitter = replace(submitter, send_notebook=send)
        else:
            submitter = replace(submitter, send_notebook=_already_sent)
        info = run_info_of(run, session.workspace.root)
        return submitter.submit(script, info, options)


def _already_sent(_message: str) -> str:
    raise HostError("the host no longer lists the submission that it has just listed", fix=f"`{TYPED}`")


def _run_kernel(session: Session, run: Run, prepared: Prepared, remote: Remote) -> PushedKernel:
    """The version that has run this package to its end."""
    digest = prepared.package.digest
    remote.upload(prepared.dataset, prepared.package)
    known = read_job(session, PREDICT, run.name)
    job = RemoteJob(PREDICT, run.name, digest, prepared.dataset, prepared.kernel.ref)
    if known is not None and known.digest == digest:
        job = known
    write_job(session, job)
    pushed = remote.push(prepared.kernel, failed=job.failed, url=job.url)
    job = replace(job, version=pushed.version, url=pushed.url, failed=0)
    write_job(session, job)
    state = remote.follow(prepared.kernel, pushed)
    try:
        remote.require_complete(pushed, state)
    except HostError:
        write_job(session, replace(job, failed=pushed.version))
        raise
    return pushed


def _check_output(
    session: Session, prepared: Prepared, pushed: PushedKernel, remote: Remote, options: NotebookOptions
) -> None:
    """Refuse an output of another package, and one that the host would reject for its form."""
    files = remote.fetch(pushed.ref, (RESULT, SUBMISSION), prepared.folder / "output")
    result = read_record(files[RESULT], InferenceResult, format=RESULT_FORMAT, fix=f"{TYPED}", name="runner.json")
    if result.digest != prepared.package.digest:
        raise HostError(
            f"the output of {pushed.ref} is of another package: {result.digest[:12]}, "
            f"not {prepared.package.digest[:12]}",
            where=pushed.url,
            fix=f"the host still shows an older version: later, `{TYPED}`",
        )
    check_submission(session.submission_format, files[SUBMISSION], session.index.classes)
    speed = result.images / result.seconds if result.seconds else 0.0
    log.info(
        f"the public test set is predicted: {result.rows:,} ids in {result.seconds:.0f} s, {result.defaults:,} by the "
        f"class frequencies; {options.hours:g} h are enough for {speed * options.hours * 3600:,.0f} images"
    )


def _tell_estimate(session: Session, run: Run, options: NotebookOptions) -> None:
    """Say before anything is pushed how long inference takes, measured here."""
    seconds = measure_inference(session, run)
    if seconds is None:
        return
    most = options.hours * 3600 / seconds
    log.info(
        f"inference takes {1000 * seconds:.0f} s per 1,000 images on this machine: "
        f"at that speed {options.hours:g} h are enough for {most:,.0f} images"
    )


def _write_by_hand(prepared: Prepared) -> None:
    """The files that the official command needs: `kaggle datasets create -p`, `kaggle kernels push -p`."""
    kernel = prepared.kernel
    dataset = {"id": prepared.dataset, "title": prepared.dataset.partition("/")[2], "licenses": [{"name": "unknown"}]}
    write_json(prepared.package.path.parent / "dataset-metadata.json", dataset)
    metadata = {
        "id": kernel.ref,
        "title": kernel.title,
        "code_file": "script.py",
        "language": "python",
        "kernel_type": "script",
        "is_private": True,
        "enable_internet": kernel.internet,
        "enable_gpu": bool(kernel.accelerator),
        "enable_tpu": False,
        **({"machine_shape": kernel.accelerator} if kernel.accelerator else {}),
        "dataset_sources": list(kernel.datasets),
        "competition_sources": [kernel.competition],
        "kernel_sources": [],
        "model_sources": [],
    }
    write_text(prepared.folder / "kernel" / "kernel-metadata.json", json.dumps(metadata, indent=2) + "\n")
    write_text(prepared.folder / "kernel" / "script.py", kernel.source)


def commands_by_hand(prepared: Prepared, slug: str, hours: float) -> list[str]:
    """The official commands that do what `submit` does, from the files that were prepared."""
    kernel = prepared.folder / "kernel"
    return [
        f"kaggle datasets create -p {prepared.package.path.parent}",
        f"kaggle datasets status {prepared.dataset}",
        f"kaggle kernels push -p {kernel} -t {int(hours * 3600)}",
        f"kaggle kernels status {prepared.kernel.ref}",
        f"kaggle competitions submit {slug} -k {prepared.kernel.ref} -v VERSION -f {SUBMISSION} -m TEXT",
    ]

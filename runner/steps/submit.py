"""Check a submission file once more, submit it, and write its line in the ledger."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

from runner.console import log
from runner.errors import RunnerError, UsageError
from runner.hosts.ledger import RunInfo, accepted_tags, file_tag, readable_entries, submission_sha256
from runner.hosts.protocol import Status, limit_error
from runner.hosts.send import KnownFile
from runner.hosts.submit import SubmitResult, Submitter
from runner.hosts.unconfirmed import read_unconfirmed
from runner.options import SubmitOptions
from runner.prediction.sources import predict_again, stale_reason, warn_if_stale
from runner.session import Session
from runner.steps.check import check
from runner.training.run import Run, find_run, find_runs, read_overview
from runner.workspace import read_json, remove_file, write_json

_BEST_FORMAT = 1  # of .best-COMPETITION-HOST.json
# The daily limit is new by then, and a person may want others.
_FORGET_BEST = timedelta(hours=24)


def find_submission(session: Session, what: str | None) -> Path | Run:
    """What is meant by a typed word: a file, a run, or without a word the newest run; what is missing is told."""
    if what is None:
        return find_run(session.workspace, session.name)
    path = Path(what).expanduser()
    if path.is_file():
        return path
    if path.is_dir() and path.parent.resolve() == session.workspace.runs_dir(session.name).resolve():
        what = path.name  # the folder of a run
    elif path.is_dir():
        raise UsageError("a folder is no submission file", where=path, fix="name the CSV in it, or a run")
    elif len(path.parts) > 1 or path.suffix or "/" in what:
        fix = f"name a CSV that is there, or a run: `{session.command('runs')}`"
        raise UsageError("there is no such submission file", where=path, fix=fix)
    return find_run(session.workspace, session.name, what)


def submit(session: Session, what: Path | Run, options: SubmitOptions = SubmitOptions()) -> SubmitResult:
    """The result of submitting a file, or a run's submission; no file is sent twice unless `options.resubmit`."""
    path = what if isinstance(what, Path) else session.submission_file(what.name)
    if not path.is_file():
        raise UsageError(
            "there is no such submission file",
            where=path,
            fix="name a FILE that exists" if isinstance(what, Path) else session.command("predict", "--run", what.name),
        )
    if isinstance(what, Run):
        require_current(session, what)
    check(session, path)
    run_info = RunInfo() if isinstance(what, Path) else run_info_of(what, session.workspace.root)
    return submitter_of(session).submit(path, run_info, options)


def refresh_standings(session: Session) -> None:
    """Fetch scores, submissions made elsewhere, and leaderboards; the ledger gets what it lacks."""
    submitter_of(session).refresh()


def submitter_of(session: Session) -> Submitter:
    """Submits this session's files, and writes its ledger."""
    return Submitter(
        session.host,
        session.competition,
        session.workspace.ledger_file,
        session.leaderboards_dir,
        find_files=lambda: _known_files(session),
    )


def _known_files(session: Session) -> dict[str, KnownFile]:
    """The submission files of the runs here, by file tag."""
    files = {}
    for run in find_runs(session.workspace, session.name):
        # A notebook's script is beside the file of the run that it predicts with.
        for path in (session.submission_file(run.name), session.notebook_file(run.name)):
            try:
                sha256, run_info = submission_sha256(path), run_info_of(run, None)
            except (RunnerError, OSError) as error:
                log.debug(f"{path.name} of run {run.name} is left out: {error}")
                continue
            files[file_tag(sha256)] = KnownFile(sha256, run_info)
    return files


def require_current(session: Session, run: Run) -> None:
    """Raise a RunnerError if the run's submission is older than what it was made from."""
    if reason := stale_reason(session.workspace, run):
        raise RunnerError(
            f"the submission of {run.name} is stale: {reason}",
            where=session.submission_file(run.name),
            fix=f"`{predict_again(session.workspace, run)}`; or, to submit it as it is: "
            f"`{session.command('submit', str(session.submission_file(run.name)))}`",
        )


def best_unsubmitted(session: Session, count: int) -> list[Run]:
    """At most `count` runs with the best CV whose submission the host does not have, within today's limit.

    A run that was refitted on all rows has the score of its refit: the refit alone is worth a submission.
    """
    submitted, runs = _submitted_tags(session), find_runs(session.workspace, session.name)
    refit_of = {original: run for run in runs if (original := _refitted(session, run))}
    scored = []
    for run in runs:
        path, overview = session.submission_file(run.name), read_overview(run)
        if overview.damage:
            log.warning(f"run {run.name} is left out: {overview.damage}")
        elif run.name in refit_of:
            log.debug(f"{run.name} is left out: {refit_of[run.name].name} refits it on all rows")
        elif overview.cv and stale_reason(session.workspace, run):
            warn_if_stale(session.workspace, run)
        elif overview.cv and path.is_file() and not _tags_of(session, run) & submitted:
            scored.append((overview.cv["value"], run))
    scored.sort(key=lambda pair: session.competition.metric.sort_key(pair[0]))
    limits = session.host.fetch_limits(session.competition.slug)
    if scored and limits.left_today <= 0:
        raise limit_error(session.competition, limits, session.host.now())
    return [run for _, run in scored[: min(count, limits.left_today)]]


def _refitted(session: Session, run: Run) -> str | None:
    """The run that this one refits, if it has a submission that is not stale."""
    try:
        original = run.read_refit_of()
        has_submission = run.read_score() is not None and session.submission_file(run.name).is_file()
        return original if has_submission and not stale_reason(session.workspace, run) else None
    except (RunnerError, OSError):
        return None  # `read_overview` tells the damage


def begin_best(session: Session, count: int) -> list[Run]:
    """The runs that `--best` submits: those of `best_unsubmitted`, less what a command that did not end has sent.

    What is chosen is kept until `end_best`: the same command again would else send more than it was asked to.
    """
    sent = _sent_by_begun_best(session, count)
    if sent:
        log.info(f"going on: an earlier --best {count} has sent {', '.join(run.name for run in sent)}")
    left = count - len(sent)
    others = best_unsubmitted(session, count) if left else []
    runs = [*sent, *[run for run in others if run not in sent][:left]]
    chosen = {"count": count, "runs": [run.name for run in runs], "time": datetime.now(UTC).isoformat()}
    write_json(_best_file(session), chosen, format=_BEST_FORMAT)
    return runs


def end_best(session: Session) -> None:
    """All that `--best` chose is submitted: the next one chooses again."""
    remove_file(_best_file(session))


def _sent_by_begun_best(session: Session, count: int) -> list[Run]:
    """What an earlier `--best` of so many may have submitted since yesterday without reaching its end."""
    path = _best_file(session)
    if not path.exists():
        return []
    try:
        chosen = read_json(path, format=_BEST_FORMAT)
        is_old = datetime.now(UTC) - datetime.fromisoformat(chosen["time"]) > _FORGET_BEST
        names = [] if is_old or chosen["count"] != count else [str(name) for name in chosen["runs"]]
    except (RunnerError, KeyError, TypeError, ValueError) as error:
        log.warning(f"what an earlier --best has chosen cannot be read: {error}")
        return []
    begun = read_unconfirmed(path.parent, session.name, session.host.name)
    sent = _submitted_tags(session) | {unconfirmed.entry.tag for unconfirmed in begun}
    runs = find_runs(session.workspace, session.name)
    return [run for run in runs if run.name in names and _tags_of(session, run) & sent]


def _best_file(session: Session) -> Path:
    folder = session.workspace.ledger_file.parent
    return folder / f".best-{session.name}-{session.host.name}.json"


def _tags_of(session: Session, run: Run) -> set[str]:
    """The tags of what is submitted of a run: its file, or the script that predicts with it."""
    files = (session.submission_file(run.name), session.notebook_file(run.name))
    return {file_tag(submission_sha256(path)) for path in files if path.is_file()}


def _submitted_tags(session: Session) -> set[str]:
    """The files that host or ledger have as submitted, by their tags."""
    submissions = session.host.fetch_submissions(session.competition.slug)
    return accepted_tags(submissions) | _recorded_tags(
        session, rejected={entry.ref for entry in submissions if entry.status is Status.ERROR}
    )


def _recorded_tags(session: Session, rejected: set[str]) -> set[str]:
    """The files that the ledger has as submitted, by their tags."""
    refresh = session.command("standings", "--refresh")
    entries = readable_entries(session.workspace.ledger_file, session.name, refresh=refresh)
    is_kept = session.host.keeps_submissions
    return {
        entry.tag
        for entry in entries
        if is_kept and entry.host == session.host.name and entry.status != Status.ERROR.value
        if entry.ref not in rejected
    }


def run_info_of(run: Run, workspace_root: Path | None) -> RunInfo:
    """What the ledger keeps of a run; without a folder the commit is left out."""
    score = run.read_score()
    cv = score["cv"] if score else None
    return RunInfo(
        run=run.name,
        recipe=run.summary,
        commit=_git_commit(workspace_root) if workspace_root else "",
        cv=f"{cv['value']:.6g}" if cv else "",
        cv_error=f"{cv['error']:.2g}" if cv else "",
    )


def _git_commit(folder: Path) -> str:
    """The short hash of the commit that the folder is at; empty outside a repository."""
    if not folder.is_dir():
        return ""
    command = ["git", "rev-parse", "--short", "HEAD"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else ""

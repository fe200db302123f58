"""Which way a submission goes: as a file, or by a notebook where only notebooks may submit."""

from __future__ import annotations

from pathlib import Path

from runner.hosts.submit import SubmitResult, needs_notebook
from runner.options import NotebookOptions, SubmitOptions
from runner.session import Session
from runner.steps.submit import require_current, submit
from runner.training.run import Run


def takes_notebooks(session: Session) -> bool:
    """Whether only notebooks may submit."""
    info = session.host.fetch_info(session.competition.slug)
    return needs_notebook(session.host, session.competition, info)


def submit_file_or_notebook(
    session: Session, what: Path | Run, options: SubmitOptions, notebook: NotebookOptions = NotebookOptions()
) -> SubmitResult:
    """Submit a file, or a run's file; a run by a notebook where only notebooks may submit."""
    if isinstance(what, Run):
        require_current(session, what)  # before the host is asked anything
        if takes_notebooks(session):
            from runner.remote.submit import submit_notebook  # torch, which a file does not need

            return submit_notebook(session, what, options, notebook)
    return submit(session, what, options)

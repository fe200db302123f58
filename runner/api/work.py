"""What commands do, as functions of the session and the parsed keywords: shared by sessions and runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runner.api.calls import was_given
from runner.api.results import Report, Submitted
from runner.cli.options import read_compute, read_notebook_options, read_predict_options
from runner.options import SubmitOptions
from runner.session import Session

if TYPE_CHECKING:
    from runner.training.run import Run

AnySession = TypeVar("AnySession", bound=Session)

_COMPUTE = {"device": "device", "workers": "workers", "cache_gb": "cache_bytes", "compile": "compile"}
_READ_ONCE = ("index", "host", "submission_format")


def with_compute(session: AnySession, context: click.Context) -> AnySession:
    """The session with the device and workers that a call names; what it has read already is not read again."""
    given = [field for name, field in _COMPUTE.items() if name in context.params and was_given(context, name)]
    if not given:
        return session
    chosen = read_compute(context.params)
    other = replace(session, compute=replace(session.compute, **{name: getattr(chosen, name) for name in given}))
    other.__dict__.update({name: session.__dict__[name] for name in _READ_ONCE if name in session.__dict__})
    return other


def forget(session: Session) -> None:
    """Read index and sample submission again when they are next needed: the data may be another now."""
    for name in ("index", "submission_format"):
        session.__dict__.pop(name, None)


def predict(session: Session, run: Run, context: click.Context) -> Path:
    """The path of the run's submission."""
    from runner.steps.predict import predict as predict_run

    return predict_run(with_compute(session, context), run, read_predict_options(context.params))


def predict_other_images(session: Session, run: Run, images: str, out: Path | None) -> Any:
    """A DataFrame of the predictions of a folder or pattern of images; the path of the file, if one is named."""
    from runner.api.tables import image_predictions_table
    from runner.steps.predict_images import predict_any, write_image_predictions

    if out is None:
        return image_predictions_table(list(predict_any(session, run, images)))
    write_image_predictions(session, run, images, out)
    return out


def submit(session: Session, what: Path | Run, context: click.Context) -> Submitted:
    """The submission of a file or a run."""
    from runner.remote.route import submit_file_or_notebook

    options = read_submit_options(context.params)
    return Submitted(submit_file_or_notebook(session, what, options, read_notebook_options(context.params)))


def read_submit_options(values: dict[str, Any]) -> SubmitOptions:
    """How to submit, from the keywords."""
    return SubmitOptions(values["message"], wait=not values["no_wait"], resubmit=values["resubmit"])


def report(session: Session, run: Run) -> Report:
    """The written page of a run."""
    from runner.report.run.page import write_report

    written = write_report(session, run)
    return Report(session, written.path, written)

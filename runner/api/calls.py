"""A call of a session: its keywords are read, its errors are told in its own words, its progress has one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from runner.api.keywords import Call
from runner.console import complete_commands_by
from runner.errors import Interrupted, RunnerError
from runner.full_disk import full_disk_error, full_disk_reason
from runner.notebook import output_area
from runner.session import Session

_active: list[Call] = []


@contextmanager
def calling(session: Session, command: str, *arguments: Any, **keywords: Any) -> Iterator[click.Context]:
    """The parsed context of the command for the block that does its work."""
    call = Call(session, command, arguments, keywords)
    with explained(call), output_area():
        try:
            with call.parse() as context:
                yield context
        except click.ClickException as error:
            raise call.usage_error(error) from None


@contextmanager
def explained(call: Call) -> Iterator[None]:
    """Within the block commands in messages and errors are written as calls; those of the outermost call."""
    if _active:
        yield
        return
    _active.append(call)
    before = complete_commands_by(call.as_call)
    try:
        yield
    except RunnerError as error:
        _translate(error, call)
        raise
    except Interrupted as error:
        if error.is_kept:
            error.args = (f"{error}; the same call goes on with it",)
        raise
    except OSError as error:
        if reason := full_disk_reason(error):
            full = full_disk_error(reason, error.filename)
            _translate(full, call)
            raise full from error
        raise
    finally:
        complete_commands_by(before)
        _active.remove(call)


def _translate(error: RunnerError, call: Call) -> None:
    error.message = call.translate(error.message)
    error.fix = call.translate(error.fix) if error.fix else None
    error.args = (str(error),)


def was_given(context: click.Context, name: str) -> bool:
    """Whether a parameter was written in the call."""
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE

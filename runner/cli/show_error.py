"""Errors as the command line shows them: one style for ours, click's and the system's, as text or as JSON."""

from __future__ import annotations

import difflib
import json
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import click

from runner.cli.invocation import Invocation, names
from runner.commands import again, complete_commands, split_commands
from runner.errors import RunnerError
from runner.full_disk import full_disk_error, full_disk_reason

WIDTH = 80  # columns of a message; paths and commands are never broken

_FORBIDDEN, _READ_ONLY = 13, 30
_OS_FIXES = {
    _FORBIDDEN: "change the permissions of that path, then: `...`",
    _READ_ONLY: "choose a folder that can be written with --workspace",
}


@dataclass(frozen=True)
class ShownError:
    """What a user is told: what is wrong, where, and what to type or do next."""

    error: str
    where: str | None = None
    fix: str | None = None

    def as_json(self, invocation: Invocation) -> str:
        """One JSON object; the fix as the text shows it."""
        fix = self.fix and complete_commands(self.fix, invocation.complete)
        error = complete_commands(self.error, invocation.complete)
        return json.dumps({"error": error, "where": self.where, "fix": fix}, indent=2, ensure_ascii=False)

    def as_text(self, invocation: Invocation, label: str = "error:") -> str:
        """Lines of at most 80 columns, but for the place and the commands: these have lines of their own, to paste."""
        first, *rest = complete_commands(self.error, invocation.complete).splitlines() or [""]
        lines = [*_wrapped(f"{label} {first}"), *rest]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.fix:
            lines += _fix_lines(self.fix, invocation)
        return "\n".join(lines)


def explain(error: Exception, invocation: Invocation) -> ShownError:
    """The error in our words, whatever raised it."""
    if isinstance(error, RunnerError):
        return ShownError(error.message, error.where, error.fix)
    if isinstance(error, click.ClickException):
        return _explain_usage(error, invocation)
    if isinstance(error, OSError):
        if reason := full_disk_reason(error):
            return explain(full_disk_error(reason, error.filename), invocation)
        where = None if error.filename is None else str(error.filename)
        fix = _OS_FIXES.get(error.errno or 0)
        return ShownError(f"the operating system reports: {error.strerror or error}", where, fix)
    message = f"a bug in the runner: {type(error).__name__}: {error}"
    return ShownError(message, fix="report it with its traceback: `... -v`")


def _fix_lines(fix: str, invocation: Invocation) -> Iterator[str]:
    """`  fix: ` and the text; a command has a line of its own, unless the fix is one command."""
    parts = list(split_commands(fix))
    if len(parts) == 1 and parts[0].is_command:
        yield f"  fix: {invocation.complete(parts[0].text)}"
        return
    label = "  fix: "
    for part in parts:
        if part.is_command:
            yield f"{label if label.strip() else '    '}{invocation.complete(part.text)}"
        elif text := part.text.strip(" ,;."):
            yield from _wrapped(f"{label}{text}")
        label = "    "


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(
        line, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    ) or [line]


# --- wrong usage, as click finds it ---------------------------------------------------------------


def _explain_usage(error: click.ClickException, invocation: Invocation) -> ShownError:
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "runner"
    all_flags = f"{path} --help"
    if isinstance(error, click.NoSuchOption):
        near = error.possibilities[0] if error.possibilities else None
        fix = near and _typed_with(invocation, error.option_name, near)
        return ShownError(f"there is no flag {error.option_name}", path, fix or all_flags)
    if isinstance(error, click.MissingParameter):
        return ShownError(f"{_name(error.param, error.ctx)} is missing", path, all_flags)
    if isinstance(error, click.BadParameter):
        return _explain_value(error, path, all_flags)
    message = error.format_message().removesuffix(".")
    return ShownError(message[:1].lower() + message[1:], path, all_flags)


def _explain_value(error: click.BadParameter, path: str, all_flags: str) -> ShownError:
    """A value that its flag or argument does not take, with the nearest that it does, if one is near."""
    name, message = _name(error.param, error.ctx), error.message.removesuffix(".")
    fix = getattr(error, "fix", None)
    if fix is None and error.param and isinstance(error.param.type, click.Choice) and "'" in message:
        choices = [str(choice) for choice in error.param.type.choices]
        near = difflib.get_close_matches(message.split("'")[1].lower(), choices, n=1, cutoff=0.5)
        fix = again(name, near[0]) if near else None
    message = _plain_number(message, error.param)
    return ShownError(f"{name}: {message}" if name else message, path, fix or all_flags)


def _plain_number(message: str, parameter: click.Parameter | None) -> str:
    """click's messages about numbers in plain words, with the limits."""
    kind = parameter.type if parameter else None
    if isinstance(kind, click.IntRange | click.FloatRange) and " is not in the range " in message:
        value = message.partition(" is not in")[0]
        least = f"{'above' if kind.min_open else 'at least'} {kind.min}" if kind.min is not None else ""
        most = f"{'below' if kind.max_open else 'at most'} {kind.max}" if kind.max is not None else ""
        return f"{value}: must be {' and '.join(filter(None, (least, most)))}"
    message = re.sub(r"is not a valid int(eger)?( range)?", "is not a whole number", message)
    return re.sub(r"is not a valid float( range)?", "is not a number, such as 0.2 (without a unit)", message)


def _name(parameter: click.Parameter | None, context: click.Context | None) -> str:
    """How a parameter is typed: `--size`, or FILE."""
    if isinstance(parameter, click.Option):
        return next((name for name in parameter.opts if name.startswith("--")), parameter.opts[0])
    if parameter is None or context is None:
        return ""
    return parameter.make_metavar(context)


def _typed_with(invocation: Invocation, wrong: str, right: str) -> str:
    """The typed command with one flag corrected; a value behind "=" stays."""
    words = [right + word[len(wrong) :] if names([word], wrong) else word for word in invocation.words]
    return shlex.join(["runner", *words])

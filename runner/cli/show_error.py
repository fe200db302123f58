"""Errors as the command line shows them: one style for ours, click's and the system's, as text or as JSON."""

from __future__ import annotations

import difflib
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import click

from runner.cli.invocation import Invocation, names
from runner.cli.nearest_value import SYNONYMS, nearest_value
from runner.cli.wrong_usage import EmptyValue, ExtraWords, FlagConflict, UnusedFlags
from runner.commands import again, command, complete_commands, split_commands, wrap
from runner.errors import RunnerError
from runner.full_disk import full_disk_error, full_disk_reason

_NEAR_FLAG = 0.7  # how alike a flag must be to be suggested
_LETTER = len("-x")
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
        lines = [wrap(f"{label} {complete_commands(self.error, invocation.complete)}")]
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
            yield wrap(f"{label}{text}")
        label = "    "


# --- wrong usage, as click finds it ---------------------------------------------------------------


def _explain_usage(error: click.ClickException, invocation: Invocation) -> ShownError:
    path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "runner"
    all_flags = f"{path} --help"
    if isinstance(error, click.NoSuchOption):
        return _explain_flag(error, invocation, path, all_flags)
    if fix := _corrected(error, invocation):
        return ShownError(error.format_message(), path, fix)
    if isinstance(error, click.BadOptionUsage):
        return _explain_missing_value(error, invocation, path, all_flags)
    if isinstance(error, click.MissingParameter):
        if error.param and error.param.name == "names" and error.ctx and error.ctx.parent:
            all_flags = command(error.ctx.parent.info_name, "runs")
        return ShownError(f"{_name(error.param, error.ctx)} is missing", path, all_flags)
    if isinstance(error, click.BadParameter):
        return _explain_value(error, path, all_flags, invocation)
    message = error.format_message().removesuffix(".")
    return ShownError(message[:1].lower() + message[1:], path, all_flags)


def _corrected(error: click.ClickException, invocation: Invocation) -> str | None:
    """The typed command without what it has no use for."""
    if isinstance(error, ExtraWords):
        return invocation.without(words=error.words, then=error.flags)
    if isinstance(error, UnusedFlags):
        return invocation.without(*error.flags)
    if isinstance(error, FlagConflict):
        words = [] if all(name.startswith("-") for name in error.excluded) else _argument_values(error.ctx)
        first, second = invocation.without(*error.excluded, words=words), invocation.without(error.flag)
        return f"`{first}` or: `{second}`"
    return None


def _explain_missing_value(
    error: click.BadOptionUsage, invocation: Invocation, path: str, all_flags: str
) -> ShownError:
    """A flag without its value, or with one that it does not take."""
    name = error.option_name
    option = next((each for each in invocation.options if name in each.opts), None)
    if option is None or not option.is_flag:
        form = f": {option.make_metavar(error.ctx)}" if option and error.ctx else ""
        return ShownError(f"{name} needs a value{form}", path, all_flags)
    words = [name if word.startswith(f"{name}=") else word for word in invocation.words]
    return ShownError(f"{name} takes no value", path, shlex.join(["runner", *words]))


def _argument_values(context: click.Context | None) -> list[str]:
    """The words that were typed for the arguments of a command."""
    if context is None:
        return []
    given = [context.params.get(str(each.name)) for each in context.command.params if isinstance(each, click.Argument)]
    return [str(word) for value in given if value for word in (value if isinstance(value, tuple) else (value,))]


def _explain_value(error: click.BadParameter, path: str, all_flags: str, invocation: Invocation) -> ShownError:
    """A value that its flag or argument does not take, with the nearest that it does, if one is near."""
    name, message = _name(error.param, error.ctx), error.message.removesuffix(".")
    fix = getattr(error, "fix", None)
    if isinstance(error, EmptyValue):
        is_flag = isinstance(error.param, click.Option)
        fix = f"name one, or leave it out: `{invocation.without(name) if is_flag else invocation.without(words=[''])}`"
    elif fix is None and isinstance(error.param, click.Option):
        typed = next(filter(None, map(invocation.typed, error.param.opts)), None)
        near = typed and nearest_value(typed, error.param, error.ctx)
        fix = again(name, near) if near else None
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
    message = re.sub(r"^(Directory|Path|File) '(.*)' is a file", r"'\2' is a file, not a folder", message)
    message = re.sub(r"is not a valid int(eger)?( range)?", "is not a whole number", message)
    return re.sub(r"is not a valid float( range)?", "is not a number, such as 0.2 (without a unit)", message)


def _name(parameter: click.Parameter | None, context: click.Context | None) -> str:
    """How a parameter is typed: `--size`, or FILE."""
    if isinstance(parameter, click.Option):
        return next((name for name in parameter.opts if name.startswith("--")), parameter.opts[0])
    if parameter is None or context is None:
        return ""
    return parameter.make_metavar(context)


def _explain_flag(error: click.NoSuchOption, invocation: Invocation, path: str, all_flags: str) -> ShownError:
    """A flag that there is not: the nearest one, those of the opposite, or the commands that have it."""
    typed, long = _typed_flag(error, invocation)
    known = {each for option in invocation.options for each in option.opts if each.startswith("--")} | {"--help"}
    opposite = f"--{long.removeprefix('--no-')}" if long.startswith("--no-") else f"--no-{long[2:]}"
    meant = SYNONYMS.get(long, long)
    if opposite in known and meant not in known:
        message = f"there is no flag {typed}: that is so without {opposite}"
        return ShownError(message, path, _typed_without(invocation, typed))
    if elsewhere := invocation.commands_with(meant) if meant not in known else ():
        return ShownError(
            f"{path.split()[-1]} has no flag {typed}: it is one of {', '.join(elsewhere)}", path, all_flags
        )
    near = [meant] if meant in known else difflib.get_close_matches(long, known, n=1, cutoff=_NEAR_FLAG)
    suggests = near and len(typed) > _LETTER and not _lacks_value(invocation, typed, near[0])
    fix = _typed_with(invocation, typed, near[0]) if suggests else None
    return ShownError(f"there is no flag {typed}", path, fix or all_flags)


def _lacks_value(invocation: Invocation, typed: str, meant: str) -> bool:
    """Whether the flag that may be meant takes a value, and none follows: another one is meant, or it is not done."""
    takes_value = any(meant in option.opts and not option.is_flag for option in invocation.options)
    at = next((number for number, word in enumerate(invocation.words) if names([word], typed)), None)
    if not takes_value or at is None or "=" in invocation.words[at]:
        return False
    return at + 1 == len(invocation.words) or invocation.words[at + 1].startswith("--")


def _typed_flag(error: click.NoSuchOption, invocation: Invocation) -> tuple[str, str]:
    """The flag as it was typed, and as a long one; click takes `-lr` for `-l`."""
    name = error.option_name
    if not name.startswith("--"):
        name = next((word.partition("=")[0] for word in invocation.words if word.startswith(name)), name)
    return name, f"--{name.lstrip('-').replace('_', '-').lower()}"


def _typed_without(invocation: Invocation, flag: str) -> str:
    """The typed command without an unknown flag."""
    words = [word for word in invocation.words if not names([word], flag)]
    return shlex.join(["runner", *words])


def _typed_with(invocation: Invocation, wrong: str, right: str) -> str:
    """The typed command with one flag corrected; a value behind "=" stays."""
    words = [right + word[len(wrong) :] if names([word], wrong) else word for word in invocation.words]
    return shlex.join(["runner", *words])

"""Keywords of a call are the flags of a command, by the same names: parsed, checked and refused by the command itself.

`--epochs-scale 0.5` is `epochs_scale=0.5`, `--size 160,224` is `size=[160, 224]`, `--quick` is `quick=True`, and
`--no-pretrained` is `pretrained=False`.
"""

from __future__ import annotations

import difflib
import inspect
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from keyword import iskeyword
from pathlib import Path
from typing import Any

import click

from runner.cli.command_groups import CompetitionGroup, RootGroup
from runner.cli.global_options import GlobalOptions, global_parameters
from runner.cli.invocation import Invocation
from runner.cli.nearest_value import SYNONYMS
from runner.cli.show_error import explain
from runner.cli.value_types import LocalPath
from runner.commands import TYPED, split_commands
from runner.contract.backbone_args import write_argument
from runner.errors import RunnerError, UsageError
from runner.session import Session
from runner.training.run import Run

_GLOBAL = {parameter.name for parameter in global_parameters()}
# What a terminal alone needs, and what a notebook does instead.
_INSTEAD = {
    "open": "a notebook shows what is returned; its page is .path or .page",
    "figures": 'what is returned has its .figures: .figures["loss"].save("loss.svg")',
    "figure": "a notebook draws what is returned; the figure's file is .path",
    "watch": "call session.standings(refresh=True) again",
    "rename": "session.find_run(NAME).rename(NEW)",
    "annotate": "session.find_run(NAME).annotate(TEXT)",
    "delete": "session.find_run(NAME).delete()",
    "yes": "a call asks nothing",
}
_OF_TERMINALS = {"open_browser", "deleted", *_INSTEAD} - {"open", "delete"}
_FLAG = re.compile(r"(?<![\w-])--([a-z][a-z-]*[a-z])(?![\w-])")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_NEAR = 0.6


@cache
def find_command(name: str) -> click.Command:
    """The command of a competition, by its name: `find-lr`."""
    group = CompetitionGroup("any")
    found = group.get_command(click.Context(group), name)
    assert found is not None, name
    return found


def options_of(command: click.Command) -> dict[str, click.Option]:
    """The options of a command that a call takes, by keyword."""
    hidden = _GLOBAL | _OF_TERMINALS
    options = [each for each in command.params if isinstance(each, click.Option) and each.name not in hidden]
    return {keyword_of(option): option for option in options}


def keyword_of(option: click.Option) -> str:
    """How a call names an option."""
    name = _long_name(option).removeprefix("--").replace("-", "_")
    if _is_negative(option):
        name = name.removeprefix("no_")
    return str(option.name) if iskeyword(name) else name


def signature_of(name: str, first: Sequence[inspect.Parameter]) -> inspect.Signature:
    """The signature of the call of a command: what a notebook shows of it."""
    named = {parameter.name for parameter in first}
    keywords = [
        inspect.Parameter(keyword, inspect.Parameter.KEYWORD_ONLY, default=_default(option))
        for keyword, option in options_of(find_command(name)).items()
        if keyword not in named
    ]
    return inspect.Signature([*first, *keywords])


def keyword_lines(name: str) -> list[str]:
    """A line for each keyword of the call of a command, for its docstring."""
    return [
        f"{keyword}: {' '.join(_help(option).split())}" for keyword, option in options_of(find_command(name)).items()
    ]


def _help(option: click.Option) -> str:
    text = option.help or ""
    return in_words(f"False: {text[:1].lower()}{text[1:]}" if _is_negative(option) else text)


@dataclass(frozen=True)
class Call:
    """A call of a session as it was written."""

    session: Session
    command: str
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def parse(self) -> click.Context:
        """The context of the command with these values, converted and checked; else a click.ClickException."""
        root, options = _Root(self.session.name), _global_options(self.session)
        # With the root's settings: a command keeps the help option, -h too, that it had in its first context.
        parent = click.Context(root, info_name="runner", obj=options, **root.context_settings)
        group = click.Context(CompetitionGroup(self.session.name), info_name=self.session.name, parent=parent)
        return find_command(self.command).make_context(self.command, self._typed(), parent=group)

    def usage_error(self, error: click.ClickException) -> UsageError:
        """What the command line would say of wrong usage, in the words of a call."""
        words = [*_global_words(self.session), self.session.name, self.command, *self._typed()]
        invocation = Invocation(_Root(self.session.name), words, _global_options(self.session))
        shown = explain(error, invocation)
        return UsageError(self.translate(shown.error), fix=self.translate(shown.fix or "") or None)

    def _typed(self) -> list[str]:
        """The words behind the command."""
        for value in self.arguments:
            self._check_run(value)
        return [*map(_text, self.arguments), *self._words()]

    def _words(self) -> Iterator[str]:
        """The keywords as the words that would be typed."""
        known = options_of(find_command(self.command))
        for keyword, value in self.keywords.items():
            if keyword not in known:
                raise self._no_such_keyword(keyword, value, known)
            if value is not None:
                yield from self._flag(keyword, known[keyword], value)

    def _flag(self, keyword: str, option: click.Option, value: Any) -> Iterator[str]:
        name = _long_name(option)
        if option.is_flag:
            if not isinstance(value, bool):
                fix = self._written({**self.keywords, keyword: True})
                raise UsageError(f"{keyword}: {value!r:.80} is neither True nor False", fix=fix)
            if value is not _is_negative(option):
                yield name
        elif option.multiple:
            yield from (f"{name}={text}" for text in _several(value))
        else:
            self._check_run(value)
            text = _text(value)
            is_at_home = text.startswith("~") and isinstance(option.type, LocalPath | click.Path)
            yield f"{name}={Path(text).expanduser() if is_at_home else text}"

    def _check_run(self, value: Any) -> None:
        if isinstance(value, Run):
            check_run(self.session, value)

    def _no_such_keyword(self, keyword: str, value: Any, known: Mapping[str, click.Option]) -> UsageError:
        """The error of a keyword that there is not: the nearest one, or the calls that have it."""
        method = method_of(self.command)
        if keyword in _INSTEAD and any(each.name in _OF_TERMINALS for each in find_command(self.command).params):
            return UsageError(f"{method}() has no keyword {keyword!r}: it is for terminals", fix=_INSTEAD[keyword])
        flag = f"--{keyword.replace('_', '-')}"
        meant = _keyword_of_flag(SYNONYMS.get(flag, flag), known)
        opposite = keyword.removeprefix("no_")
        if opposite != keyword and opposite in known:
            value = not value if isinstance(value, bool) else value
            return UsageError(
                f"{method}() has no keyword {keyword!r}: it is {opposite}={value!r:.80}",
                fix=self._written(_renamed(self.keywords, keyword, opposite, value)),
            )
        elsewhere = _calls_with(keyword) if meant not in known else ()
        near = [meant] if meant in known else difflib.get_close_matches(keyword, known, n=1, cutoff=_NEAR)
        if elsewhere and not near:
            return UsageError(
                f"{method}() has no keyword {keyword!r}: it is one of {', '.join(f'{name}()' for name in elsewhere)}",
                fix=f"help(session.{method}) lists the keywords",
            )
        if not near:
            return UsageError(
                f"{method}() has no keyword {keyword!r}", fix=f"its keywords: {', '.join(known) or 'none'}"
            )
        return UsageError(
            f"{method}() has no keyword {keyword!r}; the nearest is {near[0]!r}",
            fix=self._written(_renamed(self.keywords, keyword, near[0], value)),
        )

    def translate(self, text: str) -> str:
        """A message of the command line for who calls from Python: its commands as calls, its flags as keywords."""
        parts = [self.as_call(part.text) if part.is_command else in_words(part.text) for part in split_commands(text)]
        return "".join(parts)

    def as_call(self, command: str) -> str:
        """A command as the call that does the same; as it is, with workspace and host, if there is none."""
        try:
            first, *words = shlex.split(command)
        except ValueError:
            return command
        if first == TYPED:
            return self._written({**self.keywords, **_read_words(find_command(self.command), words)[1]})
        rest = _without_globals(words, self.session)
        if words[-2:] == ["demo", self.session.name] and self.session.host_name == "practice":
            return "session.make_practice_data()"
        if rest and rest[0] in _ROOT_CALLS:
            return root_call(rest)
        if rest is None or len(rest) < 2 or rest[0] != self.session.name or rest[1] not in CompetitionGroup.table:
            return _completed(self.session, command)
        method = method_of(rest[1])
        if "--help" in rest:
            return f"help(session.{method})"
        try:
            arguments, keywords = _read_words(find_command(rest[1]), rest[2:])
        except click.ClickException:
            return _completed(self.session, command)
        return written(method, arguments, keywords)

    def _written(self, keywords: Mapping[str, Any]) -> str:
        return written(method_of(self.command), self.arguments, keywords)


class _Root(RootGroup):
    """`runner`, where a session's competition has commands even if it has no file."""

    def __init__(self, competition: str):
        super().__init__("runner")
        self._competition = competition

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The group of the session's competition, else what the command line has."""
        if cmd_name == self._competition:
            return CompetitionGroup(cmd_name)
        return super().get_command(ctx, cmd_name)


class _Code(str):
    """A text that is written into a call as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def check_run(session: Session, run: Run) -> None:
    """A UsageError if a run is not one of the session: its name alone could be that of another run."""
    own = session.workspace.run_dir(session.name, run.name)
    if run.folder.resolve() != own.resolve():
        raise UsageError(
            f"{run.name} is a run of another session",
            where=run.folder,
            fix="pass a run of this session: session.runs() lists them",
        )


def method_of(command: str) -> str:
    """The name of the call of a command: find_lr for find-lr."""
    return command.replace("-", "_")


def written(method: str, arguments: Iterable[Any], keywords: Mapping[str, Any]) -> str:
    """A call as it is written in a cell."""
    words = [*map(_shown, arguments), *(f"{name}={_shown(value)}" for name, value in keywords.items())]
    return f"session.{method}({', '.join(words)})"


def _shown(value: Any) -> str:
    if isinstance(value, Run):
        return repr(value.name)
    if isinstance(value, Path):
        return repr(str(value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return repr(value)


def in_words(text: str) -> str:
    """A text whose flags are written as keywords."""
    return _FLAG.sub(lambda match: _keyword_of_any(match[0]), text)


# The calls over all competitions, by command.
_ROOT_CALLS = {"list": "competitions", "doctor": "doctor", "board": "board", "demo": "demo"}


def root_call(words: Sequence[str]) -> str:
    """A command over all competitions as a call."""
    command, *names = (word for word in words if not word.startswith("-"))
    arguments = [repr(name) for name in names[:1]] if command in ("doctor", "demo") else []
    return f"runner.{_ROOT_CALLS[command]}({', '.join([*arguments, *(['all=True'] if command == 'list' else [])])})"


@contextmanager
def told_without_session() -> Iterator[None]:
    """Errors of a call that has no session yet, with calls in the place of commands and keywords in that of flags."""
    try:
        yield
    except RunnerError as error:
        error.message, error.fix = _without_session(error.message), error.fix and _without_session(error.fix)
        error.args = (str(error),)
        raise


def _without_session(text: str) -> str:
    parts = []
    for part in split_commands(text):
        words = part.text.split()[1:] if part.is_command else []
        parts.append(root_call(words) if words and words[0] in _ROOT_CALLS else in_words(part.text))
    return "".join(parts)


@cache
def _keyword_of_any(flag: str) -> str:
    """How a call writes a flag of any command; flags of other programs stay."""
    if flag in ("--workspace", "--host"):
        return flag.removeprefix("--")
    for name in CompetitionGroup.table:
        for keyword, option in options_of(find_command(name)).items():
            if flag in option.opts:
                return f"{keyword}={not _is_negative(option)}" if option.is_flag else keyword
    return flag


def _keyword_of_flag(flag: str, known: Mapping[str, click.Option]) -> str:
    return next((keyword for keyword, option in known.items() if flag in option.opts), "")


def _calls_with(keyword: str) -> tuple[str, ...]:
    return tuple(method_of(name) for name in CompetitionGroup.table if keyword in options_of(find_command(name)))


def _renamed(keywords: Mapping[str, Any], old: str, new: str, value: Any) -> dict[str, Any]:
    return {new if name == old else name: value if name == old else each for name, each in keywords.items()}


def _long_name(option: click.Option) -> str:
    return next((name for name in option.opts if name.startswith("--")), option.opts[0])


def _is_negative(option: click.Option) -> bool:
    return bool(option.is_flag) and _long_name(option).startswith("--no-")


def _default(option: click.Option) -> Any:
    if option.is_flag:
        return _is_negative(option)
    default = option.default
    return default if isinstance(default, str | int | float) else None


def _several(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [write_argument(str(name), each) for name, each in value.items()]
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]


def _text(value: Any) -> str:
    """A value as it would be typed."""
    if isinstance(value, Run):
        return value.name
    if isinstance(value, Enum):
        return str(value.value)
    if not isinstance(value, str) and isinstance(value, Iterable):
        return ",".join(map(_text, value))
    return str(value)


def _global_options(session: Session) -> GlobalOptions:
    return GlobalOptions(folder=str(_root(session)), host_name=session.host_name, competition_name=session.name)


def _root(session: Session) -> Path:
    return session.workspace.root.parent if session.workspace.host else session.workspace.root


def _global_words(session: Session) -> list[str]:
    folder = [] if session.workspace.is_default else ["--workspace", str(_root(session))]
    return [*folder, *(["--host", session.host_name] if session.host_name != "kaggle" else [])]


def _completed(session: Session, command: str) -> str:
    """A command with the session's workspace and host, to be pasted into a terminal."""
    root, options = _Root(session.name), _global_options(session)
    return Invocation(root, [*_global_words(session), session.name], options).complete(command)


def _without_globals(words: Sequence[str], session: Session) -> list[str] | None:
    """The words without workspace and host; None if they name others than the session's."""
    own = {"--workspace": str(_root(session)), "--host": session.host_name}
    rest, kept = list(words), []
    while rest:
        word = rest.pop(0)
        name, has_value, value = word.partition("=")
        if name in own:
            value = value if has_value else rest.pop(0) if rest else ""
            given = str(Path(value).expanduser().resolve()) if name == "--workspace" else value
            if given != own[name]:
                return None
        elif word not in ("-v", "--verbose", "-q", "--quiet", "--json"):
            kept.append(word)
    return kept


def _read_words(command: click.Command, words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments and keywords of typed words."""
    bare = click.Command(command.name, params=list(command.params))
    values, rest, _ = bare.make_parser(click.Context(bare)).parse_args(list(words))
    arguments: list[Any] = []
    for parameter in command.params:
        value = values.get(str(parameter.name))
        if isinstance(parameter, click.Argument) and isinstance(value, str | tuple) and value:
            arguments += [[*value]] if isinstance(value, tuple) else [value]
    options = options_of(command)
    keywords = {
        keyword: _literal_of(option, values[str(option.name)])
        for keyword, option in options.items()
        if isinstance(values.get(str(option.name)), str | bool | list | tuple)
    }
    return [*arguments, *rest], keywords


def _literal_of(option: click.Option, value: Any) -> Any:
    """A typed value as it is written in Python."""
    if option.is_flag:
        return not _is_negative(option)
    if option.multiple:
        return list(value)
    if isinstance(option.type, click.Path) or option.type is click.STRING:
        return value
    numbers = str(value).split(",")
    if not all(_NUMBER.fullmatch(number) for number in numbers):
        return value
    return _Code(f"[{', '.join(numbers)}]") if len(numbers) > 1 else _Code(value)

"""Commands inside texts: how a fix writes them, and how they are found and completed where the text is shown.

A text holds a command in one of two forms: between backticks, "then: `runner planet split`"; or as the whole text, or
the whole rest of a line behind "fix: ". A command begins with `runner`, or with `...`, which stands for the command
that was typed: "... --lr 0.001" is that command with this flag added or replaced. Whoever shows the text completes its
commands with what only it knows: workspace, host, the flags that were typed.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

TYPED = "..."  # stands for the command that was typed
WIDTH = 80  # columns of a message
Complete = Callable[[str], str]  # a command as a text has it -> the command to paste

_START = r"(?:runner|\.\.\.)(?= |$|`)"
_COMMAND = re.compile(rf"`(?P<quoted>{_START}[^`\n]*)`|^(?P<label>[ ]*fix: )?(?P<line>{_START}[^`\n]*)$", re.MULTILINE)


# Neither what stands between backticks is broken, nor a command behind a colon.
_WHOLE = re.compile(rf"`[^`\n]*`|^(?:[ ]*fix: )?{_START}[^`\n]*$|(?<=: ){_START}[^`;\n]*")


def command(*words: object) -> str:
    """A `runner` command, quoted for the shell."""
    return shlex.join(["runner", *map(_word, words)])


def again(*words: object) -> str:
    """The command that was typed, with these flags added or replaced."""
    return shlex.join([TYPED, *map(_word, words)])


def install_command(extra: str) -> str:
    """The command that installs what one of the package's extras needs."""
    return f"pip install 'competition-runner[{extra}]'"


def _word(word: object) -> str:
    return str(word).replace("`", "?")  # a backtick ends a command; no path that we write has one


@dataclass(frozen=True)
class Part:
    """A piece of a text: a command, or the words around it."""

    text: str
    is_command: bool


def split_commands(text: str) -> Iterator[Part]:
    """The pieces of a text in order, commands without their backticks."""
    end = 0
    for match in _COMMAND.finditer(text):
        group = "quoted" if match["quoted"] else "line"
        start = match.start() if group == "quoted" else match.start("line")
        if start > end:
            yield Part(text[end:start], is_command=False)
        yield Part(match[group], is_command=True)
        end = match.end()
    if end < len(text):
        yield Part(text[end:], is_command=False)


def complete_commands(text: str, complete: Complete) -> str:
    """The text with each of its commands completed; backticks stay where they are."""

    def replaced(match: re.Match[str]) -> str:
        if match["quoted"]:
            return f"`{complete(match['quoted'])}`"
        return f"{match['label'] or ''}{complete(match['line'])}"

    return _COMMAND.sub(replaced, text)


def wrap(text: str, width: int = WIDTH) -> str:
    """The text in lines of at most `width` columns; a path or a command is never broken."""
    return "\n".join(each for line in text.split("\n") for each in _wrapped(line, width))


def _wrapped(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    # A command, ours or another program's, is one word here: it is pasted.
    whole = _WHOLE.sub(lambda match: match[0].replace(" ", "\0"), line).replace(" %", "\0%")
    indent = " " * max(4, len(line) - len(line.lstrip()) + 2)
    lines = textwrap.wrap(
        whole,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        expand_tabs=False,
        replace_whitespace=False,
    )
    return [each.replace("\0", " ") for each in lines] or [line]

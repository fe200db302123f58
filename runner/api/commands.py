"""Calls that take the keywords of a command: their signature and their documentation are those of its flags."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from runner.api.keywords import keyword_lines, signature_of

Method = TypeVar("Method", bound=Callable[..., Any])

CALLS = "_command"  # the attribute of a method that names its command


def documented(command: str, *, without: Sequence[str] = ()) -> Callable[[Method], Method]:
    """A method that is called with the keywords of a command, `without` some; notebooks show and complete them."""

    def decorate(method: Method) -> Method:
        own = [
            parameter
            for parameter in inspect.signature(method).parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        full = signature_of(command, own)
        kept = [each for each in full.parameters.values() if each.name not in without]
        lines = [line for line in keyword_lines(command) if line.partition(":")[0] in {each.name for each in kept}]
        method.__signature__ = full.replace(parameters=kept)  # type: ignore[attr-defined]
        own_text = inspect.cleandoc(method.__doc__ or "")
        method.__doc__ = "\n".join([own_text, *(["", "Keywords:", *(f"  {line}" for line in lines)] if lines else [])])
        setattr(method, CALLS, command)
        return method

    return decorate

"""Typed words with dashes and quotes that a text program has changed: pasted from a page or a chat."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import click

from runner.errors import UsageError

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_QUOTES = "\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"


def check_typography(words: Sequence[str], options: Sequence[click.Option]) -> None:
    """A UsageError with the corrected command if a word is a flag with other dashes, or stands in other quotes."""
    flags = {name for option in options for name in option.opts}
    corrected = [_corrected(word, flags) for word in words]
    changed = [word for word, right in zip(words, corrected, strict=True) if word != right]
    if changed:
        raise UsageError(
            f"{changed[0]!r} has typographic dashes or quotes, which mean nothing to a shell",
            fix=shlex.join(["runner", *corrected]),
        )


def has_typography(words: Sequence[str]) -> bool:
    """Whether any word begins with such a dash or quote, or ends with such a quote."""
    return any(word[:1] in _DASHES + _QUOTES or word[-1:] in _QUOTES for word in words if word)


def _corrected(word: str, flags: set[str]) -> str:
    bare = word.strip(_QUOTES) or word
    name = bare.lstrip(_DASHES + "-")
    for flag in (f"--{name}", f"-{name}"):
        if bare[:1] in _DASHES and flag.partition("=")[0] in flags:
            return flag
    return bare

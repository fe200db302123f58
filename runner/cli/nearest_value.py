"""What was meant by a value that a flag does not take, and by a flag of another program."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from contextlib import suppress

import click

# Commands and flags of other programs of the field, and ours.
COMMAND_SYNONYMS = {
    "blend": "ensemble",
    "cv": "split",
    "diff": "compare",
    "eda": "explore",
    "eval": "predict",
    "evaluate": "predict",
    "fit": "train",
    "folds": "split",
    "get": "download",
    "infer": "predict",
    "inference": "predict",
    "kfold": "split",
    "leaderboard": "standings",
    "lr-find": "find-lr",
    "lr-finder": "find-lr",
    "ls": "runs",
    "prune": "clean",
    "pull": "download",
    "push": "submit",
    "resume": "train",
    "score": "standings",
    "scores": "standings",
    "send": "submit",
    "stack": "ensemble",
    "test": "predict",
    "upload": "submit",
    "validate": "check",
    "versus": "compare",
    "verify": "check",
    "vs": "compare",
}
SYNONYMS = {
    "--arch": "--backbone",
    "--architecture": "--backbone",
    "--bs": "--batch-size",
    "--checkpoint": "--weights",
    "--cv": "--folds",
    "--data": "--from",
    "--data-dir": "--from",
    "--epoch": "--epochs",
    "--fold": "--only-fold",
    "--freeze": "--freeze-to",
    "--gpu": "--device",
    "--image-size": "--size",
    "--img-size": "--size",
    "--k-folds": "--folds",
    "--kfold": "--folds",
    "--learning-rate": "--lr",
    "--logger": "--track",
    "--n-folds": "--folds",
    "--name": "--run",
    "--num-epochs": "--epochs",
    "--n-epochs": "--epochs",
    "--num-workers": "--workers",
    "--random-state": "--seed",
    "--resolution": "--size",
    "--run-name": "--run",
    "--sizes": "--size",
    "--test-size": "--holdout",
    "--val-size": "--holdout",
    "--valid-size": "--holdout",
}

# Units of the flags whose value has one; the flag's own is 1. Other flags count in what they are of.
_UNITS_OF = {
    "MIN": {"h": 60, "hour": 60, "hours": 60, "m": 1, "min": 1, "mins": 1, "minutes": 1, "s": 1 / 60, "sec": 1 / 60},
    "X|GB": {"gb": 1, "g": 1, "gib": 1.073741824, "mb": 1e-3, "m": 1e-3, "tb": 1e3, "t": 1e3},
}
_SHORT = 3  # letters: of so short a word any other may be meant
_NUMBER = r"[+-]?\d[\d.,_]*(?:e[+-]?\d+)?"
_UNIT = re.compile(rf"({_NUMBER})\s*([a-z]+)", re.IGNORECASE)
_DASHES = str.maketrans("\u2010\u2011\u2012\u2013\u2014\u2212", "------")


def nearest_value(typed: str, option: click.Option, ctx: click.Context | None) -> str | None:
    """The value that was meant, which the flag takes; None if none is near."""
    for candidate in _candidates(typed.strip().translate(_DASHES), option):
        if candidate == typed:
            continue
        try:
            option.type.convert(candidate, option, ctx)
        except click.ClickException:
            continue
        return candidate
    return None


def _candidates(typed: str, option: click.Option) -> Iterator[str]:
    """Spellings of the value, the likeliest first."""
    if isinstance(option.type, click.Choice):
        choices = [str(choice) for choice in option.type.choices]
        if len(typed) > _SHORT:
            yield from difflib.get_close_matches(typed.lower(), choices, n=1, cutoff=0.5)
        yield typed.lower()
        return
    typed = typed.strip("\"'()[]=")
    yield from ("".join(typed.split()), typed.lower())
    yield from difflib.get_close_matches(typed.lower(), getattr(option.type, "words", ()), n=1)
    if typed.endswith("%"):
        yield from _share(typed.rstrip("% "))
        return
    number = _UNIT.fullmatch(typed)
    if number and (units := _units_of(option)) is not None:
        yield from _in_own_unit(number, units)
        return
    bare = number[1] if number else typed
    thousands = bare.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+", bare) else bare
    for spelling in (bare, bare.replace("_", ""), bare.replace(",", "."), thousands):
        yield spelling
        yield spelling.removesuffix(".0")
    if re.fullmatch(r"\d+(\.\d+)?e\d{1,2}", bare):
        yield f"{float(bare):.0f}"
    if isinstance(option.type, click.FloatRange) and option.type.max == 1 and re.fullmatch(r"[1-9]\d", bare):
        yield from _share(bare)  # --holdout 20
    # A sign that slipped in: a share or a time below 0 may be meant as anything.
    if not isinstance(option.type, click.FloatRange):
        yield from _list_of_numbers(typed)
    if fraction := re.fullmatch(r"(\d+)\s*/\s*(\d+)", typed):
        yield f"{int(fraction[1]) / max(int(fraction[2]), 1):g}"


def _units_of(option: click.Option) -> dict[str, float] | None:
    return _UNITS_OF["X|GB"] if "--cache-gb" in option.opts else _UNITS_OF.get(option.metavar or "")


def _in_own_unit(number: re.Match[str], units: dict[str, float]) -> Iterator[str]:
    factor = units.get(number[2].lower())
    with suppress(ValueError):
        if factor is not None:
            yield f"{float(number[1].replace(',', '.')) * factor:g}"


def _share(percent: str) -> Iterator[str]:
    with suppress(ValueError):
        yield f"{float(percent.replace(',', '.')) / 100:g}"


def _list_of_numbers(typed: str) -> Iterator[str]:
    """Several numbers with commas alone between them; 224x224 is 224."""
    sides = re.sub(r"(\d+)\s*[x*\u00d7]\s*\1(?!\d)", r"\1", typed)
    numbers = re.findall(r"\d+(?:\.\d+)?(?:e-?\d+)?", sides)
    yield ",".join(dict.fromkeys(numbers))

"""Keyword arguments of timm's `create_model` in a recipe, and as `--backbone-arg NAME=VALUE`."""

from __future__ import annotations

from collections.abc import Mapping

Argument = bool | int | float | str | None

_WORDS: dict[str, Argument] = {"true": True, "false": False, "none": None}

# What the runner passes itself, and what would give another thing than a backbone.
_RESERVED = {
    "num_classes": "it follows from the labels",
    "in_chans": "it follows from the images",
    "pretrained": "use --no-pretrained",
    "checkpoint_path": "use --weights",
    "pretrained_cfg": "use --weights",
    "pretrained_cfg_overlay": "use --weights",
    "cache_dir": "set HF_HOME",
    "features_only": "a head needs one vector an image",
    "scriptable": "use --compile",
    "exportable": "nothing is exported in training",
    "no_jit": "use --compile",
}


def parse_argument(text: str) -> tuple[str, Argument]:
    """Name and value of NAME=VALUE: true, false, none, a number, or a text; ValueError if it has another form."""
    name, equals, value = text.partition("=")
    name = name.strip()
    if not (equals and name.isidentifier()):
        raise ValueError(f"{text!r} is not of the form NAME=VALUE, as in pad_type=same")
    return name, _parse_value(value.strip())


def write_argument(name: str, value: Argument) -> str:
    """NAME=VALUE, as `parse_argument` reads it."""
    word = next((word for word, meant in _WORDS.items() if meant is value), None)
    return f"{name}={word if word is not None else value}"


def check_arguments(arguments: Mapping[str, Argument]) -> None:
    """Raise ValueError for a name that the runner sets itself, and for a value that is no number, text or bool."""
    for name, value in arguments.items():
        if name in _RESERVED:
            raise ValueError(f"{name} cannot be set: {_RESERVED[name]}")
        if not isinstance(value, bool | int | float | str | None):
            raise ValueError(f"{name}: {value!r} is no number, text, bool or None")


def _parse_value(text: str) -> Argument:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

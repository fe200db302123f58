"""Ways in which a file is damaged on a disk, in a copy, or by a hand."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

Damage = Callable[[bytes, random.Random], bytes]

_BLOCK = 512
_DEEP = 3000  # more than Python's limit of recursion


def flip_bit(content: bytes, chance: random.Random) -> bytes:
    """One bit."""
    at = chance.randrange(len(content))
    return content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]


def change_byte(content: bytes, chance: random.Random) -> bytes:
    """One byte."""
    at = chance.randrange(len(content))
    return content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :]


def cut(content: bytes, chance: random.Random) -> bytes:
    """The end is missing."""
    return content[: chance.randrange(len(content))]


def zero_block(content: bytes, chance: random.Random) -> bytes:
    """A block of zeros, as after a power cut."""
    at = chance.randrange(len(content)) // _BLOCK * _BLOCK
    return content[:at] + bytes(len(content[at : at + _BLOCK])) + content[at + _BLOCK :]


def empty(_content: bytes, _chance: random.Random) -> bytes:
    """Nothing is left."""
    return b""


def garbage(_content: bytes, chance: random.Random) -> bytes:
    """Something else."""
    return chance.choice((b"\xff\xfe\x00", b"null", b"[]", b"{}", b"42", b"<html>", chance.randbytes(200)))


def change_digit(content: bytes, chance: random.Random) -> bytes:
    """Another digit in a number."""
    places = [match.start() for match in re.finditer(rb"\d", content)]
    if not places:
        return flip_bit(content, chance)
    at = chance.choice(places)
    digit = chance.choice([digit for digit in b"0123456789" if digit != content[at]])
    return content[:at] + bytes([digit]) + content[at + 1 :]


def lose_line(content: bytes, chance: random.Random) -> bytes:
    """A line is missing."""
    lines = content.splitlines(keepends=True)
    del lines[chance.randrange(len(lines))]
    return b"".join(lines)


def double_line(content: bytes, chance: random.Random) -> bytes:
    """A line is there twice."""
    lines = content.splitlines(keepends=True)
    at = chance.randrange(len(lines))
    return b"".join([*lines[:at], lines[at], *lines[at:]])


def swap_lines(content: bytes, chance: random.Random) -> bytes:
    """Two lines have changed places."""
    lines = content.splitlines(keepends=True)
    first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"".join(lines)


def change_number(content: bytes, chance: random.Random) -> bytes:
    """A JSON number has become no number, huge, a text, null, or a list that is nested too deeply."""
    numbers = list(re.finditer(rb"(?<=[:\[ ])-?\d[\d.e+-]*", content))
    if not numbers:
        return change_byte(content, chance)
    number = chance.choice(numbers)
    deep = b"[" * _DEEP + b"]" * _DEEP
    value = chance.choice((b"NaN", b"Infinity", b"1e999", b"-1", b"9" * 400, b'"x"', b"null", b"{}", deep))
    return content[: number.start()] + value + content[number.end() :]


BINARY: tuple[Damage, ...] = (flip_bit, flip_bit, change_byte, cut, zero_block, empty, garbage)
TEXT: tuple[Damage, ...] = (
    flip_bit,
    change_digit,
    change_digit,
    cut,
    lose_line,
    double_line,
    swap_lines,
    empty,
    garbage,
)
JSON: tuple[Damage, ...] = (flip_bit, change_digit, change_number, change_number, cut, lose_line, empty, garbage)


def damage(path: Path, chance: random.Random) -> str:
    """Damage the file in a way that fits its kind; what was done."""
    content = path.read_bytes()
    ways = {".csv": TEXT, ".json": JSON, ".jsonl": JSON}.get(path.suffix, BINARY)
    for _ in range(100):
        way = chance.choice(ways)
        damaged = way(content, chance) if content else b"x"
        if damaged != content:
            path.write_bytes(damaged)
            return (way.__doc__ or "").strip().rstrip(".").lower()
    raise ValueError(f"{path} cannot be damaged")

"""Hostile tables: the labels and the sample submission in every shape that people, spreadsheets and attackers make.

A table that says the same in another form gives the same folds and the same check; one that does not is told of by
its name, within bounds.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable
from pathlib import Path

from benchmarks.torture.attack import Attack, Harm, Trial
from benchmarks.torture.damage import TEXT
from benchmarks.torture.process import Bounds, Ended
from benchmarks.torture.worlds import NAME, copy_world, create_world, shapes
from runner.workspace import Workspace

Rows = list[list[str]]
Change = Callable[[Rows, random.Random], bytes]

_BOUNDS = Bounds(seconds=60, memory_mb=1800)
_WIDE = 300_000  # characters, more than the csv module takes in a field
_MANY = 200_000  # rows or columns
_TABLES = ("labels.csv", "sample_submission.csv", "submission.csv")


def text(rows: Rows, *, newline: str = "\n", quoting: int = csv.QUOTE_MINIMAL, delimiter: str = ",") -> bytes:
    """The rows as a CSV file."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator=newline, quoting=quoting, delimiter=delimiter).writerows(rows)  # type: ignore[arg-type]
    return stream.getvalue().encode()


def _cell(value: str) -> Change:
    def change(rows: Rows, chance: random.Random) -> bytes:
        rows = [list(row) for row in rows]
        chance.choice(rows[1:])[chance.randrange(len(rows[0]))] = value
        return text(rows)

    return change


def _id(value: str) -> Change:
    def change(rows: Rows, chance: random.Random) -> bytes:
        rows = [list(row) for row in rows]
        chance.choice(rows[1:])[0] = value
        return text(rows)

    return change


def _header(value: str) -> Change:
    def change(rows: Rows, chance: random.Random) -> bytes:
        header = list(rows[0])
        header[chance.randrange(len(header))] = value
        return text([header, *rows[1:]])

    return change


def _shuffled_columns(rows: Rows, chance: random.Random) -> bytes:
    order = list(range(len(rows[0])))
    chance.shuffle(order)
    return text([[row[at] for at in order] for row in rows])


def _doubled_row(rows: Rows, chance: random.Random) -> bytes:
    return text([*rows, chance.choice(rows[1:])])


def _contradicting_row(rows: Rows, chance: random.Random) -> bytes:
    first, second = chance.sample(rows[1:], 2)
    return text([*rows, [first[0], *second[1:]]])


def _short_row(rows: Rows, chance: random.Random) -> bytes:
    at = chance.randrange(1, len(rows))
    return text([*rows[:at], rows[at][:-1], *rows[at + 1 :]])


def _long_row(rows: Rows, chance: random.Random) -> bytes:
    at = chance.randrange(1, len(rows))
    return text([*rows[:at], [*rows[at], "more"], *rows[at + 1 :]])


def _open_quote(rows: Rows, chance: random.Random) -> bytes:
    lines = text(rows).splitlines(keepends=True)
    at = chance.randrange(1, len(lines))
    return b"".join([*lines[:at], b'"' + lines[at], *lines[at + 1 :]])


def _bytes(content: bytes) -> Change:
    return lambda _rows, _chance: content


# By a word that a trial prints. The first say the same in another form.
SAME: dict[str, Change] = {
    "a byte order mark": lambda rows, _: b"\xef\xbb\xbf" + text(rows),
    "Windows lines": lambda rows, _: text(rows, newline="\r\n"),
    "all quoted": lambda rows, _: text(rows, quoting=csv.QUOTE_ALL),
    "no last newline": lambda rows, _: text(rows).rstrip(b"\n"),
}
OTHER: dict[str, Change] = {
    "old Mac lines": lambda rows, _: text(rows, newline="\r"),
    "blank lines": lambda rows, _: text(rows).replace(b"\n", b"\n\n"),
    "semicolons": lambda rows, _: text(rows, delimiter=";"),
    "tabs": lambda rows, _: text(rows, delimiter="\t"),
    "spaces": lambda rows, _: text(rows).replace(b",", b" , "),
    "UTF-16": lambda rows, _: text(rows).decode().encode("utf-16"),
    "Latin-1": _cell("caf\xe9"),
    "a byte that is no UTF-8": lambda rows, _: text(rows).replace(b"a", b"\xe9", 1),
    "NUL": _cell("a\0b"),
    "an empty cell": _cell(""),
    "a blank cell": _cell("  "),
    "a formula": _cell("=1+1"),
    "a newline in a cell": _cell("two\nlines"),
    "a wide cell": _cell("w" * _WIDE),
    "a wide id": _id("w" * _WIDE),
    "a control character": _cell("a\x1bb"),
    "an id that leads out": _id("../../../etc/passwd"),
    "an absolute id": _id("/etc/passwd"),
    "an id with braces": _id("{id}"),
    "an id with a glob": _id("*"),
    "an id with a slash": _id("train000/"),
    "an id of another alphabet": _id("\u0442rain000"),
    "an id in capitals": _id("TRAIN000"),
    "a number for an id": _id("1e5"),
    "NaN": _cell("nan"),
    "infinity": _cell("1e999"),
    "a negative number": _cell("-0.5"),
    "a huge number": _cell("9" * 400),
    "a decimal comma": _cell("0,5"),
    "a fraction": _cell("1/3"),
    "another column": _header("other"),
    "an empty column name": _header(""),
    "the same column twice": _header("id"),
    "a wide column name": _header("w" * _WIDE),
    "shuffled columns": _shuffled_columns,
    "a row twice": _doubled_row,
    "a row that contradicts": _contradicting_row,
    "a short row": _short_row,
    "a long row": _long_row,
    "an open quote": _open_quote,
    "no header": lambda rows, _: text(rows[1:]),
    "only a header": lambda rows, _: text(rows[:1]),
    "one row": lambda rows, _: text(rows[:2]),
    "half of the rows": lambda rows, _: text(rows[: len(rows) // 2]),
    "other rows": lambda rows, _: text([rows[0], *([f"other{n}", *row[1:]] for n, row in enumerate(rows[1:]))]),
    "many rows": lambda rows, _: text([*rows, *([f"more{n}", *rows[1][1:]] for n in range(_MANY))]),
    "many columns": lambda rows, _: text(
        [[*row, *((f"c{n}" for n in range(_MANY)) if not at else ["0"] * _MANY)] for at, row in enumerate(rows[:3])]
    ),
    "many quotes": _bytes(b'id,breed\n"' + b'""' * _WIDE),
    "nothing": _bytes(b""),
    "a newline": _bytes(b"\n"),
    "zeros": _bytes(bytes(4096)),
    "a zip": _bytes(b"PK\x03\x04" + bytes(100)),
    "a page": _bytes(b"<!DOCTYPE html><html></html>"),
    "JSON": _bytes(b'{"id": ["a"]}'),
    "commas": _bytes(b",,,\n,,,\n"),
}


def prepare(folder: Path, _small: bool) -> None:
    """A workspace with its data, the folds of the true tables, and a good submission."""
    world = Trial("tables", 0, 0, folder / "world", folder)
    create_world(world.folder)
    for words in (shapes("download"), shapes("split", "--folds", "2")):
        ended = world.runner(*words)
        if ended.code:
            raise RuntimeError(ended.describe())
    sample = _data(world.folder) / "sample_submission.csv"
    (world.folder / "submission.csv").write_bytes(sample.read_bytes())


def _data(workspace: Path) -> Path:
    return Workspace(workspace).for_host("practice").data_dir(NAME)


def run(trial: Trial) -> None:
    """Bring one changed table into a workspace, and call what reads it."""
    name = trial.random.choice(_TABLES)
    way, same, content = _change(trial, name)
    trial.outcome.title = f"{name}: {way}"
    trial.outcome.hit = True
    if name == "submission.csv":
        copy_world(trial.prepared / "world", trial.folder)
        (trial.folder / name).write_bytes(content)
        _judge(trial, trial.runner(*shapes("check", name), bounds=_BOUNDS), name, same)
    else:
        _bring(trial, name, content, same)


def _change(trial: Trial, name: str) -> tuple[str, bool, bytes]:
    """What was done, whether the table still says the same, and the table."""
    original = _original(trial.prepared / "world", name).read_bytes()
    rows = list(csv.reader(io.StringIO(original.decode())))
    kind = trial.random.choice(("same", "other", "other", "other", "damaged"))
    if kind == "damaged":
        way = trial.random.choice(TEXT)
        return (way.__doc__ or "").strip(), False, way(original, trial.random)
    # A host takes no submission with a byte order mark, so `check` must not.
    same_ways = {word: way for word, way in SAME.items() if name != "submission.csv" or "mark" not in word}
    ways = same_ways if kind == "same" else OTHER
    word = trial.random.choice(sorted(ways))
    return word, kind == "same", ways[word](rows, trial.random)


def _original(workspace: Path, name: str) -> Path:
    return workspace / name if name == "submission.csv" else _data(workspace) / name


def _bring(trial: Trial, name: str, content: bytes, same: bool) -> None:
    """Download from a folder with the changed table, then split and check."""
    source = trial.folder / "source"
    copy_world(_data(trial.prepared / "world"), source)
    for marker in (".complete", "manifest.json"):
        (source / marker).unlink(missing_ok=True)
    (source / name).write_bytes(content)
    workspace = trial.folder / "workspace"
    copy_world(trial.prepared / "world" / "competitions", workspace / "competitions")
    calls = ((NAME, "download", "--from", str(source)), (NAME, "split", "--folds", "2"), (NAME, "find-lr", "--json"))
    for words in calls[: 2 if name == "labels.csv" else 3 if trial.random.random() < 0.1 else 2]:
        ended = trial.runner(*words, workspace=workspace, bounds=_BOUNDS)
        if not _judge(trial, ended, name, same):
            return
    folds = f"runs/{NAME}/folds.csv"
    expected = (trial.prepared / "world" / "practice" / folds).read_bytes()
    if same:
        found = (workspace / folds).read_bytes()
        trial.must(found == expected, Harm.CHANGED, "the same table in another form gives other folds")


def _judge(trial: Trial, ended: Ended, name: str, same: bool) -> bool:
    """Report what the command should not have done; whether it ended well."""
    if same and ended.code:
        trial.report(Harm.LOST, f"the same table in another form is refused: {ended.describe()}")
    elif ended.code:
        trial.require_explained(ended, name)
    return ended.code == 0


ATTACK = Attack("tables", 100, run, prepare)

"""Write the table of shipped competitions in docs/competitions.md from their files; `make docs` runs it.

The page above the marker is written by hand. A test fails if the rest is stale.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from competitions import load, names
from runner.contract import (
    Binary,
    ClassWithConfidence,
    Competition,
    Grade,
    Multiclass,
    OneClass,
    Ordinal,
    Regression,
    TagSet,
    TopClasses,
)

PAGE = Path(__file__).with_name("competitions.md")
MARKER = "<!-- Everything below is written by `make docs`. -->\n"


class Leaderboard(NamedTuple):
    """The private leaderboard as it ended: its teams, and the scores at the medals' last ranks and in the middle."""

    teams: str
    gold: str
    silver: str
    bronze: str
    median: str


# Read from the leaderboards, with Kaggle's rule for medals, also where none were awarded.
LEADERBOARDS = {
    "aerial-cactus": Leaderboard("1,221", "1.0", "1.0", "1.0", "0.9991"),
    "aptos-blindness": Leaderboard("2,928", "0.93051", "0.91965", "0.91449", "0.88891"),
    "cassava-leaf": Leaderboard("3,900", "0.9013", "0.8992", "0.8978", "0.8909"),
    "dog-breed": Leaderboard("1,280", "0.0005", "0.00539", "0.04598", "0.47197"),
    "dogs-vs-cats": Leaderboard("1,314", "0.03882", "0.05038", "0.06127", "0.1221"),
    "histopathologic-cancer": Leaderboard("1,149", "0.9835", "0.9798", "0.9738", "0.9477"),
    "iceberg": Leaderboard("3,330", "0.11374", "0.13753", "0.14552", "0.20371"),
    "invasive-species": Leaderboard("511", "0.99505", "0.99237", "0.98979", "0.97006"),
    "leaf": Leaderboard("1,595", "0.0", "0.00791", "0.01526", "0.10729"),
    "paddy-disease": Leaderboard("657", "0.98732", "0.98617", "0.98387", "0.96889"),
    "petfinder-pawpularity": Leaderboard("3,537", "16.95041", "17.06636", "17.0971", "17.70209"),
    "plant-pathology-2020": Leaderboard("1,317", "0.97836", "0.97465", "0.97361", "0.94858"),
    "plant-pathology-2021": Leaderboard("625", "0.8612", "0.85305", "0.83508", "0.75479"),
    "plant-seedlings": Leaderboard("833", "0.99244", "0.98614", "0.98236", "0.95591"),
    "ranzcr-clip": Leaderboard("1,547", "0.97357", "0.97152", "0.9709", "0.9675"),
    "whale-playground": Leaderboard("527", "0.56236", "0.44852", "0.40515", "0.32788"),
}


def update(page: str) -> str:
    """The page with a new section below the marker."""
    return page[: page.index(MARKER) + len(MARKER)] + "\n" + "\n\n".join(_blocks()) + "\n"


def _blocks() -> Iterator[str]:
    shipped = [load(name) for name in names()]
    yield "## Shipped competitions"
    by_notebook = sum(competition.notebooks_only for competition in shipped)
    yield (
        f"{len(shipped)} competitions are shipped; to {by_notebook} of them only notebooks may submit. Each file is in "
        "`competitions/`, with the facts it rests on. A workspace's own file goes before the one that is shipped."
    )
    header = ("command", "on Kaggle", "labels", "metric", "a submission has", "preset", "submitted by")
    yield _table(header, [_row(competition) for competition in shipped])
    yield "What their leaderboards or data hide:"
    yield "\n".join(f"- `{each.name}`: {each.caution}." for each in shipped if each.caution)
    yield "Private leaderboards as they ended, with the score at the last rank of each medal:"
    header = ("command", "metric", "teams", "gold", "silver", "bronze", "median")
    rows = [(f"`{name}`", load(name).metric.title, *LEADERBOARDS[name]) for name in sorted(LEADERBOARDS)]
    yield _table(header, rows)


def _row(competition: Competition) -> tuple[str, ...]:
    link = f"[{competition.slug}](https://www.kaggle.com/competitions/{competition.slug})"
    return (
        f"`{competition.name}`",
        link,
        f"`{type(competition.labels).__name__}`",
        competition.metric.title,
        _form(competition),
        f"`{competition.preset.name}`",
        "notebook" if competition.notebooks_only else "file",
    )


def _form(competition: Competition) -> str:
    """What a submission has for each image."""
    cell = _cell(competition)
    return f"a row per id and column: {cell}" if competition.submission_rows else cell


def _cell(competition: Competition) -> str:
    labels, decision = competition.labels, competition.metric.decision
    match decision:
        case TopClasses(k):
            return f"the {k} likeliest classes"
        case ClassWithConfidence():
            return "a class and its confidence"
        case TagSet():
            return "a list of tags"
        case OneClass():
            return "the class"
        case Grade():
            return "the grade"
    if isinstance(labels, Regression):
        return "numbers" if labels.columns else "a number"
    if isinstance(labels, Binary):
        return "a probability"
    return f"a probability for each {'class' if isinstance(labels, Multiclass | Ordinal) else 'tag'}"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [" | ".join(cells) for cells in (header, ("---",) * len(header), *rows)]
    return "\n".join(f"| {line} |" for line in lines).replace("| --- ", "|---").replace("--- |", "---|")


if __name__ == "__main__":
    PAGE.write_text(update(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

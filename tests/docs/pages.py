"""The Markdown pages of the repository, their code blocks, and the `runner` commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        ROOT / "docs" / "notebooks" / "README.md",
        ROOT / "benchmarks" / "README.md",
        ROOT / "submissions" / "README.md",
    ]
)

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(runner [^`\n]+)`")
_COMMAND = re.compile(r"^(?:\$ )?(?:.*-m )?runner (.+)$")


def page_id(page: Path) -> str:
    """The page's path from the top of the repository."""
    return page.relative_to(ROOT).as_posix()


def handwritten(page: Path) -> str:
    """The text of a page, without the reference that `make docs` writes."""
    return page.read_text(encoding="utf-8").partition("<!-- Everything below is written")[0]


def code_blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return [text for name, text in _BLOCK.findall(handwritten(page)) if name == language]


def commands(page: Path) -> Iterator[list[str]]:
    """The words after `runner` of every command in console blocks and in backticks; placeholders are filled in."""
    text = handwritten(page)
    lines = [line for block in code_blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]
    for line in (*lines, *_INLINE.findall(_BLOCK.sub("", text))):
        match = _COMMAND.match(line)
        if match and not line.startswith("$ _RUNNER"):
            words = match[1].replace("COMPETITION", "dog-breed").partition(" > ")[0]
            yield shlex.split(words, comments=True)


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[str]:
    """The targets of a page's links and images that lead to no other site."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]

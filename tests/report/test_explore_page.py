"""The page about the images holds everything itself, and shows whatever names it meets as text."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from runner.data.index import build_index
from runner.explore.explore import explore
from runner.report.explore import write_exploration
from runner.report.explore_summary import findings
from tests.competitions import SHAPES

NASTY = "<img src=x onerror=alert(1)>$&"


class Seen(HTMLParser):
    """What a browser would load, and what it would show."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.links: list[str] = []
        self.alts: list[str | None] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "img":
            self.sources.append(given["src"] or "")
            self.alts.append(given.get("alt"))
        if tag == "a":
            self.links.append(given["href"] or "")

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def raw(shapes_folder: Path, tmp_path: Path) -> Path:
    """The shapes, one breed with a name that is markup, one image twice, one cut off."""
    folder = Path(shutil.copytree(shapes_folder, tmp_path / "data" / "shapes"))
    for name in ("labels.csv", "sample_submission.csv"):
        path = folder / name
        path.write_text(path.read_text().replace("akita", NASTY))
    shutil.copy(folder / "train/train001.jpg", folder / "test/test000.jpg")
    whole = (folder / "train/train002.jpg").read_bytes()
    (folder / "train/train002.jpg").write_bytes(whole[: len(whole) // 2])
    return folder


def _seen(raw: Path, page: Path) -> Seen:
    found = explore(SHAPES, build_index(SHAPES, raw), raw / "folds.csv")
    write_exploration(SHAPES, found, page)
    seen = Seen()
    seen.feed(page.read_text(encoding="utf-8"))
    return seen


def test_the_page_holds_everything_itself_and_says_what_is_wrong(raw: Path, tmp_path: Path) -> None:
    page = tmp_path / "runs" / "shapes" / "explore.html"
    seen = _seen(raw, page)
    assert len(seen.sources) > 20
    assert all(re.match(r"data:image/(jpeg|png);base64,", source) for source in seen.sources)
    assert all(seen.alts)
    files = [link for link in seen.links if not link.startswith("#")]
    assert files and all((page.parent / link).is_file() for link in files)
    assert NASTY in seen.text
    assert "1 image cannot be read: train/train002.jpg" in seen.text
    assert "1 group of images that are one image, or nearly, lies in train and in test" in seen.text
    assert "runner shapes split" in seen.text


def test_a_page_of_many_classes_stays_small(shapes_folder: Path, tmp_path: Path) -> None:
    raw = Path(shutil.copytree(shapes_folder, tmp_path / "raw"))
    breeds = [f"breed{number}" for number in range(60)]
    (raw / "labels.csv").write_text("id,breed\n" + "".join(f"train{n:03d},{b}\n" for n, b in enumerate(breeds)))
    header = "id," + ",".join(breeds)
    rows = "".join(f"test{n:03d}," + ",".join(["0.0167"] * 60) + "\n" for n in range(21))
    (raw / "sample_submission.csv").write_text(f"{header}\n{rows}")
    page = tmp_path / "explore.html"
    seen = _seen(raw, page)
    assert page.stat().st_size < 2e6
    assert "60 classes: 1 image each" in seen.text


def test_the_words_have_no_alarm_where_nothing_is_wrong(shapes_folder: Path) -> None:
    found = explore(SHAPES, build_index(SHAPES, shapes_folder), shapes_folder / "folds.csv")
    said = findings(found)
    assert said[0] == "3 classes: 20 images each"
    assert "no image is there twice" in said
    json.dumps(found.to_dict())


def test_a_browser_shows_it_and_asks_for_nothing(raw: Path, tmp_path: Path, browser: Any) -> None:
    page = tmp_path / "explore.html"
    _seen(raw, page)
    for width in (1280, 360):
        browser.open(page, width=width, dark=width == 360)
        assert browser.errors == []
        assert all(url.startswith(("file:", "data:")) for url in browser.requests)
        assert browser.run("return [...document.images].every((one) => one.complete && one.naturalWidth > 0)")
        assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.run("return document.querySelectorAll('img[src=x]').length") == 0

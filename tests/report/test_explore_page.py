"""The page about the images is self-contained, shows all names as text and lists every problem."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.contract import Competition
from runner.data.index import build_index
from runner.explore.explore import Exploration, ImageStatistic, SizeEffect, explore
from runner.report.explore.figures import quantile_table
from runner.report.explore.page import write_exploration
from runner.report.explore.summary import describe_size, findings, warnings
from runner.session import Session
from runner.workspace import Workspace
from tests.builders import write_csv
from tests.competitions import SHAPES
from tests.explore.arrays import write_arrays

MARKUP = "<img src=x onerror=alert(1)>$&"


class PageParser(HTMLParser):
    """The images, links, headings and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.links: list[str] = []
        self.alts: list[str | None] = []
        self.headings: list[str] = []
        self.text = ""
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes, self._tag = dict(attrs), tag
        if tag == "img":
            self.sources.append(attributes["src"] or "")
            self.alts.append(attributes.get("alt"))
        if tag == "a":
            self.links.append(attributes["href"] or "")

    def handle_data(self, data: str) -> None:
        if self._tag == "h2" and data.strip():
            self.headings.append(data)
        self.text += data


@pytest.fixture
def data_dir(shapes_folder: Path, tmp_path: Path) -> Path:
    """The shapes, with a class name that is markup, a duplicate and a truncated image."""
    folder = Path(shutil.copytree(shapes_folder, tmp_path / "data" / "shapes"))
    for name in ("labels.csv", "sample_submission.csv"):
        path = folder / name
        path.write_text(path.read_text().replace("akita", MARKUP))
    shutil.copy(folder / "train/train001.jpg", folder / "test/test000.jpg")
    complete = (folder / "train/train002.jpg").read_bytes()
    (folder / "train/train002.jpg").write_bytes(complete[: len(complete) // 2])
    return folder


def explored(data_dir: Path, competition: Competition = SHAPES) -> Exploration:
    return explore(competition, build_index(competition, data_dir), data_dir / "folds.csv")


def write_and_parse(data_dir: Path, page: Path, competition: Competition = SHAPES) -> PageParser:
    session = Session(competition, Workspace(page.parent))
    write_exploration(session, explored(data_dir, competition), page)
    parser = PageParser()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def test_the_page_is_self_contained_and_lists_the_problems(data_dir: Path, tmp_path: Path) -> None:
    page = tmp_path / "runs" / "shapes" / "explore.html"
    parser = write_and_parse(data_dir, page)
    assert len(parser.sources) > 20
    assert all(re.match(r"data:image/(jpeg|png);base64,", source) for source in parser.sources)
    assert all(parser.alts)
    files = [link for link in parser.links if not link.startswith("#")]
    assert files and all((page.parent / link).is_file() for link in files)
    assert MARKUP in parser.text
    assert "1 image cannot be read: train/train002.jpg" in parser.text
    assert "Duplicate images across train and test: 1 group." in parser.text
    assert "shapes split" in parser.text


def test_the_page_has_a_section_for_each_question(data_dir: Path, tmp_path: Path) -> None:
    parser = write_and_parse(data_dir, tmp_path / "explore.html")
    assert parser.headings == [
        *("Summary", "Classes", "Sizes", "Examples", "Statistics by class", "Augmentation"),
        *("Train/test shift", "Duplicates", "Folds", "Unreadable images"),
    ]


@pytest.mark.parametrize(("bands", "dtype"), [(1, np.float32), (2, np.float32), (3, np.float32), (4, np.uint8)])
def test_a_page_of_arrays_shows_any_number_of_bands(tmp_path: Path, bands: int, dtype: type) -> None:
    competition = write_arrays(tmp_path, bands, dtype)
    parser = write_and_parse(tmp_path, tmp_path / "explore.html", competition)
    assert "The bands of an image are shown side by side" in parser.text
    assert f"mean of band {bands}" in parser.text and f"band {bands + 1}" not in parser.text


def test_a_page_of_many_classes_stays_small(shapes_folder: Path, tmp_path: Path) -> None:
    data_dir = Path(shutil.copytree(shapes_folder, tmp_path / "data"))
    breeds = [f"breed{number}" for number in range(60)]
    write_csv(data_dir / "labels.csv", ("id", "breed"), ((f"train{n:03d}", b) for n, b in enumerate(breeds)))
    uniform = ["0.0167"] * 60
    write_csv(data_dir / "sample_submission.csv", ("id", *breeds), ((f"test{n:03d}", *uniform) for n in range(21)))
    page = tmp_path / "explore.html"
    parser = write_and_parse(data_dir, page)
    assert page.stat().st_size < 2e6
    assert "60 classes: 1 image each" in parser.text


def test_there_are_no_warnings_if_nothing_is_wrong(shapes_folder: Path) -> None:
    exploration = explored(shapes_folder)
    assert warnings(exploration) == []
    assert findings(exploration) == [
        "3 classes: 20 images each",
        "median image: 44 x 40 pixels",
        "32 px: the median image is downsampled to 80%",
        "no train/test shift in any measure",
        "no duplicate images",
    ]


def test_warnings_come_first_and_are_labelled(data_dir: Path) -> None:
    unreadable, *others = findings(explored(data_dir))
    assert unreadable.startswith("warning: 1 image cannot be read: train/train002.jpg: the image is broken: ")
    assert others[:2] == [
        "warning: duplicate images across train and test: 1 group",
        "3 classes: 20 images each",
    ]


@pytest.mark.parametrize(
    ("upscaled", "scale", "words"),
    [
        (0.0, 0.5, "64 px: the median image is downsampled to 50%"),
        (0.0, 1.0, "64 px: native size"),
        (0.3, 0.9, "64 px: 30% of the images are smaller and upsampled"),
        (1.0, 1.6, "64 px: every image is upsampled (median factor 1.6): a larger size adds no detail"),
    ],
)
def test_a_size_effect_is_described_in_words(upscaled: float, scale: float, words: str) -> None:
    assert describe_size(SizeEffect(64, upscaled, scale, cropped=0.0, cropped_p95=0.0)) == words


def test_an_exploration_is_json(data_dir: Path) -> None:
    values = json.loads(json.dumps(explored(data_dir).to_dict()))
    assert values["unreadable"][0]["path"] == "train/train002.jpg"
    assert values["duplicates"][0]["train_test"] is True
    assert set(values["measures"][0]) == {"measure", "train", "test", "ks_statistic", "ks_critical", "shift"}


def test_a_browser_shows_the_page_without_network(data_dir: Path, tmp_path: Path, browser: Any) -> None:
    page = tmp_path / "explore.html"
    write_and_parse(data_dir, page)
    for width in (1280, 360):
        browser.open(page, width=width, dark=width == 360)
        assert browser.errors == []
        assert all(url.startswith(("file:", "data:")) for url in browser.requests)
        assert browser.run("return [...document.images].every((image) => image.complete && image.naturalWidth > 0)")
        assert browser.run("return document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.run("return document.querySelectorAll('img[src=x]').length") == 0


def test_a_table_of_measures_has_their_units() -> None:
    values = np.arange(3.0)
    measures = [ImageStatistic("mean of band 1", values, values, "dB"), ImageStatistic("width", values, values)]
    assert [row[0] for row in quantile_table(measures).rows] == ["mean of band 1 (dB)"] * 2 + ["width"] * 2

"""report.html in a real browser, and what it says of runs that are whole, killed, or hold markup."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runner.cli import run_command
from runner.contract import EnsembleRecipe
from runner.contract.recipe import FORMAT
from runner.workspace import read_json, write_json

CONTRAST = """
const light = (text) => {
  const parts = text.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
  const [r, g, b] = parts.map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = light(getComputedStyle(document.body).backgroundColor);
const faint = [];
for (const one of document.querySelectorAll("p, li, td, th button, dt, dd, h1, h2, a, figcaption, summary, svg text")) {
  const style = getComputedStyle(one);
  const paint = one.closest("svg") ? style.fill : style.color;
  if (one.closest("[data-at]") || !/^rgb\\(/.test(paint)) continue;
  const ink = light(paint), ratio = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
  if (ratio < 4.5) faint.push(one.textContent.trim() + " " + ratio.toFixed(1));
}
return [ground, faint];
"""


# What is drawn stands out by its area or by its line; grid lines and the like bear no data, cells bear their number.
MARKS = (
    CONTRAST.partition("const ground")[0]
    + """
const numbers = (paint) => paint.match(/[\\d.]+/g).map(Number);
const ground = numbers(getComputedStyle(document.body).backgroundColor);
const line = getComputedStyle(document.querySelector("section h2")).borderTopColor;
const stands = (paint, opacity) => {
  if (!/^rgb\\(/.test(paint)) return 0;
  const mixed = numbers(paint).map((part, place) => part * opacity + ground[place] * (1 - opacity));
  const [a, b] = [`rgb(${mixed})`, `rgb(${ground})`].map(light);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
};
const faint = new Set();
let seen = 0;
for (const one of document.querySelectorAll(".drawing svg:not(.cells) path, .drawing svg:not(.cells) use")) {
  const style = getComputedStyle(one);
  if (one.closest("defs, clipPath") || style.stroke === line) continue;
  if (style.stroke === "none" && style.fill === "none") continue;
  const fill = stands(style.fill, style.fillOpacity * style.opacity);
  const stroke = stands(style.stroke, style.strokeOpacity * style.opacity);
  seen += 1;
  if (Math.max(fill, stroke) < 3) faint.add(one.closest("figure").id + " " + style.stroke + " " + style.fill);
}
return [seen, [...faint]];
"""
)


def _report(workspace: Path, *words: object) -> int:
    return run_command(["--workspace", str(workspace), "shapes", "report", *map(str, words)])


def test_the_page_is_whole_and_asks_for_nothing(browser: Any, make_run: Any, shapes: Path) -> None:
    page = make_run() / "report.html"
    assert _report(shapes) == 0
    browser.open(page)
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [page.resolve().as_uri()]
    broken = "return [...document.images].filter((one) => !one.complete || !one.naturalWidth).length"
    assert browser.run("return document.images.length") == 36
    assert browser.run(broken) == 0
    links = browser.run("return [...document.querySelectorAll('.gallery a')].map((one) => one.href)")
    assert all(Path(link.removeprefix("file://")).is_file() for link in links)
    assert browser.run("return [...document.querySelectorAll('.drawing [role=img]')].every((one) => one.ariaLabel)")


def test_a_table_sorts_and_filters(browser: Any, make_run: Any, shapes: Path) -> None:
    folder = make_run(classes=tuple(f"breed-{number:02d}" for number in range(12)))
    assert _report(shapes) == 0
    browser.open(folder / "report.html")
    table = "const table = document.querySelector('#classes > .table table');"
    column = "return [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.cells[{}].textContent)"
    browser.run(table + "table.tHead.rows[0].cells[0].querySelector('button').click()")
    names = browser.run(table + column.format(0))
    assert names == sorted(names) and len(names) == 12
    browser.run(table + "table.tHead.rows[0].cells[2].querySelector('button').click()")
    found = [float(text) for text in browser.run(table + column.format(2))]
    assert found == sorted(found, reverse=True) and len(set(found)) > 1
    fill = "const box = table.parentElement.querySelector('input'); box.value = 'breed-03'; "
    browser.run(table + fill + "box.dispatchEvent(new Event('input'))")
    # The row of that class, and those that are mostly taken for it.
    assert 1 <= len(browser.run(table + column.format(0))) < 12


@pytest.mark.parametrize("count", [2, 120])
def test_a_cell_of_the_matrix_tells_its_pair(browser: Any, make_run: Any, shapes: Path, count: int) -> None:
    folder = make_run(classes=tuple(f"breed-{number:03d}" for number in range(count)), ids=max(60, 3 * count))
    assert _report(shapes) == 0
    assert (folder / "report.html").stat().st_size < 3_000_000
    browser.open(folder / "report.html")
    told = browser.run("""
      const cells = [...document.querySelectorAll("#figure-confusion [data-at]")];
      const cell = cells.find((one) => new Set(one.dataset.at.split(",")).size === 2);
      cell.querySelector("rect").dispatchEvent(new PointerEvent("pointermove", { bubbles: true }));
      const names = [...document.querySelectorAll("#figure-confusion .row-name")].map((one) => one.dataset.name);
      const [row, column] = cell.dataset.at.split(",");
      return [document.querySelector("#figure-confusion .tells").textContent, names[row], names[column]];
    """)
    assert told[0].startswith(f"{told[1]} taken for {told[2]}: ")
    # Of many classes the worst are shown closer, with a number in each cell.
    closer = browser.run("return document.querySelectorAll('#figure-confusion-closer [data-at] text').length")
    assert (closer > 10) == (count > 30)


def test_the_matrix_can_be_walked_by_keys(browser: Any, make_run: Any, shapes: Path) -> None:
    folder = make_run()
    assert _report(shapes) == 0
    browser.open(folder / "report.html")
    told = browser.run("""
      const holder = document.querySelector("#figure-confusion .drawing");
      holder.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown" }));
      holder.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
      const names = [...document.querySelectorAll(".row-name")].map((one) => one.dataset.name);
      return [document.querySelector("#figure-confusion .tells").textContent, names[1]];
    """)
    assert told[0].startswith(f"{told[1]} seen right: ")


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_from_its_ground(browser: Any, make_run: Any, shapes: Path, dark: bool) -> None:
    folder = make_run()
    assert _report(shapes) == 0
    browser.open(folder / "report.html", dark=dark)
    ground, faint = browser.run(CONTRAST)
    assert (ground < 0.1) == dark
    assert faint == []


@pytest.mark.parametrize("dark", [False, True])
def test_what_is_drawn_stands_out_from_its_ground(browser: Any, make_run: Any, shapes: Path, dark: bool) -> None:
    folder = make_run(folds=5)
    assert _report(shapes) == 0
    browser.open(folder / "report.html", dark=dark)
    seen, faint = browser.run(MARKS)
    assert seen > 100
    assert faint == []


def _ensemble(make: Any, shapes: Path) -> Path:
    for name in ("one", "two"):
        make(name)
    folder = make("both")
    for path in folder.iterdir():
        if path.name not in ("score.json", "environment.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_json(folder / "recipe.json", EnsembleRecipe(("one", "two")).to_dict(), format=FORMAT)
    members = [
        {"name": f"{name}:snapshot-0", "weight": weight, "alone": 0.9, "gain": 0.01}
        for name, weight in (("one", 0.75), ("two", 0.25))
    ]
    write_json(folder / "score.json", {**read_json(folder / "score.json"), "members": members})
    return folder


def _all_data(make: Any, shapes: Path) -> Path:
    make("one")
    folder: Path = make("one-all")
    for path in (*folder.glob("fold-0/*.npz"), folder / "truth.npz", folder / "folds.csv"):
        path.unlink()
    write_json(folder / "recipe.json", {**read_json(folder / "recipe.json"), "all_data": True, "refit_of": "one"})
    text = (folder / "log.jsonl").read_text(encoding="utf-8")
    for value in ("1.1", "0.55", "0.3666666666666667"):
        text = text.replace(f'"valid_loss": {value}', '"valid_loss": null')
    (folder / "log.jsonl").write_text(text, encoding="utf-8")
    return folder


def _folds(make: Any, shapes: Path) -> Path:
    return make("folds", folds=3)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("make_kind", "told"),
    [
        (_ensemble, "An ensemble of 2 runs (one, two) to tell 3 classes apart. It sees 71.7 % of 60 held-out images"),
        (
            _all_data,
            "with no row held back: no row is left to score_rehearsal it by, and the score told here is that of one.",
        ),
        (_folds, "on 60 images in 3 folds, a network for each fold that it did not learn from."),
    ],
)
def test_every_kind_of_run_has_a_whole_page(
    browser: Any, make_run: Any, shapes: Path, make_kind: Callable[..., Path], told: str
) -> None:
    folder = make_kind(make_run, shapes)
    assert _report(shapes, folder.name) == 0
    page = folder / "report.html"
    for width in (1400, 400):
        browser.open(page, width=width, dark=width == 400)
        assert browser.errors == []
        assert [url for url in browser.requests if not url.startswith("data:")] == [page.resolve().as_uri()]
        assert browser.run("return document.documentElement.scrollWidth") <= width
        assert browser.run(CONTRAST)[1] == []
    assert told in browser.run("return document.querySelector('#in-short').textContent")


def test_an_ensemble_tells_its_runs(browser: Any, make_run: Any, shapes: Path) -> None:
    folder = _ensemble(make_run, shapes)
    assert _report(shapes, "one") == 0
    assert _report(shapes, "both") == 0
    browser.open(folder / "report.html")
    rows = "return [...document.querySelectorAll('#what-it-blends tbody tr')].map((one) => one.textContent)"
    assert [row[:3] for row in browser.run(rows)] == ["one", "two"]
    link = browser.run("return document.querySelector('#what-it-blends a').href")
    assert link == (shapes / "runs" / "shapes" / "one" / "report.html").resolve().as_uri()


def test_a_narrow_screen_does_not_scroll_sideways(browser: Any, make_run: Any, shapes: Path) -> None:
    folder = make_run(classes=tuple("a-breed-with-a-very-long-name-indeed-" + str(number) for number in range(9)))
    assert _report(shapes) == 0
    browser.open(folder / "report.html", width=360)
    assert browser.run("return document.documentElement.scrollWidth") <= 360


def test_markup_in_a_name_shows_as_text(browser: Any, make_run: Any, shapes: Path) -> None:
    evil = ("<img src=x onerror=alert(1)>", '"><script>document.title="taken"</script>', "a&b")
    folder = make_run(classes=evil)
    assert _report(shapes) == 0
    browser.open(folder / "report.html")
    assert browser.errors == []
    assert browser.run("return document.title") == "one: Shapes & <i>light</i>"
    assert browser.run("return document.querySelectorAll('script').length") == 1
    names = browser.run("return [...document.querySelectorAll('.row-name')].map((one) => one.dataset.name)")
    assert sorted(names) == sorted(evil)


def test_a_killed_run_has_a_report_of_what_is_there(make_run: Any, shapes: Path, capsys: Any) -> None:
    folder = make_run(epochs=2)
    for path in (*folder.glob("fold-0/snapshot-*"), folder / "score.json", folder / "truth.npz"):
        path.unlink()
    with (folder / "log.jsonl").open("a") as log:
        log.write('{"fold": 0, "epo')
    assert _report(shapes) == 0
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "Not finished: 2 of 3 epochs" in text
    assert "figure-loss" in text and "figure-confusion" not in text
    assert "train --run one --resume" in text


def test_a_run_that_has_only_its_recipe_has_a_report(make_run: Any, shapes: Path) -> None:
    folder = make_run()
    for path in folder.iterdir():
        if path.name != "recipe.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert _report(shapes) == 0
    assert "No epoch is finished yet" in (folder / "report.html").read_text(encoding="utf-8")


def test_without_the_data_the_images_are_missed_and_nothing_else(make_run: Any, shapes: Path) -> None:
    folder = make_run()
    shutil.rmtree(shapes / "data")
    assert _report(shapes) == 0
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "not on this machine" in text and "figure-confusion" in text


def test_every_figure_can_be_had_alone(make_run: Any, shapes: Path, tmp_path: Path) -> None:
    make_run()
    assert _report(shapes, "--figures", tmp_path / "figures") == 0
    names = {"find-lr", "schedule", "loss", "metric", "metric-2", "classes", "calibration", "confidence", "confusion"}
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == names
    for name in names:
        with Image.open(tmp_path / "figures" / f"{name}.png") as image:
            assert min(image.size) > 100
        assert (tmp_path / "figures" / f"{name}.svg").read_text().startswith("<svg xmlns")


def test_the_terminal_tells_the_essentials(make_run: Any, shapes: Path, capsys: Any) -> None:
    make_run()
    assert _report(shapes) == 0
    said = capsys.readouterr().out
    assert "Held-out log loss  0.9000 ± 0.0500" in said
    assert "█" in said or "▄" in said
    assert "taken for" in said

"""report.html in a real browser, of finished runs, unfinished ones, and ones whose names contain markup."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runner.cli import run_command
from runner.report.run.page import Report, save_figures, write_report
from runner.session import Session
from runner.steps.ensemble import ensemble
from runner.training.run import Run
from tests.report.conftest import new_session, run_maker

CONTRAST = """
const light = (text) => {
  const parts = text.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
  const [r, g, b] = parts.map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const background = light(getComputedStyle(document.body).backgroundColor);
const faint = [];
const texts = "p, li, td, th button, dt, dd, h1, h2, a, figcaption, summary, svg text";
for (const element of document.querySelectorAll(texts)) {
  const style = getComputedStyle(element);
  const paint = element.closest("svg") ? style.fill : style.color;
  if (element.closest("[data-at]") || !/^rgb\\(/.test(paint)) continue;
  const ink = light(paint), ratio = (Math.max(ink, background) + 0.05) / (Math.min(ink, background) + 0.05);
  if (ratio < 4.5) faint.push(element.textContent.trim() + " " + ratio.toFixed(1));
}
return [background, faint];
"""


# A mark needs contrast in its fill or its line. Grid lines show no data, and matrix cells have numbers.
MARKS = (
    CONTRAST.partition("const background")[0]
    + """
const numbers = (paint) => paint.match(/[\\d.]+/g).map(Number);
const background = numbers(getComputedStyle(document.body).backgroundColor);
const line = getComputedStyle(document.querySelector("section h2")).borderTopColor;
const contrast = (paint, opacity) => {
  if (!/^rgb\\(/.test(paint)) return 0;
  const mixed = numbers(paint).map((part, index) => part * opacity + background[index] * (1 - opacity));
  const [a, b] = [`rgb(${mixed})`, `rgb(${background})`].map(light);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
};
const faint = new Set();
let marks = 0;
for (const element of document.querySelectorAll(".drawing svg:not(.matrix) path, .drawing svg:not(.matrix) use")) {
  const style = getComputedStyle(element);
  if (element.closest("defs, clipPath") || style.stroke === line) continue;
  if (style.stroke === "none" && style.fill === "none") continue;
  const fill = contrast(style.fill, style.fillOpacity * style.opacity);
  const stroke = contrast(style.stroke, style.strokeOpacity * style.opacity);
  marks += 1;
  if (Math.max(fill, stroke) < 3) faint.add(element.closest("figure").id + " " + style.stroke + " " + style.fill);
}
return [marks, [...faint]];
"""
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, shapes_folder: Path) -> Path:
    """The page of a plain run, for tests that only look at it."""
    session = new_session(tmp_path_factory.mktemp("plain"), shapes_folder)
    return write_report(session, run_maker(session)()).path


@pytest.fixture(scope="module")
def folds_page(tmp_path_factory: pytest.TempPathFactory, shapes_folder: Path) -> Path:
    """The page of a run of five folds."""
    session = new_session(tmp_path_factory.mktemp("folds"), shapes_folder)
    return write_report(session, run_maker(session)(folds=5, rows=90)).path


def _page(session: Session, run: Run) -> str:
    return write_report(session, run).path.read_text(encoding="utf-8")


def _summary(report: Report) -> str:
    return report.terminal.summary


def test_the_page_is_complete_and_loads_nothing(browser: Any, page: Path) -> None:
    browser.open(page)
    assert browser.errors == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [page.resolve().as_uri()]
    galleries = browser.run("return [...document.querySelectorAll('.gallery')].map((list) => list.children.length)")
    assert len(galleries) == 3 and min(galleries) >= 1
    broken = "return [...document.images].filter((image) => !image.complete || !image.naturalWidth).length"
    assert browser.run(broken) == 0
    links = browser.run("return [...document.querySelectorAll('.gallery a')].map((link) => link.href)")
    assert links and all(Path(link.removeprefix("file://")).is_file() for link in links)
    alts = "return [...document.querySelectorAll('.drawing [role=img]')].every((drawing) => drawing.ariaLabel)"
    assert browser.run(alts)


def test_a_table_sorts_and_filters(browser: Any, make_run: Any, session: Session) -> None:
    run = make_run(classes=tuple(f"breed-{number:02d}" for number in range(12)))
    browser.open(write_report(session, run).path)
    table = "const table = document.querySelector('#per-class > .table table');"
    column = "return [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.cells[{}].textContent)"
    browser.run(table + "table.tHead.rows[0].cells[0].querySelector('button').click()")
    names = browser.run(table + column.format(0))
    assert names == sorted(names) and len(names) == 12
    browser.run(table + "table.tHead.rows[0].cells[2].querySelector('button').click()")
    recalls = [float(text) for text in browser.run(table + column.format(2))]
    assert recalls == sorted(recalls, reverse=True) and len(set(recalls)) > 1
    fill = "const box = table.parentElement.querySelector('input'); box.value = 'breed-03'; "
    browser.run(table + fill + "box.dispatchEvent(new Event('input'))")
    # The row of that class, and those that are most confused with it.
    assert 1 <= len(browser.run(table + column.format(0))) < 12


@pytest.mark.parametrize("count", [2, 120])
def test_pointing_at_a_matrix_cell_names_its_pair(browser: Any, make_run: Any, session: Session, count: int) -> None:
    run = make_run(classes=tuple(f"breed-{number:03d}" for number in range(count)), rows=max(60, 3 * count))
    path = write_report(session, run).path
    assert path.stat().st_size < 3_000_000
    browser.open(path)
    text, actual, predicted = browser.run("""
      const cells = [...document.querySelectorAll("#figure-confusion [data-at]")];
      const cell = cells.find((cell) => new Set(cell.dataset.at.split(",")).size === 2);
      cell.querySelector("rect").dispatchEvent(new PointerEvent("pointermove", { bubbles: true }));
      const names = [...document.querySelectorAll("#figure-confusion .row-name")].map((name) => name.dataset.name);
      const [row, column] = cell.dataset.at.split(",");
      return [document.querySelector("#figure-confusion .cell-text").textContent, names[row], names[column]];
    """)
    assert text.startswith(f"{actual} predicted as {predicted}: ")
    # Of many classes the most confused are shown enlarged, with a number in each cell.
    numbers = browser.run("return document.querySelectorAll('#figure-confusion-zoomed [data-at] text').length")
    assert (numbers > 10) == (count > 30)


def test_arrow_keys_move_through_the_matrix(browser: Any, page: Path) -> None:
    browser.open(page)
    text, name = browser.run("""
      const holder = document.querySelector("#figure-confusion .drawing");
      holder.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown" }));
      holder.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
      const names = [...document.querySelectorAll(".row-name")].map((name) => name.dataset.name);
      return [document.querySelector("#figure-confusion .cell-text").textContent, names[1]];
    """)
    assert text.startswith(f"{name} predicted as {name}: ")


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_contrast(browser: Any, page: Path, dark: bool) -> None:
    browser.open(page, dark=dark)
    background, faint = browser.run(CONTRAST)
    assert (background < 0.1) == dark
    assert faint == []


@pytest.mark.parametrize("dark", [False, True])
def test_marks_of_figures_have_contrast(browser: Any, folds_page: Path, dark: bool) -> None:
    browser.open(folds_page, dark=dark)
    marks, faint = browser.run(MARKS)
    assert marks > 100
    assert faint == []


def _ensemble(make: Any, session: Session) -> Run:
    return ensemble(session, [make("first"), make("second", draw=6)], name="both")


def _all_data(make: Any, session: Session) -> Run:
    original = make("first")
    run: Run = make("first-all", all_data=True, refit_of="first")
    shutil.copy(original.score_file, run.score_file)
    for path in (*run.folder.glob("fold-0/*.valid.npz"), run.folds_file):
        path.unlink()
    lines = run.log_file.read_text(encoding="utf-8")
    run.log_file.write_text(
        re.sub(r'"valid_loss": [0-9.]+(.*), "checksum": [0-9]+', r'"valid_loss": null\1', lines), encoding="utf-8"
    )
    return run


def _folds(make: Any, session: Session) -> Run:
    run: Run = make("folds", folds=3)
    return run


@pytest.mark.parametrize(
    ("make_kind", "text"),
    [
        (_ensemble, "Ensemble of 2 runs (first, second), 3 classes. CV log loss "),
        (_all_data, "There are no validation rows: the scores are those of first."),
        (_folds, "test_resnet, trained on 60 images in 3 folds, 3 classes. CV log loss "),
    ],
)
def test_every_kind_of_run_has_a_page(
    browser: Any, make_run: Any, session: Session, make_kind: Callable[..., Run], text: str
) -> None:
    path = write_report(session, make_kind(make_run, session)).path
    for width in (1400, 400):
        browser.open(path, width=width, dark=width == 400)
        assert browser.errors == []
        assert [url for url in browser.requests if not url.startswith("data:")] == [path.resolve().as_uri()]
        assert browser.run("return document.documentElement.scrollWidth") <= width
        assert browser.run(CONTRAST)[1] == []
    assert text in browser.run("return document.querySelector('#summary').textContent")


def test_an_ensemble_links_its_runs(browser: Any, make_run: Any, session: Session) -> None:
    both = _ensemble(make_run, session)
    first = write_report(session, make_run("first")).path
    browser.open(write_report(session, both).path)
    rows = "return [...document.querySelectorAll('#ensemble-members tbody tr')].map((row) => row.cells[0].textContent)"
    assert browser.run(rows) == ["first", "second"]
    link = browser.run("return document.querySelector('#ensemble-members a').href")
    assert link == first.resolve().as_uri()


def test_a_narrow_screen_does_not_scroll_sideways(browser: Any, make_run: Any, session: Session) -> None:
    run = make_run(classes=tuple("a-breed-with-a-very-long-name-indeed-" + str(number) for number in range(9)))
    browser.open(write_report(session, run).path, width=360)
    assert browser.run("return document.documentElement.scrollWidth") <= 360


_SCROLLING = """
document.querySelectorAll("details").forEach((details) => { details.open = true; });
return [...document.querySelectorAll(".table")].filter((table) => table.scrollWidth > table.clientWidth)
  .map((table) => table.ariaLabel);
"""


def test_no_table_scrolls_sideways_on_a_wide_screen(browser: Any, folds_page: Path) -> None:
    browser.open(folds_page, width=1280)
    assert browser.run(_SCROLLING) == []


def test_markup_in_a_name_is_shown_as_text(browser: Any, make_run: Any, session: Session) -> None:
    classes = ("<img src=x onerror=alert(1)>", '"><script>document.title="taken"</script>', "a&b")
    browser.open(write_report(session, make_run(classes=classes)).path)
    assert browser.errors == []
    assert browser.run("return document.title") == "first: Shapes & <i>light</i>"
    assert browser.run("return document.querySelectorAll('script').length") == 1
    names = browser.run("return [...document.querySelectorAll('.row-name')].map((name) => name.dataset.name)")
    assert sorted(names) == sorted(classes)


def test_a_killed_run_has_a_report_of_its_epochs(make_run: Any, session: Session) -> None:
    run = make_run(epochs=2)
    for path in (*run.folder.glob("fold-0/snapshot-*"), run.score_file, run.folder / "oof_targets.npz"):
        path.unlink()
    with run.log_file.open("a") as log:
        log.write('{"fold": 0, "epo')
    text = _page(session, run)
    assert "Unfinished: 2 of 3 epochs are done." in text
    assert "figure-loss" in text and "figure-confusion" not in text
    command = re.search(r"To continue: <code>(.*?)</code>", text)
    assert command and re.sub(r"<[^>]*>", "", command[1]).endswith("shapes train --run first --resume"), command


@pytest.mark.parametrize("kept", [0, 1])
def test_a_finished_run_whose_log_lacks_epochs_is_not_unfinished(kept: int, make_run: Any, session: Session) -> None:
    run = make_run()
    lines = run.log_file.read_bytes().splitlines(keepends=True)
    run.log_file.write_bytes(b"".join(lines[:kept]))
    text = _page(session, run)
    assert f"log.jsonl holds {kept} of the {len(lines)} epochs that were trained" in text
    assert "Unfinished" not in text


def test_a_caution_is_on_the_page_and_in_the_terminal(make_run: Any, session: Session) -> None:
    board = replace(session.competition, caution="the test labels are public", notebooks_only=True)
    report = write_report(replace(session, competition=board), make_run())
    for text in (report.path.read_text(encoding="utf-8"), report.terminal.summary):
        assert "The test labels are public." in text and "Kaggle takes no files here" in text


def test_a_run_with_only_a_recipe_has_a_report(make_run: Any, session: Session) -> None:
    run = make_run()
    for path in run.folder.iterdir():
        if path != run.recipe_file:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "No epoch is finished yet" in _page(session, run)


def test_without_data_only_the_images_are_missing(make_run: Any, session: Session) -> None:
    run = make_run()
    shutil.rmtree(session.workspace.data_dir("shapes"))
    text = _page(session, run)
    assert "not on this machine" in text and "figure-confusion" in text


def test_every_figure_is_written_as_svg_and_png(make_run: Any, session: Session, tmp_path: Path) -> None:
    paths = save_figures(write_report(session, make_run()), tmp_path)
    names = {"find-lr", "schedule", "loss", "metric", "classes", "calibration", "confidence", "confusion"}
    assert {path.name for path in paths} == {f"{name}.{suffix}" for name in names for suffix in ("svg", "png")}
    for name in names:
        with Image.open(tmp_path / f"{name}.png") as image:
            assert min(image.size) > 100
        svg = (tmp_path / f"{name}.svg").read_text()
        assert svg.startswith("<svg xmlns") and "--background:" in svg


def test_the_command_prints_the_key_figures(make_run: Any, session: Session, capsys: Any, tmp_path: Path) -> None:
    cv = make_run().read_score()["cv"]
    words = ["--workspace", str(session.workspace.root), "shapes", "report", "--figures", str(tmp_path)]
    assert run_command(words) == 0
    output = capsys.readouterr().out
    assert f"CV log loss    {cv['value']:.4f} ± {cv['error']:.4f}" in output
    assert "█" in output or "▄" in output
    assert "predicted as" in output
    assert f"16 figure files: {tmp_path}" in output


def test_the_summary_has_only_nested_scores(make_run: Any, session: Session) -> None:
    run = make_run()
    score = {**run.read_score(), "in_sample": 0.8123}
    score["cv"] |= {"value": 0.9123, "error": 0.0512}
    score["extra_metrics"]["accuracy"] |= {"value": 0.2712, "error": 0.0215}
    run.write_score(score)
    report = write_report(session, run)
    assert "CV log loss 0.9123 ± 0.0512 (lower is better; a constant prediction: 1.0986)" in _summary(report)
    assert ", accuracy 0.2712 ± 0.0215." in _summary(report)
    assert "%" not in _summary(report) and "0.8123" not in _summary(report)
    assert "In-sample score (biased): 0.81230." in report.path.read_text(encoding="utf-8")

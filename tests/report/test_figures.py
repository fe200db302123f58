"""What is drawn of names in any script, and of commands."""

from __future__ import annotations

from typing import Any

import pytest

from runner.report.page.figures import text_width
from runner.report.page.page import breakable, isolate, mark_commands
from runner.report.run.confusion_figures import draw_svg
from runner.report.run.page import save_figures, write_report
from runner.session import Session

SCRIPTS = ("柴犬", "Größe", "собака", "كلب", "🐕 dog", "x" * 80, "50 % & $a$ <b>")


def test_names_in_any_script_are_drawn_without_warnings(make_run: Any, session: Session, tmp_path: Any) -> None:
    report = write_report(session, make_run(classes=SCRIPTS, rows=70))
    text = report.path.read_text(encoding="utf-8")
    assert all(name in text for name in SCRIPTS[:5])
    assert save_figures(report, tmp_path)  # a warning would be an error here


def test_the_width_of_a_text_grows_with_its_letters() -> None:
    assert text_width("ill", 10) < text_width("abc", 10) < text_width("柴犬柴", 10) == 30


@pytest.mark.parametrize(("count", "side"), [(2, 200), (10, 400)])
def test_a_matrix_of_few_classes_is_larger_than_its_names(count: int, side: int) -> None:
    import numpy as np

    from runner.report.run.confusion import Confusion

    names = [f"a-class-name-that-is-much-too-long-to-be-shown-{number}" for number in range(count)]
    svg = draw_svg(Confusion.of(names, np.arange(count), np.arange(count)))
    values = {key: float(svg.split(f'{key}="')[1].split('"')[0]) for key in ("data-size", "data-step", "data-left")}
    assert values["data-size"] * values["data-step"] >= side
    assert values["data-left"] <= 200


def test_a_command_breaks_only_between_its_words() -> None:
    marked = mark_commands("Try `runner x train --size 64,128 --weights " + "p/" * 30 + "w`, <b>")
    assert "<code><span>runner</span> <span>x</span> <span>train</span> <span>--size</span> " in marked
    assert "<span>p/" not in marked  # a long path may break anywhere
    assert marked.endswith("</code>, &lt;b&gt;")


def test_a_name_that_is_written_from_right_to_left_keeps_its_place() -> None:
    assert isolate("actual: كلب صغير 4.1 %") == "actual: \u2068كلب صغير\u2069 4.1 %"
    assert isolate("пудель 4.1 %") == "пудель 4.1 %"
    assert str(mark_commands("كلب: `runner shapes check كلب`")).endswith("<span>كلب</span></code>")


def test_a_name_may_break_behind_an_underscore() -> None:
    assert str(breakable("<b>_dog")) == "&lt;b&gt;_<wbr>dog"

"""`new` on real layouts: right, or refused with what is missing; never wrong in silence."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from runner.contract import UNLIKE_PHOTOGRAPHS, Pixels, with_sizes
from runner.new_competition.dry_check import load_text
from runner.new_competition.new import NewOptions, new_competition
from runner.new_competition.questions import Answers, UnclearError
from runner.workspace import Workspace
from tests.new_competition.layouts import LAYOUTS, Layout, write


def options_of(flags: str) -> NewOptions:
    """The options of such flags."""
    words = shlex.split(flags)
    given = dict(zip((word.strip("-") for word in words[::2]), words[1::2], strict=True))
    label = tuple(given.pop("label").split(",")) if "label" in given else ()
    return NewOptions("some-competition", answers=Answers(label=label, **given))


def nobody(question: object) -> None:
    """Nobody answers."""


def source_of(layout: Layout, folder: Path) -> Path:
    """The folder with the layout's files, or its one archive."""
    write(folder, layout.files())
    files = list(folder.iterdir())
    return files[0] if len(files) == 1 and files[0].suffix == ".zip" else folder


@pytest.mark.parametrize("layout", [each for each in LAYOUTS if not each.refused], ids=lambda each: each.name)
def test_a_layout_becomes_its_competition(layout: Layout, tmp_path: Path) -> None:
    source = source_of(layout, tmp_path / "source")
    made = new_competition(Workspace(tmp_path), options_of(layout.flags), source, ask_of(layout))
    competition = load_text(made.text, "some-competition")
    assert competition.labels == layout.labels, made.text
    assert competition.train_images == layout.train
    assert competition.test_images == layout.test
    assert competition.sample_submission == layout.sample
    assert competition.metric.key == layout.metric
    assert competition.submission_rows == layout.rows
    for field, value in layout.more.items():
        assert getattr(competition, field) == value
    assumed = " ".join(each.text for each in made.conclusions if each.is_assumed)
    assert all(words in assumed and words in made.text for words in layout.assumed), assumed
    assert len(made.text.splitlines()) <= 30


def ask_of(layout: Layout):  # type: ignore[no-untyped-def]
    """Answers of the flags alone."""
    answers = options_of(layout.flags).answers
    return lambda question: getattr(answers, question.flag.strip("-"), None) or None


@pytest.mark.parametrize("layout", [each for each in LAYOUTS if each.refused], ids=lambda each: each.name)
def test_an_unclear_layout_is_refused(layout: Layout, tmp_path: Path) -> None:
    source = source_of(layout, tmp_path / "source")
    with pytest.raises(UnclearError, match=layout.refused):
        new_competition(Workspace(tmp_path), options_of(layout.flags), source, ask_of(layout))
    assert not (tmp_path / "competitions").exists()


def test_tiny_images_are_trained_at_twice_their_size_and_at_least_64_pixels(tmp_path: Path) -> None:
    layout = next(each for each in LAYOUTS if isinstance(each.train, Pixels) and not each.refused)
    made = new_competition(
        Workspace(tmp_path), options_of(layout.flags), source_of(layout, tmp_path / "source"), ask_of(layout)
    )
    recipe = load_text(made.text, "some-competition").recipe
    assert recipe == with_sizes(UNLIKE_PHOTOGRAPHS, [64]), made.text


@pytest.mark.parametrize("flags", ["--metric auc", "--metric auc --label 'ETT - Abnormal,ETT - Normal,NGT - Normal'"])
def test_label_columns_that_the_sample_does_not_ask_for_are_left_out_and_told(flags: str, tmp_path: Path) -> None:
    layout = next(each for each in LAYOUTS if each.name == "catheters_with_independent_columns")
    files = layout.files()
    ids = [line.split(",")[0] for line in files["sample_submission.csv"].splitlines()[1:]]
    sample = ["StudyInstanceUID,ETT - Abnormal,NGT - Normal", *(f"{id},0,0" for id in ids)]
    write(tmp_path / "source", {**files, "sample_submission.csv": "\n".join(sample)})
    made = new_competition(Workspace(tmp_path), options_of(flags), tmp_path / "source", nobody)
    assert made.classes == 2
    told = [each.text for each in made.conclusions] + [each.message for each in made.warnings]
    assert any("left out" in text and "ETT - Normal" in text for text in told), told

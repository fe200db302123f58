"""A file in `competitions/` is a competition; a broken one is told by file and line, and breaks no other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import competitions
from runner.contract import Competition
from runner.errors import PluginError, UsageError

SHIPPED = ("dog-breed", "iceberg", "planet")
HEAVY = ("torch", "timm", "pandas", "albumentations", "cv2", "kaggle", "kagglesdk", "sklearn", "py7zr")
PLUGIN = '''"""Letters of an alphabet."""

from runner.contract import LOG_LOSS, NO_FLIP, Competition, Multiclass, Recipe, Stage, TrainMode

COMPETITION = Competition(
    slug="letters",
    title="Letters",
    labels=Multiclass(csv="train.csv"),
    train_images="train/{id}.png",
    test_images="test/{id}.png",
    sample_submission="sample.csv",
    preset=NO_FLIP,
    metric=LOG_LOSS,
    recipe=Recipe("resnet18", (Stage(32, TrainMode.UNFROZEN),), lr=1e-3),
)
'''


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """The folder of a workspace that holds plugins, with one in it."""
    folder = tmp_path / "competitions"
    folder.mkdir()
    (folder / "big_letters.py").write_text(PLUGIN)
    return folder


def run_python(code: str) -> str:
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return answer.stdout.strip()


def test_the_shipped_competitions_are_the_three():
    assert competitions.names() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_competition_loads_and_knows_its_name(name):
    assert competitions.load(name).name == name


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_competition_is_a_page_at_most(name):
    path = Path(competitions.__file__).parent / f"{name.replace('-', '_')}.py"
    assert len(path.read_text().splitlines()) <= 50


def test_naming_the_competitions_imports_none_of_them():
    code = "import competitions, sys; competitions.names(); print([m for m in sys.modules if 'dog_breed' in m])"
    assert run_python(code) == "[]"


def test_importing_every_plugin_drags_nothing_heavy_in():
    code = (
        "import competitions, sys\n"
        "for name in competitions.names(): competitions.load(name)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    assert run_python(code) == "[]"


def test_a_file_dropped_into_the_workspace_is_a_competition(plugins):
    assert competitions.names(plugins) == ("big-letters", *SHIPPED)
    loaded = competitions.load("big-letters", plugins)
    assert isinstance(loaded, Competition)
    assert (loaded.name, loaded.slug) == ("big-letters", "letters")


def test_a_file_of_the_workspace_goes_before_the_shipped_one_of_its_name(plugins):
    (plugins / "planet.py").write_text(PLUGIN)
    assert competitions.load("planet", plugins).slug == "letters"
    assert competitions.load("planet").slug == "planet-understanding-the-amazon-from-space"


def test_a_workspace_without_a_folder_of_plugins_has_the_shipped_ones(tmp_path):
    assert competitions.names(tmp_path / "competitions") == SHIPPED


def test_files_that_are_no_plugins_are_passed_over(plugins):
    for name in ("__init__.py", "_draft.py", ".hidden.py", "notes.txt"):
        (plugins / name).write_text("this is no Python")
    assert competitions.names(plugins) == ("big-letters", *SHIPPED)


broken = [
    ("a syntax error", PLUGIN.replace('slug="letters",', 'slug="letters'), 6, "SyntaxError"),
    ("a name that is not there", PLUGIN.replace("metric=LOG_LOSS", "metric=LOGLOSS"), 13, "'LOGLOSS'"),
    ("a name that cannot be imported", PLUGIN.replace("NO_FLIP, ", "UPWRITE, "), 3, "'UPWRITE'"),
    ("a misspelt field", PLUGIN.replace("title=", "tittle="), 5, "'tittle'"),
    ("a field left out", PLUGIN.replace("    preset=NO_FLIP,\n", ""), 5, "'preset'"),
    ("a contradiction", PLUGIN.replace("train/{id}", "train/"), 5, "Competition.train_images"),
    ("a program that exits", PLUGIN + "\nraise SystemExit(3)\n", 17, "SystemExit: 3"),
    ("an error of its own", PLUGIN + "\n\n1 / 0\n", 18, "ZeroDivisionError"),
]


@pytest.mark.parametrize(("text", "line", "words"), [case[1:] for case in broken], ids=[case[0] for case in broken])
def test_a_broken_plugin_is_told_by_file_and_line_and_takes_no_other_down(plugins, text, line, words):
    path = plugins / "broken.py"
    path.write_text(text)
    assert "broken" in competitions.names(plugins)
    with pytest.raises(PluginError) as caught:
        competitions.load("broken", plugins)
    assert words in caught.value.message
    assert caught.value.where == f"{path}:{line}"
    assert caught.value.fix
    assert competitions.load("big-letters", plugins).slug == "letters"
    assert competitions.load("dog-breed", plugins).slug == "dog-breed-identification"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no COMPETITION"),
        ("competition = 1", "no COMPETITION"),
        ("COMPETITION = 'dog-breed'", "COMPETITION that is a str"),
        ("from runner.contract import Competition as COMPETITION", "COMPETITION that is a type"),
    ],
)
def test_a_file_without_a_competition_is_told_what_it_lacks(plugins, text, words):
    path = plugins / "broken.py"
    path.write_text(text)
    with pytest.raises(PluginError, match=words) as caught:
        competitions.load("broken", plugins)
    assert caught.value.where == str(path)


def test_a_plugin_that_is_not_utf_8_is_told_and_not_a_crash(plugins):
    (plugins / "broken.py").write_bytes(b'"""Caf\xe9."""\n' + PLUGIN.encode())
    with pytest.raises(PluginError, match="SyntaxError"):
        competitions.load("broken", plugins)


def test_a_plugin_may_hold_a_dataclass_of_its_own(plugins):
    own = "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass Own:\n    a: x.y\n"
    (plugins / "own.py").write_text(own + PLUGIN.split('"""\n', 1)[1])
    assert competitions.load("own", plugins).slug == "letters"


@pytest.mark.parametrize(
    ("typed", "meant"), [("dogbreed", "dog-breed"), ("dog_breed", "dog-breed"), ("plane", "planet")]
)
def test_a_mistyped_name_is_answered_with_the_one_that_was_meant(typed, meant):
    with pytest.raises(UsageError) as caught:
        competitions.load(typed)
    assert f"did you mean {meant}?" in str(caught.value.fix)


def test_a_name_unlike_any_other_is_answered_with_all_of_them():
    with pytest.raises(UsageError) as caught:
        competitions.load("zzz")
    assert "did you mean" not in str(caught.value)
    assert ", ".join(SHIPPED) in str(caught.value)

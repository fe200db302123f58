"""Loading competitions: each file in `competitions/` is one; a broken file is refused with its line, alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import competitions
from competitions._parse import PluginSummary
from runner.cli.command_groups import RootGroup
from runner.contract import LOG_LOSS, Competition
from runner.errors import PluginError, UsageError
from tests.layouts import LAYOUTS

SHIPPED = competitions.names()
WITH_RECIPES_OF_THEIR_OWN = {"iceberg": 51, "planet": 36}
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
    """A workspace's `competitions/` with one file."""
    folder = tmp_path / "competitions"
    folder.mkdir()
    (folder / "big_letters.py").write_text(PLUGIN)
    return folder


def run_python(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_every_shipped_competition_has_a_layout_to_test_it_with():
    assert set(SHIPPED) == set(LAYOUTS)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_loaded_competition_has_its_command_name(name):
    assert competitions.load(name).name == name


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_competition_has_at_most_30_lines(name):
    path = Path(competitions.__file__).parent / f"{name.replace('-', '_')}.py"
    assert len(path.read_text().splitlines()) <= WITH_RECIPES_OF_THEIR_OWN.get(name, 30)


def test_listing_names_imports_no_competition():
    code = "import competitions, sys; competitions.names(); print([m for m in sys.modules if 'dog_breed' in m])"
    assert run_python(code) == "[]"


def test_loading_every_competition_imports_nothing_heavy():
    code = (
        "import competitions, sys\n"
        "for name in competitions.names(): competitions.load(name)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    assert run_python(code) == "[]"


def test_a_file_in_the_workspace_is_a_competition(plugins):
    assert competitions.names(plugins) == tuple(sorted(("big-letters", *SHIPPED)))
    loaded = competitions.load("big-letters", plugins)
    assert isinstance(loaded, Competition)
    assert (loaded.name, loaded.slug) == ("big-letters", "letters")


def test_a_workspace_file_replaces_the_shipped_one_of_its_name(plugins):
    (plugins / "planet.py").write_text(PLUGIN)
    assert competitions.load("planet", plugins).slug == "letters"
    assert competitions.load("planet").slug == "planet-understanding-the-amazon-from-space"


def test_a_workspace_without_competitions_has_the_shipped_ones(tmp_path):
    assert competitions.names(tmp_path / "competitions") == SHIPPED


def test_hidden_private_and_other_files_are_no_competitions(plugins):
    for name in ("__init__.py", "_draft.py", ".hidden.py", "notes.txt"):
        (plugins / name).write_text("not Python")
    assert competitions.names(plugins) == tuple(sorted(("big-letters", *SHIPPED)))


BROKEN = [
    ("a syntax error", PLUGIN.replace('slug="letters",', 'slug="letters'), 6, "SyntaxError"),
    ("an undefined name", PLUGIN.replace("metric=LOG_LOSS", "metric=LOGLOSS"), 13, "'LOGLOSS'"),
    ("an import that fails", PLUGIN.replace("NO_FLIP, ", "UPWRITE, "), 3, "'UPWRITE'"),
    ("an unknown field", PLUGIN.replace("title=", "tittle="), 5, "'tittle'"),
    ("a missing field", PLUGIN.replace("    preset=NO_FLIP,\n", ""), 5, "'preset'"),
    ("an invalid field", PLUGIN.replace("train/{id}", "train/"), 5, "Competition.train_images"),
    ("an exit", PLUGIN + "\nraise SystemExit(3)\n", 17, "SystemExit: 3"),
    ("another error", PLUGIN + "\n\n1 / 0\n", 18, "ZeroDivisionError"),
    ("an error that nothing catches", PLUGIN + "\nraise BaseException('no')\n", 17, "BaseException: no"),
]


@pytest.mark.parametrize(("text", "line", "cause"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_broken_file_is_refused_with_its_line_and_others_load(plugins, text, line, cause):
    path = plugins / "broken.py"
    path.write_text(text)
    assert "broken" in competitions.names(plugins)
    with pytest.raises(PluginError) as caught:
        competitions.load("broken", plugins)
    assert cause in caught.value.message
    assert caught.value.where == f"{path}:{line}"
    assert caught.value.fix == "correct that line; docs/competitions.md has a complete example"
    assert competitions.load("big-letters", plugins).slug == "letters"
    assert competitions.load("dog-breed", plugins).slug == "dog-breed-identification"


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("", "no COMPETITION"),
        ("competition = 1", "no COMPETITION"),
        ("COMPETITION = 'dog-breed'", "a COMPETITION of type str"),
        ("from runner.contract import Competition as COMPETITION", "a COMPETITION of type type"),
    ],
)
def test_a_file_without_a_competition_is_refused(plugins, text, content):
    path = plugins / "broken.py"
    path.write_text(text)
    with pytest.raises(PluginError) as caught:
        competitions.load("broken", plugins)
    assert caught.value.message == f"the competition file holds {content}"
    assert caught.value.where == str(path)
    assert "COMPETITION = Competition(...)" in caught.value.fix


def test_a_file_that_is_not_utf_8_is_refused(plugins):
    (plugins / "broken.py").write_bytes(b'"""Caf\xe9."""\n' + PLUGIN.encode())
    with pytest.raises(PluginError, match="SyntaxError"):
        competitions.load("broken", plugins)


def test_a_file_may_define_a_dataclass(plugins):
    dataclass = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass Own:\n    a: x.y\n"
    )
    (plugins / "own.py").write_text(dataclass + PLUGIN.split('"""\n', 1)[1])
    assert competitions.load("own", plugins).slug == "letters"


def summaries_of(folder: Path) -> tuple[dict[str, PluginSummary], list[PluginError]]:
    """The summaries by name, and the errors."""
    found = list(competitions.summaries(folder))
    errors = [each for each in found if isinstance(each, PluginError)]
    return {each.name: each for each in found if isinstance(each, PluginSummary)}, errors


def test_a_summary_has_what_a_loaded_competition_says():
    found, errors = summaries_of(Path("none"))
    assert errors == []
    for name, summary in found.items():
        loaded = competitions.load(name)
        assert (summary.slug, summary.title, summary.metric) == (loaded.slug, loaded.title, loaded.metric)


HOSTILE = ("raise KeyboardInterrupt", "raise SystemExit(3)", "raise BaseException", "1 / 0", "import os; os._exit(7)")


@pytest.mark.parametrize("line", HOSTILE)
def test_a_summary_executes_nothing(plugins, line):
    (plugins / "hostile.py").write_text(f"{PLUGIN}\n{line}\n")
    found, errors = summaries_of(plugins)
    assert errors == []
    assert found["hostile"].title == "Letters"


WAYS = [
    PLUGIN.replace('"letters"', "SLUG").replace("COMPETITION =", 'SLUG = "letters"\nCOMPETITION ='),
    PLUGIN.replace("COMPETITION =", "COMPETITION: Competition ="),
    PLUGIN.replace("COMPETITION =", "base =") + "\nCOMPETITION = replace(base, preset=NO_FLIP)\n",
    PLUGIN.replace('slug="letters"', '"letters"').replace('title="Letters"', '"Letters"'),
    PLUGIN.replace("LOG_LOSS", "LOSS").replace("import LOSS", "import LOG_LOSS as LOSS"),
    PLUGIN.replace("import LOG_LOSS,", "import").replace("LOG_LOSS", "contract.LOG_LOSS"),
    PLUGIN.replace("LOG_LOSS, NO_FLIP, Competition, Multiclass, Recipe, Stage, TrainMode", "*"),
]


@pytest.mark.parametrize("text", WAYS)
def test_a_summary_follows_names_and_copies(plugins, text):
    (plugins / "big_letters.py").write_text(text)
    summary = summaries_of(plugins)[0]["big-letters"]
    assert (summary.slug, summary.title, summary.metric) == ("letters", "Letters", LOG_LOSS)


def test_a_summary_has_the_direction_of_a_metric_of_the_file_itself(plugins):
    own = 'MINE = Metric("mine", "my score", score, higher_is_better=True)\nCOMPETITION ='
    (plugins / "big_letters.py").write_text(PLUGIN.replace("LOG_LOSS,", "MINE,").replace("COMPETITION =", own))
    metric = summaries_of(plugins)[0]["big-letters"].metric
    assert (metric.title, metric.higher_is_better) == ("my score", True)


def test_a_summary_leaves_out_what_only_running_the_file_would_tell(plugins):
    (plugins / "circle.py").write_text("COMPETITION = COMPETITION\n")
    (plugins / "made.py").write_text("for COMPETITION in competitions(): pass\n")
    (plugins / "joined.py").write_text(
        PLUGIN.replace('"letters"', '"let" + "ters"').replace("=LOG_LOSS,", "=any()[0],")
    )
    found, errors = summaries_of(plugins)
    assert errors == []
    assert [(found[name].slug, found[name].title) for name in ("circle", "made")] == [("", "circle"), ("", "made")]
    assert (found["joined"].slug, found["joined"].title, found["joined"].metric) == ("", "Letters", None)


def test_what_cannot_be_a_competition_is_told_and_breaks_nothing(plugins):
    (plugins / "gone.py").symlink_to(plugins / "nowhere.py")
    (plugins / "folder.py").mkdir()
    (plugins / "list.py").write_text(PLUGIN)
    (plugins / "wrong.py").write_text("def (")
    (plugins / "empty.py").write_text("")
    (plugins / "nested.py").write_text("x = " + "(" * 5000)
    found, errors = summaries_of(plugins)
    assert set(found) == {"big-letters", *SHIPPED}
    assert sorted(Path(str(error.where).partition(":")[0]).name for error in errors) == sorted(
        ["gone.py", "folder.py", "list.py", "wrong.py", "empty.py", "nested.py"]
    )
    assert all(error.fix for error in errors)
    with pytest.raises(PluginError, match="a link to nothing"):
        competitions.load("gone", plugins)


def test_reserved_names_are_those_of_the_commands():
    assert set(RootGroup.table) <= set(competitions.RESERVED_NAMES)


@pytest.mark.parametrize(
    ("name", "meant"), [("dogbreed", "dog-breed"), ("dog_breed", "dog-breed"), ("plane", "planet")]
)
def test_a_mistyped_name_gets_a_suggestion(name, meant):
    with pytest.raises(UsageError) as caught:
        competitions.load(name)
    assert f"did you mean {meant}?" in str(caught.value.fix)


def test_an_unknown_name_gets_the_command_that_lists_them():
    with pytest.raises(UsageError) as caught:
        competitions.load("zzz")
    assert caught.value.message == "no competition is named 'zzz'"
    assert caught.value.fix == "runner list"

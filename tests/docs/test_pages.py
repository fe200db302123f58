"""README and docs against the program: commands parse, code runs, links lead somewhere, nothing is left out."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

import runner
from docs import generate_commands, generate_competitions, generate_python
from runner import contract
from runner.cli.command_groups import CompetitionGroup, LazyGroup, RootGroup
from runner.contract import Competition, ImageArray, Metric, Preset, Recipe, Stage
from tests.docs.pages import PAGES, ROOT, code_blocks, commands, headings, links, page_id
from tests.test_floors import FLOORS

DOCS = ROOT / "docs"
LABELS = (contract.Multiclass, contract.Multilabel, contract.Binary)


def parse(words: list[str]) -> None:
    """Parse a command line as `runner` does, without calling the command."""
    name, command, arguments = "runner", RootGroup("runner"), words
    context = None
    while True:
        try:
            context = command.make_context(name, list(arguments), parent=context)
        except (click.exceptions.Exit, click.exceptions.NoArgsIsHelpError):
            return  # --help, --version, or a group alone
        if not isinstance(command, click.Group):
            return
        rest = [*context._protected_args, *context.args]
        name, command, arguments = command.resolve_command(context, rest)


@pytest.fixture
def plugin_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current workspace, with the README's competition in it."""
    file = tmp_path / "competitions" / "whale_calls.py"
    file.parent.mkdir()
    file.write_text(code_blocks(ROOT / "README.md", "python")[0], encoding="utf-8")
    monkeypatch.setenv("RUNNER_WORKSPACE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_command_line_in_a_page_parses(page: Path, plugin_workspace: Path) -> None:
    for words in commands(page):
        try:
            parse(words)
        except (click.ClickException, runner.errors.RunnerError) as error:
            pytest.fail(f"runner {' '.join(words)}: {error}")


def test_an_unknown_flag_or_command_does_not_parse() -> None:
    for words in (
        ["dog-breed", "train", "--no-such-flag"],
        ["dog-breed", "fly"],
        ["dog-breed", "check", "a.csv", "b.csv"],
    ):
        with pytest.raises((click.ClickException, runner.errors.UsageError)):
            parse(words)


def test_the_command_reference_is_up_to_date() -> None:
    page = generate_commands.PAGE.read_text(encoding="utf-8")
    assert page == generate_commands.update(page), "run `make docs`"


def test_the_table_of_competitions_is_up_to_date() -> None:
    page = generate_competitions.PAGE.read_text(encoding="utf-8")
    assert page == generate_competitions.update(page), "run `make docs`"


def test_the_reference_of_calls_is_up_to_date() -> None:
    page = generate_python.PAGE.read_text(encoding="utf-8")
    assert page == generate_python.update(page), "run `make docs`"


@pytest.mark.parametrize("name", [*RootGroup.table, *CompetitionGroup.table])
def test_every_command_has_a_section(name: str) -> None:
    words = f"runner {name}" if name in RootGroup.table else f"runner COMPETITION {name}"
    assert f"\n### {words}\n" in (DOCS / "commands.md").read_text(encoding="utf-8")


def test_every_command_takes_json() -> None:
    groups: tuple[LazyGroup, ...] = (RootGroup("runner"), CompetitionGroup("dog-breed"))
    for group in groups:
        for name in group.table:
            assert "as_json" in {option.name for option in generate_commands.find_command(group, name).params}


def _plugin_blocks() -> list[tuple[str, str]]:
    blocks = [(page_id(page), block) for page in PAGES for block in code_blocks(page, "python")]
    return [(name, block) for name, block in blocks if "COMPETITION = " in block]


def test_there_are_plugin_examples() -> None:
    assert {name for name, _ in _plugin_blocks()} >= {"README.md", "docs/competitions.md"}


@pytest.mark.parametrize(("name", "block"), _plugin_blocks(), ids=lambda value: value[:20])
def test_every_plugin_example_makes_a_competition(name: str, block: str) -> None:
    namespace: dict[str, object] = {}
    exec(compile(block, name, "exec"), namespace)
    assert isinstance(namespace["COMPETITION"], Competition)


def test_every_snippet_about_competitions_runs() -> None:
    namespace = {name: getattr(contract, name) for name in contract.__all__}
    for block in code_blocks(DOCS / "competitions.md", "python"):
        exec(compile(block, "docs/competitions.md", "exec"), namespace)


@pytest.mark.parametrize("kind", [Competition, ImageArray, Metric, Preset, Recipe, Stage, *LABELS])
def test_every_field_of_the_contract_is_documented(kind: type) -> None:
    page = (DOCS / "competitions.md").read_text(encoding="utf-8")
    assert [field.name for field in fields(kind) if f"`{field.name}`" not in page] == []


def test_every_name_of_the_contract_is_documented() -> None:
    page = (DOCS / "competitions.md").read_text(encoding="utf-8")
    assert [name for name in contract.__all__ if name not in page] == []


def test_every_room_is_in_the_architecture() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rooms = [path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "runner").glob("*/__init__.py")]
    assert [room for room in rooms if f"`{room}/`" not in page] == []


def test_the_architecture_lists_the_floors_in_order() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d+ \| (.+) \|$", page, re.MULTILINE)
    assert [set(re.findall(r"`([\w.]+)`", row)) for row in rows] == [set(names) for names in FLOORS]


def test_every_benchmark_is_listed() -> None:
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    scripts = [path.stem for path in (ROOT / "benchmarks").glob("*.py") if not path.stem.startswith("__")]
    assert [name for name in scripts if f"`{name}`" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in headings(file), target

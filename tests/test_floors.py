"""The architecture: a floor imports only itself and the floors below it, function-level imports included."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import competitions
import runner

ROOT = Path(runner.__file__).parent
PLUGINS = Path(competitions.__file__).parent

# From the ground up. Names on one line share a floor. A longer name is a sub-room with a floor of its own.
FLOORS = (
    (
        "runner",
        "runner.commands",
        "runner.errors",
        "runner.full_disk",
        "runner.console",
        "runner.notebook",
        "runner.fields",
        "runner.gc_disabled",
        "runner.locks",
        "runner.workspace",
        "runner.options",
    ),
    ("runner.problems", "runner.csv_file", "runner.field_paths"),
    ("runner.contract",),
    ("competitions",),
    ("runner.submission_format",),
    ("runner.archives",),
    ("runner.hosts.http",),
    ("runner.hosts",),
    ("runner.data",),
    ("runner.images",),
    ("runner.explore", "runner.new_competition"),
    ("runner.session", "runner.climb_record"),
    ("runner.training",),
    ("runner.prediction",),
    ("runner.practice",),
    ("runner.report.page",),
    ("runner.report",),
    ("runner.steps",),
    ("runner.export", "runner.remote"),
    ("runner.workflow", "runner.checks", "runner.climb"),
    (
        "runner.cli.global_options",
        "runner.cli.checked_command",
        "runner.cli.flag_conflicts",
        "runner.cli.wrong_usage",
        "runner.cli.nearest_value",
        "runner.cli.value_types",
        "runner.cli.options",
        "runner.cli.config_file",
        "runner.cli.messages",
        "runner.cli.print_json",
        "runner.cli.completion",
        "runner.cli.tables",
        "runner.cli.invocation",
        "runner.cli.show_error",
        "runner.cli.typography",
    ),
    ("runner.cli.commands",),
    ("runner.cli",),
    ("runner.api",),
    ("runner.__main__",),
)
# Modules that import something of ours inside a function, and why: everything else is imported at the top.
FUNCTION_LEVEL = {
    "competitions": "the names alone are listed without importing a plugin",
    "competitions.iceberg": "a plugin must import fast, and reading its JSON needs numpy",
    "competitions.freesound_2019": "a plugin must import fast, and spectrograms need numpy",
    "competitions.hms_brain_activity": "a plugin must import fast, and spectrograms need numpy and pandas",
    "runner.images.views": "albumentations takes a second to import, and only random views need it",
    "runner.api.results": "a session must open at once, and pandas and matplotlib take seconds",
    "runner.api.run": "a session must open at once, and pandas and matplotlib take seconds",
    "runner.api.session": "a session must open at once, and torch takes seconds",
    "runner.api.work": "a session must open at once, and torch takes seconds",
    "runner.api.workspace": "a session must open at once, and torch takes seconds",
    "runner.remote.route": "a notebook's inference needs torch, and a file is submitted without it",
    "runner.practice.build": "generators and baselines need torch-free but slow packages; listing their names does not",
}
HEAVY = ("torch", "timm", "pandas", "albumentations", "cv2", "kaggle", "kagglesdk", "sklearn", "py7zr")


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path, *, inside_functions: bool = True) -> set[str]:
    """Every module that a file imports; for `from a import b` both a and a.b, whichever is a module."""
    found: set[str] = set()
    for node in nodes_of(tree_of(path), inside_functions):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}:{node.lineno}: imports are absolute here"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            # `from runner.data.table import index` leans on the module and not on its package.
            found.update(submodules or {node.module})
    return found


def nodes_of(node: ast.AST, inside_functions: bool) -> list[ast.AST]:
    """The nodes below; without those in functions, and in blocks for the type checker alone, where asked."""
    found = []
    for child in ast.iter_child_nodes(node):
        found.append(child)
        late = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        )
        if inside_functions or not late:
            found += nodes_of(child, inside_functions)
    return found


def function_level_imports_of(path: Path) -> set[str]:
    """Every module that a file imports inside a function."""
    functions = [n for n in ast.walk(tree_of(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    nodes = [node for function in functions for node in ast.walk(function)]
    return {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names} | {
        node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module
    }


def floor_of(module: str) -> int | None:
    """The floor of one of our modules; None for what is not ours."""
    if module.split(".")[0] not in ("runner", "competitions"):
        return None
    best = [
        (len(name), floor)
        for floor, names in enumerate(FLOORS)
        for name in names
        if module == name or (name != "runner" and module.startswith(name + "."))
    ]
    assert best, f"{module} has no floor: give it one in {Path(__file__).name}"
    return max(best)[1]


@pytest.mark.parametrize("module", MODULES)
def test_a_floor_imports_only_itself_and_the_floors_below(module):
    own = floor_of(module)
    assert own is not None
    above = [name for name in imports_of(MODULES[module]) if (floor_of(name) or 0) > own]
    assert above == [], f"{module} leans on {above}, which stand above it"


def find_cycle(edges: dict[str, set[str]]) -> list[str] | None:
    """The nodes of a cycle in a graph, or None."""
    done: set[str] = set()

    def walk(node: str, path: tuple[str, ...]) -> list[str] | None:
        if node in path:
            return [*path[path.index(node) :], node]
        if node not in done:
            for neighbour in sorted(edges.get(node, set())):
                if cycle := walk(neighbour, (*path, node)):
                    return cycle
            done.add(node)
        return None

    return next((cycle for node in edges if (cycle := walk(node, ()))), None)


def room_of(module: str) -> str:
    """The folder of a module, or the module itself if it lies in no folder."""
    return module if module.count(".") < 2 else module.rpartition(".")[0]


def test_imports_have_no_cycle():
    assert find_cycle({module: imports_of(path) & MODULES.keys() for module, path in MODULES.items()}) is None


def test_rooms_have_no_cycle():
    edges: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        room = room_of(module)
        rooms = {room_of(name) for name in imports_of(path) & MODULES.keys()}
        # A folder and the folders inside it are one room here; their modules have no cycle, as tested above.
        related = {name for name in rooms if f"{name}.".startswith(f"{room}.") or f"{room}.".startswith(f"{name}.")}
        edges.setdefault(room, set()).update(rooms - related - {"runner"})
    assert find_cycle(edges) is None


def test_only_listed_modules_import_ours_inside_functions():
    files = {**MODULES, **{f"competitions.{path.stem}": path for path in PLUGINS.glob("*.py")}}
    late = {
        module.removesuffix(".__init__")
        for module, path in files.items()
        if any(floor_of(name) is not None for name in function_level_imports_of(path))
    }
    # A command is imported for its help, which must not wait for what the command does.
    assert {module for module in late if not f"{module}.".startswith("runner.cli.")} == set(FUNCTION_LEVEL)


def test_only_the_client_of_the_kaggle_host_imports_the_official_client():
    clients = ("kaggle", "kagglesdk")
    importers = {
        module for module, path in MODULES.items() if any(name.split(".")[0] in clients for name in imports_of(path))
    }
    assert importers == {"runner.hosts.kaggle.client"}


@pytest.mark.parametrize("module", [name for name in MODULES if floor_of(name) in (0, 1)] + ["runner.hosts.protocol"])
def test_the_ground_floors_import_nothing_heavy_when_they_are_imported(module):
    heavy = [name for name in imports_of(MODULES[module], inside_functions=False) if name.split(".")[0] in HEAVY]
    assert heavy == []


@pytest.mark.parametrize("path", sorted(PLUGINS.glob("*.py")), ids=lambda path: path.stem)
def test_a_plugin_imports_only_the_contract(path):
    ours = {name for name in imports_of(path, inside_functions=False) if floor_of(name) is not None}
    assert ours <= {"runner.contract", "runner.errors"}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_and_public_name_has_a_docstring(module):
    tree = tree_of(MODULES[module])
    assert ast.get_docstring(tree), f"{MODULES[module]} has no docstring"
    silent = [
        f"{MODULES[module]}:{node.lineno}: {node.name}"
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_no_module_is_named_utils_or_helpers():
    drawers = {"utils", "util", "helpers", "helper", "misc", "common", "tools"}
    assert {module for module in MODULES if module.rpartition(".")[2] in drawers} == set()

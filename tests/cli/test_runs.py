"""`runs`: sorted, filtered, renamed, annotated and deleted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from runner.contract import EnsembleRecipe
from runner.errors import InUseError, UsageError
from runner.hosts.ledger import COLUMNS, Entry, read_ledger, record_entry
from runner.hosts.protocol import Status
from runner.prediction.sources import Sources, read_sources, write_sources
from runner.session import Session
from runner.steps.manage_runs import delete_run, rename_run, uses_of
from runner.steps.runs import list_runs
from runner.training.log import append_line
from runner.training.run import Run, find_runs, hold_run
from runner.workspace import Workspace, write_text
from tests.builders import start_run
from tests.cli.conftest import Runner
from tests.competitions import SHAPES

_EPOCH = {
    "fold": 0,
    "epoch": 0,
    "stage": 0,
    "size": 32,
    "mode": "unfrozen",
    "cycle": 0,
    "ends_cycle": True,
    "batch_size": 16,
    "train_loss": 1.0,
    "valid_loss": 1.0,
    "scores": {},
    "images_per_second": 1.0,
    "losses": [],
    "lrs": [],
}
_SCORES = {"first": 0.4, "second": 0.2, "third": 0.3}


@pytest.fixture
def session(shapes: Path) -> Session:
    """Three runs with scores and one without."""
    session = Session(SHAPES, Workspace.at(shapes))
    for number, (name, value) in enumerate(_SCORES.items()):
        _make(session, name, value, minutes=10 - number, seed=number, dropout=number / 10)
    _make(session, "unscored", None, minutes=1, backbone="resnet18")
    return session


def _make(session: Session, name: str, value: float | None, *, minutes: float = 1.0, **recipe: object) -> Run:
    run = start_run(session.workspace, session.name, replace(SHAPES.recipe, **recipe), name)  # type: ignore[arg-type]
    append_line(run.log_file, _EPOCH | {"seconds": 60 * minutes})
    if value is not None:
        score = {"metric": "log_loss", "value": value, "error": 0.01, "rows": 60}
        run.write_score({"cv": score, "extra_metrics": {}})  # type: ignore[typeddict-item]
        write_text(session.submission_file(name), "id\n")
    return run


def _names(cli: Runner, *words: str) -> list[str]:
    result = cli("shapes", "runs", "--json", *words)
    assert result.code == 0, result.out
    return [row["run"] for row in json.loads(result.out)]


@pytest.mark.usefixtures("session")
def test_runs_are_sorted_by_any_column(cli: Runner) -> None:
    assert _names(cli) == ["second", "third", "first", "unscored"]
    assert _names(cli, "--sort", "run") == ["first", "second", "third", "unscored"]
    assert _names(cli, "--sort", "min") == ["first", "second", "third", "unscored"]
    assert _names(cli, "--sort", "min", "--reverse") == ["unscored", "third", "second", "first"]
    assert _names(cli, "--reverse") == ["first", "third", "second", "unscored"]  # what has no score stays last


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (["cv<0.35"], ["second", "third"]),
        (["cv<0.35", "seed!=1"], ["third"]),
        (["backbone=resnet18"], ["unscored"]),
        (["backbone~RESNET1"], ["unscored"]),
        (["dropout>=0.1"], ["second", "third"]),
        (["cv=none"], ["unscored"]),
        (["size=32", "seed = 0"], ["first"]),
        (["stages[0].size=64"], []),
        (["pretrained=no", "ir"], ["third", "first"]),
        (["status=nothing"], []),
    ],
)
def test_runs_are_filtered_by_columns_recipe_fields_and_words(
    filters: list[str], names: list[str], cli: Runner
) -> None:
    assert _names(cli, *(word for each in filters for word in ("--filter", each))) == names


@pytest.mark.usefixtures("session")
def test_a_filter_of_an_unknown_field_names_the_nearest(cli: Runner) -> None:
    result = cli("shapes", "runs", "--filter", "seed=1", "--filter", "drop_out=0.1")
    assert result.code == 2
    assert "no run has 'drop_out' to filter by" in result.err
    assert "fix: runner shapes runs --filter dropout=0.1 --filter seed=1" in result.err


@pytest.mark.usefixtures("session")
def test_the_table_shows_what_differs_from_the_declared_recipe(cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    out = cli("shapes", "runs").out
    assert "dropout 0.1; seed 1" in out
    assert "backbone resnet18" in out
    assert "test_resnet" not in out


def test_stages_that_differ_are_shown_whole(session: Session) -> None:
    stages = (replace(SHAPES.recipe.stages[0], size=64), *SHAPES.recipe.stages)
    _make(session, "longer", None, stages=stages)
    start_run(session.workspace, session.name, EnsembleRecipe(("first", "second")), "both")
    start_run(session.workspace, session.name, SHAPES.recipe, "same")
    changes = {row.run: row.changes for row in list_runs(session)}
    assert changes["longer"] == ("64px unfrozen x3, 32px unfrozen x3",)
    assert changes["both"] == ("ensemble of first, second",)
    assert changes["same"] == ()


def test_a_renamed_run_takes_its_submission_and_its_ledger_along(session: Session, cli: Runner) -> None:
    run = find_runs(session.workspace, session.name)[0]
    assert run.name == "first"
    empty = Entry(**dict.fromkeys(COLUMNS, ""))
    entry = replace(empty, submitted="2020-01-01T00:00:00Z", competition="shapes", host="kaggle", run="first", ref="1")
    entry = replace(entry, status=Status.COMPLETE.value)
    record_entry(session.workspace.ledger_file, entry)
    record_entry(session.workspace.ledger_file, replace(entry, competition="other", ref="2"))
    sources = Sources(
        {"first/fold-0/snapshot-0": "ab", "firsts/fold-0/x": "c"}, "", "", ("plain",), "default", None, ()
    )
    write_sources(session.workspace, run, sources)
    assert cli("shapes", "runs", "--rename", "first", "better-name").out == "renamed: better-name\n"
    renamed = Run("shapes", "better-name", run.folder.with_name("better-name"))
    assert not run.folder.exists()
    assert renamed.read_score() is not None
    assert not session.submission_file("first").exists()
    assert session.submission_file("better-name").exists()
    written = read_sources(renamed)
    assert written is not None
    assert set(written.weights) == {"better-name/fold-0/snapshot-0", "firsts/fold-0/x"}
    assert "better-name.csv" in written.results
    assert [each.run for each in read_ledger(session.workspace.ledger_file)] == ["better-name", "first"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("second", "is taken"), ("first", "has this name already"), ("../x", "cannot name a run"), ("gone", "is taken")],
)
def test_a_name_that_cannot_be_taken_is_refused(name: str, message: str, session: Session) -> None:
    write_text(session.submission_file("gone"), "id\n")  # of a run that was deleted
    run = next(run for run in find_runs(session.workspace, session.name) if run.name == "first")
    with pytest.raises(UsageError, match=message):
        rename_run(session, run, name)
    assert run.folder.is_dir()


def test_a_run_that_others_use_is_not_renamed(session: Session, cli: Runner) -> None:
    start_run(session.workspace, session.name, EnsembleRecipe(("first", "second")), "both")
    start_run(session.workspace, session.name, replace(SHAPES.recipe, all_data=True, refit_of="first"), "first-all")
    start_run(session.workspace, session.name, replace(SHAPES.recipe, from_run="first:snapshot-0"), "next")
    first = next(run for run in find_runs(session.workspace, session.name) if run.name == "first")
    assert {use.run for use in uses_of(session, first)} == {"both", "first-all", "next"}
    result = cli("shapes", "runs", "--rename", "first", "other")
    assert result.code == 2
    assert "both is an ensemble with it" in result.err
    assert "runs --annotate first TEXT" in result.err


@pytest.mark.usefixtures("session")
def test_an_annotation_is_shown_and_removed(cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert cli("shapes", "runs", "--annotate", "second", "  the one\nto beat ").code == 0
    assert "the one to beat" in cli("shapes", "runs").out
    assert _names(cli, "--filter", "to beat") == ["second"]
    assert _names(cli, "--filter", "annotation~beat") == ["second"]
    assert cli("shapes", "runs", "--annotate", "second", "-").code == 0
    assert "annotation" not in cli("shapes", "runs").out


@pytest.mark.usefixtures("session")
def test_deleting_needs_a_yes(cli: Runner) -> None:
    refused = cli("shapes", "runs", "--delete", "first")
    assert refused.code == 2
    assert "fix: runner shapes runs --delete first --yes" in refused.err
    assert "first: " in refused.err
    assert "CV 0.40000; its submission file and its lines in the ledger stay" in refused.err
    assert "first" in _names(cli)


def test_deleted_runs_are_gone_and_their_names_are_not_given_again(session: Session, cli: Runner) -> None:
    start_run(session.workspace, session.name, EnsembleRecipe(("first", "second")), "both")
    result = cli("shapes", "runs", "--delete", "first", "--delete", "unscored", "--yes")
    assert result.out == "deleted: first, unscored\n"
    assert "both is an ensemble with it: it cannot be fitted or predicted again" in result.err
    assert _names(cli) == ["second", "third", "both"]
    assert session.submission_file("first").exists()
    _make(session, "test-resnet-1", 0.1)
    delete_run(session, Run("shapes", "test-resnet-1", session.workspace.run_dir("shapes", "test-resnet-1")))
    assert start_run(session.workspace, session.name, SHAPES.recipe).name == "test-resnet-2"
    assert not list(session.workspace.runs_dir("shapes").glob(".deleted*"))


def test_a_run_that_another_process_writes_is_not_deleted(session: Session) -> None:
    import threading

    run = next(run for run in find_runs(session.workspace, session.name) if run.name == "first")
    held, done = threading.Event(), threading.Event()

    def write() -> None:
        with hold_run(run, "runner shapes train --run first"):
            held.set()
            done.wait(60)

    writer = threading.Thread(target=write)
    writer.start()
    held.wait(60)
    try:
        for change in (lambda: delete_run(session, run), lambda: rename_run(session, run, "other")):
            with pytest.raises(InUseError, match="run first is in use by runner shapes train"):
                change()
    finally:
        done.set()
        writer.join()
    assert run.folder.is_dir()


def test_what_a_killed_deletion_left_is_no_run(session: Session, cli: Runner) -> None:
    folder = session.workspace.run_dir("shapes", "first")
    folder.rename(folder.with_name(".deleted-first"))
    assert "first" not in " ".join(_names(cli))
    assert cli("shapes", "runs", "--delete", "second", "--yes").code == 0
    assert not list(session.workspace.runs_dir("shapes").glob(".deleted*"))


@pytest.mark.usefixtures("session")
@pytest.mark.parametrize(
    "words",
    [
        ("--yes",),
        ("--delete", "first", "--sort", "run"),
        ("--rename", "first", "a", "--delete", "second"),
        ("--annotate", "first", "a", "--filter", "x"),
    ],
)
def test_flags_that_would_be_ignored_are_refused(words: tuple[str, ...], cli: Runner) -> None:
    assert cli("shapes", "runs", *words).code == 2

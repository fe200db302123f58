"""A climb: runs like any other, a submission after the first step, an honest score, and it goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import runner
from competitions import load
from runner.cli import run_command
from runner.climb import climb as climb_module
from runner.climb.climb import ClimbOptions, climb
from runner.climb_record import Decision, StepKind, climb_file, read_climb, write_climb
from runner.contract import (
    MEAN_F2,
    RMSE,
    ROC_AUC,
    Binary,
    Competition,
    Metric,
    Multilabel,
    Recipe,
    Regression,
    Stage,
    TrainMode,
)
from runner.errors import Interrupted, UsageError
from runner.options import Compute
from runner.report.climb import write_climb_page
from runner.session import Session
from runner.training.run import find_run
from runner.workspace import Workspace
from tests.builders import BREEDS, write_csv
from tests.climb.conftest import scripted
from tests.competitions import SHAPES, competition_of, write_plugin

RECIPE = Recipe(
    "test_resnet",
    (Stage(32, TrainMode.FEATURES), Stage(32, TrainMode.UNFROZEN, cycle_len=1)),
    lr=0.01,
    batch_size=16,
    folds=2,
)
CPU = Compute(device="cpu", workers=0)
KINDS = (StepKind.FEATURES, StepKind.FEATURES, StepKind.UNFROZEN, StepKind.VIEWS)


def session_of(workspace: Path, competition: Competition) -> Session:
    write_plugin(workspace, competition)
    return Session(load("shapes", workspace / "competitions"), Workspace(workspace), compute=CPU)


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory, shapes_folder: Path, weights_dir: Path) -> Path:
    """A workspace in which a climb has taken four steps."""
    workspace = tmp_path_factory.mktemp("climbed")
    session = session_of(workspace, replace(SHAPES, recipe=RECIPE))
    with scripted(KINDS):
        climb(session, ClimbOptions(60, (weights_dir,), shapes_folder))
    return workspace


@pytest.fixture
def session(climbed: Path, workspace_folder: Path) -> Iterator[Session]:
    """A session in a copy of that workspace."""
    shutil.copytree(climbed, workspace_folder, dirs_exist_ok=True)
    return session_of(workspace_folder, replace(SHAPES, recipe=RECIPE))


def test_every_step_is_a_run_and_the_last_ensemble_has_a_checked_submission(session: Session) -> None:
    record = read_climb(session.workspace, session.name)
    assert record is not None
    assert [step.kind for step in record.steps] == list(KINDS)
    assert [step.number for step in record.steps] == [1, 2, 3, 4]
    assert record.steps[0].decision is Decision.FIRST
    assert len({step.candidate for step in record.steps[:2]}) == 2
    for step in record.steps:
        run = find_run(session.workspace, session.name, step.run)
        assert run.read_score() is not None
        assert step.minutes > 0
    best = record.best
    assert best is not None and best.score is not None and best.error is not None
    score = find_run(session.workspace, session.name, best.ensemble).read_score()
    assert score is not None
    assert score["cv"]["value"] == best.score
    assert run_command(["--workspace", str(session.workspace.root), "-q", "shapes", "check", best.ensemble]) == 0
    assert record.pending is None
    assert record.seconds > 0


def test_an_unfrozen_stage_is_trained_in_one_fold_at_first(session: Session) -> None:
    record = read_climb(session.workspace, session.name)
    assert record is not None
    step = record.steps[2]
    folder = find_run(session.workspace, session.name, step.run).folder
    assert [path.name for path in sorted(folder.glob("fold-*"))] == ["fold-0"]
    assert step.gain is not None
    assert (step.decision is Decision.LEFT_OUT) is (not step.ensemble)


def test_the_gain_of_a_step_is_the_difference_of_the_scores_on_the_same_rows(session: Session) -> None:
    record = read_climb(session.workspace, session.name)
    assert record is not None
    first, second = record.steps[:2]
    assert second.gain == pytest.approx(first.score - second.score, abs=1e-9)
    assert second.gain_error is not None and second.gain_error >= 0


def test_heads_with_a_holdout_are_refitted_at_the_end(
    workspace_folder: Path, shapes_folder: Path, weights_dir: Path
) -> None:
    session = session_of(workspace_folder, replace(SHAPES, recipe=replace(RECIPE, folds=None)))
    with pytest.MonkeyPatch.context() as patch, scripted((StepKind.FEATURES, StepKind.FEATURES)):
        patch.setattr(climb_module, "_fold_count", lambda *_: 0)
        result = climb(session, ClimbOptions(60, (weights_dir,), shapes_folder))
    best = result.record.best
    assert best is not None
    assert result.run.name == result.record.refit == f"{best.ensemble}-all"
    members = find_run(session.workspace, session.name, best.ensemble).read_members()
    assert {f"{name}-all" for name in members} >= set(result.run.read_members())
    score = result.run.read_score()
    assert score is not None
    assert (score["cv"]["value"], score["refit_of"]) == (best.score, best.ensemble)
    assert run_command(["--workspace", str(session.workspace.root), "-q", "shapes", "check", result.run.name]) == 0
    assert result.run.name in write_climb_page(session).read_text(encoding="utf-8")
    # The same call is back at once; one with another step refits the ensemble after it.
    with scripted(()):
        assert climb(session, ClimbOptions(60, (weights_dir,))).run.name == result.run.name
    with scripted((StepKind.VIEWS,)):
        later = climb(session, ClimbOptions(60, (weights_dir,)))
    assert later.record.best is not None
    assert later.run.name == f"{later.record.best.ensemble}-all"


def test_without_time_for_the_refit_the_last_ensemble_is_submitted(
    workspace_folder: Path, shapes_folder: Path, weights_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    session = session_of(workspace_folder, replace(SHAPES, recipe=replace(RECIPE, folds=None)))
    with pytest.MonkeyPatch.context() as patch, scripted((StepKind.FEATURES,)):
        patch.setattr(climb_module, "_fold_count", lambda *_: 0)
        patch.setattr(climb_module.Prices, "refit", lambda *_: 3600.0)
        result = climb(session, ClimbOptions(60, (weights_dir,), shapes_folder))
    assert result.record.best is not None
    assert (result.record.refit, result.run.name) == ("", result.record.best.ensemble)
    assert "no time is left to refit the heads on all rows" in caplog.text


@pytest.mark.slow
def test_a_climb_goes_on_and_counts_the_time_that_was_spent(session: Session, weights_dir: Path) -> None:
    before = read_climb(session.workspace, session.name)
    assert before is not None
    spent = climb(session, ClimbOptions(before.seconds / 120, (weights_dir,)))
    assert spent.record.steps == before.steps
    assert "are spent" in spent.reason
    assert spent.run is not None and spent.run.name == before.best.ensemble
    with scripted([StepKind.LARGER]):
        result = climb(session, ClimbOptions(600, (weights_dir,)))
    assert result.record.steps[:4] == before.steps
    assert [step.kind for step in result.record.steps[4:]] == [StepKind.LARGER]
    assert result.record.seconds > before.seconds


def test_an_interrupted_step_is_finished_by_the_next_call(
    session: Session, weights_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, scripted([StepKind.LARGER]), pytest.raises(Interrupted) as caught:
        patch.setattr(climb_module, "ensemble", interrupted)
        climb(session, ClimbOptions(600, (weights_dir,)))
    kept = read_climb(session.workspace, session.name)
    assert kept is not None and kept.pending is not None and kept.best is not None
    assert kept.best.ensemble in str(caught.value)
    with scripted([]):
        result = climb(session, ClimbOptions(600, (weights_dir,)))
    assert result.record.pending is None
    assert [step.run for step in result.record.steps[4:]] == [kept.pending.run]


def test_the_end_of_the_time_stops_a_step_and_keeps_the_submission(session: Session, weights_dir: Path) -> None:
    before = read_climb(session.workspace, session.name)
    assert before is not None and before.best is not None
    with scripted([StepKind.LARGER]), pytest.MonkeyPatch.context() as patch:

        def slow(climber: climb_module.Climber, offer: object, candidate: object) -> None:
            climber.clock.has_rung = True
            raise KeyboardInterrupt

        patch.setattr(climb_module.Climber, "_train_and_predict", slow)
        result = climb(session, ClimbOptions(600, (weights_dir,)))
    assert result.reason == "the time is up"
    assert result.record.steps[-1].decision is Decision.STOPPED
    assert result.run is not None and result.run.name == before.best.ensemble


def test_a_step_that_fails_is_noted_and_the_climb_goes_on(session: Session, weights_dir: Path) -> None:
    with scripted([StepKind.LARGER, StepKind.VIEWS]), pytest.MonkeyPatch.context() as patch:

        def failing(*_: object) -> None:
            raise UsageError("this network cannot be trained")

        patch.setattr(climb_module.Climber, "_train_and_predict", failing)
        result = climb(session, ClimbOptions(600, (weights_dir,)))
    assert result.record.steps[-1].decision is Decision.FAILED
    assert result.record.steps[-1].why == "this network cannot be trained"
    assert result.run is not None


@pytest.mark.slow
def test_other_data_begins_a_new_climb_with_runs_of_other_names(session: Session, weights_dir: Path) -> None:
    record = read_climb(session.workspace, session.name)
    assert record is not None
    write_climb(session.workspace, session.name, replace(record, data="of other data"))
    with scripted([StepKind.FEATURES]):
        result = climb(session, ClimbOptions(60, (weights_dir,)))
    assert [step.number for step in result.record.steps] == [1]
    assert result.run is not None and result.run.name == "climb2-step-1"


def test_the_page_shows_each_step_and_the_score_by_minutes(session: Session) -> None:
    page = write_climb_page(session).read_text(encoding="utf-8")
    record = read_climb(session.workspace, session.name)
    assert record is not None
    for step in record.steps:
        assert step.what.replace("_", "_<wbr>") in page
    assert "<svg" in page
    assert "nested cross-validation" in page


def test_a_climb_is_a_call_of_a_session(session: Session, weights_dir: Path) -> None:
    opened = runner.open(replace(SHAPES, recipe=RECIPE), session.workspace.root, device="cpu", workers=0)
    found = opened.climb(time_budget=0.01, weights=[weights_dir])
    assert found.run.name == read_climb(session.workspace, session.name).best.ensemble
    assert found.steps["decision"].iloc[0] == "first"
    assert repr(found).startswith("<climb: 4 steps in ")
    offers = opened.climb(time_budget=600, weights=[weights_dir], dry_run=True)
    assert {"what", "share", "why"} <= set(offers) and (offers["seconds"] > 0).all()


def test_a_dry_run_prints_prices_and_takes_no_step(
    session: Session, weights_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = climb_file(session.workspace, session.name).read_bytes()
    words = ["--workspace", str(session.workspace.root), "--json", "shapes", "climb", "--weights", str(weights_dir)]
    assert run_command([*words, "--dry-run", "--time-budget", "600", "--device", "cpu", "--workers", "0"]) == 0
    offers = json.loads(capsys.readouterr().out)
    assert {offer["kind"] for offer in offers} >= {"larger size"}
    assert all(offer["seconds"] > 0 and offer["what"] and offer["why"] for offer in offers)
    assert climb_file(session.workspace, session.name).read_bytes() == before


def test_a_network_without_weights_is_trained_from_scratch(workspace_folder: Path, shapes_folder: Path) -> None:
    recipe = replace(RECIPE, stages=(Stage(32, TrainMode.UNFROZEN, cycle_len=1),), pretrained=False)
    session = session_of(workspace_folder, replace(SHAPES, recipe=recipe))
    with scripted([StepKind.UNFROZEN, StepKind.FOLDS]):
        result = climb(session, ClimbOptions(60, source=shapes_folder))
    first, folds = result.record.steps
    assert [(step.kind, step.size) for step in (first, folds)] == [(StepKind.UNFROZEN, 32), (StepKind.FOLDS, 32)]
    assert (first.decision, first.rows, folds.rows) == (Decision.FIRST, 30, 60)
    assert folds.run == first.run
    assert folds.gain is None  # there is nothing else to compare with


SCORES: dict[str, tuple[Competition, Metric]] = {
    "numbers": (competition_of(Regression(csv="labels.csv", id="id", label="target"), RMSE), RMSE),
    "two classes": (competition_of(Binary(csv="labels.csv", id="id", label="target"), ROC_AUC), ROC_AUC),
    "tags": (competition_of(Multilabel(csv="labels.csv", id="id", label="target"), MEAN_F2), MEAN_F2),
}


@pytest.mark.parametrize(
    "kind", ["numbers", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("two classes", "tags"))]
)
def test_every_kind_of_labels_climbs(kind: str, workspace_folder: Path, shapes_folder: Path, weights_dir: Path) -> None:
    competition, metric = SCORES[kind]
    source = relabelled(shapes_folder, workspace_folder.parent / "source", kind)
    session = session_of(workspace_folder, replace(competition, slug="shapes", name="shapes", recipe=RECIPE))
    kinds = (StepKind.FEATURES, StepKind.UNFROZEN) if kind == "numbers" else (StepKind.FEATURES, StepKind.FEATURES)
    with scripted(kinds):
        result = climb(session, ClimbOptions(60, (weights_dir,), source))
    assert [step.kind for step in result.record.steps] == list(kinds)
    best = result.record.best
    assert best is not None and best.score is not None and np.isfinite(best.score)
    assert metric.is_better(best.score, {"numbers": 2.0, "two classes": 0.4, "tags": 0.3}[kind])


def relabelled(shapes_folder: Path, source: Path, kind: str) -> Path:
    """The same images with other labels."""
    shutil.copytree(shapes_folder, source)
    rows = [line.split(",") for line in (source / "labels.csv").read_text().splitlines()[1:]]
    told = {
        "numbers": lambda number: f"{number + 0.5:.1f}",
        "two classes": lambda number: str(int(number == 1)),
        "tags": lambda number: " ".join(BREEDS[: number + 1]),
    }[kind]
    write_csv(source / "labels.csv", ("id", "target"), ((id, told(BREEDS.index(breed))) for id, breed in rows))
    tests = [path.stem for path in sorted((source / "test").iterdir())]
    write_csv(
        source / "sample_submission.csv", ("id", "target"), ((id, "akita" if kind == "tags" else 0) for id in tests)
    )
    return source


def test_climb_without_time_for_a_step_says_what_it_takes(
    workspace_folder: Path, shapes_folder: Path, weights_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plugin(workspace_folder, replace(SHAPES, recipe=RECIPE))
    words = ["--workspace", str(workspace_folder), "--json", "shapes", "climb", "--from", str(shapes_folder)]
    words += ["--weights", str(weights_dir), "--device", "cpu", "--workers", "0"]
    assert run_command([*words, "--time-budget", "0.05"]) == 2
    error = json.loads(capsys.readouterr().out)
    assert "the first step takes about" in error["error"] or "time" in error["error"]
    assert "--time-budget" in error["fix"]


def stop_in_the_first_step(climber: climb_module.Climber, *_: object) -> None:
    climber.clock.has_rung = True
    raise KeyboardInterrupt


def fail(*_: object) -> None:
    raise UsageError("this network cannot be trained")


@pytest.mark.parametrize(
    ("happens", "told"),
    [
        (stop_in_the_first_step, ["the climb ended without a submission: the time is up", "--time-budget 2"]),
        (fail, ["this network cannot be trained", "--new --time-budget 1"]),
    ],
    ids=["the time ends", "it fails"],
)
def test_a_climb_that_ends_without_a_submission_is_an_error_that_says_how_to_go_on(
    happens: Callable[..., None],
    told: list[str],
    workspace_folder: Path,
    shapes_folder: Path,
    weights_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_plugin(workspace_folder, replace(SHAPES, recipe=RECIPE))
    words = ["--workspace", str(workspace_folder), "--json", "shapes", "climb", "--from", str(shapes_folder)]
    words += ["--weights", str(weights_dir / "test_resnet.mine.safetensors"), "--device", "cpu", "--workers", "0"]
    answers = []
    for _ in range(2):  # the second call finds what the first one left
        with scripted([StepKind.FEATURES]), pytest.MonkeyPatch.context() as patch:
            patch.setattr(climb_module.Climber, "_train_and_predict", happens)
            code = run_command([*words, "--time-budget", "1"])
        answers.append((code, json.loads(capsys.readouterr().out)))
    message, flags = told
    assert 0 not in {code for code, _ in answers}
    assert all(message in answer["error"] for _, answer in answers)
    assert flags in answers[1][1]["fix"]


def test_a_folder_without_weights_is_refused(workspace_folder: Path, tmp_path: Path, shapes_folder: Path) -> None:
    session = session_of(workspace_folder, replace(SHAPES, recipe=RECIPE))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError) as caught:
        climb(session, ClimbOptions(1, (tmp_path / "empty",), shapes_folder))
    assert caught.value.message == "the folder holds no weights"

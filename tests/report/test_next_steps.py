"""What a report suggests: by what was measured, with commands that train just that."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from runner.cli.commands.train import train
from runner.cli.options import read_recipe
from runner.contract import Loss, Optimizer, Policy, Recipe, Regularize, Solver, Stage, TrainMode, with_augment
from runner.contract.recipe import linear_probe, scale_epochs, short_recipe, with_freeze_to, with_sizes, with_solver
from runner.report.run.data import read_run_data
from runner.report.run.next_steps import next_steps
from runner.session import Session
from runner.training.recipe_flags import recipe_flags
from runner.training.run import Run
from tests.training.loss_curves import make_log

DECLARED = Recipe(
    "resnet18",
    (
        Stage(64, TrainMode.FEATURES, cycles=2, cycle_len=2, cycle_mult=2),
        Stage(64, TrainMode.UNFROZEN, cycle_len=5),
        Stage(96, TrainMode.UNFROZEN, cycle_len=4),
    ),
    lr=0.01,
    dropout=0.5,
)


def parsed(session: Session, flags: list[str]) -> Recipe:
    """The recipe that the real command line makes of these flags."""
    with train.make_context("train", list(flags)) as context:
        return read_recipe(session, context.params)


RECIPES = {
    "the declared one": DECLARED,
    "another backbone": replace(DECLARED, backbone="resnet34"),
    "arguments of the backbone": replace(DECLARED, backbone_args={"act_layer": "silu", "drop_path_rate": 0.2}),
    "from scratch": replace(DECLARED, pretrained=False),
    "other sizes": with_sizes(DECLARED, [32, 64]),
    "one size more": with_sizes(DECLARED, [64, 96, 128]),
    "one size": with_sizes(DECLARED, [128]),
    "twice as long": scale_epochs(DECLARED, 2),
    "a third as long": scale_epochs(DECLARED, 1 / 3),
    "quick": short_recipe(DECLARED),
    "quick, longer and larger": scale_epochs(short_recipe(with_sizes(DECLARED, [128])), 3),
    "linear probe": linear_probe(DECLARED),
    "linear probe by cycles": with_solver(linear_probe(DECLARED), Solver.SGDR),
    "linear probe by cycles, longer": scale_epochs(with_solver(linear_probe(DECLARED), Solver.SGDR), 2.5),
    "frozen groups": with_freeze_to(DECLARED, 1),
    "lr": replace(DECLARED, lr=0.003),
    "lr of each group": replace(DECLARED, lr=0.01, group_lrs=(1e-4, 1e-3, 0.01)),
    "lr finder": replace(DECLARED, find_lr=True),
    "batch size": replace(DECLARED, batch_size=16),
    "automatic batch size": replace(DECLARED, auto_batch=True),
    "dropout": replace(DECLARED, dropout=0.25),
    "oversampling": replace(DECLARED, oversample=3.0),
    "mixing and a policy": with_augment(DECLARED, mixup=0.2, cutmix=1.0, policy=Policy.TRIVIAL),
    "smoothing": replace(DECLARED, loss=Loss(label_smoothing=0.1)),
    "an average of weights": replace(DECLARED, regularize=Regularize(ema=0.99)),
    "accumulation, quick": replace(short_recipe(with_augment(DECLARED, cutmix=0.5)), optimizer=Optimizer(accumulate=4)),
    "folds and seed": replace(DECLARED, folds=4, seed=7),
    "all of it": replace(scale_epochs(with_sizes(DECLARED, [32, 48]), 3), backbone="resnet34", lr=0.1, folds=3, seed=1),
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_flags_of_a_recipe_make_that_recipe(session: Session, name: str) -> None:
    flags = recipe_flags(RECIPES[name], DECLARED)
    assert flags is not None
    assert parsed(Session(replace(session.competition, recipe=DECLARED), session.workspace), flags) == RECIPES[name]


def test_the_current_backbone_is_the_counterpart_of_the_recipes(session: Session) -> None:
    declared = Session(replace(session.competition, recipe=DECLARED), session.workspace)
    assert parsed(declared, ["--backbone", "current"]).backbone == "convnext_nano.in12k_ft_in1k"


@pytest.mark.parametrize(
    ("recipe", "declared"),
    [
        (replace(DECLARED, stages=DECLARED.stages[1:]), DECLARED),  # no flag drops a stage
        (DECLARED, replace(DECLARED, pretrained=False)),
        (DECLARED, replace(DECLARED, folds=5)),
        (DECLARED, replace(DECLARED, weights="w.safetensors")),
    ],
)
def test_a_recipe_that_no_flags_make_has_none(recipe: Recipe, declared: Recipe) -> None:
    assert recipe_flags(recipe, declared) is None


@pytest.mark.parametrize("change", [{"find_lr": True}, {"group_lrs": (1e-4, 1e-3, 0.01)}])
def test_the_flag_of_an_lr_replaces_a_declared_finder_and_lrs_of_groups(
    session: Session, change: dict[str, Any]
) -> None:
    declared = replace(DECLARED, **change)
    for wanted in (DECLARED, RECIPES["lr"], RECIPES["lr finder"], RECIPES["lr of each group"]):
        flags = recipe_flags(wanted, declared)
        assert flags is not None
        assert parsed(Session(replace(session.competition, recipe=declared), session.workspace), flags) == wanted


def steps_of(session: Session, run: Run, kind: str | None = None, **log: Any) -> list[str]:
    """The suggestions, after a training whose losses were of that kind."""
    if kind is not None:
        fields = {
            "size": 32,
            "mode": "unfrozen",
            "cycle": 0,
            "scores": {},
            "lrs": [0.01],
            "losses": [1.0],
            "seconds": 1.0,
        }
        fields |= {"batch_size": 64, "images_per_second": 10.0, "ends_cycle": False}
        lines = make_log(kind, **log)
        run.log_file.write_text("".join(json.dumps(fields | line) + "\n" for line in lines), encoding="utf-8")
    return next_steps(read_run_data(session, run))


def suggested(session: Session, step: str) -> Recipe:
    """The recipe that a step's command trains."""
    command = re.search(r"`runner (?:--workspace \S+ )?shapes train ([^`]*)`", step)
    assert command is not None, step
    return parsed(session, shlex.split(command[1]))


def long(run: Any, **recipe: Any) -> Run:
    made: Run = run(stages=(Stage(32, TrainMode.UNFROZEN, cycle_len=12),), **recipe)
    return made


def test_a_loss_that_still_falls_is_trained_longer_first(make_run: Any, session: Session) -> None:
    first, second, *_ = steps_of(session, long(make_run, seed=7), "still improving")
    assert first.startswith("Last stage, still improving: validation loss fell by ")
    assert second.startswith("Twice as long, 24 epochs instead of 12: ")
    assert (suggested(session, second).epochs, suggested(session, second).seed) == (24, 7)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("overfit", "More dropout, 0.3 instead of 0"),
        ("gap at a plateau", "More dropout, 0.3 instead of 0"),
        ("diverged", "A smaller lr, 0.002 instead of 0.01"),
        ("chance", "The LR finder's lr instead of 0.01"),
    ],
)
def test_the_diagnosis_decides_what_is_suggested(make_run: Any, session: Session, kind: str, words: str) -> None:
    assert any(step.startswith(words) for step in steps_of(session, long(make_run), kind)[1:4])


@pytest.mark.parametrize("kind", ["overfit", "gap at a plateau", "diverged", "high plateau", "fine", "chance"])
def test_longer_is_suggested_only_while_the_loss_falls(make_run: Any, session: Session, kind: str) -> None:
    steps = steps_of(session, long(make_run), kind)
    assert not any(step.startswith("Twice as long") for step in steps)


def test_after_one_epoch_a_longer_training_is_suggested(make_run: Any, session: Session) -> None:
    run = make_run(stages=(Stage(32, TrainMode.UNFROZEN),))
    first, second, *_ = steps_of(session, run, "chance", epochs=1)
    assert first.startswith("Last stage, too early to tell: one epoch in this stage; ")
    assert second.startswith("Twice as long, 2 epochs instead of 1: ")


def test_the_last_stage_counts_over_all_folds(make_run: Any, session: Session) -> None:
    run = make_run(folds=3)
    assert "validation loss 0.3667" in steps_of(session, run)[0]


def test_a_run_that_no_flags_make_is_named_in_the_command(make_run: Any, session: Session) -> None:
    stages = (Stage(32, TrainMode.UNFROZEN, cycle_len=5), Stage(32, TrainMode.FROZEN, cycle_len=1))
    run = make_run(stages=stages, backbone="test_vit", dropout=0.2)
    step = next(step for step in steps_of(session, run) if "Five folds" in step)
    assert "--recipe-of first --folds 5" in step
    assert suggested(session, step) == replace(run.read_recipe(), folds=5)


def test_the_weights_of_the_run_are_in_its_commands(make_run: Any, session: Session) -> None:
    import hashlib

    weights = session.workspace.root / "my weights.safetensors"
    weights.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()[:16]
    run = make_run(backbone="test_vit", weights=f"{weights.name} sha256:{digest}")
    step = next(step for step in steps_of(session, run) if "Five folds" in step)
    assert "--backbone test_vit --weights " in step and weights.name in step
    weights.unlink()
    step = next(step for step in steps_of(session, run) if "Five folds" in step)
    assert "--recipe-of first --folds 5" in step


def test_another_run_with_the_same_folds_is_suggested_for_an_ensemble(make_run: Any, session: Session) -> None:
    run = make_run("first")
    assert any(
        "train another backbone: `runner " in step and " shapes train " in step for step in steps_of(session, run)
    )
    make_run("second", draw=6)
    make_run("other-folds", folds=3)
    steps = steps_of(session, run)
    assert any(step.endswith(" shapes ensemble first second`") for step in steps)


def test_confident_errors_point_to_wrong_labels(make_run: Any, session: Session) -> None:
    data = read_run_data(session, make_run())
    assert data.oof is not None
    labels = data.oof.labels_and_predictions[0]
    for wrong, is_told in ((5, True), (1, False)):
        classes = labels.copy()
        classes[:wrong] = (classes[:wrong] + 1) % 3
        certain = np.eye(3)[classes]
        data.__dict__["oof"] = replace(data.oof, probabilities=certain, values=certain)
        told = [step for step in next_steps(data) if "are predicted as another class" in step]
        assert bool(told) == is_told
        assert not is_told or told[0].startswith("5 of 60 validation images ")


def test_commands_name_the_host(make_run: Any, session: Session) -> None:
    practice = Session(session.competition, session.workspace.for_host("practice"), "practice")
    shutil.copytree(session.workspace.data_dir("shapes"), practice.workspace.data_dir("shapes"))
    run = make_run(seed=7)
    moved = Run("shapes", run.name, practice.workspace.run_dir("shapes", run.name))
    shutil.copytree(run.folder, moved.folder)
    commands = re.findall(r"`([^`]*)`", "\n".join(next_steps(read_run_data(practice, moved))))
    assert len(commands) > 3
    assert all(" --host practice shapes " in command for command in commands)
    assert not any(re.search(r"\b[A-Z]+\b", command) for command in commands)  # no placeholder

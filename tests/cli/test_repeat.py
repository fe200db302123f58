"""A command that is repeated goes on with its run, and leaves no empty one behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from runner.contract import Recipe, Stage, TrainMode
from runner.training import folds as folds_module
from runner.training import trainer as trainer_module
from runner.training.learner import NonFiniteLoss
from runner.training.run import Run
from runner.training.trainer import StageTrainer
from tests.cli.conftest import Result, Runner
from tests.competitions import SHAPES, write_plugin

RECIPE = replace(SHAPES.recipe, stages=(Stage(24, TrainMode.UNFROZEN, cycles=2),), batch_size=32)
Interrupt = Callable[[int], None]


@pytest.fixture
def workspace_dir(workspace_folder: Path, cli: Runner, shapes_folder: Path) -> Path:
    """A workspace with data; its recipe takes two epochs."""
    write_plugin(workspace_folder, replace(SHAPES, recipe=RECIPE))
    assert cli("shapes", "download", "--from", shapes_folder).code == 0
    return workspace_folder


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    """Press Ctrl-C when an epoch starts, once."""
    fit_epoch, armed = StageTrainer.fit_epoch, []

    def interrupted(self: StageTrainer, epoch: object) -> None:
        if armed and epoch.number == armed[0]:  # type: ignore[attr-defined]
            armed.clear()
            raise KeyboardInterrupt
        fit_epoch(self, epoch)  # type: ignore[arg-type]

    monkeypatch.setattr(StageTrainer, "fit_epoch", interrupted)
    return armed.append


def train(cli: Runner, *flags: object) -> Result:
    result = cli("shapes", "train", "--workers", 0, *flags)
    assert result.code == 0, result.err
    return result


def runs_dir(workspace: Path) -> Path:
    return workspace / "runs" / "shapes"


def run_names(workspace: Path) -> list[str]:
    return sorted(path.name for path in runs_dir(workspace).iterdir() if path.is_dir())


def weights(workspace: Path, name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((runs_dir(workspace) / name).glob("fold-*/*.safetensors"))]


def test_a_repeated_train_finds_its_finished_run_and_new_trains_another(workspace_dir: Path, cli: Runner) -> None:
    assert train(cli).out == "test-resnet-1\n"
    again = train(cli)
    assert again.out == "test-resnet-1\n"
    assert "test-resnet-1 is trained already: 2 of 2 epochs; --new trains another" in again.err
    assert run_names(workspace_dir) == ["test-resnet-1"]
    assert train(cli, "--new").out == "test-resnet-2\n"
    taken = cli("shapes", "train", "--new", "--run", "test-resnet-2")
    assert taken.code == 2
    assert "exists already, and --new asks for another" in taken.err


def test_another_recipe_seed_or_split_is_another_run(workspace_dir: Path, cli: Runner) -> None:
    train(cli)
    assert train(cli, "--seed", 1).out == "test-resnet-2\n"
    assert train(cli, "--folds", 2, "--only-fold", 0).out == "test-resnet-3\n"
    assert train(cli, "--folds", 2, "--only-fold", 0).out == "test-resnet-3\n"
    assert "going on with test-resnet-3 after 0 of 2 epochs" in train(cli, "--folds", 2, "--only-fold", 1).err


def test_an_interrupted_train_goes_on_with_the_command_that_it_names(
    workspace_dir: Path, cli: Runner, interrupt: Interrupt, tmp_path: Path
) -> None:
    train(cli, "--run", "unbroken")
    interrupt(1)
    stopped = cli("shapes", "train", "--new", "--workers", 0)
    assert stopped.code == 130
    assert "interrupted: test-resnet-1 keeps 1 of 2 epochs\n" in stopped.err
    command = stopped.err.split("to go on: runner ")[1].split()
    assert command == ["shapes", "train", "--workers", "0"], "--new would begin another run"
    again = train(cli)
    assert again.out == "test-resnet-1\n"
    assert "going on with test-resnet-1 after 1 of 2 epochs" in again.err
    assert weights(workspace_dir, "test-resnet-1") == weights(workspace_dir, "unbroken")


def test_interrupted_in_its_first_epoch_a_run_leaves_nothing(
    workspace_dir: Path, cli: Runner, interrupt: Interrupt
) -> None:
    interrupt(0)
    stopped = cli("shapes", "train", "--workers", 0, "--new")
    assert stopped.code == 130
    assert "no epoch was finished, so no run is kept" in stopped.err
    assert stopped.err.rstrip().endswith("--new")
    assert run_names(workspace_dir) == []


def test_a_time_budget_is_planned_once(
    workspace_dir: Path, cli: Runner, interrupt: Interrupt, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(cli, "--time-budget", 0.2)
    monkeypatch.setattr(folds_module, "measure_costs", lambda *_: pytest.fail("it was measured again"))
    assert "is trained already" in train(cli, "--time-budget", 0.2).err


def test_changed_data_is_not_gone_on_with(workspace_dir: Path, cli: Runner, interrupt: Interrupt) -> None:
    interrupt(1)
    assert cli("shapes", "train", "--workers", 0).code == 130
    Image.new("RGB", (40, 40)).save(workspace_dir / "data" / "shapes" / "train" / "train000.jpg")
    resumed = cli("shapes", "train", "--resume", "--workers", 0)
    assert (resumed.code, "the data has changed since test-resnet-1 began" in resumed.err) == (2, True)
    named = cli("shapes", "train", "--run", "test-resnet-1", "--workers", 0)
    assert (named.code, "was asked for something else: other data" in named.err) == (2, True)
    changed = cli("shapes", "train", "--workers", 0)
    command = changed.err.split("if the change is wanted: ")[1].strip()
    assert command == "runner shapes download --accept-changes", "with --from it would be refused"
    assert cli(*command.split()[1:]).code == 0
    assert train(cli).out == "test-resnet-2\n"


def test_a_name_that_is_taken_says_what_differs(workspace_dir: Path, cli: Runner) -> None:
    train(cli, "--run", "one")
    refused = cli("shapes", "train", "--run", "one", "--seed", 7)
    assert refused.code == 2
    assert "was asked for something else: seed 7 instead of 42" in refused.err
    assert "runner shapes train --run one --resume" in refused.err


def test_a_run_of_an_earlier_version_goes_on_by_its_name(
    workspace_dir: Path, cli: Runner, interrupt: Interrupt
) -> None:
    interrupt(1)
    assert cli("shapes", "train", "--run", "old", "--workers", 0).code == 130
    (runs_dir(workspace_dir) / "old" / "request.json").unlink()
    assert "going on with old after 1 of 2 epochs" in train(cli, "--run", "old").err


def test_a_damaged_run_does_not_stop_a_new_one(workspace_dir: Path, cli: Runner) -> None:
    train(cli)
    for name in ("request.json", "recipe.json"):
        (runs_dir(workspace_dir) / "test-resnet-1" / name).write_text("{")
        assert train(cli, "--new").code == 0
    assert train(cli).out == "test-resnet-3\n"


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--folds", 3, "--only-fold", 9), "there is no fold 9: the run has folds 0 to 2"),
        (("--folds", 3, "--only-fold", 3), "there is no fold 3: the run has folds 0 to 2"),
        (("--only-fold", 0), "--only-fold 0: there are no folds to choose from, only one holdout"),
        (("--only-fold", 4), "--only-fold 4: there are no folds to choose from, only one holdout"),
    ],
)
@pytest.mark.parametrize("command", [("train",), ("run", "--no-submit")])
def test_a_fold_that_does_not_exist_is_refused_before_a_run_begins(
    command: tuple[str, ...], flags: tuple[object, ...], text: str, workspace_dir: Path, cli: Runner
) -> None:
    refused = cli("shapes", *command, *flags)
    assert (refused.code, refused.out) == (2, "")
    assert text in refused.err
    assert not runs_dir(workspace_dir).exists() or run_names(workspace_dir) == []


def test_the_folds_of_a_split_are_those_to_choose_from(workspace_dir: Path, cli: Runner) -> None:
    assert cli("shapes", "split", "--folds", 3).code == 0
    assert "folds 0 to 2" in cli("shapes", "train", "--only-fold", 3).err
    train(cli, "--only-fold", 2)


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("train", "--weights F --no-pretrained"),
        ("train", "--from-run R --weights F"),
        ("train", "--from-run R --no-pretrained"),
        ("train", "--quick --linear-probe"),
        ("train", "--linear-probe --freeze-to 1"),
        ("train", "--time-budget 3 --epochs-scale 1"),
        ("train", "--resume --size 32"),
        ("train", "--resume --backbone resnet18"),
        ("train", "--resume --seed 42"),
        ("train", "--resume --time-budget 3"),
        ("train", "--resume --skip-unreadable"),
        ("train", "--resume --new"),
        ("train", "--resume --all-data"),
        ("train", "--all-data --folds 3"),
        ("train", "--all-data --only-fold 0"),
        ("train", "--all-data --quick"),
        ("train", "--all-data --new"),
        ("run", "--no-submit -m note"),
        ("run", "--weights F --no-pretrained"),
        ("rehearse", "--quick --linear-probe"),
        ("find-lr", "--weights F --no-pretrained"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(
    command: str, flags: str, workspace_dir: Path, cli: Runner
) -> None:
    refused = cli("shapes", command, *flags.split())
    first, second = (word for word in flags.replace("-m", "--message").split() if word.startswith("--"))
    assert refused.code == 2
    assert f"{first} excludes {second}: " in refused.err


@pytest.mark.parametrize(
    ("command", "flags", "text"),
    [
        ("train", "--quick --size 24,32", "nothing is trained at 32 px: --size 24"),
        ("train", "--linear-probe --size 24,32", "nothing is trained at 32 px: --size 24"),
        ("train", "--linear-probe --solver sgdr --lr 1e-4,1e-3,1e-2", "the head alone, which has one learning rate"),
        ("train", "--linear-probe --lr 0.01", "solves a regression, which has none; --solver sgdr has"),
        ("train", "--solver sgdr", "has no features stage"),
        ("find-lr", "--only-fold 1", "find-lr does not use --only-fold"),
        ("find-lr", "--time-budget 5", "find-lr does not use --time-budget"),
    ],
)
def test_a_flag_without_effect_is_refused(
    command: str, flags: str, text: str, workspace_dir: Path, cli: Runner
) -> None:
    refused = cli("shapes", command, *flags.split())
    assert (refused.code, text in refused.err) == (2, True), refused.err


def recipe_of(workspace: Path, name: str) -> Recipe:
    return Run("shapes", name, runs_dir(workspace) / name).read_recipe()


def test_a_given_lr_replaces_a_declared_one_and_the_finder(workspace_dir: Path, cli: Runner) -> None:
    declared = replace(RECIPE, group_lrs=(1e-4, 1e-3, 1e-2), find_lr=True)
    write_plugin(workspace_dir, replace(SHAPES, recipe=declared))
    train(cli, "--lr", "0.003", "--run", "one")
    recipe = recipe_of(workspace_dir, "one")
    assert (recipe.lr, recipe.group_lrs, recipe.find_lr) == (0.003, None, False)


def save_weights(path: Path, seed: int = 0) -> Path:
    import timm
    import torch
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    save_file(timm.create_model("test_resnet", num_classes=5).state_dict(), path)
    return path


@pytest.mark.parametrize("folder", ["nets", "competitions/nets"])
def test_a_competition_file_names_weights_in_the_workspace_or_beside_it(
    folder: str, workspace_dir: Path, cli: Runner
) -> None:
    write_plugin(workspace_dir, replace(SHAPES, recipe=replace(RECIPE, weights="nets/tiny.safetensors")))
    refused = cli("shapes", "train", "--workers", 0)
    assert (refused.code, "weights file of the competition's recipe is missing" in refused.err) == (2, True)
    assert str(workspace_dir / "nets" / "tiny.safetensors") in refused.err
    file = save_weights(workspace_dir / folder / "tiny.safetensors")
    name = train(cli).out.strip()
    assert str(recipe_of(workspace_dir, name).weights).startswith("tiny.safetensors sha256:")
    assert train(cli).out.strip() == name
    save_weights(file, seed=1)
    assert train(cli).out.strip() != name, "other weights under this name are another run"
    assert recipe_of(workspace_dir, train(cli, "--no-pretrained").out.strip()).weights is None


def test_a_run_finds_its_weights_file_again(
    workspace_dir: Path, cli: Runner, interrupt: Interrupt, tmp_path: Path
) -> None:
    flags = ("--workers", 0, "--weights", save_weights(tmp_path / "tiny.safetensors"), "--run", "one")
    interrupt(1)
    assert cli("shapes", "train", "--linear-probe", "--solver", "sgdr", *flags).code == 130
    train(cli, "--resume", "--run", "one")
    assert train(cli, "--all-data", "--run", "one").out == "one-all\n"
    shutil.rmtree(workspace_dir / "cache")
    shutil.rmtree(runs_dir(workspace_dir) / "one-all")
    refused = cli("shapes", "train", "--all-data", "--run", "one")
    assert refused.code == 2
    assert "the weights file that the run starts from is not found: tiny.safetensors" in refused.err
    assert run_names(workspace_dir) == ["one"]
    shutil.copy(tmp_path / "tiny.safetensors", workspace_dir)
    train(cli, "--all-data", "--run", "one")


def test_from_run_takes_the_backbone_of_the_run(workspace_dir: Path, cli: Runner) -> None:
    train(cli, "--backbone", "test_efficientnet", "--run", "first")
    train(cli, "--from-run", "first", "--run", "second")
    assert recipe_of(workspace_dir, "second").backbone == "test_efficientnet"
    refused = cli("shapes", "train", "--from-run", "first", "--backbone", "test_resnet")
    assert (refused.code, "first trained test_efficientnet, not test_resnet" in refused.err) == (2, True)


def test_a_divergence_names_a_command_with_the_flags_of_the_run(
    workspace_dir: Path, cli: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_epoch = trainer_module.train_epoch
    calls = []

    def diverging(*arguments: object, **more: object) -> object:
        calls.append(1)
        if len(calls) in diverges_in:
            raise NonFiniteLoss(3, 0.5)
        return train_epoch(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer_module, "train_epoch", diverging)
    flags = ("--backbone", "test_vit", "--size", 32, "--workers", 0)
    diverges_in = [1]
    at_once = cli("shapes", "train", *flags)
    assert "fix: runner shapes train --backbone test_vit --size 32 --lr 0.05\n" in at_once.err
    assert run_names(workspace_dir) == []
    diverges_in = [3]
    later = cli("shapes", "train", *flags)
    words = "--backbone test_vit --from-run test-vit-1:snapshot-0 --size 32 --lr 0.05"
    assert f"fix: runner shapes train {words}\n" in later.err
    train(cli, *words.split())

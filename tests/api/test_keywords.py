"""Keywords are the flags of the command: every one of them, with the same checks and the same words."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import runner
from runner.api.keywords import _INSTEAD, Call, find_command, keyword_of, options_of
from runner.api.session import Session
from runner.cli.command_groups import CompetitionGroup
from runner.contract import Solver
from runner.errors import RunnerError, UsageError
from tests.competitions import SHAPES


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return runner.open(SHAPES, tmp_path)


def parsed(session: Session, command: str, *arguments: Any, **keywords: Any) -> dict[str, Any]:
    return Call(session, command, arguments, keywords).parse().params


@pytest.mark.parametrize("command", CompetitionGroup.table)
def test_every_command_is_a_call_with_its_flags_as_keywords(command):
    method = getattr(Session, command.replace("-", "_"))
    assert method._command == command
    shown = inspect.signature(method).parameters
    names = {"source" if name == "from" else name for name in options_of(find_command(command))}
    assert names <= shown.keys()


def test_a_call_leaves_the_commands_their_help(session):
    assert Call(session, "train").parse().help_option_names == ["-h", "--help"]


def test_a_keyword_is_named_like_its_flag():
    flags = {keyword_of(option): option.opts for option in options_of(find_command("train")).values()}
    assert "--epochs-scale" in flags["epochs_scale"] and "--no-pretrained" in flags["pretrained"]
    assert keyword_of(options_of(find_command("download"))["source"]) == "source"  # `from` is a word of Python


@pytest.mark.parametrize(
    ("keywords", "name", "value"),
    [
        ({"size": [160, 224]}, "sizes", (160, 224)),
        ({"size": np.array([160, 224])}, "sizes", (160, 224)),
        ({"size": 160}, "sizes", (160,)),
        ({"lr": 1e-5}, "lr", (1e-5,)),
        ({"lr": (1e-4, 1e-3, 1e-2)}, "lr", (1e-4, 1e-3, 1e-2)),
        ({"lr": "find"}, "lr", "find"),
        ({"epochs_scale": 1}, "epochs_scale", 1.0),
        ({"pretrained": False}, "no_pretrained", True),
        ({"pretrained": True}, "no_pretrained", False),
        ({"quick": True}, "quick", True),
        ({"backbone_arg": {"pad_type": "same", "k": 3}}, "backbone_args", (("pad_type", "same"), ("k", 3))),
        ({"backbone_arg": "pad_type=same"}, "backbone_args", (("pad_type", "same"),)),
        ({"solver": Solver.SGDR}, "solver", "sgdr"),
        ({"batch_size": "auto"}, "batch_size", "auto"),
        ({"seed": np.int64(3)}, "seed", 3),
        ({"folds": None}, "folds", None),
    ],
)
def test_values_are_converted_as_typed_ones_are(session, keywords, name, value):
    assert parsed(session, "train", **keywords)[name] == value


def test_the_home_folder_is_found_as_a_shell_finds_it(session):
    assert parsed(session, "download", source="~/dogs.zip")["source"] == Path.home() / "dogs.zip"


def refused(session: Session, command: str = "train", /, *arguments: Any, **keywords: Any) -> RunnerError:
    with pytest.raises(UsageError) as caught:
        getattr(session, command)(*arguments, **keywords)
    return caught.value


@pytest.mark.parametrize(
    ("keywords", "message", "fix"),
    [
        ({"sizes": [64]}, "no keyword 'sizes'; the nearest is 'size'", "session.train(size=[64])"),
        ({"bs": 8, "quick": True}, "the nearest is 'batch_size'", "session.train(batch_size=8, quick=True)"),
        ({"name": "a"}, "the nearest is 'run'", "session.train(run='a')"),
        ({"tta": "all"}, "it is one of predict(), run(), rehearse()", "help(session.train) lists the keywords"),
        ({"no_pretrained": True}, "it is pretrained=False", "session.train(pretrained=False)"),
        ({"size": [224, 128]}, "size: '224,128': the smallest size comes first", "session.train(size=[128, 224])"),
        ({"quick": "yes"}, "quick: 'yes' is neither True nor False", "session.train(quick=True)"),
        ({"epochs": 1.5}, "epochs: '1.5' is not a whole number", "help(session.train)"),
        ({"epochs": True}, "epochs: 'True' is not a whole number", "help(session.train)"),
        ({"device": "gpu"}, "device: 'gpu' is called cuda here", "session.train(device='cuda')"),
        ({"run": ""}, "run", "session.train()"),
    ],
)
def test_a_wrong_keyword_or_value_is_told_with_the_call_that_is_right(session, keywords, message, fix):
    error = refused(session, **keywords)
    assert message in error.message and error.fix is not None and fix in error.fix
    assert "--" not in str(error) and "runner " not in str(error)


def test_an_address_is_no_path(session):
    assert "is an address" in refused(session, "download", "https://example.com/dogs.zip").message


def test_a_keyword_that_the_finder_has_no_use_for_is_refused(session):
    assert refused(session, "find_lr", epochs=3).fix == "session.find_lr()"


def test_what_is_for_terminals_is_told_with_what_a_notebook_does(session):
    assert refused(session, "report", figures="there").fix == _INSTEAD["figures"]
    assert refused(session, "explore", open=True).fix == _INSTEAD["open"]


def test_keywords_exclude_each_other_as_flags_do(session):
    error = refused(session, quick=True, linear_probe=True)
    assert error.message.startswith("quick=True excludes linear_probe=True")
    assert error.fix == "session.train(quick=True) or: session.train(linear_probe=True)"


def test_a_flag_without_effect_on_the_recipe_is_refused(session):
    assert "freeze_to" in refused(session, "recipe", linear_probe=True, freeze_to=1).message


def test_commands_in_messages_are_written_as_calls(session):
    call = Call(session, "train", (), {"lr": 0.1})
    assert call.as_call("... --lr 0.01 --size 64,128") == "session.train(lr=0.01, size=[64, 128])"
    assert call.as_call("runner shapes predict --run 'my run' --tta all") == "session.predict(run='my run', tta='all')"
    assert call.as_call("runner shapes find-lr") == "session.find_lr()"
    assert call.as_call("runner shapes ensemble a b --name c") == "session.ensemble(['a', 'b'], name='c')"
    assert call.translate("leave --no-pretrained and --tta out: `runner shapes runs`") == (
        "leave pretrained=False and tta out: session.runs()"
    )


def test_a_command_of_another_competition_or_place_stays_a_command(session):
    call = Call(session, "train")
    folder = session.workspace.root
    assert call.as_call("runner list") == "runner.competitions(all=True)"
    assert call.as_call("runner demo planet") == "runner.demo('planet')"
    assert call.as_call("runner planet download") == f"runner --workspace {folder} planet download"
    elsewhere = "runner --workspace /elsewhere shapes train"
    assert call.as_call(elsewhere) == elsewhere


def test_a_run_of_another_workspace_is_refused(session, first):
    assert "another session" in refused(session, "predict", first).message


def test_a_competition_is_opened_by_name_slug_or_value(tmp_path):
    assert runner.open("dog-breed", tmp_path).name == "dog-breed"
    assert runner.open("dog-breed-identification", tmp_path).name == "dog-breed"
    assert runner.open(SHAPES, tmp_path).competition == SHAPES
    with pytest.raises(RunnerError, match="no competition is named 'dog-bred'"):
        runner.open("dog-bred", tmp_path)
    with pytest.raises(UsageError, match="there is no host 'kagle'"):
        runner.open("dog-breed", tmp_path, host="kagle")
    with pytest.raises(UsageError, match="workers"):
        runner.open("dog-breed", tmp_path, workers=-1)
    with pytest.raises(UsageError, match="device: 'gpu' is called cuda here") as caught:
        runner.open("dog-breed", tmp_path, device="gpu")
    assert caught.value.fix == "runner.open('dog-breed', device='cuda')"
    with pytest.raises(UsageError, match="None is neither") as caught:
        runner.open(None, tmp_path)
    assert caught.value.fix == "runner.competitions(all=True)"

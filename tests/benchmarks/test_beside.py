"""The comparison with other libraries: what they are given, and how both sides' submissions are graded."""

from __future__ import annotations

import math
from argparse import Namespace
from pathlib import Path

import huggingface_hub
import pytest
import timm
from safetensors.torch import save_file

from benchmarks.beside import PEERS, Options, Turn, report, score_hidden, write_tables
from benchmarks.peers.autogluon import differing_tensors, hyperparameters, put_into_hub
from benchmarks.peers.tables import read_test, read_train, write_submission
from competitions import load
from runner.contract import Competition
from runner.data.splits import SplitPlan
from runner.session import Session
from runner.steps.download import download
from runner.steps.split import split
from runner.workspace import Workspace
from tests.builders import write_csv, write_dataset, write_images

MODEL = "mobilenetv2_100"


@pytest.fixture
def cats_and_dogs(tmp_path: Path) -> Session:
    """Downloaded and split, laid out as dogs-vs-cats; the folder that it came from is `tmp_path / "photographs"`."""
    folder = tmp_path / "photographs"
    write_images(folder / "train", [f"{animal}.{number}.jpg" for animal in ("cat", "dog") for number in range(10)])
    write_images(folder / "test", [f"{number}.jpg" for number in (1, 2)])
    write_csv(folder / "sample_submission.csv", ("id", "label"), [(1, 0.5), (2, 0.5)])
    write_csv(folder / "test_solution.csv", ("id", "label"), [(1, 1), (2, 0)])
    return downloaded(load("dogs-vs-cats"), folder)


def downloaded(competition: Competition, folder: Path) -> Session:
    session = Session(competition, Workspace.at(folder.parent / "workspace"))
    download(session, folder)
    split(session, SplitPlan())
    return session


def test_a_peer_is_given_every_image_with_the_folds_of_the_runner(cats_and_dogs: Session, tmp_path: Path) -> None:
    write_tables(cats_and_dogs, tmp_path / "tables")
    train = read_train(tmp_path / "tables")
    assert sorted(Path(row.image).name.partition(".")[0] for row in train) == ["cat"] * 10 + ["dog"] * 10
    assert all(Path(row.image).is_file() for row in train)
    assert {(Path(row.image).name[:3], row.label) for row in train} == {("cat", "0"), ("dog", "1")}
    assert 0 < sum(row.is_validation for row in train) < len(train)
    test = read_test(tmp_path / "tables")
    assert [(row.id, Path(row.image).name) for row in test] == [("1", "1.jpg"), ("2", "2.jpg")]


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        (("id", "label"), [("1", 0.8), ("2", 0.4)]),
        (("id", "0", "1"), [("1", 0.2, 0.8), ("2", 0.6, 0.4)]),
        (("id", "1", "0"), [("2", 0.4, 0.6), ("1", 0.8, 0.2)]),
    ],
    ids=["one column", "two columns", "another order"],
)
def test_a_submission_is_graded_alike_in_the_runners_form_and_a_peers(
    cats_and_dogs: Session, tmp_path: Path, header: tuple[str, ...], rows: list[tuple[str | float, ...]]
) -> None:
    submission = write_csv(tmp_path / "submission.csv", header, rows)
    losses = (-math.log(0.8), -math.log(0.6))
    assert score_hidden(tmp_path / "photographs", submission) == pytest.approx(
        {
            "log loss": sum(losses) / 2,
            "log loss, standard error": abs(losses[0] - losses[1]) / 2,
            "accuracy": 1,
            "accuracy, standard error": 0,
        }
    )


def test_what_a_peer_writes_of_several_classes_is_graded(tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    write_dataset(folder, test=3)
    (folder / "solution.csv").rename(folder / "test_solution.csv")
    submission = tmp_path / "submission.csv"
    rows = [[0.1, 0.2, 0.7], [0.1, 0.8, 0.1], [0.9, 0.1, 0]]  # of an akita, a beagle, a collie
    write_submission(submission, ["test000", "test001", "test002"], ["collie", "beagle", "akita"], rows)
    scores = score_hidden(folder, submission)
    assert scores["log loss"] == pytest.approx(-(math.log(0.7) + math.log(0.8) + math.log(0.9)) / 3)
    assert scores["accuracy"] == 1


def test_without_a_solution_nothing_is_graded(cats_and_dogs: Session, tmp_path: Path) -> None:
    (tmp_path / "photographs" / "test_solution.csv").unlink()
    assert score_hidden(tmp_path / "photographs", tmp_path / "submission.csv") == {}


def test_a_weights_file_laid_into_the_hubs_cache_is_what_its_client_finds(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"weights")
    put_into_hub(tmp_path / "home", Namespace(model=MODEL, weights=weights))
    repository = timm.get_pretrained_cfg(MODEL).hf_hub_id
    found = huggingface_hub.try_to_load_from_cache(repository, "model.safetensors", cache_dir=tmp_path / "home" / "hub")
    assert isinstance(found, str)
    assert Path(found).read_bytes() == b"weights"


def test_a_network_with_other_weights_than_the_file_is_noticed(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    model = timm.create_model("test_resnet", num_classes=3)
    body = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("fc.")}
    save_file(body, weights)
    assert differing_tensors(model, weights) == []
    save_file({name: tensor + (name == "conv1.0.weight") for name, tensor in body.items()}, weights)
    assert differing_tensors(model, weights) == ["conv1.0.weight"]


def test_autogluon_keeps_what_its_preset_has_unless_it_is_told_otherwise() -> None:
    unsaid = {"max_epochs": None, "top_k": None, "workers": None}
    plain = hyperparameters(Namespace(model=MODEL, size=160, **unsaid))
    assert not any(name.startswith("optim.") for name in plain)
    changed = hyperparameters(Namespace(model=MODEL, size=160, **{**unsaid, "top_k": 1, "workers": 0}))
    assert changed == plain | {"optim.top_k": 1, "env.num_workers": 0, "env.num_workers_inference": 0}


def test_the_report_says_how_many_times_longer_the_peer_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options(tmp_path, "dogs-vs-cats", PEERS["autogluon"], MODEL, None, 160, 2)
    versions = {"environment": dict.fromkeys(("autogluon", "torch", "timm", "threads"), "1")}
    peer = Turn("autogluon ", 0.0, {"train": 90.0, "predict": 10.0}, [(50.0, 0.3)], settings=versions)
    ours = Turn("runner --linear-probe", 0.0, {"all": 20.0}, [(20.0, 0.25)])
    report(options, [ours, peer], None)
    printed = capsys.readouterr().out
    assert "autogluon / it" in printed
    assert "autogluon / runner --linear-probe" in printed
    assert "5.0 x" in printed.splitlines()[-1]

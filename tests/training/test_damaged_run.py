"""A changed byte in what a score rests on is told with the file's name and what to run."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from runner.contract import Competition, Recipe, Stage, TrainMode
from runner.data.folds import read_folds
from runner.data.index import Index
from runner.errors import RunnerError
from runner.options import Compute
from runner.prediction.out_of_fold import read_oof_targets
from runner.prediction.predictions import read_view_predictions
from runner.session import Session
from runner.steps.ensemble import ensemble
from runner.steps.predict import predict
from runner.steps.train import train
from runner.training.fold import FoldRun
from runner.training.folds import build_folds
from runner.training.log import read_log
from runner.training.run import Run, find_runs, read_overview
from runner.training.snapshots import CheckpointMeta, read_checkpoint_meta, write_checkpoint
from runner.training.trainer import train_fold
from runner.workspace import Workspace, write_text


@pytest.fixture(scope="module")
def finished(
    tiny_competition: Competition, tiny_index: Index, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Session, Run]:
    """A run of two folds that is trained and predicted."""
    session = _session(tiny_competition, tiny_index, tmp_path_factory.mktemp("finished"))
    recipe = Recipe(
        backbone="test_resnet",
        stages=(Stage(24, TrainMode.UNFROZEN, cycles=2, cycle_len=1),),
        lr=0.01,
        batch_size=16,
        pretrained=False,
        folds=2,
    )
    run = train(session, recipe, name="a")
    predict(session, run)
    return session, run


def _session(competition: Competition, index: Index, root: Path) -> Session:
    session = Session(competition, Workspace(root), compute=Compute(device="cpu", workers=0))
    vars(session)["index"] = index
    shutil.copytree(index.data_dir, session.workspace.data_dir(session.name))
    write_text(session.workspace.data_dir(session.name) / ".complete", "")
    return session


@pytest.fixture
def copy(finished: tuple[Session, Run], tmp_path: Path) -> tuple[Session, Run]:
    """A copy of the run to damage."""
    session, run = finished
    shutil.copytree(session.workspace.root, tmp_path / "copy")
    copied = replace(session, workspace=Workspace(tmp_path / "copy"))
    vars(copied)["index"] = session.index
    return copied, replace(run, folder=copied.workspace.run_dir(session.name, run.name))


def use(session: Session, run: Run) -> None:
    """Everything that a score rests on is read: by `train`, `predict` and `ensemble`."""
    train(session, run.read_recipe(), name=run.name)
    predict(session, run)
    ensemble(session, [run])
    run.read_score()
    read_log(run.log_file)


@pytest.mark.parametrize(
    "name",
    [
        "recipe.json",
        "folds.csv",
        "folds.json",
        "log.jsonl",
        "oof_targets.npz",
        "postprocess.json",
        "score.json",
        "fold-0/snapshot-1.json",
        "fold-0/snapshot-1.safetensors",
        "fold-1/swa.json",
        "fold-1/swa.safetensors",
        "fold-1/snapshot-1.valid.npz",
        "fold-0/snapshot-0.test.npz",
    ],
)
def test_a_flipped_bit_is_told_or_changes_nothing(finished: tuple[Session, Run], tmp_path: Path, name: str) -> None:
    """Of each file some bits: it is read as it was, or the error names it."""
    _, run = finished
    chance = random.Random(name)
    read = _reader(name)
    (tmp_path / "runs" / "shapes").mkdir(parents=True)
    folder = tmp_path / "runs" / "shapes" / "a"
    shutil.copytree(run.folder, folder)
    damaged = replace(run, folder=folder)
    path, told = folder / name, 0
    content, expected = path.read_bytes(), read(damaged, path)
    for _ in range(40):
        changed = bytearray(content)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        try:
            assert read(damaged, path) == expected
        except RunnerError as error:
            assert name in str(error) or str(path.with_suffix(".csv")) in str(error)
            assert error.fix
            told += 1
    assert told


def _reader(name: str) -> Callable[[Run, Path], object]:
    """What reads the file, and a value of it that can be compared."""
    from runner.prediction.postprocess import read_postprocess
    from runner.prediction.swa import AveragedSnapshot
    from runner.training.snapshots import Snapshot, read_snapshot, read_weights

    def read_safetensors(_: Run, path: Path) -> object:
        snapshot = read_snapshot(path.with_suffix(".json"), AveragedSnapshot if path.stem == "swa" else Snapshot)
        return {key: value.tolist() for key, value in read_weights(path, snapshot.sha256).items()}

    def read_predictions(_: Run, path: Path) -> object:
        predictions = read_view_predictions(path)
        return replace(predictions, probabilities=predictions.probabilities.tobytes())  # type: ignore[arg-type]

    def read_targets(_: Run, path: Path) -> object:
        targets = read_oof_targets(path)
        return replace(targets, targets=targets.targets.tobytes())  # type: ignore[arg-type]

    readers: dict[str, Callable[[Run, Path], object]] = {
        "recipe.json": lambda run, _: run.read_recipe(),
        "folds.csv": lambda _, path: read_folds(path).fold_of,
        "folds.json": lambda _, path: read_folds(path.with_suffix(".csv")).fold_of,
        "log.jsonl": lambda _, path: [line | {"checksum": 0} for line in read_log(path)],
        "oof_targets.npz": read_targets,
        "postprocess.json": lambda _, path: read_postprocess(path),
        "score.json": lambda run, _: run.read_score(),
    }
    if name in readers:
        return readers[name]
    if name.endswith(".npz"):
        return read_predictions
    if name.endswith(".safetensors"):
        return read_safetensors
    return lambda _, path: read_snapshot(path, AveragedSnapshot if path.stem == "swa" else Snapshot)


def test_a_row_that_changed_its_fold_is_told(copy: tuple[Session, Run]) -> None:
    session, run = copy
    _move_a_row(run.folds_file)
    for command in (lambda: predict(session, run), lambda: ensemble(session, [run])):
        with pytest.raises(RunnerError, match="the rows' folds have changed") as caught:
            command()
        assert caught.value.where == str(run.folds_file)
        assert caught.value.fix == f"copy {session.folds_file} over it"
    shutil.copy(session.folds_file, run.folds_file)
    use(session, run)


def test_another_split_put_into_a_run_is_told_even_if_it_fits_itself(copy: tuple[Session, Run]) -> None:
    session, run = copy
    _move_a_row(run.folds_file)
    run.folds_file.with_suffix(".json").unlink()
    with pytest.raises(RunnerError, match="trained with another split"):
        predict(session, run)
    with pytest.raises(RunnerError, match=r"1 rows that fold \d has predicted are not its validation rows"):
        ensemble(session, [run])


def _move_a_row(folds_file: Path) -> None:
    lines = folds_file.read_text().splitlines()
    id, fold = lines[3].split(",")
    lines[3] = f"{id},{1 - int(fold)}"
    folds_file.write_text("\n".join(lines) + "\n")


def test_weights_that_were_swapped_are_told(copy: tuple[Session, Run]) -> None:
    session, run = copy
    fold = run.fold_dir(0)
    shutil.copy(fold / "snapshot-0.safetensors", fold / "snapshot-1.safetensors")
    with pytest.raises(RunnerError, match="the file has changed since it was written") as caught:
        predict(session, run)
    assert caught.value.where == str(fold / "snapshot-1.safetensors")
    assert caught.value.fix == f"delete {fold}, then: `runner dog-breed train --run a --resume`"
    shutil.rmtree(fold)
    use(session, run)


def test_nan_in_the_weights_is_told_as_such(copy: tuple[Session, Run]) -> None:
    session, run = copy
    path = run.fold_dir(0) / "snapshot-1.safetensors"
    tensors = load_file(path)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[name].view(-1)[0] = float("nan")
    save_file(tensors, path)
    _forget_checksum(path.with_suffix(".json"))
    with pytest.raises(RunnerError, match=f"{name} holds NaN or infinite values") as caught:
        predict(session, run)
    assert caught.value.where == str(path)


def test_a_run_of_an_earlier_version_has_no_checksums_and_is_read(copy: tuple[Session, Run]) -> None:
    session, run = copy
    for path in run.folder.rglob("*.json"):
        _forget_checksum(path)
    for path in run.folder.rglob("*.npz"):
        with np.load(path) as arrays:
            kept = {name: arrays[name] for name in arrays.files if name != "digests"}
        np.savez(path, **kept)
    use(session, run)


def _forget_checksum(path: Path) -> None:
    content = json.loads(path.read_text())
    for name in ("checksum", "folds_sha256"):
        content.pop(name, None)
    if "cycle" in content:
        content.pop("folds")
        content.pop("sha256")
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "junk", [b"", b"\xff\x00\x80", b"{", b"null", b"[" * 100_000, b'{"format": 1}', b'{"format": 1, "cv": NaN}', b"7"]
)
def test_a_damaged_file_hides_no_other_run(copy: tuple[Session, Run], junk: bytes) -> None:
    session, run = copy
    shutil.copytree(run.folder, run.folder.with_name("b"))
    run.recipe_file.write_bytes(junk)
    run.score_file.write_bytes(junk)
    rows = {row.run.name: row for row in map(read_overview, find_runs(session.workspace, session.name))}
    assert rows["b"].cv is not None and rows["b"].damage == ""
    assert rows["a"].cv is None
    assert rows["a"].recipe == (
        "damaged recipe.json; fix: train it again, as a new run: `runner dog-breed train`; "
        "damaged score.json; fix: runner dog-breed predict --run a"
    )
    assert ensemble(session, [rows["b"].run], name="c").read_score() is not None


def test_a_checkpoint_with_a_flipped_bit_is_told(
    make_fold: Callable[..., FoldRun], tiny_recipe: Recipe, tmp_path: Path, interrupt: Callable[..., None]
) -> None:
    fold = make_fold(tmp_path, tiny_recipe)
    interrupt(2, lambda: train_fold(fold))
    content, chance = fold.checkpoint_file.read_bytes(), random.Random(1)
    for _ in range(10):
        changed = bytearray(content)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        fold.checkpoint_file.write_bytes(changed)
        with pytest.raises(RunnerError, match="the checkpoint cannot be read") as caught:
            train_fold(fold)
        assert caught.value.where == str(fold.checkpoint_file)


def test_a_checkpoint_holds_the_scale_of_fp16_gradients(
    make_fold: Callable[..., FoldRun], tiny_recipe: Recipe, tmp_path: Path
) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    layer = torch.nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(layer.parameters())
    scaler.scale(layer(torch.ones(1, 2)).sum() * float("inf")).backward()
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 512.0
    from types import SimpleNamespace

    from runner.options import TrainOptions
    from runner.training.distributed import set_scaler
    from runner.training.fold import initial_network

    fold = make_fold(tmp_path, tiny_recipe)
    meta = {"epoch": 0, "stage": 0, "batch_size": 4}
    write_checkpoint(fold.checkpoint_file, initial_network(fold, TrainOptions()), optimizer, meta, scaler)
    read: CheckpointMeta = read_checkpoint_meta(fold.checkpoint_file)
    accelerator = SimpleNamespace(scaler=torch.amp.GradScaler("cpu"), device=torch.device("cpu"))
    set_scaler(accelerator, read.scaler)  # type: ignore[arg-type]
    assert accelerator.scaler.state_dict() == scaler.state_dict()
    set_scaler(accelerator, None)  # type: ignore[arg-type]
    assert accelerator.scaler.get_scale() == torch.amp.GradScaler("cpu").get_scale()


def test_a_split_that_was_lost_is_not_replaced_by_another(copy: tuple[Session, Run]) -> None:
    session, run = copy
    for suffix in (".csv", ".json"):
        run.folds_file.with_suffix(suffix).unlink()
    _move_a_row(session.folds_file)
    session.folds_file.with_suffix(".json").unlink()
    with pytest.raises(RunnerError, match="trained with another split"):
        train_fold(build_folds(session, run)[0])

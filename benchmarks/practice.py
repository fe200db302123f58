"""What each training practice earns: many short trainings that differ in one field of the recipe, on hidden rows.

Called by `python -m benchmarks.quality practice` and `... earned`; a line of JSON for each training that has finished.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import runner  # noqa: F401  # isort: skip  # before torch: it sets how threads wait

import numpy as np
import torch

from benchmarks.grading import read_labels, standard_error
from benchmarks.harness import finished_within
from competitions import load
from runner.console import set_verbosity
from runner.contract import (
    UNLIKE_PHOTOGRAPHS,
    Activation,
    Competition,
    HeadRecipe,
    Loss,
    LossKind,
    Multilabel,
    Optimizer,
    Policy,
    Pool,
    Recipe,
    Regularize,
    Stage,
    TrainMode,
    with_augment,
)
from runner.contract.default_decisions import scored_values
from runner.contract.recipe import recipe_from_dict
from runner.contract.targets import Targets, as_matrix, targets_of
from runner.data.by_id import mean_by_id
from runner.hosts.grading import read_solution
from runner.images.views import default_views
from runner.options import Compute, TrainOptions
from runner.practice.build import build_practice
from runner.practice.recipes import practice_recipe
from runner.prediction.averaging import Matrix
from runner.prediction.calibration import CalibrationMethod, fit_calibration
from runner.prediction.predict import predict_rows
from runner.session import Session
from runner.steps.download import download
from runner.training.fold import FoldRun, load_snapshot
from runner.training.log import read_log
from runner.training.run import Run
from runner.training.trainer import train_fold
from runner.training.weights_hints import read_hints
from runner.workspace import Workspace

FOLDS = 5  # a fifth of the labelled rows are hidden, another one for each seed
DATA = "data"  # the workspace that all trainings share


@dataclass(frozen=True)
class DataSet:
    """Images that trainings are compared on: a folder laid out as a competition, or practice data without one."""

    name: str
    competition: str
    folder: Path | None


@dataclass(frozen=True)
class Trial:
    """One training: a data set, a recipe by its name, and a seed of the split and of the training."""

    data: DataSet
    group: str
    name: str
    recipe: dict[str, Any]
    seed: int


def run_trials(
    data: Sequence[DataSet],
    *,
    weights: Path | None,
    model: str,
    seeds: int,
    device: str,
    jobs: int,
    budget: float,
    results: Path,
    scale: float,
    groups: tuple[str, ...],
    variants: tuple[str, ...],
    size: int,
) -> None:
    """Train as many trials as the seconds allow, `jobs` at a time; a line of JSON each, as soon as it is finished.

    Those that RESULTS has already are not trained again: the same call goes on.
    """
    started = time.perf_counter()
    set_verbosity(quiet=True)
    results.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as root:
        for one in data:
            prepare(one, Path(root), device)
        trials = plan_trials(data, model, seeds, scale, groups, size)
        trials = [trial for trial in trials if not variants or trial.name in ("base", *variants)]
        known = {_key(line) for line in _read_results(results)}
        trials = [trial for trial in trials if (trial.data.name, trial.group, trial.name, trial.seed) not in known]
        print(
            f"{len(trials)} trainings, {jobs} at a time, data after {time.perf_counter() - started:.0f} s", flush=True
        )
        threads = max(1, (os.cpu_count() or 1) // jobs)
        arguments = (Path(root), weights, device, threads)
        left = budget - (time.perf_counter() - started)
        with results.open("a") as file:
            for line in finished_within(left, run_trial, trials, jobs=jobs, start=_start_worker, arguments=arguments):
                file.write(json.dumps(line) + "\n")
                file.flush()
    report(results)


def prepare(data: DataSet, root: Path, device: str) -> None:
    """Bring the data set into the workspace of all trainings."""
    session = open_session(data, root, device)
    if data.folder is None:
        build_practice(session)
        download(session)
    else:
        download(session, data.folder)


def open_session(data: DataSet, root: Path, device: str) -> Session:
    """The session of a data set; its competition reads the tables as the folder calls them."""
    competition = load(data.competition)
    compute = Compute(device, workers=0)
    if data.folder is None:
        workspace = Workspace.at(root / data.name).for_host("practice")
        return Session(competition, workspace, "practice", compute)
    return Session(as_laid_out(competition, data.folder), Workspace.at(root / data.name), compute=compute)


def as_laid_out(competition: Competition, folder: Path) -> Competition:
    """The competition with the folder's names: `labels.csv`, `sample_submission.csv`, JPEGs instead of PNGs."""
    changes: dict[str, Any] = {}
    if competition.labels.csv is not None and (folder / "labels.csv").exists():
        changes["labels"] = replace(competition.labels, csv="labels.csv")
    if (folder / "sample_submission.csv").exists():
        changes["sample_submission"] = "sample_submission.csv"
    for field, subset in (("train_images", "train"), ("test_images", "test")):
        template = getattr(competition, field)
        if isinstance(template, str) and template.endswith(".png") and any((folder / subset).glob("*.jpg")):
            changes[field] = template.removesuffix(".png") + ".jpg"
    return replace(competition, **changes) if changes else competition


# --- one training, in a process of its own ------------------------------------------------------

_SETTINGS: dict[str, Any] = {}


def _start_worker(root: Path, weights: Path | None, device: str, threads: int) -> None:
    torch.set_num_threads(threads)
    set_verbosity(quiet=True)
    _SETTINGS.update(root=root, weights=weights, device=device)


@cache
def _session(data: DataSet) -> Session:
    return open_session(data, _SETTINGS["root"], _SETTINGS["device"])


def run_trial(trial: Trial) -> dict[str, Any]:
    """The line of one training; of one that fails, its error."""
    line = {"data": trial.data.name, "group": trial.group, "name": trial.name, "seed": trial.seed}
    started = time.perf_counter()
    try:
        line |= _train_and_score(trial)
    except Exception as error:  # a variant that a backbone cannot do must not end the others
        line["error"] = f"{type(error).__name__}: {error}"
    return {**line, "seconds": round(time.perf_counter() - started, 1)}


def _train_and_score(trial: Trial) -> dict[str, Any]:
    session, recipe = _session(trial.data), recipe_from_dict(trial.recipe)
    assert isinstance(recipe, Recipe)
    weights = _SETTINGS["weights"] if recipe.pretrained else None
    if weights is not None:
        recipe = replace(recipe, backbone_args={**recipe.backbone_args, **read_hints(weights).arguments})
    rows = len(session.index.train)
    fold_of = np.random.default_rng(trial.seed).permutation(rows) % FOLDS
    slug = "-".join((trial.group, trial.name, str(trial.seed))).replace(" ", "_").replace("/", "_")
    run = Run(session.name, slug, session.workspace.run_dir(session.name, slug))
    fold = FoldRun(session, run, replace(recipe, seed=trial.seed), 0, fold_of)
    last = train_fold(fold, TrainOptions(weights=weights))[-1]
    network = load_snapshot(fold, last).to(_SETTINGS["device"])
    views = default_views(session.competition.preset)
    lines = read_log(run.log_file)
    figures: dict[str, Any] = {
        "epochs": len(lines),
        "steps": sum(len(line["losses"]) for line in lines),
        "train_seconds": round(sum(line["seconds"] for line in lines), 1),
        "train_loss": lines[-1]["train_loss"],
    }
    valid = _known_rows(fold, predict_rows(fold, network, last, fold.valid, views, title="valid"), None)
    figures["valid"] = _scores(fold, *valid)
    hidden = hidden_labels(trial.data)
    if hidden:
        test = _known_rows(fold, predict_rows(fold, network, last, fold.test, views, title="test"), hidden)
        # As in a submission, where a temperature of the validation rows gives back what smoothing and mixing take.
        calibration = fit_calibration(_temperature(fold), *valid, fold.outputs)
        calibrated = losses_of(fold, calibration.apply(test[0], fold.outputs), test[1])
        figures["test"] = {**_scores(fold, *test), "calibrated": float(calibrated.mean())}
        if trial.name == "base":
            for factor in LARGER:
                larger = replace(last, size=round(last.size * factor / 16) * 16)
                network.set_size(larger.size)
                predicted = predict_rows(fold, network, larger, fold.test, views, title="test")
                figures[f"test at {factor:g} times the size"] = _scores(fold, *_known_rows(fold, predicted, hidden))
    for path in fold.folder.glob("*.safetensors"):
        path.unlink()
    return figures


LARGER = (1.15, 1.3)


def _known_rows(fold: FoldRun, predicted: Any, hidden: Mapping[str, str] | None) -> tuple[Matrix, Targets]:
    """Probabilities and targets: of the validation rows, or of the test rows whose hidden labels are given."""
    values = predicted.probabilities.mean(axis=1).astype(np.float64)
    session = fold.session
    if hidden is None:
        targets = mean_by_id(
            session.index.train["id"].iloc[fold.valid.rows].tolist(), fold.index_targets[fold.valid.rows]
        )
    else:
        kept = [position for position, id in enumerate(predicted.ids) if id in hidden]
        values = values[kept]
        texts = [hidden[predicted.ids[position]] for position in kept]
        targets = targets_of(session.competition.labels, session.index.classes, texts)
    return values, targets


def _temperature(fold: FoldRun) -> CalibrationMethod:
    return CalibrationMethod.NONE if fold.outputs.are_numbers else CalibrationMethod.TEMPERATURE


def _scores(fold: FoldRun, values: Matrix, targets: Targets) -> dict[str, float]:
    """Log loss (of numbers: squared error) with its error over the rows, accuracy, and the competition's metric."""
    losses = losses_of(fold, values, targets)
    metric = fold.session.competition.metric
    scores = {
        "loss": float(losses.mean()),
        "error": standard_error(losses),
        "metric": float(metric.score(targets, scored_values(metric, values))),
    }
    if fold.outputs.only is Activation.SOFTMAX and targets.ndim == 1:
        scores["accuracy"] = float((values.argmax(axis=1) == targets).mean())
    elif values.shape[1] == 1 and not fold.outputs.are_numbers:
        scores["accuracy"] = float(((values >= 0.5) == (targets >= 0.5)).mean())
    return scores


def losses_of(fold: FoldRun, values: np.ndarray, targets: Targets) -> np.ndarray:
    """The loss of each row by its probabilities."""
    if fold.outputs.are_numbers:
        return np.asarray(np.nanmean((values - targets) ** 2, axis=1))
    inside = np.clip(values, 1e-7, 1 - 1e-7)
    wanted = as_matrix(targets, values.shape[1])
    if fold.outputs.only is Activation.SOFTMAX:
        return np.asarray(-(wanted * np.log(inside)).sum(axis=1))
    return np.asarray(-(wanted * np.log(inside) + (1 - wanted) * np.log(1 - inside)).mean(axis=1))


@cache
def hidden_labels(data: DataSet) -> dict[str, str]:
    """The labels of the test rows: by `test_solution.csv` in the folder, or by the practice host's own solution."""
    if data.folder is None:
        session = _session(data)
        solution = read_solution(session.workspace.practice_host_dir(session.name) / "solution.csv")
        return {row.id: row.label for row in solution}
    return read_labels(data.folder)


# --- what is compared ---------------------------------------------------------------------------


def plan_trials(
    data: Sequence[DataSet], model: str, seeds: int, scale: float, groups: tuple[str, ...], size: int
) -> list[Trial]:
    """Every trial, the most telling first: if the time ends, what is left out would have told least."""
    trials = [
        (_LATER[group] + _LATER_SEED[group] * seed, Trial(one, group, name, recipe.to_dict(), seed))
        for seed in range(seeds)
        for group, one, recipes in _groups(data, model, scale, size)
        if group in groups
        for name, recipe in recipes.items()
    ]
    return [trial for _, trial in sorted(trials, key=lambda item: item[0])]


# What a practice earns needs three seeds soonest; of the defaults one seed says most, and long trainings come last.
_LATER = {"defaults": 0.0, "practice": 0.0, "longer": 2.6, "frozen": 2.7}
_LATER_SEED = {"defaults": 2.5, "practice": 1.0, "longer": 2.5, "frozen": 1.0}


def _groups(
    data: Sequence[DataSet], model: str, scale: float, size: int
) -> Iterator[tuple[str, DataSet, dict[str, Recipe]]]:
    for one in data:
        if is_unlike_photographs(one):
            yield "defaults", one, default_variants(model, scale)
    for one in data:
        base = practice_base(one, model, scale, size)
        yield "practice", one, practice_variants(one, base)
    for one in data:
        if is_unlike_photographs(one):
            yield "longer", one, longer_variants(model, scale)
            yield "frozen", one, frozen_variants(model, scale)


def is_unlike_photographs(data: DataSet) -> bool:
    """Whether the images are not like ImageNet's, as tiny ones are not: a probe of the backbone is then weak."""
    return data.competition.startswith("cifar")


def _epochs(count: float, scale: float) -> int:
    return max(1, round(count * scale))


# Epochs of 3,200 rows that two CPU cores train in about two and a half minutes, by size and batch size: measured with
# mobilenetv2_100.
_EPOCHS = {(32, 32): 14, (32, 64): 24, (48, 32): 12, (48, 64): 17, (64, 32): 10, (64, 64): 12, (96, 32): 6, (96, 64): 6}


def small_images(
    model: str, scale: float, size: int = 64, batch_size: int = 32, times: float = 1.0, **changes: Any
) -> Recipe:
    """The default for images unlike ImageNet's, as long as two CPU cores train in about two and a half minutes."""
    epochs = _epochs(_EPOCHS[size, batch_size] * times, scale)
    stages = (Stage(size, TrainMode.UNFROZEN, cycle_len=epochs),)
    return replace(UNLIKE_PHOTOGRAPHS, backbone=model, stages=stages, batch_size=batch_size, **changes)


def default_variants(model: str, scale: float) -> dict[str, Recipe]:
    """What the defaults for images unlike ImageNet's are chosen from, all of about one length on two CPU cores."""
    base = small_images(model, scale)
    return {
        "base": base,
        "version 0.1's": _before(base, scale),
        "32 px": small_images(model, scale, 32),
        "48 px": small_images(model, scale, 48),
        "96 px": small_images(model, scale, 96),
        "batch 64": small_images(model, scale, 64, 64),
        "lr 2.5e-4": replace(base, lr=2.5e-4),
        "lr 1e-3": replace(base, lr=1e-3),
        "layer_decay 1/3": replace(base, layer_decay=1 / 3, lr=1e-3),
        "layerwise 0.9": replace(base, layer_decay=0.9, lr=1e-3, optimizer=Optimizer(layerwise=True)),
        "classifier at random": replace(base, head=HeadRecipe()),
        "freeze_bn": replace(base, freeze_bn=True),
        "no warmup": replace(base, warmup=0.0),
        "smoothing 0.05": replace(base, loss=Loss(label_smoothing=0.05)),
        "weight decay 0.05": replace(base, weight_decay=0.05),
        "frozen first": replace(base, stages=(Stage(64, TrainMode.FROZEN), *base.stages)),
        "features first": replace(base, stages=(Stage(64, TrainMode.FEATURES), *base.stages)),
        "two cycles": replace(base, stages=(_cycles(base.stages[0], 2),)),
    }


def _before(base: Recipe, scale: float) -> Recipe:
    """The default before it was chosen by measurement: a frozen epoch, then three cycles with three lrs."""
    stages = (
        Stage(64, TrainMode.FROZEN),
        Stage(64, TrainMode.UNFROZEN, cycle_len=_epochs(2, scale), cycles=2, cycle_mult=2),
    )
    changes = {"lr": 1e-3, "layer_decay": 1 / 3, "warmup": 0.0, "batch_size": 64, "head": HeadRecipe()}
    return replace(base, stages=stages, **changes)


def _cycles(stage: Stage, count: int) -> Stage:
    return replace(stage, cycles=count, cycle_len=max(1, stage.epochs // (2**count - 1)), cycle_mult=2)


def longer_variants(model: str, scale: float) -> dict[str, Recipe]:
    """The same in four times the time, where what regularizes has more to do."""
    base = small_images(model, scale, times=4)
    return {
        "base": base,
        "mixup 0.2": with_augment(base, mixup=0.2),
        "cutmix 1": with_augment(base, cutmix=1.0),
        "trivial": with_augment(base, policy=Policy.TRIVIAL),
        "trivial, cutmix 1, ema 0.995": replace(
            with_augment(base, policy=Policy.TRIVIAL, cutmix=1.0, mix_share=0.5), regularize=Regularize(ema=0.995)
        ),
        "32 px": small_images(model, scale, 32, 32, times=4),
        "96 px": small_images(model, scale, 96, 32, times=4),
    }


def frozen_variants(model: str, scale: float, sizes: tuple[int, int] = (32, 64)) -> dict[str, Recipe]:
    """Planet's recipe at two sizes, with and without the stages that train the head alone, which it had."""
    recipe = replace(load("planet").recipe, backbone=model, warmup=0.0, head=HeadRecipe())
    unfrozen = [Stage(size, TrainMode.UNFROZEN, cycle_len=_epochs(1, scale), cycles=2, cycle_mult=2) for size in sizes]
    frozen = [Stage(size, TrainMode.FROZEN, cycle_len=_epochs(1, scale)) for size in sizes]
    by_name = {
        "base": (frozen[0], unfrozen[0], frozen[1], unfrozen[1]),
        "frozen at the first size alone": (frozen[0], *unfrozen),
        "none": tuple(unfrozen),
        "features first": (Stage(sizes[0], TrainMode.FEATURES), *unfrozen),
    }
    without = {name: replace(recipe, stages=stages) for name, stages in by_name.items()}
    slowly = replace(without["none"], warmup=0.1, head=replace(recipe.head, zero_init=True))
    return {**without, "warmup 0.1 and a classifier at zero": slowly}


def practice_base(data: DataSet, model: str, scale: float, size: int) -> Recipe:
    """The recipe that practices are added to: half as long for small images, a head and then all layers for others."""
    if data.folder is None:
        recipe = practice_recipe(load(data.competition))
        stages = tuple(replace(stage, cycle_len=_epochs(stage.cycle_len, scale)) for stage in recipe.stages)
        return replace(recipe, stages=stages)
    if is_unlike_photographs(data):
        return small_images(model, scale, 64, 64, times=2 / 3)
    shipped = load("dog-breed").recipe
    unfrozen = Stage(size, TrainMode.UNFROZEN, cycle_len=_epochs(6, scale), lr_scale=0.3)
    return replace(shipped, backbone=model, batch_size=32, stages=(Stage(size, TrainMode.FEATURES), unfrozen))


def practice_variants(data: DataSet, base: Recipe) -> dict[str, Recipe]:
    """The base recipe, and it with one practice more."""
    tags = isinstance(load(data.competition).labels, Multilabel)
    is_rgb = data.competition != "iceberg"
    policies = {
        "trivial": with_augment(base, policy=Policy.TRIVIAL),
        "rand": with_augment(base, policy=Policy.RAND),
    }
    return {
        "base": base,
        "mixup 0.2": with_augment(base, mixup=0.2),
        "cutmix 1": with_augment(base, cutmix=1.0),
        "mixup and cutmix, half the batches": with_augment(base, mixup=0.2, cutmix=1.0, mix_share=0.5),
        **(policies if is_rgb else {}),
        "erase 0.25": with_augment(base, erase=0.25),
        "smoothing 0.1": replace(base, loss=Loss(label_smoothing=0.1)),
        "ema 0.99": replace(base, regularize=Regularize(ema=0.99)),
        "drop path 0.1": replace(base, regularize=Regularize(drop_path=0.1)),
        "clip 1": replace(base, optimizer=Optimizer(clip_grad=1.0)),
        "accumulate 2": replace(base, optimizer=Optimizer(accumulate=2)),
        "warmup 0.1": replace(base, warmup=0.1) if not base.warmup else replace(base, warmup=0.0),
        "layerwise 0.9": replace(base, layer_decay=0.9, optimizer=Optimizer(layerwise=True)),
        "gem": replace(base, head=replace(base.head, pool=Pool.GEM)),
        "catavgmax": replace(base, head=replace(base.head, pool=Pool.CATAVGMAX)),
        "avgmax": replace(base, head=replace(base.head, pool=Pool.AVGMAX)),
        "focal 1": replace(base, loss=Loss(LossKind.FOCAL, gamma=1)),
        "class weights 0.5": replace(base, loss=Loss(class_weights=0.5)),
        **({"asl 4": replace(base, loss=Loss(LossKind.ASYMMETRIC, gamma=4))} if tags else {}),
        "zero-init": replace(base, head=replace(base.head, zero_init=not base.head.zero_init)),
        "sgd": replace(base, lr=base.lr * 20, optimizer=Optimizer("sgd")),
        "lion": replace(base, lr=base.lr / 5, optimizer=Optimizer("lion")),
        "lamb": replace(base, lr=base.lr * 3, optimizer=Optimizer("lamb")),
        "nadamw": replace(base, optimizer=Optimizer("nadamw")),
        "freeze_bn": replace(base, freeze_bn=not base.freeze_bn),
    }


# --- the table ----------------------------------------------------------------------------------


def report(results: Path) -> None:
    """Print for each data set what every variant changes beside its base, over the seeds that both have."""
    lines = _read_results(results)
    for line in lines:
        if "error" in line:
            print(f"failed: {line['data']}, {line['name']}, seed {line['seed']}: {line['error'][:160]}")
    whole = [line for line in lines if "error" not in line]
    for group, data in dict.fromkeys((line["group"], line["data"]) for line in whole):
        some = [line for line in whole if (line["group"], line["data"]) == (group, data)]
        print(f"\n{group}, {data}")
        print(f"{'recipe':<38}{'seeds':>6}{'loss':>9}{'earned':>20}{'accuracy':>10}{'earned':>20}{'seconds':>9}")
        for name in dict.fromkeys(line["name"] for line in some):
            print(_row(name, some))


def _read_results(results: Path) -> list[dict[str, Any]]:
    text = results.read_text(encoding="utf-8") if results.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def _key(line: Mapping[str, Any]) -> tuple[str, str, str, int]:
    return line["data"], line["group"], line["name"], line["seed"]


def _row(name: str, lines: Sequence[Mapping[str, Any]]) -> str:
    own = {line["seed"]: line for line in lines if line["name"] == name}
    base = {line["seed"]: line for line in lines if line["name"] == "base"}
    both = sorted(own.keys() & base.keys())
    losses = [_loss(own[seed]) for seed in own]
    text = f"{name:<38}{len(own):>6}{np.mean(losses):>9.4f}"
    text += format_gain([_loss(base[seed]) - _loss(own[seed]) for seed in both])
    key = "accuracy" if "accuracy" in _hidden(next(iter(own.values()))) else "metric"
    text += f"{np.mean([_hidden(line)[key] for line in own.values()]):>10.4f}"
    text += format_gain([_hidden(own[seed])[key] - _hidden(base[seed])[key] for seed in both])
    return text + f"{np.mean([line['train_seconds'] for line in own.values()]):>9.1f}"


def _hidden(line: Mapping[str, Any]) -> Mapping[str, float]:
    """The scores on the hidden test rows; on the validation rows, which nothing was chosen by, if there are none."""
    scores: Mapping[str, float] = line.get("test") or line["valid"]
    return scores


def _loss(line: Mapping[str, Any]) -> float:
    """The loss of the hidden rows, with the temperature of the validation rows if there was one."""
    scores = _hidden(line)
    return scores.get("calibrated", scores["loss"])


def format_gain(values: Sequence[float]) -> str:
    """The mean of the paired differences with its standard error; a better score is above 0."""
    if not values:
        return f"{'':>20}"
    error = f"{standard_error(np.array(values)):.4f}" if len(values) > 1 else "?"
    return f"{np.mean(values):>+11.4f} ± {error:<6}"

"""Quality of scores: rehearsals, the stages of a recipe, the demo.

python -m benchmarks.quality demo
python -m benchmarks.quality rehearsals [--names dog-breed,planet] [--seeds N] [--folder DIR --weights FILE]
python -m benchmarks.quality stages FOLDER WEIGHTS [--seeds N] [--recipes 7,9]
python -m benchmarks.quality heads FOLDER WEIGHTS [--competition dog-breed] [--rows 300,600,1600] [--seeds N]
python -m benchmarks.quality told FOLDER WEIGHTS [--way head|recipe|climb] [--competition cifar-10] [--minutes 2]
python -m benchmarks.quality practice FOLDER,FOLDER --weights FILE [--seeds 3] [--device cuda] [--jobs N] [--budget S]
python -m benchmarks.quality earned RESULTS
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import runner  # noqa: F401  # isort: skip  # before torch: it sets how threads wait

import numpy as np

from benchmarks.grading import grade, read_labels, standard_error
from benchmarks.harness import children_cpu_seconds, claim, main, run_runner, write_competition
from benchmarks.practice import DataSet, format_gain, report, run_trials
from benchmarks.told import WAYS, Draw, Way, lay_out, tell_all
from benchmarks.told import report as report_told
from competitions import load
from runner.console import set_verbosity
from runner.contract import Metric, Recipe, Solver, Stage, TrainMode
from runner.contract.default_decisions import scored_values
from runner.contract.targets import targets_of
from runner.hosts.grading import read_solution
from runner.options import Compute, RehearsalOptions, TrainOptions
from runner.practice.build import build_practice, practice_names
from runner.practice.recipes import practice_recipe
from runner.practice.rehearsal import rehearsal_workspace
from runner.prediction.predictions import Predictions, align, mean_predictions, read_predictions
from runner.session import Session
from runner.steps.download import download
from runner.training.run import Run
from runner.workflow import RunOptions, rehearse
from runner.workspace import Workspace

# --- demo ---------------------------------------------------------------------------------------

MAX_DEMO_SECONDS = 90


def demo(names: tuple[str, ...] = practice_names()) -> None:
    """Seconds of `runner demo` on each practice competition, and its score beside the best baseline's."""
    print(f"{'competition':<12}{'seconds':>9}{'cv':>10}{'public':>10}{'private':>10}{'best baseline':>15}{'rank':>8}")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            workspace = Path(folder)
            started = time.perf_counter()
            run_runner(workspace, "demo", name)
            seconds = time.perf_counter() - started
            standings = json.loads(run_runner(workspace, "--host", "practice", name, "standings", "--json"))
            session = Session(load(name), Workspace.at(workspace).for_host("practice"), "practice")
            leaderboard = session.host.fetch_leaderboard(session.competition.slug, private=True)
        submission = standings["submissions"][0]
        scores = "".join(f"{float(submission[column]):>10.4f}" for column in ("cv", "public", "private"))
        print(f"{name:<12}{seconds:>9.1f}{scores}{leaderboard.rows[0].score:>15.4f}{submission['rank']:>8}")
        figure = f"runner demo {name}, rank {submission['rank']}"
        claim(figure, f"{seconds:.1f} s", f"<= {MAX_DEMO_SECONDS} s", seconds <= MAX_DEMO_SECONDS)


# --- rehearsals ---------------------------------------------------------------------------------

# By chance one rehearsal in three is off by more than one standard error, one in twenty by more than two.
MAX_ERRORS, MIN_SHARE = 2.0, 0.95


@dataclass(frozen=True)
class RehearsalScores:
    """A rehearsal's gap in standard errors, and the hidden scores of the ensemble and of the best single model."""

    gap_in_standard_errors: float
    ensemble: float
    single: float


def rehearsals(
    names: tuple[str, ...] = practice_names(),
    seeds: int = 20,
    first_seed: int = 0,
    scale: float = 0.6,
    hidden: float = 0.25,
    epochs: int = 5,
    folds: int | None = None,
    folder: Path | None = None,
    model: str = "mobilenetv2_100",
    weights: Path | None = None,
    size: int = 128,
) -> None:
    """How often hidden scores agree with cross-validation, and what ensemble and TTA gain over the best single model.

    On practice data of this scale; or, with --folder (laid out as dog-breed), on photographs with a pretrained model.
    Every seed hides other rows. `epochs` is the length of each of three cycles.
    """
    set_verbosity(quiet=True)
    print(
        f"{'data':<12}{'seeds':>6}{'within':>8}{'mean':>9}{'worst':>7}{'ensemble':>10}{'single':>10}{'gain':>10}",
        end="",
    )
    print(f"{'better':>16}{'s each':>9}")
    for name in ("dog-breed",) if folder else names:
        with tempfile.TemporaryDirectory() as root:
            if folder:
                session = Session(load(name), Workspace.at(root), compute=Compute("cpu"))
                download(session, folder)
                stage = Stage(size, TrainMode.FEATURES, cycles=3, cycle_len=epochs, solver=Solver.SGDR)
                recipe = replace(session.competition.recipe, backbone=model, stages=(stage,), folds=folds)
            else:
                session = Session(load(name), Workspace.at(root).for_host("practice"), "practice", Compute("cpu"))
                build_practice(session, scale=scale)
                download(session)
                recipe = replace(three_cycles(practice_recipe(session.competition), epochs), folds=folds)
            started, scores = time.perf_counter(), []
            for seed in range(first_seed, first_seed + seeds):
                options = RehearsalOptions(hidden, seed)
                scores.append(rehearse_once(session, replace(recipe, seed=seed), options, weights))
                print(f"  {name} {seed}: {scores[-1]}", file=sys.stderr, flush=True)
        report_rehearsals(
            folder.name if folder else name, session.competition.metric, scores, time.perf_counter() - started
        )


def three_cycles(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe's last stage as three cycles: three snapshots to choose from."""
    return replace(recipe, stages=(replace(recipe.stages[-1], cycles=3, cycle_len=epochs, cycle_mult=1),))


def rehearse_once(session: Session, recipe: Recipe, options: RehearsalOptions, weights: Path | None) -> RehearsalScores:
    run_options = RunOptions(train=TrainOptions(weights=weights))
    submitted, result = rehearse(session, recipe, options, run_options)
    rehearsal = Session(session.competition, rehearsal_workspace(session, options), "practice")
    return RehearsalScores(
        result.gap_in_standard_errors, result.hidden.value, score_best_single(rehearsal, submitted.run)
    )


def score_best_single(rehearsal: Session, run: Run) -> float:
    """The hidden score of the snapshot with the best out-of-fold score, without TTA or fitted postprocess."""
    index, competition = rehearsal.index, rehearsal.competition
    target_of = dict(zip(index.train["id"], index.targets(), strict=True))

    def read(snapshot: str, subset: str) -> Predictions:
        return mean_predictions([read_predictions(path) for path in run.folder.glob(f"fold-*/{snapshot}.{subset}.npz")])

    def oof_score(snapshot: str) -> float:
        oof = read(snapshot, "valid")
        targets = np.stack([target_of[id] for id in oof.ids])
        return score_plain(competition.metric, targets, oof.probabilities)

    snapshots = {path.name.split(".")[0] for path in run.fold_dir(0).glob("snapshot-*.valid.npz")}
    best = competition.metric.best(sorted(snapshots), oof_score)
    solution = read_solution(rehearsal.workspace.practice_host_dir(competition.name) / "solution.csv")
    probabilities = align(read(best, "test"), [row.id for row in solution], index.classes)
    targets = targets_of(competition.labels, index.classes, [row.label for row in solution])
    return score_plain(competition.metric, targets, probabilities)


def score_plain(metric: Metric, targets: np.ndarray, probabilities: np.ndarray) -> float:
    """The score with all thresholds at 0.5, if the metric needs decisions."""
    return metric.score(targets, scored_values(metric, probabilities))


def report_rehearsals(name: str, metric: Metric, scores: list[RehearsalScores], seconds: float) -> None:
    """Print the row of the table; claim how many gaps are within two standard errors, and the ensemble's gain."""
    errors = np.array([score.gap_in_standard_errors for score in scores])
    gains = np.array([metric.gain(score.ensemble, score.single) for score in scores])
    within = int((np.abs(errors) <= MAX_ERRORS).sum())
    gain_error = standard_error(gains) if len(gains) > 1 else float("nan")
    ensemble, single = (np.mean([getattr(score, field) for score in scores]) for field in ("ensemble", "single"))
    print(
        f"{name:<12}{len(scores):>6}{within:>8}{errors.mean():>+9.2f}{np.abs(errors).max():>7.2f}"
        f"{ensemble:>10.4f}{single:>10.4f}{gains.mean():>+10.4f} ± {gain_error:.4f}"
        f"{int((gains > 0).sum()):>7}{seconds / len(scores):>9.0f}",
        flush=True,
    )
    least = int(np.floor(MIN_SHARE * len(scores)))
    claim(
        f"rehearsals of {name} within 2 standard errors", f"{within} of {len(scores)}", f">= {least}", within >= least
    )
    claim(f"gain of ensemble and TTA, {name}", f"{gains.mean():+.4f}", "> 0", bool(gains.mean() > 0))


# --- stages -------------------------------------------------------------------------------------

STAGES_COMPETITION = "same-dogs"


def stages(
    folder: Path,
    weights: Path,
    model: str = "mobilenetv2_100",
    size: int = 160,
    larger: int = 224,
    seeds: int = 1,
    recipes: tuple[int, ...] = (),
) -> None:
    """Which stages are worth their time: recipes that differ in a stage, on photographs laid out as dog-breed.

    Each seed draws learned and hidden rows anew from all that FOLDER labels, its `test_solution.csv` included; all
    recipes then have the same validation rows. `recipes` are numbers of the list, from 1; the gain of each is over the
    first. Seconds are those of processors, of training and predicting.
    """
    named = list(stage_recipes(size, larger).items())
    chosen = [named[number - 1] for number in recipes] if recipes else named
    rows: dict[str, list[StageRow]] = {name: [] for name, _ in chosen}
    print(f"{'recipe':<58}{'seconds':>9}{'valid':>10}{'accuracy':>10}{'hidden':>10}{'accuracy':>10}")
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as root:
            way = Way("recipe", 0, size, model, weights.resolve(), "cpu")
            label_of = lay_out(Draw(folder.resolve(), "dog-breed", 0, 0, seed, way), Path(root) / "source")
            for name, recipe in chosen:
                flags = ("--backbone", model, "--weights", weights.resolve(), "--seed", seed)
                row = train_and_grade(Path(root), recipe, label_of, flags)
                rows[name].append(row)
                print(f"{name:<58}{row}", flush=True)
    report_stages(rows)


@dataclass(frozen=True)
class StageRow:
    """Of one recipe and draw: processor seconds, log loss and accuracy of validation and of hidden rows."""

    seconds: float
    valid: tuple[float, float]
    hidden: tuple[float, float]

    def __str__(self) -> str:
        return f"{self.seconds:>9.1f}" + "".join(f"{value:>10.4f}" for value in (*self.valid, *self.hidden))


def report_stages(rows: dict[str, list[StageRow]]) -> None:
    """Means over the draws, and what each recipe gains of hidden log loss beside the first, with its standard error."""
    first = next(iter(rows.values()))
    print(f"\n{'mean of ' + str(len(first)):<58}{'seconds':>9}{'hidden':>10}{'accuracy':>10}{'gained':>20}")
    for name, own in rows.items():
        seconds, (loss, accuracy) = np.mean([row.seconds for row in own]), np.mean([row.hidden for row in own], axis=0)
        gains = [base.hidden[0] - row.hidden[0] for base, row in zip(first, own, strict=True)]
        print(f"{name:<58}{seconds:>9.1f}{loss:>10.4f}{accuracy:>10.4f}{format_gain(gains)}")


def stage_recipes(size: int, larger: int) -> dict[str, Recipe]:
    """The recipes to compare, by their stages."""
    base = load("dog-breed").recipe
    head, larger_head = Stage(size, TrainMode.FEATURES), Stage(larger, TrainMode.FEATURES)
    frozen = Stage(size, TrainMode.FROZEN, cycle_len=3, lr_scale=0.3)

    def unfrozen(lr_scale: float, stage_size: int = size) -> Stage:
        return Stage(stage_size, TrainMode.UNFROZEN, cycle_len=2, lr_scale=lr_scale)

    bn_trains, bn_frozen = replace(base, freeze_bn=False), replace(base, freeze_bn=True)
    by_name = {
        f"features {size}": (bn_frozen, (head,)),
        f"features {size}, frozen": (bn_frozen, (head, frozen)),
        f"features {size}, unfrozen x 0.3, BatchNorm trains": (bn_trains, (head, unfrozen(0.3))),
        f"features {size}, unfrozen x 0.1, BatchNorm trains": (bn_trains, (head, unfrozen(0.1))),
        f"features {size}, unfrozen x 0.3, BatchNorm frozen": (bn_frozen, (head, unfrozen(0.3))),
        f"features {size}, unfrozen x 0.1, BatchNorm frozen": (bn_frozen, (head, unfrozen(0.1))),
        f"features {larger}": (bn_frozen, (larger_head,)),
        f"features {size}, features {larger}": (bn_frozen, (head, larger_head)),
        f"features {larger}, unfrozen x 0.1": (bn_frozen, (larger_head, unfrozen(0.1, larger))),
        f"features {size}, unfrozen x 0.1, features {larger}": (bn_frozen, (head, unfrozen(0.1), larger_head)),
        f"features {size}, features {larger}, unfrozen x 0.1": (bn_frozen, (head, larger_head, unfrozen(0.1, larger))),
    }
    return {name: replace(recipe, stages=stages) for name, (recipe, stages) in by_name.items()}


def train_and_grade(root: Path, recipe: Recipe, label_of: Mapping[str, str], flags: tuple[object, ...]) -> StageRow:
    """Train the recipe on the images in `source`, and grade its submission."""
    workspace = root / "workspace"
    write_competition(workspace, STAGES_COMPETITION, recipe)
    run_runner(workspace, STAGES_COMPETITION, "download", "--from", root / "source")
    # Features that another recipe has cached would make this one look fast.
    run_runner(workspace, STAGES_COMPETITION, "clean")
    before = children_cpu_seconds()
    run = run_runner(workspace, STAGES_COMPETITION, "train", *flags).strip()
    run_runner(workspace, STAGES_COMPETITION, "predict", "--run", run)
    seconds = children_cpu_seconds() - before
    score = json.loads((workspace / "runs" / STAGES_COMPETITION / run / "score.json").read_text())
    hidden = grade(label_of, workspace / "submissions" / STAGES_COMPETITION / f"{run}.csv").scores()
    valid = (score["cv"]["value"], score["extra_metrics"]["accuracy"]["value"])
    return StageRow(seconds, valid, (hidden["log loss"], hidden["accuracy"]))


# --- heads --------------------------------------------------------------------------------------

# Before there was a regression: cycles of 2, 4 and 8 epochs, however few steps they are.
_CYCLES = Stage(224, TrainMode.FEATURES, 3, 2, 2, solver=Solver.SGDR, min_steps=0)


def heads(
    folder: Path,
    weights: Path,
    competition: str = "dog-breed",
    model: str = "mobilenetv2_100",
    backbone_arg: str = "",
    size: int = 224,
    rows: tuple[int, ...] = (),
    seeds: int = 1,
) -> None:
    """Hidden log loss and seconds of a head by cycles, by regression, and refitted on all rows, on the same features.

    FOLDER is laid out as the competition, with the `test_solution.csv` that is graded. `rows` are labelled rows, all
    of them if none are named; each seed draws others, and the holdout is a fifth. Seconds are of `train` alone, with
    the features in the cache.
    """
    print(f"{'rows':>6}{'seed':>6}  {'head':<12}{'seconds':>9}{'told':>18}{'hidden':>18}")
    with tempfile.TemporaryDirectory() as root:
        network = FrozenNetwork(model, weights, (backbone_arg,) if backbone_arg else (), size)
        for count in rows or (0,):
            for seed in range(seeds):
                compare_heads(Path(root), folder, competition, network, count, seed)


@dataclass(frozen=True)
class FrozenNetwork:
    """A backbone, its weights file, arguments and image size."""

    model: str
    weights: Path
    arguments: tuple[str, ...]
    size: int

    @property
    def flags(self) -> list[object]:
        arguments = [word for argument in self.arguments for word in ("--backbone-arg", argument)]
        return ["--backbone", self.model, "--weights", self.weights.resolve(), *arguments]


def compare_heads(
    root: Path, folder: Path, competition: str, network: FrozenNetwork, count: int, seed: int
) -> dict[str, float]:
    """The hidden log loss of each head, by name; prints a row each."""
    source, workspace = root / f"source-{count}-{seed}", root / f"workspace-{count}-{seed}"
    labelled = write_subset(folder, source, count, seed)
    plugin = workspace / "competitions" / f"{competition.replace('-', '_')}.py"
    stages = {"cycles": replace(_CYCLES, size=network.size), "regression": Stage(network.size, TrainMode.FEATURES)}
    losses: dict[str, float] = {}
    for name, stage in stages.items():
        recipe = replace(load(competition).recipe, stages=(stage,))
        plugin.parent.mkdir(parents=True, exist_ok=True)
        plugin.write_text(_PLUGIN.format(module=plugin.stem, recipe=recipe.to_dict()), encoding="utf-8")
        run_runner(workspace, competition, "download", "--from", source)
        flags = [*network.flags, "--seed", seed]
        if not losses:  # the features, for both
            run_runner(workspace, competition, "run", "--no-submit", "--no-refit", "--run", "warm-up", *flags)
        started = time.perf_counter()
        run_runner(workspace, competition, "train", "--run", name, *flags)
        seconds = time.perf_counter() - started
        run_runner(workspace, competition, "predict", "--run", name)
        losses[name] = report_head(workspace, folder, competition, name, labelled, seed, seconds)
    started = time.perf_counter()
    run_runner(workspace, competition, "train", "--all-data", "--run", "regression")
    seconds = time.perf_counter() - started
    run_runner(workspace, competition, "predict", "--run", "regression-all")
    losses["refit"] = report_head(workspace, folder, competition, "regression-all", labelled, seed, seconds)
    return losses


_PLUGIN = """from dataclasses import replace
from competitions.{module} import COMPETITION as SHIPPED
from runner.contract.recipe import recipe_from_dict
COMPETITION = replace(SHIPPED, recipe=recipe_from_dict({recipe!r}))
"""


def report_head(
    workspace: Path, folder: Path, competition: str, run: str, rows: int, seed: int, seconds: float
) -> float:
    """Print a run's seconds, the score that it tells and its hidden log loss, each with its standard error."""
    score = json.loads((workspace / "runs" / competition / run / "score.json").read_text())["cv"]
    scores = grade(read_labels(folder), workspace / "submissions" / competition / f"{run}.csv").values
    hidden, error = scores.mean(), standard_error(scores)
    told = f"{score['value']:.4f} ± {score['error']:.4f}"
    print(f"{rows:>6}{seed:>6}  {run:<14}{seconds:>7.1f}{told:>18}{hidden:>9.4f} ± {error:.4f}", flush=True)
    return float(hidden)


# --- told ---------------------------------------------------------------------------------------


def told(
    folder: Path,
    weights: Path,
    way: str = "climb",
    competition: str = "dog-breed",
    minutes: float = 2.0,
    rows: int = 0,
    hidden: int = 0,
    seeds: int = 20,
    first_seed: int = 0,
    size: int = 160,
    model: str = "mobilenetv2_100",
    jobs: int = 1,
    device: str = "cpu",
    budget: float = 86_400,
    results: Path | None = None,
) -> None:
    """What a `head`, the competition's `recipe` or a `climb` tells beside what hidden rows score, over fresh draws.

    FOLDER has a `test_solution.csv`: each seed draws learned and hidden rows anew from all that are labelled. WEIGHTS
    are a file, for a climb a folder too. The told score is to be within two standard errors in 19 of 20 draws, and the
    mean of the differences within two of its own.
    """
    if way not in WAYS:
        sys.exit(f"--way {way}: one of {', '.join(WAYS)}")
    of_all = Way(way, minutes, size, model, weights.resolve(), device)
    draws = [Draw(folder.resolve(), competition, rows, hidden, first_seed + seed, of_all) for seed in range(seeds)]
    report_told(f"{way}, {folder.name}", tell_all(draws, jobs=jobs, budget=budget, results=results))


def write_subset(folder: Path, target: Path, count: int, seed: int) -> int:
    """Links to so many of the labelled images, drawn by the seed, or to all for 0; how many they are."""
    target.mkdir(parents=True)
    names = sorted(path.name for path in (folder / "train").iterdir())
    chosen = sorted(np.random.default_rng(seed).permutation(names)[: count or None].tolist())
    (target / "train").mkdir()
    for name in chosen:
        (target / "train" / name).symlink_to((folder / "train" / name).resolve())
    (target / "test").symlink_to((folder / "test").resolve())
    shutil.copy(folder / "sample_submission.csv", target)
    if (folder / "labels.csv").exists():
        header, *rows = (folder / "labels.csv").read_text(encoding="utf-8").splitlines()
        ids = {Path(name).stem for name in chosen}
        kept = [row for row in rows if row.partition(",")[0] in ids]
        (target / "labels.csv").write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
    return len(chosen)


# --- practice -----------------------------------------------------------------------------------


def practice(
    folders: tuple[Path, ...],
    competitions: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    weights: Path | None = None,
    model: str = "mobilenetv2_100",
    seeds: int = 3,
    device: str = "cpu",
    jobs: int = 1,
    budget: float = 3600,
    results: Path = Path("practice.jsonl"),
    scale: float = 1.0,
    groups: tuple[str, ...] = ("defaults", "practice", "longer", "frozen"),
    variants: tuple[str, ...] = (),
    size: int = 160,
) -> None:
    """What each field of a recipe earns on hidden rows, with standard errors over the seeds.

    `folders` are laid out as competitions, with the `test_solution.csv` that is graded; `competitions` names them, and
    without it they are known by the folders' names; '' is none. `names` are practice competitions to compare on as
    well, `variants` the recipes to train beside the base. The trainings that finish within `budget` seconds are in
    RESULTS, a line each, the most telling first, and are not repeated by the same call; `scale` shortens them.
    """
    known = {"woof": "dog-breed", "dogs-vs-cats": "dogs-vs-cats", "cifar": "cifar-10"}
    layouts = competitions or tuple(known.get(folder.name, "dog-breed") for folder in folders)
    data = [DataSet(folder.name, each, folder.resolve()) for folder, each in zip(folders, layouts, strict=True)]
    data += [DataSet(f"practice {name}", name, None) for name in names]
    run_trials(
        data,
        weights=weights and weights.resolve(),
        model=model,
        seeds=seeds,
        device=device,
        jobs=jobs,
        budget=budget,
        results=results,
        scale=scale,
        groups=groups,
        variants=variants,
        size=size,
    )


def earned(results: Path) -> None:
    """The table of what `practice` has written."""
    report(results)


if __name__ == "__main__":
    main(demo, rehearsals, stages, heads, told, practice, earned)

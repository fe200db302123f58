"""How commands scale: with the rows of a competition, and at the real sizes of dog-breed and planet.

python -m benchmarks.scale growth|classes|submission|ensemble
"""

from __future__ import annotations

import hashlib
import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import runner  # noqa: F401  # isort: skip  # before torch: it sets how threads wait

import numpy as np
from PIL import Image

from benchmarks.harness import Measurement, claim, main, measure, timed, write_csv
from runner.contract import (
    ACCURACY,
    LOG_LOSS,
    MACRO_F1,
    MEAN_F2,
    SIDE_ON,
    Activation,
    Block,
    Competition,
    ImageArray,
    Multiclass,
    Multilabel,
    Outputs,
    Recipe,
    Stage,
    TrainMode,
)
from runner.contract.targets import as_matrix
from runner.data.manifest import MARKER
from runner.prediction.predictions import Predictions, write_predictions
from runner.session import Session
from runner.submission_format.check import find_problems
from runner.submission_format.submission_format import read_submission_format
from runner.submission_format.values import read_submission
from runner.workspace import Workspace

# --- growth -------------------------------------------------------------------------------------

NAME, RUN = "growth", "big"
CLASSES, FOLDS, MODELS = 10, 5, 2
MANY_CLASSES = 10_000
STEPS = ("index", "split", "ensemble", "check", "report")
MAX_ROWS = {"files": 100_000, "array": 1_000_000, "tags": 10_000}
# For ten times the rows. Ten is linear; seconds get a little more, because rows are sorted, and because a table of a
# million ids does not fit the processor's caches.
MAX_GROWTH = {"seconds": 13.0, "MB": 11.0}
# Below these, constant costs are most of the figure.
MIN_COST = {"seconds": 0.5, "MB": 50.0}


def growth(
    rows: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000),
    kinds: tuple[str, ...] = ("files", "array", "tags"),
    parent: Path | None = None,
) -> None:
    """CPU seconds and memory of index, split, ensemble, check and report with 1,000 to 1,000,000 rows.

    A step does what the command of its name does, from files to files, in a process of its own; imports are not
    measured. With N rows there are N labelled ones, all of them validation rows once (5 folds, 2 models), and N to
    predict. Images are files (up to 100,000 rows), rows of an array, or files with several tags. `parent` is the folder
    for the temporary files.
    """
    print(f"{'images':9}{'step':10}{'rows':>11}{'seconds':>10}{'cpu s':>8}{'x':>7}{'MB':>10}{'x':>7}  result")
    for kind in kinds:
        before: dict[str, GrowthPoint] = {}
        for count in (count for count in rows if count <= MAX_ROWS[kind]):
            with tempfile.TemporaryDirectory(dir=parent) as folder:
                workspace, is_last = Workspace(Path(folder)), count == MAX_ROWS[kind]
                before = measure_steps(workspace, kind, count, before, is_last=is_last)


def classes(rows: tuple[int, ...] = (2_000, 6_000), parent: Path | None = None) -> None:
    """The same steps with 10,000 classes, of which a submission names one for each of rows / 10 images.

    With 100,000 rows (`--rows 10000,100000`) the prediction files take 12 GB in the folder `parent`.
    """
    print(f"{'images':9}{'step':10}{'rows':>11}{'seconds':>10}{'cpu s':>8}{'x':>7}{'MB':>10}{'x':>7}  result")
    before: dict[str, GrowthPoint] = {}
    for count in rows:
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            before = measure_steps(Workspace(Path(folder)), "classes", count, before, is_last=count == rows[-1])


@dataclass(frozen=True)
class GrowthPoint:
    """A step's cost at one number of rows."""

    kind: str
    step: str
    rows: int
    cost: Measurement
    is_last: bool = False

    def growth(self, before: GrowthPoint) -> tuple[float, float]:
        """Factors of CPU seconds and of memory, for each ten times the rows."""
        tenfold = self.rows / before.rows / 10
        cpu = self.cost.cpu_seconds / max(before.cost.cpu_seconds, 1e-3)
        return cpu / tenfold, self.cost.added_mb / max(before.cost.added_mb, 0.1) / tenfold

    def is_linear(self, before: GrowthPoint) -> bool:
        """Whether neither seconds nor memory grew faster than the rows, apart from constant costs."""
        cpu, megabytes = self.growth(before)
        slow = before.cost.cpu_seconds > MIN_COST["seconds"] and cpu > MAX_GROWTH["seconds"]
        return not slow and not (before.cost.added_mb > MIN_COST["MB"] and megabytes > MAX_GROWTH["MB"])

    def report(self, before: GrowthPoint | None) -> None:
        """Print the row of the table; a claim if this is the largest size."""
        cpu, megabytes = ("-", "-") if before is None else (f"{factor:.1f}" for factor in self.growth(before))
        cost = self.cost
        seconds = f"{cost.seconds:>10.2f}{cost.cpu_seconds:>8.2f}{cpu:>7}"
        row = f"{self.kind:9}{self.step:10}{self.rows:>11,}{seconds}{cost.added_mb:>10.0f}{megabytes:>7}"
        print(f"{row}  {cost.result}", flush=True)
        if before is not None and self.is_last:
            figure = f"{self.step}, {self.rows:,} rows ({self.kind}): x {cpu} time, x {megabytes} memory"
            target = f"x {MAX_GROWTH['seconds']:g}, x {MAX_GROWTH['MB']:g}"
            claim(figure, f"{cost.cpu_seconds:.1f} s, {cost.added_mb:.0f} MB", target, self.is_linear(before))
        elif before is not None and not self.is_linear(before):
            print(f"{self.step} ({self.kind}, {self.rows:,} rows) grew faster than the rows", flush=True)


def measure_steps(
    workspace: Workspace, kind: str, rows: int, before: dict[str, GrowthPoint], *, is_last: bool = False
) -> dict[str, GrowthPoint]:
    """Write a dataset and measure each step; print a row a step, with the growth since the size before."""
    write_growth_dataset(workspace, kind, rows)
    points = {}
    for step in STEPS:
        if step == "ensemble":
            write_run(workspace, kind, rows)
        points[step] = GrowthPoint(kind, step, rows, measure(prepare_step, step, kind, workspace.root), is_last)
        points[step].report(before.get(step))
    return points


def prepare_step(step: str, kind: str, root: Path) -> Callable[[], str]:
    """Import what a step needs; return the step, whose result is a text for the table."""
    session = Session(growth_competition(kind), Workspace(root), "practice")
    prepare = {
        "index": prepare_index,
        "split": prepare_split,
        "ensemble": prepare_ensemble,
        "check": prepare_check,
        "report": prepare_report,
    }[step]
    return prepare(session)


def prepare_index(session: Session) -> Callable[[], str]:
    return lambda: f"{len(session.index.table):,} images"


def prepare_split(session: Session) -> Callable[[], str]:
    from runner.data.splits import SplitPlan
    from runner.steps.split import split

    return lambda: f"{megabytes(split(session, SplitPlan(folds=FOLDS))[0]):.1f} MB"


def prepare_ensemble(session: Session) -> Callable[[], str]:
    from runner.steps.ensemble import ensemble
    from runner.training.run import find_run

    def work() -> str:
        score = ensemble(session, [find_run(session.workspace, NAME, RUN)]).read_score()
        assert score is not None
        return f"CV {score['cv']['value']:.6f}"

    return work


def prepare_check(session: Session) -> Callable[[], str]:
    from runner.steps.check import check

    path = session.submission_file(RUN)
    return lambda: f"{check(session, path):,} rows, {megabytes(path):.1f} MB"


def prepare_report(session: Session) -> Callable[[], str]:
    from runner.report.run.page import write_report
    from runner.training.run import find_run

    run = find_run(session.workspace, NAME, RUN)
    return lambda: f"page of {megabytes(write_report(session, run).path):.2f} MB"


def megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6


def growth_competition(kind: str) -> Competition:
    """A competition whose images are files or rows of an array, or files with several tags, or have 10,000 classes."""
    tags, many, array = kind == "tags", kind == "classes", kind in ("array", "classes")
    names = tuple(f"class_{number}" for number in range(MANY_CLASSES)) if many else None
    labels = Multilabel("labels.csv", label="tags") if tags else Multiclass("labels.csv", label="class", classes=names)
    return Competition(
        slug=NAME,
        title="Growth",
        labels=labels,
        train_images=ImageArray("train.npy", table="labels.csv") if array else "train/{id}.jpg",
        test_images=ImageArray("test.npy", table="sample_submission.csv") if array else "test/{id}.jpg",
        sample_submission="sample_submission.csv",
        preset=SIDE_ON,
        metric=MEAN_F2 if tags else MACRO_F1 if many else LOG_LOSS,
        extra_metrics=() if tags else (ACCURACY,),
        recipe=Recipe("resnet18", (Stage(64, TrainMode.FROZEN),), lr=1e-3, folds=FOLDS, pretrained=False),
        name=NAME,
    )


def write_growth_dataset(workspace: Workspace, kind: str, rows: int) -> None:
    """Write `rows` labelled images and as many to predict."""
    folder = workspace.data_dir(NAME)
    folder.mkdir(parents=True)
    random, tags, many = np.random.default_rng(rows), kind == "tags", kind == "classes"
    names = [f"class_{number}" for number in range(MANY_CLASSES if many else CLASSES)]
    numbers = random.permutation(rows) % len(names) if many else random.integers(CLASSES, size=rows)
    labels = [names[number] for number in numbers]
    if tags:
        following = dict(zip(names, [*names[1:], names[0]], strict=True))
        labels = [f"{label} {following[label]}" for label in labels]
    column = "tags" if tags else "class"
    header, cells = ([column], names[:1]) if tags or many else (names, ["0.1"] * CLASSES)
    test_rows = count_test_rows(kind, rows)
    write_csv(folder / "labels.csv", ["id", column], [[f"train_{row:07d}", label] for row, label in enumerate(labels)])
    sample = [[f"test_{row:07d}", *cells] for row in range(test_rows)]
    write_csv(folder / "sample_submission.csv", ["id", *header], sample)
    for subset, count in (("train", rows), ("test", test_rows)):
        if kind in ("array", "classes"):
            # Sparse: it takes no disk, and the steps read only the few images that the report shows.
            shape = (count, 1, 16, 16)
            np.lib.format.open_memmap(folder / f"{subset}.npy", mode="w+", dtype=np.float32, shape=shape)
        else:
            write_tiny_images(folder / subset, [f"{subset}_{row:07d}.jpg" for row in range(count)])
    (folder / MARKER).touch()


def count_test_rows(kind: str, rows: int) -> int:
    """As many as labelled ones; of many classes fewer: each fold and model has predictions of all of them."""
    return rows // 10 if kind == "classes" else rows


def write_tiny_images(folder: Path, names: Sequence[str]) -> None:
    """Write one JPEG of 8 x 8 pixels under each name, with different bytes after its end."""
    folder.mkdir()
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (90, 120, 150)).save(stream, "JPEG", quality=60)
    for number, name in enumerate(names):
        (folder / name).write_bytes(stream.getvalue() + b"%d" % number)


def write_run(workspace: Workspace, kind: str, rows: int) -> None:
    """Write a finished run: predictions of two models for the validation rows of each fold, and for the test rows."""
    from runner.data.folds import copy_folds, read_folds
    from runner.prediction.blend import oof_targets_file
    from runner.prediction.out_of_fold import oof_targets, write_oof_targets
    from runner.training.run import started_run

    session = Session(growth_competition(kind), workspace, "practice")
    with started_run(workspace, NAME, session.competition.recipe, RUN, "benchmark") as run:
        pass
    copy_folds(session.folds_file, run.folds_file)
    targets = oof_targets(session.index)
    write_oof_targets(oof_targets_file(run), targets)
    fold_by_id = read_folds(run.folds_file).fold_of
    fold_of_row = np.array([fold_by_id[id] for id in targets.ids])
    random, test_rows, columns = np.random.default_rng(1), count_test_rows(kind, rows), len(targets.classes)
    test_ids = tuple(f"test_{row:07d}" for row in range(test_rows))
    test_targets = random.integers(columns, size=test_rows)
    draw = class_probabilities if kind == "classes" else noisy_probabilities
    for fold in range(FOLDS):
        valid = np.flatnonzero(fold_of_row == fold)
        valid_ids = tuple(targets.ids[row] for row in valid)
        subsets = (("valid", valid_ids, targets.targets[valid]), ("test", test_ids, test_targets))
        for model in range(MODELS):
            for subset, ids, subset_targets in subsets:
                known = subset_targets if kind == "classes" else as_matrix(subset_targets, columns)
                probabilities = draw(known, model, random, kind)
                predictions = Predictions(ids, targets.classes, probabilities)
                write_predictions(run.fold_dir(fold) / f"snapshot-{model}.{subset}.npz", predictions)


def class_probabilities(numbers: np.ndarray, model: int, random: np.random.Generator, _kind: str) -> np.ndarray:
    """Probabilities of many classes: rows of noise, used again and again, that know something of the class."""
    noise = softmax(random.standard_normal((997, MANY_CLASSES), dtype=np.float32))
    rows = np.arange(len(numbers))
    probabilities = noise[rows % len(noise)]
    probabilities[rows, numbers] += (0.004 + 0.001 * model) * random.random(len(numbers), dtype=np.float32)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return probabilities


def noisy_probabilities(targets: np.ndarray, model: int, random: np.random.Generator, kind: str) -> np.ndarray:
    """Probabilities that know something of the targets, the later model a little more."""
    logits = (2 + 0.3 * model) * targets + random.standard_normal(targets.shape, dtype=np.float32)
    return 1 / (1 + np.exp(1 - logits)) if kind == "tags" else softmax(logits)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


# --- submission ---------------------------------------------------------------------------------


def submission(rows: int = 10_357, classes: int = 120) -> None:
    """Seconds and memory to write, check and read a submission, by default of dog-breed's real size."""
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(prepare_submission, Path(folder), rows, classes)
    size, score_change = measured.result
    print(f"file {size:.1f} MB, peak memory {measured.peak_mb:.1f} MB")
    figure = f"submission of {rows:,} x {classes}: change of log loss by rounding"
    claim(figure, f"{score_change:.1e}", "< 1e-06", score_change < 1e-6)


def prepare_submission(folder: Path, rows: int, classes: int) -> Callable[[], tuple[float, float]]:
    """Write the sample submission; return the work, whose result is the file's MB and the change of log loss."""
    names = [f"breed_{number:03d}" for number in range(classes)]
    ids = [hashlib.md5(str(row).encode()).hexdigest() for row in range(rows)]
    sample, path = folder / "sample_submission.csv", folder / "submission.csv"
    write_csv(sample, ["id", *names], [[id, *[1 / classes] * classes] for id in ids])
    logits = np.random.default_rng(1).normal(scale=6, size=(rows, classes))
    return partial(write_and_check, sample, path, names, softmax(logits).astype(np.float32))


def write_and_check(sample: Path, path: Path, names: list[str], values: np.ndarray) -> tuple[float, float]:
    from runner.prediction.submission import write_submission

    form = read_submission_format(growth_competition("files"), sample)
    timed("write", lambda: write_submission(form, path, classes=names, ids=form.ids, values=values))
    timed("check", lambda: find_problems(form, path))
    _, read = timed("read", lambda: read_submission(form, path, classes=names))
    targets = np.eye(len(names))[np.arange(len(values)) % len(names)]
    return megabytes(path), abs(LOG_LOSS.score(targets, read) - LOG_LOSS.score(targets, values))


# --- ensemble -----------------------------------------------------------------------------------

PLANET_ROWS, PLANET_TEST_ROWS, TAGS = 40_479, 61_191, 17
MAX_ENSEMBLE_MB, MAX_ENSEMBLE_SECONDS = 1000, 60


def ensemble(models: int = 30, scale: float = 1.0) -> None:
    """Seconds and peak memory of an ensemble of 30 models of planet's size, with its nested cross-validation."""
    with tempfile.TemporaryDirectory() as folder:
        write_planet_predictions(Path(folder), models, int(PLANET_ROWS * scale), int(PLANET_TEST_ROWS * scale))
        measured = measure(prepare_blend, Path(folder), models)
    seconds, peak = measured.seconds, measured.peak_mb
    figure = f"ensemble of {models} models of planet's size"
    target = f"<= {MAX_ENSEMBLE_SECONDS} s"
    claim(f"{figure}: seconds", f"{seconds:.1f} s", target, seconds <= MAX_ENSEMBLE_SECONDS)
    claim(f"{figure}: peak memory", f"{peak:.0f} MB", f"<= {MAX_ENSEMBLE_MB} MB", peak <= MAX_ENSEMBLE_MB)


def write_planet_predictions(folder: Path, models: int, rows: int, test_rows: int) -> None:
    """Write targets, and each model's predictions for validation and test rows; later models are better."""
    random = np.random.default_rng(1)
    classes = tuple(f"tag_{number:02d}" for number in range(TAGS))
    for subset, count in (("valid", rows), ("test", test_rows)):
        targets, logits = sample_planet_targets(count, random)
        np.save(folder / f"{subset}.npy", targets.astype(np.float32))
        ids = tuple(f"{subset}_{row}" for row in range(count))
        for model in range(models):
            noisy = 1.3 * (logits + random.normal(scale=1.2 - 0.02 * model, size=logits.shape))
            predictions = Predictions(ids, classes, 1 / (1 + np.exp(-noisy)))
            write_predictions(folder / f"{model}.{subset}.npz", predictions)


def sample_planet_targets(rows: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Targets with planet's tag frequencies, the first four exclusive weathers; and the logits behind them."""
    frequencies = np.array([0.70, 0.05, 0.07, 0.18, 0.93, 0.30, 0.20, 0.18, 0.11, 0.09, 0.02, *[0.006] * 6])
    logits = np.log(frequencies / (1 - frequencies)) + random.normal(scale=2.0, size=(rows, TAGS))
    weather = np.eye(4)[(logits[:, :4] + random.gumbel(size=(rows, 4))).argmax(axis=1)]
    ground = random.random((rows, TAGS - 4)) < 1 / (1 + np.exp(-logits[:, 4:]))
    return np.hstack([weather, ground * (weather[:, 1:2] == 0)]), logits


def prepare_blend(folder: Path, models: int) -> Callable[[], None]:
    import runner.prediction.nested_cv  # noqa: F401  # in the measured process

    return partial(blend, folder, models)


def blend(folder: Path, models: int) -> None:
    """What `ensemble` does with prediction files: fit, nested score, gains, test probabilities."""
    from runner.prediction.label_constraints import LabelConstraints
    from runner.prediction.nested_cv import NestedCV
    from runner.prediction.out_of_fold import Member, OutOfFold, common_ids, read_member_predictions
    from runner.prediction.postprocess import Task
    from runner.prediction.predictions import read_classes, read_ids

    files = [Member(f"model {n}", (folder / f"{n}.valid.npz",), (folder / f"{n}.test.npz",)) for n in range(models)]
    outputs = Outputs((Block(Activation.SIGMOID, TAGS),))
    ids, names = common_ids(files), read_classes(files[0].valid[0])
    stack = timed("read predictions", lambda: read_member_predictions(files, ids, names, outputs=outputs))
    targets = np.load(folder / "valid.npy")[[int(id.split("_")[1]) for id in ids]]
    folds = np.arange(len(ids)) % FOLDS
    oof = OutOfFold(tuple(file.name for file in files), ids, stack, targets, folds, ("",) * len(ids))
    nested_cv: Any = NestedCV.from_rows(oof, Task(MEAN_F2, outputs, constraints=LabelConstraints((0, 1, 2, 3), (1,))))
    postprocess = timed("fit", nested_cv.postprocess)
    nested = timed("nested score", nested_cv.nested_score)
    timed("ensemble methods", nested_cv.score_methods)
    timed("gain of each model", nested_cv.contributions)
    test_ids = read_ids(files[0].test[0])
    predict = postprocess.predict_test(files, test_ids, names)
    test = timed("apply", lambda: predict(range(len(test_ids))))
    test_score = MEAN_F2.score(np.load(folder / "test.npy"), test)
    print(f"{nested_cv.select_plan()}; {sum(weight > 0 for weight in postprocess.weights)} models have weight")
    print(f"nested {nested.score}, in-sample {nested.in_sample:.5f}, test {test_score:.5f}")


if __name__ == "__main__":
    main(growth, classes, submission, ensemble)

"""What runs and climbs tell, beside what hidden rows score: many fresh draws of learned and hidden rows.

Called by `python -m benchmarks.quality told`. Each seed draws both anew from all the labelled rows of a folder, its
`test_solution.csv` included, so that no fixed test set lends its luck to every seed; the runner sees neither the hidden
labels nor which rows other seeds hide.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import runner  # noqa: F401  # isort: skip  # before torch: it sets how threads wait

import numpy as np
import torch

from benchmarks.grading import grade, read_labels, standard_error
from benchmarks.harness import claim, finished_within, read_csv, write_csv
from benchmarks.practice import as_laid_out
from competitions import load
from runner.climb.climb import ClimbOptions, climb
from runner.console import set_verbosity
from runner.contract import Competition, Recipe, Stage, TrainMode
from runner.options import Compute, TrainOptions
from runner.session import Session
from runner.steps.download import download
from runner.training.weights_hints import read_hints
from runner.workflow import RunOptions, run_until_submission
from runner.workspace import Workspace

WAYS = ("head", "recipe", "climb")
MAX_ERRORS, MIN_SHARE = 2.0, 0.95
Row = tuple[Path, str]  # an image and its label


@dataclass(frozen=True)
class Way:
    """How every draw is trained: a head on features, the competition's own recipe, or a climb of so many minutes."""

    name: str
    minutes: float
    size: int
    model: str
    weights: Path
    device: str


@dataclass(frozen=True)
class Draw:
    """One seed's rows, laid out as the folder is."""

    folder: Path
    competition: str
    rows: int  # to learn from; 0: as many as the folder labels
    hidden: int  # 0: all the others
    seed: int
    way: Way


@dataclass(frozen=True)
class Told:
    """What was told of a draw, and what its hidden rows score; a higher score may be better or worse."""

    seed: int
    told: float
    told_error: float
    hidden: float
    hidden_error: float
    seconds: float
    steps: str = ""

    @property
    def difference(self) -> float:
        return self.hidden - self.told

    @property
    def error(self) -> float:
        """The standard error of the difference: the two scores have no rows in common."""
        return math.hypot(self.told_error, self.hidden_error)


def tell_all(draws: Sequence[Draw], *, jobs: int, budget: float, results: Path | None) -> list[Told]:
    """Train every draw, `jobs` at a time, for at most so many seconds; a line each as soon as it is known."""
    told = list[Told]()
    threads = int(os.environ.get("OMP_NUM_THREADS", 0)) or max(1, (os.cpu_count() or 1) // jobs)
    print(f"{'seed':>6}{'seconds':>9}{'told':>18}{'hidden':>18}{'difference':>20}{'errors':>8}  steps", flush=True)
    for one in finished_within(budget, _tell, draws, jobs=jobs, start=_start_worker, arguments=(threads,), fresh=True):
        if isinstance(one, str):
            print(one, flush=True)
            continue
        told.append(one)
        print(_line(one), flush=True)
        if results is not None:
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(one)) + "\n")
    return told


def report(name: str, told: Sequence[Told]) -> None:
    """Claim how many told scores hold, and that their mean has no bias."""
    if not told:
        return
    within = sum(abs(one.difference) <= MAX_ERRORS * one.error for one in told)
    least = math.floor(MIN_SHARE * len(told))
    claim(f"{name}: told within 2 errors", f"{within} of {len(told)}", f">= {least}", within >= least)
    differences = np.array([one.difference for one in told])
    mean = float(differences.mean())
    # The draws share rows: of the two ways to see the error of the mean, the larger.
    spread = float(differences.std(ddof=1)) if len(told) > 1 else math.inf
    error = max(spread, float(np.mean([one.error for one in told]))) / math.sqrt(len(told))
    claim(f"{name}: hidden minus told", f"{mean:+.4f} ± {error:.4f}", "within 2 errors", abs(mean) <= 2 * error)


def _line(one: Told) -> str:
    told, hidden = f"{one.told:.4f} ± {one.told_error:.4f}", f"{one.hidden:.4f} ± {one.hidden_error:.4f}"
    difference = f"{one.difference:+.4f} ± {one.error:.4f}"
    errors = one.difference / one.error
    return f"{one.seed:>6}{one.seconds:>9.0f}{told:>18}{hidden:>18}{difference:>20}{errors:>+8.2f}  {one.steps}"


def _start_worker(threads: int) -> None:
    torch.set_num_threads(threads)
    set_verbosity(quiet=True)


def _tell(draw: Draw) -> Told | str:
    """What is told of a draw and what its hidden rows score; of one that fails, its error."""
    started = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as root:
            solution = lay_out(draw, Path(root) / "source")
            session = _session(draw, Path(root))
            download(session, Path(root) / "source")
            value, error, path, steps = _train(session, draw)
            scores = grade(solution, path).values
    except Exception as error:  # one draw must not end the others
        return f"{draw.seed:>6}  {type(error).__name__}: {error}"
    seconds = time.perf_counter() - started
    return Told(draw.seed, value, error, float(scores.mean()), standard_error(scores), seconds, steps)


def _session(draw: Draw, root: Path) -> Session:
    competition = as_laid_out(load(draw.competition), root / "source")
    workspace = Workspace.at(root / "workspace")
    return Session(competition, workspace, compute=Compute(draw.way.device, workers=0))


def _train(session: Session, draw: Draw) -> tuple[float, float, Path, str]:
    """The told score, its error, the submission, and in a few words how it came about."""
    if draw.way.name == "climb":
        result = climb(session, ClimbOptions(draw.way.minutes, (draw.way.weights,)))
        scored = [step for step in result.record.steps if step.score is not None]
        last = scored[-1]
        assert last.score is not None and last.error is not None
        taken = ", ".join(step.what for step in scored)
        return last.score, last.error, result.path(session), taken
    recipe = _recipe(session.competition, draw)
    run = run_until_submission(session, recipe, RunOptions(TrainOptions(weights=draw.way.weights)))
    return run.score.value, run.score.error, run.path, run.run.name


def _recipe(competition: Competition, draw: Draw) -> Recipe:
    hints = read_hints(draw.way.weights)
    recipe = replace(
        competition.recipe,
        backbone=draw.way.model,
        backbone_args=dict(hints.arguments),
        seed=draw.seed,
        pretrained=True,
    )
    if draw.way.name == "head":
        return replace(recipe, stages=(Stage(draw.way.size, TrainMode.FEATURES),))
    return recipe


# --- the rows of a draw -------------------------------------------------------------------------


def lay_out(draw: Draw, target: Path) -> dict[str, str]:
    """Links to the draw's images under new ids, with tables as the folder has them; the hidden labels by id."""
    folder = draw.folder
    rows = labelled_rows(folder)
    # Ids are new in every draw: the split goes by them, and would else hold out the same images each time.
    order = [rows[place] for place in np.random.default_rng(draw.seed).permutation(len(rows))]
    count = draw.rows or sum(1 for path, _ in rows if path.parent.name == "train")
    end = count + draw.hidden if draw.hidden else len(order)
    labels_csv = folder / "labels.csv"
    for subset in ("train", "test"):
        (target / subset).mkdir(parents=True)
    lines, solution = list[list[str]](), dict[str, str]()
    for number, (image, label) in enumerate(order[:end]):
        id, suffix = str(number), image.suffix
        if number >= count:
            (target / "test" / f"{id}{suffix}").symlink_to(image)
            solution[id] = label
            continue
        name = f"{id}{suffix}" if labels_csv.exists() else f"{label}.{id}{suffix}"
        (target / "train" / name).symlink_to(image)
        lines.append([id, label])
    if labels_csv.exists():
        write_csv(target / "labels.csv", read_csv(labels_csv)[0], lines)
    header, blank = read_csv(folder / "sample_submission.csv")[:2]
    write_csv(target / "sample_submission.csv", header, [[id, *blank[1:]] for id in solution])
    return solution


def labelled_rows(folder: Path) -> list[Row]:
    """Every image of the folder with its label, by the name of its file: those of the test set by its solution."""
    train, test = sorted((folder / "train").iterdir()), sorted((folder / "test").iterdir())
    solution = read_labels(folder)
    if (folder / "labels.csv").exists():
        label_of = dict(row[:2] for row in read_csv(folder / "labels.csv")[1:])
        learned = [(path.resolve(), label_of[path.stem]) for path in train]
    else:
        learned = [(path.resolve(), path.name.partition(".")[0]) for path in train]
        names = sorted({label for _, label in learned})
        solution = {id: names[int(value)] for id, value in solution.items()}
    return [*learned, *((path.resolve(), solution[path.stem]) for path in test)]

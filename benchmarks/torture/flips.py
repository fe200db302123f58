"""Damage one file of a workspace, and call the commands that read it.

Each either says so, with the file's name and a fix, or does what it does in an undamaged workspace.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.torture.attack import Attack, Harm, Trial
from benchmarks.torture.contents import differences, plain_text, read_json
from benchmarks.torture.damage import damage
from benchmarks.torture.process import Interruption, fork_runner
from benchmarks.torture.worlds import NAME, STEPS, copy_world, create_world, record_steps, shapes

_PREDICTIONS = ("fold-*/*.npz", "fold-*/swa.*", "oof_targets.npz", "postprocess.json", "score.json")
_SHORT = ("--epochs-scale", "0.4", "--workers", "0")


@dataclass(frozen=True)
class Scenario:
    """Commands that read files: in which workspace, without which files of run a, and which kinds they read."""

    name: str
    calls: tuple[tuple[str, ...], ...]
    kinds: tuple[str, ...]  # glob patterns below `practice/`
    world: str = "finished"
    removed: tuple[str, ...] = ()


_TIME_OF_DAY = re.compile(r"(?<![\d:])\d{2}:\d{2}(?![\d:])")
_SLOW = re.compile(r"warning: [^\n]*data loading took[^\n]*\n(?:    [^\n]*\n)*  fix: [^\n]*\n(?:    [^\n]*\n)*")
_LOST_LINE, _LOST_END = "a line is missing", "the end is missing"  # as `damage` calls it
_RUN = f"runs/{NAME}/a"
_RUNS = f"runs/{NAME}/rehearsal-*"
_SUBMISSION = f"practice/submissions/{NAME}/a.csv"
SCENARIOS = (
    Scenario(
        "look",
        (shapes("runs"), shapes("report", "a"), ("board",), shapes("standings"), ("list",)),
        (
            f"{_RUN}/*.json",
            f"{_RUN}/log.jsonl",
            f"{_RUN}/*.csv",
            f"{_RUN}/fold-*/*.json",
            f"{_RUN}/fold-*/*.valid.npz",
            f"{_RUN}/oof_targets.npz",
            f"leaderboards/{NAME}/*",
            "submissions/ledger.csv",
            f"data/{NAME}/*.*",
            f"data/{NAME}/.complete",
        ),
    ),
    Scenario(
        "predict again",
        (shapes("predict", "--run", "a", "--workers", "0"), shapes("runs")),
        (
            f"{_RUN}/fold-*/snapshot-*.safetensors",
            f"{_RUN}/fold-*/snapshot-*.json",
            f"{_RUN}/folds.*",
            f"{_RUN}/recipe.json",
            f"{_RUN}/log.jsonl",
            f"data/{NAME}/train/*",
            f"data/{NAME}/test/*",
            f"data/{NAME}/*.*",
            f"cache/{NAME}/images/*/*",
            f"cache/{NAME}/features/*",
            f"cache/{NAME}/*.txt",
        ),
        removed=_PREDICTIONS,
    ),
    Scenario(
        "predict",
        (shapes("predict", "--run", "a", "--workers", "0", "--tta", "all"), shapes("runs")),
        (f"{_RUN}/fold-*/*", f"{_RUN}/*.json", f"{_RUN}/*.npz", f"{_RUN}/folds.*", f"submissions/{NAME}/a.csv"),
    ),
    Scenario(
        "ensemble",
        (shapes("ensemble", "a", "b", "--name", "n"), shapes("check", _SUBMISSION)),
        (f"{_RUN}/fold-*/*.npz", f"{_RUN}/*.json", f"{_RUN}/*.npz", f"{_RUN}/folds.*", f"submissions/{NAME}/a.csv"),
    ),
    Scenario(
        "go on",
        (shapes("train", "--run", "a", "--workers", "0"), shapes("predict", "--run", "a", "--workers", "0")),
        (
            f"{_RUN}/fold-*/checkpoint.safetensors",
            f"{_RUN}/fold-*/checkpoint.safetensors",
            f"{_RUN}/fold-*/*",
            f"{_RUN}/*.*",
            f"cache/{NAME}/features/*",
            f"runs/{NAME}/folds.*",
        ),
        world="interrupted",
    ),
    Scenario(
        "train again",
        (shapes("train", "--run", "n", *_SHORT), shapes("predict", "--run", "n", "--workers", "0")),
        (
            f"runs/{NAME}/folds.*",
            f"data/{NAME}/train/*",
            f"data/{NAME}/*.*",
            f"cache/{NAME}/images/*/*",
            f"cache/{NAME}/features/*",
            f"cache/{NAME}/*.txt",
        ),
    ),
    Scenario(
        "submit",
        (shapes("submit", "a"), shapes("submit", "--best", "1"), shapes("standings", "--refresh")),
        (
            "submissions/ledger.csv",
            "submissions/ledger.csv",
            f"submissions/{NAME}/*.csv",
            f"leaderboards/{NAME}/*",
            f"runs/{NAME}/*/score.json",
            f"runs/{NAME}/*/recipe.json",
        ),
    ),
    Scenario(
        "refit",
        (shapes("train", "--run", "a", "--all-data", "--workers", "0"), shapes("predict", "--workers", "0")),
        (f"{_RUN}/*.json", f"{_RUN}/fold-*/*.json", f"{_RUN}/log.jsonl", f"{_RUN}/folds.*"),
    ),
    Scenario(
        "rehearse",
        (shapes("rehearse", "--hidden", "0.3", *_SHORT),),
        tuple(
            f"rehearsal/*/{pattern}"
            for pattern in (
                f"practice-host/{NAME}/*.*",
                f"practice-host/{NAME}/*.*",
                f"data/{NAME}/*.*",
                f"{_RUNS}/*.*",
                f"{_RUNS}/fold-*/*",
                "submissions/ledger.csv",
                f"submissions/{NAME}/*.csv",
            )
        ),
        world="rehearsed",
    ),
    Scenario("explore", (shapes("explore"),), (f"data/{NAME}/*.*", f"data/{NAME}/train/*")),
)

# In a workspace without a run, for the suite: nothing is trained.
SMALL_SCENARIOS = (
    Scenario(
        "split",
        (shapes("split", "--folds", "2"), shapes("check", "submission.csv")),
        (f"data/{NAME}/*.csv", f"data/{NAME}/manifest.json", f"runs/{NAME}/folds.*"),
        world="submitted",
    ),
    Scenario(
        "submit a file",
        (shapes("submit", "submission.csv"), shapes("standings", "--refresh")),
        ("submissions/ledger.csv", f"leaderboards/{NAME}/*"),
        world="submitted",
    ),
)

_LAST_STEP = "submit best"  # runs a, b and e, predicted; a and the best of the others submitted


def prepare(folder: Path, small: bool) -> None:
    """Make the workspaces, and do in them what each scenario does, undamaged."""
    names = [step.name for step in STEPS]
    _submit_a_file(folder)
    if not small:
        record_steps(folder, STEPS[: names.index(_LAST_STEP) + 1])
        (folder / "after" / _LAST_STEP).rename(folder / "finished")
        _interrupt_training(folder, folder / "interrupted")
        _rehearse(folder)
    for scenario in SMALL_SCENARIOS if small else (*SCENARIOS, *SMALL_SCENARIOS):
        workspace = folder / "expected" / scenario.name
        _begin(scenario, folder, workspace)
        outputs = [_comparable(_done(workspace, *words), workspace) for words in scenario.calls]
        (folder / f"{scenario.name}.json").write_text(json.dumps(outputs))


def _done(workspace: Path, *words: str) -> str:
    """The output of a command that ends well."""
    ended = fork_runner(workspace, words)
    if ended.code:
        raise RuntimeError(ended.describe())
    return ended.output


def _submit_a_file(folder: Path) -> None:
    """A workspace with its data, folds, and a file submitted; without a run."""
    workspace = folder / "submitted"
    create_world(workspace)
    _done(workspace, *shapes("download"))
    _done(workspace, *shapes("split", "--folds", "2"))
    shutil.copy(workspace / "practice" / "data" / NAME / "sample_submission.csv", workspace / "submission.csv")
    _done(workspace, *shapes("submit", "submission.csv"))


def _interrupt_training(folder: Path, workspace: Path) -> None:
    """A training that was killed after its first fold, within the second."""
    step = next(step for step in STEPS if step.name == "train")
    copy_world(folder / "before" / step.name, workspace)
    changes = 1
    while not list(workspace.glob("practice/runs/*/a/fold-1/checkpoint.safetensors")):
        changes += 10
        fork_runner(workspace, step.words, interruption=Interruption(change=changes))


def _rehearse(folder: Path) -> None:
    """A finished workspace, with a finished rehearsal."""
    copy_world(folder / "finished", folder / "rehearsed")
    _done(folder / "rehearsed", *shapes("rehearse", "--hidden", "0.3", *_SHORT))


def _begin(scenario: Scenario, prepared: Path, workspace: Path) -> None:
    copy_world(prepared / scenario.world, workspace)
    for pattern in scenario.removed:
        for path in (workspace / "practice" / _RUN).glob(pattern):
            path.unlink()


def run(trial: Trial) -> None:
    """Damage a file, and call what reads it."""
    known = [
        scenario for scenario in (*SCENARIOS, *SMALL_SCENARIOS) if (trial.prepared / f"{scenario.name}.json").exists()
    ]
    scenario = trial.random.choice(known)
    _begin(scenario, trial.prepared, trial.folder)
    path = _choose(trial, scenario)
    name = path.relative_to(trial.folder).as_posix()
    way = damage(path, trial.random)
    trial.outcome.title = f"{scenario.name}: {name}, {way}"
    trial.outcome.hit = True
    # Lines taken out of the ledger, or of the log of a run under way, cannot be told from ones that were never written:
    # docs/promises.md says so.
    said = (path.name, way) in (
        ("ledger.csv", _LOST_LINE),
        ("log.jsonl", _LOST_LINE),
        ("log.jsonl", _LOST_END),
    )
    for words, expected in zip(scenario.calls, read_json(trial.prepared / f"{scenario.name}.json"), strict=True):
        ended = trial.runner(*words)
        output = _comparable(ended.output, trial.folder)
        said = said or _names(ended.output, path)
        if ended.code:
            trial.must(said, Harm.UNCLEAR, f"{path.name} is not named: {ended.describe()}")
            trial.must("fix:" in ended.output, Harm.UNCLEAR, f"no fix: {ended.describe()}")
        elif sorted(output.split()) != sorted(expected.split()):  # lines end elsewhere; two of one second change places
            trial.must(said, Harm.CHANGED, f"instead of {expected[-600:]!r}: {ended.describe()}")
    if not said:
        _compare(trial, scenario, name)


def _comparable(output: str, workspace: Path) -> str:
    """The output without times, and without what a run takes on the disk: a cut file takes less.

    In a narrow table the time of day is below its date. A path with a space in it is quoted.
    """
    text = plain_text(_SLOW.sub("", output), workspace).replace("'WORKSPACE'", "WORKSPACE")
    return _TIME_OF_DAY.sub("", re.sub(r"(MOMENT +[\d.]+ +)[\d.]+", r"\1MB", text))


def _choose(trial: Trial, scenario: Scenario) -> Path:
    """A file of one of the scenario's kinds; each kind is as likely as another."""
    while True:
        found = sorted(trial.folder.joinpath("practice").glob(trial.random.choice(scenario.kinds)))
        files = [path for path in found if path.is_file() and "lock" not in path.name]
        if files:
            return trial.random.choice(files)


def _names(output: str, path: Path) -> bool:
    """Whether a message names the file, or for an image the id that it has in the tables."""
    words = {path.name, path.parent.name + "/" + path.name}
    if path.suffix == ".jpg":
        words.add(path.stem)
    return any(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", output) for word in words)


def _compare(trial: Trial, scenario: Scenario, name: str) -> None:
    """Nothing was said: so nothing may differ, but the damaged file itself."""
    for line in differences(trial.prepared / "expected" / scenario.name, trial.folder):
        if not line.startswith(f"{name} "):
            trial.report(Harm.CHANGED, line)


ATTACK = Attack("flips", 200, run, prepare)

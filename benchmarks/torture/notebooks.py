"""Kill a training on the host's machines and the submission by a notebook at random moments, and start them again.

However often they are killed: one version of each dataset, one of each kernel, the run as it was trained, one
submission, one line in the ledger. The kernels' scripts are small ones, because the steps are meant and not the work.
"""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from benchmarks.torture.attack import Attack, Harm, Trial
from benchmarks.torture.contents import read_json
from benchmarks.torture.process import Bounds, Ended, Interruption, fork_runner
from benchmarks.torture.worlds import COMPETITION, NAME, copy_world, create_world, shapes
from runner.hosts.ledger import file_sha256, read_ledger
from runner.hosts.practice import PracticeHost
from runner.hosts.protocol import Status
from runner.remote.archive import pack_files
from runner.remote.train_manifest import DONE, TrainingResult

_MOST_KILLS = 4
_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
_PATIENT = Bounds(seconds=1200)
_SUBMIT = shapes("submit", "a", "--accelerator", "none")
_TRAIN = shapes("train", "--run", "a", "--linear-probe", "--workers", "0")
_TRAIN_THERE = (*_TRAIN, "--on", "kaggle", "--accelerator", "none")
_HERE = (_TRAIN, shapes("predict", "--run", "a", "--workers", "0"))
_RUN = "practice/runs/shapes/a"
_SCRIPT = """
import json, os, shutil
from pathlib import Path
root = Path(os.environ["RUNNER_KAGGLE_ROOT"])
assert list((root / "input").glob("*/package-*.pyz"))
shutil.copyfile(root / "input" / "shapes" / "sample_submission.csv", root / "working" / "submission.csv")
result = dict(format=1, digest="{digest}", kind="infer", rows=1, defaults=0, images=1, seconds=1.0, models=1)
(root / "working" / "runner.json").write_text(json.dumps(result))
"""


_TRAINED = """
import json, os, shutil
from pathlib import Path
root = Path(os.environ["RUNNER_KAGGLE_ROOT"])
assert list((root / "input").glob("*/package-*.pyz"))
shutil.copyfile({archive!r}, root / "working" / "run.zip")
result = json.loads({result!r})
(root / "working" / "runner.json").write_text(json.dumps(dict(result, digest="{digest}")))
"""


def use_small_script() -> None:
    """In the child: the kernel runs a script without torch, and nothing is measured before."""
    import runner.remote.submit as submit

    submit.write_script = lambda _title, _module, digest, _options, **_: _SCRIPT.format(digest=digest)
    submit.measure_inference = lambda *_: None


def use_trained_run(prepared: Path) -> Callable[[], None]:
    """In the child: the kernel brings a run back that was trained before."""
    archive, result = prepared / "run.zip", (prepared / "result.json").read_text(encoding="utf-8")

    def use() -> None:
        import runner.remote.train as train

        train.write_script = lambda _title, _module, digest, _options, **_: _TRAINED.format(
            archive=str(archive), result=result, digest=digest
        )

    return use


def prepare(folder: Path, _small: bool) -> None:
    """A workspace with data, on whose practice host only notebooks submit; a run to bring back; how long both take."""
    world, trained = folder / "world", folder / "trained"
    create_world(world, hidden=True)
    _require(fork_runner(world, shapes("download"), bounds=_PATIENT))
    copy_world(world, trained)
    for words in _HERE:
        _require(fork_runner(trained, words, bounds=_PATIENT))
    _pack(trained, folder)
    copy_world(world, folder / "unbroken")
    lengths = []
    for words, before in _commands(folder):
        ended = fork_runner(folder / "unbroken", words, before=before, bounds=_PATIENT, count_changes=True)
        _require(ended)
        lengths.append([ended.seconds, ended.changes])
    (folder / "length.json").write_text(json.dumps(lengths))


def _commands(prepared: Path) -> tuple[tuple[tuple[str, ...], Callable[[], None]], ...]:
    """The two commands, and what is called in the child before each."""
    return (_TRAIN_THERE, use_trained_run(prepared)), (_SUBMIT, use_small_script)


def _require(ended: Ended) -> None:
    if ended.code:
        raise RuntimeError(ended.describe())


def _pack(trained: Path, folder: Path) -> None:
    """What a session writes that has trained this run."""
    run = trained / _RUN
    files = {f"runs/a/{path.relative_to(run).as_posix()}": path for path in sorted(run.rglob("*")) if path.is_file()}
    files["submissions/a.csv"] = trained / "practice" / "submissions" / NAME / "a.csv"
    pack_files(files, folder / "run.zip")
    result = TrainingResult("", "train", "a", DONE, tuple(files), file_sha256(folder / "run.zip"), 1.0)
    (folder / "result.json").write_text(json.dumps({"format": 1, **asdict(result)}), encoding="utf-8")


def run(trial: Trial) -> None:
    """Kill each command up to four times, let it end, and count what the host has."""
    copy_world(trial.prepared / "world", trial.folder)
    titles = []
    for (words, before), (seconds, changes) in zip(
        _commands(trial.prepared), read_json(trial.prepared / "length.json"), strict=True
    ):
        kills = [_interruption(trial.random, seconds, changes) for _ in range(trial.random.randint(1, _MOST_KILLS))]
        titles.append(", ".join(map(str, kills)))
        trial.outcome.title = "; ".join(titles)
        for kill in kills:
            ended = trial.runner(*words, interruption=kill, before=before)
            if ended.code not in (-kill.signal, 130):
                break
            trial.outcome.hit = True
        if not trial.require_done(trial.runner(*words, before=before), "called again"):
            return
    require_same_run(trial)
    require_once(trial)


def require_same_run(trial: Trial) -> None:
    """Report a file of the run that is not the one that was trained."""
    was, here = trial.prepared / "trained" / _RUN, trial.folder / _RUN
    names = {path.relative_to(was) for path in was.rglob("*") if path.is_file()}
    found = {path.relative_to(here) for path in here.rglob("*") if path.is_file() and not path.name.startswith(".")}
    trial.must(names == found, Harm.LOST, f"other files: {sorted(map(str, names ^ found))}")
    for name in names & found:
        trial.must((was / name).read_bytes() == (here / name).read_bytes(), Harm.LOST, f"{name} is another")


def require_once(trial: Trial) -> None:
    """Report what the host or the ledger has twice, or not at all."""
    host = PracticeHost(COMPETITION, trial.folder / "practice" / "practice-host" / NAME)
    for what in ("datasets", "kernels"):
        versions = [path.relative_to(host.folder) for path in (host.folder / "notebooks" / what).glob("*/v*")]
        one_each = len(versions) == 2 and all(path.name == "v1" for path in versions)
        trial.must(one_each, Harm.DOUBLED, f"{what}: {', '.join(map(str, versions))}")
    submissions = host.fetch_submissions(COMPETITION.slug)
    trial.must(len(submissions) == 1, Harm.DOUBLED, f"{len(submissions)} submissions")
    trial.must(submissions[0].status is Status.COMPLETE, Harm.LOST, f"the submission is {submissions[0].status.value}")
    entries = read_ledger(trial.folder / "practice" / "submissions" / "ledger.csv")
    trial.must(len(entries) == 1, Harm.DOUBLED, f"{len(entries)} lines in the ledger")


def _interruption(chance: random.Random, seconds: float, changes: int) -> Interruption:
    """A signal by the clock, or before a change of the disk."""
    number = chance.choice(_SIGNALS)
    if changes and chance.random() < 0.7:
        return Interruption(number, change=chance.randint(1, changes))
    return Interruption(number, seconds=chance.uniform(0, seconds))


ATTACK = Attack("notebooks", 50, run, prepare)

"""Kill the submission by a notebook at random moments, and start it again until it is done.

However often it is killed: one version of the dataset, one of the kernel, one submission, one line in the ledger.
The kernel's script is a small one, because the steps are meant and not the inference.
"""

from __future__ import annotations

import random
import signal
from pathlib import Path

from benchmarks.torture.attack import Attack, Harm, Trial
from benchmarks.torture.contents import read_json
from benchmarks.torture.process import Bounds, Interruption, fork_runner
from benchmarks.torture.worlds import COMPETITION, NAME, copy_world, create_world, shapes
from runner.hosts.ledger import read_ledger
from runner.hosts.practice import PracticeHost
from runner.hosts.protocol import Status

_MOST_KILLS = 4
_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
_PATIENT = Bounds(seconds=1200)
_SUBMIT = shapes("submit", "a", "--accelerator", "none")
_BEFORE = (
    shapes("download"),
    shapes("train", "--run", "a", "--linear-probe", "--workers", "0"),
    shapes("predict", "--run", "a", "--workers", "0", "--tta", "none"),
)
_SCRIPT = """
import json, os, shutil
from pathlib import Path
root = Path(os.environ["RUNNER_KAGGLE_ROOT"])
assert list((root / "input").glob("*/package-*.pyz"))
shutil.copyfile(root / "input" / "shapes" / "sample_submission.csv", root / "working" / "submission.csv")
result = dict(format=1, digest="{digest}", kind="infer", rows=1, defaults=0, images=1, seconds=1.0, models=1)
(root / "working" / "runner.json").write_text(json.dumps(result))
"""


def use_small_script() -> None:
    """In the child: the kernel runs a script without torch, and nothing is measured before."""
    import runner.remote.submit as submit

    submit.write_script = lambda _title, _module, digest, _options, **_: _SCRIPT.format(digest=digest)
    submit.measure_inference = lambda *_: None


def prepare(folder: Path, _small: bool) -> None:
    """A workspace with a predicted run, and a practice host that takes notebooks only; how long a submission takes."""
    world = folder / "world"
    create_world(world, hidden=True)
    for words in _BEFORE:
        ended = fork_runner(world, words, bounds=_PATIENT)
        if ended.code:
            raise RuntimeError(ended.describe())
    copy_world(world, folder / "unbroken")
    ended = fork_runner(folder / "unbroken", _SUBMIT, before=use_small_script, bounds=_PATIENT, count_changes=True)
    if ended.code:
        raise RuntimeError(ended.describe())
    (folder / "length.json").write_text(f"[{ended.seconds}, {ended.changes}]")


def run(trial: Trial) -> None:
    """Kill the submission up to four times, let it end, and count what the host has."""
    seconds, changes = read_json(trial.prepared / "length.json")
    copy_world(trial.prepared / "world", trial.folder)
    kills = [_interruption(trial.random, seconds, changes) for _ in range(trial.random.randint(1, _MOST_KILLS))]
    trial.outcome.title = ", ".join(map(str, kills))
    for kill in kills:
        ended = trial.runner(*_SUBMIT, interruption=kill, before=use_small_script)
        if ended.code not in (-kill.signal, 130):
            break
        trial.outcome.hit = True
    trial.require_done(trial.runner(*_SUBMIT, before=use_small_script), "called again")
    require_once(trial)


def require_once(trial: Trial) -> None:
    """Report what the host or the ledger has twice, or not at all."""
    host = PracticeHost(COMPETITION, trial.folder / "practice" / "practice-host" / NAME)
    for what in ("datasets", "kernels"):
        versions = list((host.folder / "notebooks" / what).glob("*/v*"))
        trial.must(len(versions) == 1, Harm.DOUBLED, f"{len(versions)} versions in {what}")
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

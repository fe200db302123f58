"""Submissions to a practice host by several processes at once: each file arrives once, and the ledger has it once.

Every file is submitted by two of the processes, in an order of their own.
"""

from __future__ import annotations

import multiprocessing
import random
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.torture.attack import Attack, Harm, Trial
from competitions import load
from runner.console import set_verbosity
from runner.hosts.grading import Scores, SolutionRow, split_public_private
from runner.hosts.ledger import RunInfo, file_sha256, file_tag, parse_file_tag, read_ledger
from runner.hosts.practice import PracticeData, PracticeHost, PracticeTeam, create_practice_competition
from runner.hosts.protocol import Status
from runner.hosts.submit import Submitter
from runner.options import SubmitOptions

SUBMISSIONS, PROCESSES = 500, 4

_DOGS = load("dog-breed")
_IDS = tuple(f"test{number:02}" for number in range(20))
_BREEDS = ("basset", "collie")


def soak(folder: Path, submissions: int = SUBMISSIONS, processes: int = PROCESSES, seed: int = 0) -> list[str]:
    """What went wrong, in sentences; empty if nothing did. `folder` is empty before."""
    files = _write_files(folder / "files", submissions, seed)
    _create_host(folder / "host", submissions)
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_submit_share, args=(folder, number, processes, seed)) for number in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    codes = [worker.exitcode for worker in workers]
    return [*([f"exit codes {codes}"] if any(codes) else []), *_problems(folder, files)]


def _write_files(folder: Path, count: int, seed: int) -> list[Path]:
    """Submission files that differ in their probabilities."""
    folder.mkdir(parents=True)
    draw = random.Random(f"files {seed}")
    paths = []
    for number in range(count):
        path = folder / f"file-{number:04}.csv"
        first = [draw.uniform(0.01, 0.99) for _ in _IDS]
        rows = "".join(f"{id},{p:.6f},{1 - p:.6f}\n" for id, p in zip(_IDS, first, strict=True))
        path.write_text(f"id,{','.join(_BREEDS)}\n{rows}")
        paths.append(path)
    return paths


def _create_host(folder: Path, submissions: int) -> None:
    sample = folder.with_name("sample_submission.csv")
    sample.write_text(f"id,{','.join(_BREEDS)}\n" + "".join(f"{id},0.5,0.5\n" for id in _IDS))
    labels = [_BREEDS[number % 2] for number in range(len(_IDS))]
    solution: tuple[SolutionRow, ...] = split_public_private(_IDS, labels, seed=1)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    teams = [PracticeTeam(f"team {n}", Scores(n / 20, n / 20), start + timedelta(hours=n)) for n in range(1, 30)]
    data = PracticeData({}, sample, _BREEDS, solution, teams, daily_limit=2 * submissions)
    create_practice_competition(_DOGS, folder, data)


def _submit_share(folder: Path, number: int, processes: int, seed: int) -> None:
    """Submit every file whose turn it is for this process; each is so for two of them."""
    set_verbosity(quiet=True)
    files = sorted((folder / "files").iterdir())
    mine = [path for at, path in enumerate(files) if number in (at % processes, (at + 1) % processes)]
    random.Random(f"{seed} {number}").shuffle(mine)
    submitter = Submitter(
        PracticeHost(_DOGS, folder / "host"), _DOGS, folder / "submissions" / "ledger.csv", folder / "leaderboards"
    )
    for path in mine:
        result = submitter.submit(path, RunInfo(run=path.stem, cv="0.5"), SubmitOptions(message=f"by {number}"))
        if result.submission.status is not Status.COMPLETE:
            sys.exit(f"{path.name} is {result.submission.status}")


def _problems(folder: Path, files: list[Path]) -> Iterator[str]:
    submissions = PracticeHost(_DOGS, folder / "host").fetch_submissions(_DOGS.slug)
    entries = read_ledger(folder / "submissions" / "ledger.csv")
    tags = Counter(parse_file_tag(submission.message) for submission in submissions)
    lines = Counter(entry.tag for entry in entries)
    scores = {submission.ref: (submission.public, submission.private) for submission in submissions}
    if sorted(int(ref) for ref in scores) != list(range(1, len(files) + 1)):
        yield f"{len(submissions)} submissions for {len(files)} files, numbered {sorted(scores, key=int)[:5]}…"
    for path in files:
        sha256 = file_sha256(path)
        if (tags[file_tag(sha256)], lines[file_tag(sha256)]) != (1, 1):
            yield f"{path.name}: {tags[file_tag(sha256)]} submissions, {lines[file_tag(sha256)]} lines in the ledger"
    for entry in entries:
        own = (entry.score(private=False), entry.score(private=True))
        if entry.status != "complete" or own != scores.get(entry.ref) or entry.run != Path(entry.file).stem:
            yield f"the ledger's line of submission {entry.ref} is {entry}"
        elif file_sha256(folder / "host" / "submissions" / f"{entry.ref}.csv") != entry.sha256:
            yield f"submission {entry.ref} has other bytes than {entry.file}"
    left = [path.name for path in folder.rglob("*") if ".part" in path.name or path.name.startswith(".sending")]
    if left:
        yield f"left over: {left[:5]}"


def run(trial: Trial) -> None:
    """One soak, of another seed in each trial."""
    trial.outcome.title = f"{SUBMISSIONS} submissions by {PROCESSES} processes"
    trial.outcome.hit = True
    for problem in soak(trial.folder / "soak", seed=trial.seed + trial.number):
        trial.report(Harm.DOUBLED if "submissions" in problem else Harm.CHANGED, problem)


ATTACK = Attack("soak", trials=1, run=run)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as temporary:
        found = soak(Path(temporary) / "soak", *map(int, sys.argv[1:]))
    print("\n".join(found) or "nothing lost, nothing doubled")
    sys.exit(bool(found))

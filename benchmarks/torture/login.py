"""Kill commands that renew the browser login of Kaggle's client, under faults, by one process or by two at once.

The login is whole after every kill, the command ends well when it is called again, and no secret is printed or kept.
"""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.torture import faults, hostile
from benchmarks.torture.attack import Attack, Harm, Trial
from benchmarks.torture.process import Ended, Interruption, start_runner
from benchmarks.torture.worlds import NAME, copy_world
from tests.kaggle_server.state import TOKEN

_SECRET = "secret-that-renews"
_LOGIN = {"refresh_token": _SECRET, "username": "ann", "scopes": ["a"]}
_METHOD = "GenerateAccessToken"
_COMMANDS = (
    (NAME, "standings", "--refresh"),
    (NAME, "submit", "submission.csv", "-m", "hostile"),
    (NAME, "download", "--force"),
)
_MOST_KILLS = 3
_FIRST_CHANGES = 10  # of the disk: the login is saved before a command writes anything else
_SECONDS = 0.6  # in which a command renews the login
_MOST_CALLS = 6  # until the faults are over
_SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)


def run(trial: Trial) -> None:
    """Kill a command up to three times while it renews the login; then let it end, and look at the login."""
    copy_world(trial.prepared / "ready", trial.folder)
    words = trial.random.choice(_COMMANDS)
    kind = _save_login(trial)
    ordered = _orders(trial.random)
    kills = [_interruption(trial.random) for _ in range(trial.random.randint(1, _MOST_KILLS))]
    trial.outcome.title = f"{' '.join(words)}: {kind}; {', '.join(map(str, (*ordered[:-1], *kills)))}"
    with faults.serving(trial.folder / faults.SERVED, ordered) as address:
        before = _logged_in(trial.folder, address)
        for kill in kills:
            ended = trial.runner(*words, interruption=kill, before=before)
            trial.outcome.hit = trial.outcome.hit or ended.code in (-kill.signal, 130)
            _check(trial, ended)
        _until_done(trial, words, before)
    _check_end(trial, words)


def _save_login(trial: Trial) -> str:
    """Save a login as Kaggle's client does, with a token that must be renewed; what is wrong with it."""
    minutes = {"no token": None, "an old token": -60, "a token that ends soon": 3, "a refused token": 60}
    kind = trial.random.choice(sorted(minutes))
    left = minutes[kind]
    end = "" if left is None else (datetime.now(UTC) + timedelta(minutes=left)).isoformat()
    token = {"access_token": "" if left is None else "another", "access_token_expiration": end}
    path = _file(trial)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(_LOGIN | token))
    path.chmod(0o600)
    return kind


def _file(trial: Trial) -> Path:
    return trial.folder / "home" / ".kaggle" / "credentials.json"


def _orders(chance: random.Random) -> list[faults.Order]:
    """Up to two kinds of faults of the renewal; then it is well."""
    names = chance.sample(sorted(hostile.SERVICE), k=chance.choice((0, 0, 1, 2)))
    ordered = [faults.Order(_METHOD, name, hostile.SERVICE[name](chance), chance.choice((1, 1, 3))) for name in names]
    return [*ordered, faults.Order(_METHOD, "well", hostile.answers({"token": TOKEN, "expiresIn": 43200}), 300)]


def _interruption(chance: random.Random) -> Interruption:
    number = chance.choice(_SIGNALS)
    if chance.random() < 0.6:
        return Interruption(number, change=chance.randint(1, _FIRST_CHANGES))
    return Interruption(number, seconds=chance.uniform(0, _SECONDS))


def _logged_in(folder: Path, address: str) -> Callable[[], None]:
    """What a child does first: use that server, by the saved login alone."""
    point = faults.pointed_at(address)

    def log_in() -> None:
        point()
        for name in ("KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR"):
            os.environ.pop(name, None)
        os.environ["HOME"] = str(folder / "home")

    return log_in


def _until_done(trial: Trial, words: tuple[str, ...], before: Callable[[], None]) -> None:
    """Call it until it ends well, in a third of the trials by two processes at once."""
    if trial.random.random() < 0.33:
        both = [start_runner(trial.folder, words, before=before, output_name=f".output-{n}.txt") for n in range(2)]
        for started in both:
            ended = started.wait(trial.bounds)
            trial.take(ended)
            _check(trial, ended)
    for _ in range(_MOST_CALLS):
        ended = trial.runner(*words, before=before)
        _check(trial, ended)
        if ended.code == 0:
            return
        trial.require_explained(ended)
    trial.require_done(ended, "the faults are over")


def _check(trial: Trial, ended: Ended) -> None:
    """The login is whole, and nobody else's to read."""
    path = _file(trial)
    trial.must(_SECRET not in ended.output and TOKEN not in ended.output, Harm.CHANGED, "a secret is printed")
    try:
        saved = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        trial.report(Harm.LOST, f"the login: {error} after {ended.describe()}")
        return
    kept = {name: saved.get(name) for name in _LOGIN}
    trial.must(kept == _LOGIN, Harm.LOST, f"the login is {sorted(saved)} after {ended.describe()}")
    trial.must(path.stat().st_mode & 0o777 == 0o600, Harm.CHANGED, f"its mode is {path.stat().st_mode:o}")


def _check_end(trial: Trial, words: tuple[str, ...]) -> None:
    token = json.loads(_file(trial).read_text()).get("access_token")
    trial.must(token == TOKEN, Harm.LOST, f"the new token is not kept, but {token!r}")
    left = [path.name for path in _file(trial).parent.iterdir() if path != _file(trial)]
    trial.must(not left, Harm.LEFT, f"beside the login: {left}")
    secrets = (_SECRET.encode(), TOKEN.encode())
    for path in (path for path in trial.folder.rglob("*") if path.is_file() and path != _file(trial)):
        content = path.read_bytes()
        trial.must(not any(secret in content for secret in secrets), Harm.CHANGED, f"a secret is in {path.name}")
    if words[1] == "submit":
        faults.check_submission(trial)


ATTACK = Attack("login", 60, run, faults.prepare)

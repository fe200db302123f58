"""`python -m benchmarks.torture`: the hostile campaign, and a table of what came of it; 1 if anything did harm.

A class alone: `--only kills`; one trial again: `--only kills --seed 7 --first 123 --trials 1`.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import random
import sys
import threading

import runner
from benchmarks.torture.attack import Attack
from benchmarks.torture.campaign import Plan, run_attack, table

# Modules of this package with a constant ATTACK.
CLASSES = (
    *("kills", "faults", "flips", "tables", "pairs", "power", "parsers", "archives", "soak", "processes", "login"),
    "notebooks",
    "climb",
)
# `ray_engine` needs an extra, and is named by `--only`.

_KAGGLE_MODULES = ("kagglesdk.competitions.types.competition_api_service", "kagglesdk.kaggle_http_client")
# What the commands of a small campaign import: no torch.
_SMALL_MODULES = (
    "runner.steps.download",
    "runner.steps.split",
    "runner.steps.submit",
    "runner.cli.messages",
    "runner.hosts.kaggle",
    *_KAGGLE_MODULES,
)


def main() -> int:
    """Run the attacks; 1 if one of them did harm."""
    options = parse_options()
    plan = Plan(options.seed, options.trials, options.minutes, options.small, options.first)
    preload(plan.small)
    attacks = [load(name) for name in options.only.split(",")]
    assert threading.active_count() == 1, "a process with threads cannot be forked"
    print(f"seed {plan.seed}", flush=True)
    outcomes = [outcome for attack in attacks for outcome in run_attack(attack, plan)]
    print(f"\nseed {plan.seed}\n{table(outcomes)}")
    return int(any(outcome.harms for outcome in outcomes))


def preload(small: bool) -> None:
    """Import everything that a command may import, so that a forked command costs no more than its work."""
    modules = [module.name for module in pkgutil.walk_packages(runner.__path__, "runner.")]
    for name in _SMALL_MODULES if small else [*modules, *_KAGGLE_MODULES]:
        if not name.endswith("__main__"):
            importlib.import_module(name)


def load(name: str) -> Attack:
    """The attack of that module."""
    attack: Attack = importlib.import_module(f"benchmarks.torture.{name}").ATTACK
    return attack


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="default: another one each time")
    parser.add_argument("--only", default=",".join(CLASSES), metavar="CLASS,CLASS", help="default: all but ray_engine")
    parser.add_argument("--trials", type=int, metavar="N", help="of each class; default: as many as a campaign has")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the number of the first trial")
    parser.add_argument("--minutes", type=float, metavar="M", help="for each class")
    parser.add_argument("--small", action="store_true", help="prepare only what takes a few seconds, as the suite does")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

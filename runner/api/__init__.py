"""The runner from Python: `import runner`, then `runner.open("dog-breed")` is a session, whose methods are commands."""

import warnings

from runner.api.results import Climb, Comparison, Exploration, LRSearch, Rehearsal, Report, Submitted
from runner.api.run import Run
from runner.api.session import Session
from runner.api.session import open_session as open
from runner.api.workspace import Board, NewFile, board, competitions, demo, doctor, new
from runner.console import print_warnings_only

print_warnings_only()
# Bars in notebooks are our own; a library that asks for a package to draw its bars with only disturbs.
warnings.filterwarnings("ignore", "IProgress not found")

__all__ = [
    "Board",
    "Climb",
    "Comparison",
    "Exploration",
    "LRSearch",
    "NewFile",
    "Rehearsal",
    "Report",
    "Run",
    "Session",
    "Submitted",
    "board",
    "competitions",
    "demo",
    "doctor",
    "new",
    "open",
]

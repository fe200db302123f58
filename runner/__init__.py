"""A workbench for Kaggle image competitions: one shared runner, one small file a competition."""

__version__ = "0.2.0"

import importlib as _importlib
import os as _os
from typing import Any as _Any

# Threads of torch that wait for each other spin by default. Where anything else wants a core (the workers
# that read images do), the spinning one holds it from the one it waits for: measured on two cores,
# training ran at 10 to 34 images a second beside another process, and at 280 to 920 with threads that
# sleep. It must be said before torch is loaded; a person's own setting wins.
_os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# The calls of `runner.api`, imported when the first of them is used: `import runner` must cost nothing.
_CALLS = ("board", "competitions", "demo", "doctor", "new", "open", "Run", "Session")


def __getattr__(name: str) -> _Any:
    if name not in _CALLS:
        raise AttributeError(f"module 'runner' has no attribute {name!r}; it has {', '.join(sorted(_CALLS))}")
    return getattr(_importlib.import_module("runner.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_CALLS})

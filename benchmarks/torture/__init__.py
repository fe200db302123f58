"""Hostile tests of the whole program: kills, faults, damaged files, commands at once. See docs/promises.md.

A class of trials is a module here with a constant `ATTACK`; `attack.py` has the small protocol, `__main__.py` the list.
"""

import os

from benchmarks.torture import clock

# Both before torch, numpy and the runner are imported: a process with threads cannot be forked, and the runner's
# defaults keep the `time.sleep` that they find.
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", NO_ALBUMENTATIONS_UPDATE="1")
clock.install()

"""A workbench for Kaggle image competitions: one shared runner, one small file a competition."""

__version__ = "0.2.0"

import os as _os

# Threads of torch that wait for each other spin by default. Where anything else wants a core (the workers
# that read images do), the spinning one holds it from the one it waits for: measured on two cores,
# training ran at 10 to 34 images a second beside another process, and at 280 to 920 with threads that
# sleep. It must be said before torch is loaded; a person's own setting wins.
_os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

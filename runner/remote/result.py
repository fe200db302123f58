"""The names of what a package and a session's output have in them, whatever is done there."""

from __future__ import annotations

MANIFEST = "package.json"  # in the package
RESULT, SUBMISSION = "runner.json", "submission.csv"  # in the output
RESULT_FORMAT = 1

"""Kaggle as a host: all that a host can do, for one competition."""

from __future__ import annotations

from runner.hosts.kaggle.files import DataFiles
from runner.hosts.kaggle.leaderboards import Leaderboards
from runner.hosts.kaggle.submissions import Submissions


class KaggleHost(DataFiles, Submissions, Leaderboards):
    """Kaggle, for one competition. The wire is opened at the first question."""

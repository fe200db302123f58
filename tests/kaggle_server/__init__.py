"""Kaggle on a loopback port, for tests: its API and file store in front of practice hosts, with faults on order."""

from tests.kaggle_server.server import KaggleServer, environment_for, use_server
from tests.kaggle_server.state import Call, HostedCompetition, Reply

__all__ = ["Call", "HostedCompetition", "KaggleServer", "Reply", "environment_for", "use_server"]

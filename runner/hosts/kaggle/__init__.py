"""Kaggle itself, through its own client, which `wire` alone imports."""

from runner.hosts.kaggle.host import KaggleHost
from runner.hosts.kaggle.mirror import KaggleDataset

__all__ = ["KaggleDataset", "KaggleHost"]

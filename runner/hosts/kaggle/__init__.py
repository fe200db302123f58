"""Kaggle as a host, through its own client, which only the module `client` imports."""

from runner.hosts.kaggle.host import KaggleDataset, KaggleHost

__all__ = ["KaggleDataset", "KaggleHost"]

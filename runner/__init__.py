"""A workbench for Kaggle image competitions: one shared runner, one small file a competition."""

__version__ = "0.1.0"

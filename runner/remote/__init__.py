"""Kaggle's machines: what is packed for them, the scripts that run there, and how they are followed and resumed."""

"""Competitions painted by the program, small and learnable, with honest baselines on their boards."""

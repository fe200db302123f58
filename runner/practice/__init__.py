"""Competitions painted by the program, small and learnable, with honest bots on their boards."""

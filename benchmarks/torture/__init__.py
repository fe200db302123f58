"""Hostile tests of the whole program: kills, faults, damaged files, commands at once. See docs/promises.md.

A class of trials is a module here with a constant `ATTACK`; `attack.py` has the small protocol, `__main__.py` the list.
"""

"""Reads the files of a run and draws."""

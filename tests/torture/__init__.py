"""Disturbances of every kind, counted: `python -m tests.torture` runs them and prints one table."""

"""Builds: bring every model up to date in a new version, and audit it."""

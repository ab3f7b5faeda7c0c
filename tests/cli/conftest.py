"""The desk and the still simulator of the sync tests, for the commands too."""

from tests.sync.conftest import desk, sim, still_simulator

__all__ = ["desk", "sim", "still_simulator"]

"""The fixtures `desk` and the simulator of the sync tests, for tests of commands."""

from tests.sync.conftest import desk, sim, still_simulator

__all__ = ["desk", "sim", "still_simulator"]

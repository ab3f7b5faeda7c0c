"""Keep simulated and real data apart: a home folder contains only one kind."""

from __future__ import annotations

import threading

from energywh.core.paths import Home
from energywh.errors import StorageError

SIMULATOR_HEADER = "X-Energywh-Simulated"  # of every answer with data of the simulator


class SimulationGuard:
    """Decides at the first answer of a run whether what this source sends may go into the folder. Thread-safe.

    The simulator says in a header what it is; a folder that takes its data is marked.
    """

    def __init__(self, home: Home, holds_data: bool) -> None:
        """Args:
        holds_data: whether anything has landed in the folder before this run.
        """
        self._home = home
        self._holds_data = holds_data
        self._lock = threading.Lock()

    def check(self, simulated: bool) -> None:
        """Record an answer.

        Raises:
            StorageError: simulated data would come to real ones, or real ones to simulated.
        """
        with self._lock:
            marked = self._home.simulated_mark.exists()
            if simulated == marked:
                return
            if marked:
                raise StorageError(self._home.mixing(real="these answers are real"))
            if self._holds_data:
                raise StorageError(
                    f"{self._home.path} holds real data; the simulator's do not go into it. "
                    "Give them another folder with --home or ENERGYWH_HOME"
                )
            self._home.mark_simulated()

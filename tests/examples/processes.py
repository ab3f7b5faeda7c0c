"""Starts the ranks of a ring as real processes of this machine, as `mlx.launch` does."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_ranks(world: int, command: Sequence[str], folder: Path, seconds: float = 120) -> list[str]:
    """Run ``command`` with this Python in ``world`` processes, which MLX joins to a ring; return what each printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if world > 1:
        hosts = folder / "hosts.json"
        hosts.write_text(json.dumps([[f"127.0.0.1:{port}"] for port in free_ports(world)]))
        environment["MLX_HOSTFILE"] = str(hosts)
    processes = [
        subprocess.Popen(
            [sys.executable, *command],
            env={**environment, **({"MLX_RANK": str(rank)} if world > 1 else {})},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    try:
        answers = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, answers, strict=True):
        assert process.returncode == 0, errors
    return [output for output, _ in answers]


def free_ports(count: int) -> list[int]:
    """Return unused ports."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports

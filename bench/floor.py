"""What one ``send`` per member costs on this machine: the price that coalescing goes below.

By itself, ``python -m bench.floor`` prints it.
"""

from __future__ import annotations

import subprocess

from bench.build import build
from bench.rows import Row
from bench.targets import GENERATOR_CORE, SERVER_CORE

MEMBERS = 100


def send_cost_us(seconds: float) -> tuple[float, float]:
    """One 72-byte send on loopback, to each of 100 members in turn, drained on another core: wall time and CPU."""
    words = [str(build("floor")), "sends", str(seconds), str(MEMBERS), str(SERVER_CORE), str(GENERATOR_CORE)]
    wall_us, cpu_us = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    return float(wall_us), float(cpu_us)


def rows(*, quick: bool) -> list[Row]:
    """The figures of one round."""
    wall_us, cpu_us = send_cost_us(0.5 if quick else 2)
    case = f"72 bytes to each of {MEMBERS} members"
    return [
        Row("one send", case, "floor", "time", "us", wall_us),
        Row("one send", case, "floor", "CPU", "us", cpu_us),
    ]


if __name__ == "__main__":
    for row in rows(quick=False):
        print(f"{row.workload}, {row.case}: {row.value:.2f} {row.unit} of {row.figure}")

"""What one server has counted since it began: plain numbers, to which whoever does the work adds.

Owns: the numbers. Does not know: who adds, who reads them, and how (``edges/exposition.py``).

Invariants:
  1. To count costs an addition; what can be looked up when somebody asks is not counted.
  2. Each server has its own: a process can hold several.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


class Histogram:
    """How often a value was at most each of some bounds, and above the last; the sum of all."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Add a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many values came."""
        return sum(self.counts)


_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_BYTES = (64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)


@dataclass(slots=True, eq=False)
class Metrics:
    """The numbers of one server. What each means is told where they are read."""

    clock: Callable[[], float] = time.perf_counter
    """Seconds since some moment, for how long things take."""

    connections_opened: Counter[str] = field(default_factory=Counter)
    """By door."""
    written_bytes: int = 0
    refusals: Counter[int] = field(default_factory=Counter)
    """By number."""

    rooms_opened: int = 0
    rooms_dropped: int = 0

    updates_received: int = 0
    updates_received_bytes: int = 0
    deliveries: int = 0
    delivered_bytes: int = 0
    catch_ups: int = 0
    catch_up_bytes: int = 0

    commit_seconds: Histogram = field(default_factory=lambda: Histogram(_SECONDS))
    commit_updates: Histogram = field(default_factory=lambda: Histogram(_SIZES))
    commit_bytes: Histogram = field(default_factory=lambda: Histogram(_BYTES))
    commits_failed: int = 0
    commits_begun: dict[object, float] = field(default_factory=dict)
    """When each commit that is under way began, by `clock`, the oldest first."""
    checkpoints: int = 0
    quarantined: int = 0
    damaged: int = 0

    loop_delay_seconds: Histogram = field(default_factory=lambda: Histogram(_SECONDS))
    loop_holds: int = 0

    def receive(self, bytes_count: int, updates: int = 1) -> None:
        """Updates of so many bytes came in."""
        self.updates_received += updates
        self.updates_received_bytes += bytes_count

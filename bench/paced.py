"""At a pace that people have: how long an edit takes to the others and to ``saved``, and what it costs the server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.dialects import close_all
from bench.pump import SETTLE_S, Load, Run, quantile
from bench.rows import Row
from bench.saturated import seat
from bench.targets import Running


@dataclass(frozen=True)
class Pace:
    """Who types how fast in one case."""

    case: str
    members: int
    """Of each room, as the next two."""
    writers: int
    updates_per_s: float
    """Of all writers together."""
    seconds: float
    presence_per_s: float = 0.0
    """Carets moved by each member."""
    rooms: int = 1
    workload: str = "latency"


CASES = [
    Pace("200/s to 100 members", 100, 1, 200, 2.0),
    Pace("50 writers, 2,000/s together", 50, 50, 2_000, 2.0),
    Pace("20/s to 1,000 members, carets moving", 1_000, 1, 20, 5.0, presence_per_s=1.0),
]


GROWTH = [
    *(
        Pace(f"{members:,} members", members, 1, 50, 2.0, workload="growth, members")
        for members in (10, 30, 100, 300, 1_000)
    ),
    *(Pace(f"{rooms} rooms", 5, 1, 5, 2.0, rooms=rooms, workload="growth, rooms") for rooms in (10, 30, 100, 200)),
]
"""The same pace for ever more of one thing: what the server's CPU does."""


def measure(running: Running, pace: Pace) -> Iterator[Row]:
    """One round of one case."""
    rooms = seat(running, rooms=pace.rooms, members=pace.members, writers=pace.writers)
    each_per_s = pace.updates_per_s / pace.writers
    # A room tells who came a second late when it is large; what that costs is joining's, which is over.
    settle_s = 1.5 if pace.presence_per_s else SETTLE_S
    load = Load(pace.writers, pace.seconds, 0, each_per_s, presence_per_s=pace.presence_per_s, settle_s=settle_s)
    run = Run(running, rooms, load, int(each_per_s * pace.seconds) + 1)
    outcome = run.pump()
    close_all(rooms)

    def row(figure: str, unit: str, value: float) -> Row:
        return Row(pace.workload, pace.case, running.name, figure, unit, value)

    yield row("to the others, p50", "ms", quantile(outcome.delivery_us, 0.50) / 1000)
    yield row("to the others, p99", "ms", quantile(outcome.delivery_us, 0.99) / 1000)
    if outcome.saved_us:
        yield row("to saved, p50", "ms", quantile(outcome.saved_us, 0.50) / 1000)
        yield row("to saved, p99", "ms", quantile(outcome.saved_us, 0.99) / 1000)
    yield row("server CPU", "%", outcome.server_cpu_s / outcome.elapsed_s * 100)
    yield row("load generator", "%", outcome.generator_load * 100)
    if pace.presence_per_s:
        yield row("other messages", "1/s", outcome.other_frames / outcome.elapsed_s)

"""As fast as it goes, with a bounded number of updates in flight: fan-out, many writers, many rooms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from bench.dialects import Joined, close_all, join
from bench.pump import FIRST_CLIENT, READER_CLIENT, Load, Run
from bench.rows import Row
from bench.targets import Running


@dataclass(frozen=True)
class Crowd:
    """Who sits where in one case."""

    workload: str
    case: str
    rooms: int
    members: int
    """Of each room."""
    writers: int
    """Of each room; they are its first members."""
    window: int
    """Updates in flight of each writer."""
    updates_max: int
    """What each writer has ready: more than the fastest server takes in the time."""
    is_scattered: bool = False
    """Whether each edit is somewhere else in the text, so that nothing can be joined."""


CASES = [
    *(
        Crowd("fan-out", f"{members} members, window {window}", 1, members, 1, window, 250_000)
        for members in (10, 100, 500)
        for window in (32, 512)
    ),
    Crowd("many writers", "50 of 50, window 32", 1, 50, 50, 32, 6_000),
    Crowd("many writers", "50 of 50, 10 each, window 512", 1, 50, 50, 10, 6_000),
    *(
        Crowd("typed anywhere", f"{members} members, window 512", 1, members, 1, 512, 60_000, True)
        for members in (10, 100)
    ),
    Crowd("many rooms", "200 rooms of 5, window 32", 200, 5, 5, 32, 400),
]


_numbers = count()
"""Of all rooms: a server may keep one that was left, and every run begins with empty documents."""


def seat(running: Running, *, rooms: int, members: int, writers: int) -> list[list[Joined]]:
    """Join so many members to so many new rooms each; the first ones of each are to write."""
    seated = []
    for number in range(rooms):
        place = running.room(f"room-{next(_numbers):08}")
        first = FIRST_CLIENT + number * writers
        ids = [*range(first, first + writers), *range(READER_CLIENT, READER_CLIENT + members - writers)]
        seated.append(join(running, place, ids, first_source=number))
    return seated


def measure(running: Running, crowd: Crowd, seconds: float) -> Iterator[Row]:
    """One round of one case."""
    rooms = seat(running, rooms=crowd.rooms, members=crowd.members, writers=crowd.writers)
    load = Load(crowd.writers, seconds, window=crowd.window, is_scattered=crowd.is_scattered)
    run = Run(running, rooms, load, crowd.updates_max)
    outcome = run.pump()
    close_all(rooms)

    def row(figure: str, unit: str, value: float) -> Row:
        return Row(crowd.workload, crowd.case, running.name, figure, unit, value)

    yield row("deliveries", "1/s", outcome.deliveries_per_s)
    yield row("updates", "1/s", outcome.updates / outcome.elapsed_s)
    yield row("server CPU a delivery", "us", outcome.server_cpu_s / outcome.deliveries * 1e6)
    yield row("updates a message", "", outcome.deliveries / max(1, outcome.updates_in))
    yield row("load generator", "%", outcome.generator_load * 100)

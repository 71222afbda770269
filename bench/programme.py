"""What a run of all benchmarks measures, in order: the cases, and who takes part in each.

Owns: the choice of cases and targets. Does not know: rounds, the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from bench import documents, idle, paced, saturated, storms
from bench.rows import Row
from bench.targets import CARETS, PYCRDT_WEBSOCKET, SERVERS, TARGETS, Running, Target

SLOW_SYNCS_US = {"carets, syncs 1 ms slower": 1_000, "carets, syncs 5 ms slower": 5_000}
"""Carets with so much added to each sync of the disk, since disks differ; the others sync nothing."""

SLOWED = tuple(replace(CARETS, name=name) for name in SLOW_SYNCS_US)


@dataclass(frozen=True)
class Together:
    """A case that is measured on servers that run all the time, in every round one after the other."""

    workload: str
    case: str
    targets: tuple[Target, ...]
    measure: Callable[[Running], Iterable[Row]]
    is_quick: bool = False
    """Whether a quick run has it, too."""


@dataclass(frozen=True)
class Alone:
    """A case that starts its servers itself, for their memory or their restart."""

    workload: str
    case: str
    targets: tuple[Target, ...]
    measure: Callable[[Target], Iterable[Row]]
    rounds: int
    is_quick: bool = False


Measurement = Together | Alone


def measurements(*, quick: bool) -> Iterator[Measurement]:
    """All of a run."""
    seconds = 0.4 if quick else 0.8
    for crowd in saturated.CASES:
        # What takes them long: half a million deliveries on the way, at thirty thousand a second.
        targets = tuple(each for each in TARGETS if each is not PYCRDT_WEBSOCKET or crowd.members <= 100)
        is_quick = crowd.case in {"100 members, window 512", "50 of 50, window 32"}
        measure = partial(saturated.measure, crowd=crowd, seconds=seconds)
        yield Together(crowd.workload, crowd.case, targets, measure, is_quick)
    for pace in paced.CASES:
        targets = (*SERVERS, *SLOWED) if pace.members <= 100 else SERVERS
        yield Together("latency", pace.case, targets, partial(paced.measure, pace=pace), pace.members == 100)
    yield Alone("stalled reader", "one stalled", SERVERS, idle.stalled, 3)
    # Of pycrdt-websocket ten thousand take more minutes to join than all the rest of the run.
    targets = tuple(each for each in SERVERS if each is not PYCRDT_WEBSOCKET)
    yield Alone("idle", "10,000 members in 100 rooms", targets, idle.idle, 1)
    yield from _storms()
    yield from _documents()


def _storms() -> Iterator[Measurement]:
    for members, size in ((100, 1), (500, 5), (150, 20)):
        measure = partial(storms.join_storm, members=members, units=size * storms.MB)
        yield Alone("join storm", f"{members} join {size} MB", SERVERS, measure, 3, is_quick=size == 1)
    if storms.TRACE.exists():  # beside the repository
        measure = partial(storms.reconnect_storm, members=1_000)
        yield Alone("reconnect storm", "1,000 on automerge-paper", SERVERS, measure, 3)
    yield Alone("growth, size of the document", "1 to 20 MB", SERVERS, storms.growth, 1)


def _documents() -> Iterator[Measurement]:
    workload = documents.WORKLOAD
    yield Alone(workload, "1 MB in pieces", SERVERS, documents.in_pieces, 3, is_quick=True)
    if not storms.TRACE.exists():
        return
    yield Alone(workload, "automerge-paper, memory", SERVERS, documents.memory, 3)
    yield Alone(workload, "automerge-paper, cold open", (CARETS,), documents.cold_open, 1)
    yield Alone("trace", "friendsforever, both at once", SERVERS, documents.trace, 3)

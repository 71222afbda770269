"""What a run of all benchmarks measures, in order: the cases, and who takes part in each.

Owns: the choice of cases and targets. Does not know: rounds, the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from bench import documents, idle, paced, saturated, storms
from bench.rows import Row
from bench.targets import CARETS, HOCUSPOCUS, PYCRDT_WEBSOCKET, SERVERS, TARGETS, Y_WEBSOCKET_SERVER, Running, Target

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
    rounds: int = 100
    """At most. Who is far beyond what it can do takes a minute for one, and who takes more is left out."""
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
    seconds = 0.4 if quick else 0.6
    for crowd in saturated.CASES:
        is_quick = crowd.case in {"100 members, window 512", "50 of 50, window 32"}
        measure = partial(saturated.measure, crowd=crowd, seconds=seconds)
        yield Together(crowd.workload, crowd.case, tuple(_matched(crowd)), measure, is_quick=is_quick)
    for pace in paced.CASES:
        measure = partial(paced.measure, pace=pace)
        if pace.members <= 100:
            targets = (*SERVERS, *SLOWED) if pace.writers == 1 else (*_without(PYCRDT_WEBSOCKET), *SLOWED)
            yield Together("latency", pace.case, targets, measure, is_quick=pace.members == 100)
        else:
            yield Together("latency", pace.case, (CARETS, HOCUSPOCUS), measure)
            yield Together("latency", pace.case, (Y_WEBSOCKET_SERVER,), measure, rounds=1)
    for pace in paced.GROWTH:
        yield Together(pace.workload, pace.case, (CARETS, HOCUSPOCUS), partial(paced.measure, pace=pace), rounds=1)
    yield from _alone("stalled reader", "one stalled", SERVERS, idle.stalled, 1)
    # Of pycrdt-websocket ten thousand take more minutes to join than all the rest of the run.
    yield from _alone("idle", "10,000 members in 100 rooms", tuple(_without(PYCRDT_WEBSOCKET)), idle.idle, 1)
    yield from _storms()
    yield from _documents()


def _alone(
    workload: str,
    case: str,
    targets: tuple[Target, ...],
    measure: Callable[[Target], Iterable[Row]],
    rounds: int = 3,
    *,
    is_quick: bool = False,
) -> Iterator[Alone]:
    """A case with so many rounds of Carets, which takes seconds, and one of the others, which take minutes together."""
    yield Alone(workload, case, targets, measure, 1, is_quick)
    if rounds > 1:
        yield Alone(workload, case, (CARETS,), measure, rounds - 1)


def _matched(crowd: saturated.Crowd) -> Iterator[Target]:
    """Who is measured: those whose deliveries still arrive in seconds, all of them at 100 members."""
    for target in TARGETS:
        is_in_time = target not in (PYCRDT_WEBSOCKET, Y_WEBSOCKET_SERVER)
        is_in_time |= target is Y_WEBSOCKET_SERVER and (crowd.members == 10 or crowd.writers == 50)
        if is_in_time or crowd.case.startswith("100 members"):
            yield target


def _without(*left_out: Target) -> Iterator[Target]:
    return (target for target in SERVERS if target not in left_out)


def _storms() -> Iterator[Measurement]:
    for members, size in ((100, 1), (500, 5), (150, 20)):
        measure = partial(storms.join_storm, members=members, units=size * storms.MB)
        yield from _alone("join storm", f"{members} join {size} MB", SERVERS, measure, is_quick=size == 1)
    if storms.TRACE.exists():  # beside the repository
        measure = partial(storms.reconnect_storm, members=1_000)
        yield from _alone("reconnect storm", "1,000 on automerge-paper", SERVERS, measure)
    yield from _alone("growth, size of the document", "1 to 20 MB", (CARETS, HOCUSPOCUS), storms.growth, 1)


def _documents() -> Iterator[Measurement]:
    workload = documents.WORKLOAD
    yield from _alone(workload, "1 MB in pieces", SERVERS, documents.in_pieces)
    if not storms.TRACE.exists():
        return
    yield from _alone(workload, "automerge-paper, memory", SERVERS, documents.memory)
    yield from _alone(workload, "automerge-paper, cold open", (CARETS,), documents.cold_open, 2)
    yield from _alone("trace", "friendsforever, both at once", SERVERS, documents.trace)

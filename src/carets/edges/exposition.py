"""The numbers of a server as Prometheus reads them: the table of all metrics, and the collector that makes them.

Owns: names, types, labels and meanings; nothing is counted here. Does not know: who asks.

Invariants:
  1. What a label can say comes from a closed set: no workspace, member, file or address is ever one.
  2. What a scrape costs grows with members and open files, never with what they did.

Source: Prometheus, "Metric and label naming" and "Exposition formats".
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Literal, NamedTuple, get_args

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

import carets
from carets.disk import Space, look_at
from carets.edges.doorman import Bound, Doorman
from carets.edges.line import Heartbeat
from carets.edges.pulse import Pulse
from carets.edges.rates import Rates
from carets.edges.upload import Uploads
from carets.errors import TABLE
from carets.metrics import Histogram, Metrics
from carets.protocol.access import Role
from carets.protocol.dialect import CARETS, STOCK
from carets.rooms.census import Census, take_census
from carets.rooms.lobby import Lobby

Values = Iterable[tuple[Sequence[str], float]]
"""The values of a metric, each with its labels' words."""

_DOORS = (CARETS.name, STOCK.name)
"""Doors whose connections stay open."""


class Sight(NamedTuple):
    """What there is to see at the moment of a scrape."""

    lobby: Lobby
    heartbeat: Heartbeat
    pulse: Pulse
    doorman: Doorman
    rates: Rates
    uploads: Uploads
    census: Census
    space: Space | None

    @property
    def counted(self) -> Metrics:
        """What was counted since the start."""
        return self.lobby.around.metrics

    def open_by_door(self) -> dict[str, int]:
        """Open connections by door; those of HTTP are all others."""
        counts = {door: sum(line.door == door for line in self.heartbeat.lines) for door in _DOORS}
        return {**counts, "http": max(0, self.doorman.connections - sum(counts.values()))}

    def unready_reasons(self) -> list[str]:
        """Why new members cannot be served; empty while they can."""
        reasons = self.lobby.unready_reasons()
        if self.doorman.is_full:
            reasons.append("as many connections as may be")
        return reasons

    def describe(self) -> dict[str, object]:
        """For the operator: the process as a whole."""
        around = self.lobby.around
        return {
            "version": carets.__version__,
            "build": around.build,
            "uptime_s": round(self.pulse.uptime_s, 1),
            "reasons": self.unready_reasons(),
            "limits": asdict(around.quotas),
            "connections": self.open_by_door(),
            "doorman": self.doorman.describe(),
            "rates": self.rates.describe(),
            "uploads": self.uploads.open,
            "census": asdict(self.census),
            "loop_delay_max_s": round(self.pulse.delay_max_s, 4),
            "loop_holds": self.counted.loop_holds,
            "tasks": len(asyncio.all_tasks()),
            "threads": threading.active_count(),
        }


class Family(NamedTuple):
    """One metric of ours."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    read: Callable[[Sight], float | Values | Histogram]
    labels: tuple[str, ...] = ()


def _oldest_commit_s(sight: Sight) -> float:
    begun = next(iter(sight.counted.commits_begun.values()), None)
    return 0.0 if begun is None else sight.counted.clock() - begun


FAMILIES: tuple[Family, ...] = (
    Family("carets_build_info", "gauge", "1; what runs is in the labels: Carets' version, and the page's build.", lambda at: [((carets.__version__, at.lobby.around.build), 1)], ("version", "build")),
    Family("carets_uptime_seconds", "gauge", "Since this server began.", lambda at: at.pulse.uptime_s),
    Family("carets_ready", "gauge", "1 while `/readyz` says 200.", lambda at: not at.unready_reasons()),
    Family("carets_connections", "gauge", "Connections that are open, by door.", lambda at: [((door,), count) for door, count in at.open_by_door().items()], ("door",)),
    Family("carets_connections_opened_total", "counter", "WebSockets that were opened, by door.", lambda at: [((door,), at.counted.connections_opened[door]) for door in _DOORS], ("door",)),
    Family("carets_connections_refused_total", "counter", "Connections and requests that were turned away for want of room, by which bound: of the process, of one address, of who has not shown a key yet, of one address's of these.", lambda at: [((bound,), at.doorman.refused[bound]) for bound in get_args(Bound)], ("bound",)),
    Family("carets_strangers", "gauge", "WebSockets that have not shown a key yet.", lambda at: at.doorman.kinds["stranger"]),
    Family("carets_rooms", "gauge", "Workspaces in memory.", lambda at: at.census.rooms),
    Family("carets_rooms_opened_total", "counter", "Workspaces that were brought into memory.", lambda at: at.counted.rooms_opened),
    Family("carets_rooms_dropped_total", "counter", "Rooms that were dropped and made anew from the log: a bug, or a store that does not know what it kept. The log says which.", lambda at: at.counted.rooms_dropped),
    Family("carets_members", "gauge", "Members of all rooms, by role.", lambda at: [((role.label,), at.census.members[role.label]) for role in Role], ("role",)),
    Family("carets_members_lagging", "gauge", "Members who are sent nothing until they have read what waits for them.", lambda at: at.census.lagging),
    Family("carets_documents", "gauge", "Files whose document is in memory.", lambda at: at.census.documents),
    Family("carets_document_units", "gauge", "UTF-16 units of all documents in memory.", lambda at: at.census.units),
    Family("carets_document_units_max", "gauge", "UTF-16 units of the longest document in memory.", lambda at: at.census.units_max),
    Family("carets_queued_bytes", "gauge", "Bytes that were admitted and wait for a commit.", lambda at: at.census.queued_bytes),
    Family("carets_outbox_bytes", "gauge", "Bytes that were written to WebSockets and have not left this process.", lambda at: sum(line.waiting_bytes for line in at.heartbeat.lines)),
    Family("carets_written_bytes_total", "counter", "Bytes that rooms wrote to WebSockets, frames' heads included.", lambda at: at.counted.written_bytes),
    Family("carets_updates_received_total", "counter", "Updates and step 2 that came from members, each keystroke by itself, refused ones too.", lambda at: at.counted.updates_received),
    Family("carets_updates_received_bytes_total", "counter", "Bytes of these Yjs updates.", lambda at: at.counted.updates_received_bytes),
    Family("carets_deliveries_total", "counter", "Updates of the log put before members: one for each update and member. What one typed in one go and was committed together is one update.", lambda at: at.counted.deliveries),
    Family("carets_delivered_bytes_total", "counter", "Bytes of these, frames' heads included.", lambda at: at.counted.delivered_bytes),
    Family("carets_catch_ups_total", "counter", "Answers to step 1, and updates for members that fell behind; those who lack the same share one encoding.", lambda at: at.counted.catch_ups),
    Family("carets_catch_up_bytes_total", "counter", "Bytes of these messages.", lambda at: at.counted.catch_up_bytes),
    Family("carets_refusals_total", "counter", "Numbers that were told to clients: over HTTP, to a member that stays, or as a connection's close code.", lambda at: [((str(int(code)), code.name.lower()), at.counted.refusals[code]) for code in TABLE], ("number", "name")),
    Family("carets_commit_seconds", "histogram", "From a room's giving a commit to the store until it was durable.", lambda at: at.counted.commit_seconds),
    Family("carets_commit_updates", "histogram", "Updates of the log in one commit of a room, what one typed in one go being one; 0 where it is of files or chat only.", lambda at: at.counted.commit_updates),
    Family("carets_commit_bytes", "histogram", "Bytes of the updates in one commit: the sum is what logs have grown by.", lambda at: at.counted.commit_bytes),
    Family("carets_commits_failed_total", "counter", "Commits that the store did not keep.", lambda at: at.counted.commits_failed),
    Family("carets_commit_waiting_seconds", "gauge", "For how long the oldest commit under way has waited; 0 when none is.", _oldest_commit_s),
    Family("carets_store_bytes", "gauge", "Bytes of the data file and its write-ahead log.", lambda at: [((), at.space.store)] if at.space else []),
    Family("carets_disk_free_bytes", "gauge", "Bytes that are free on the data file's disk.", lambda at: [((), at.space.free)] if at.space else []),
    Family("carets_writable", "gauge", "1 while the store takes what it is given; 0 while nothing can be saved.", lambda at: at.lobby.storage.fault is None),
    Family("carets_checkpoints_total", "counter", "Checkpoints that were kept.", lambda at: at.counted.checkpoints),
    Family("carets_quarantined_total", "counter", "Updates of the log that could not be applied and were set aside.", lambda at: at.counted.quarantined),
    Family("carets_damaged_total", "counter", "How often data were found damaged, by who wanted to read or write them. The log says which.", lambda at: at.counted.damaged),
    Family("carets_loop_delay_seconds", "histogram", "How late the event loop came back to a timer, looked at ten times a second.", lambda at: at.counted.loop_delay_seconds),
    Family("carets_loop_delay_max_seconds", "gauge", "The longest such delay of the last one to two minutes.", lambda at: at.pulse.delay_max_s),
    Family("carets_loop_holds_total", "counter", "How often it was longer than `LOOP_HELD_S`; the log says what ran.", lambda at: at.counted.loop_holds),
    Family("carets_tasks", "gauge", "Tasks of the event loop.", lambda _: len(asyncio.all_tasks())),
    Family("carets_threads", "gauge", "Threads of Python.", lambda _: threading.active_count()),
)  # fmt: skip


OF_PROCESSES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("process_virtual_memory_bytes", "gauge", "Virtual memory.", ()),
    ("process_resident_memory_bytes", "gauge", "Resident memory.", ()),
    ("process_start_time_seconds", "gauge", "When the process began, in Unix time.", ()),
    ("process_cpu_seconds_total", "counter", "Time on processors.", ()),
    ("process_open_fds", "gauge", "File descriptors that are open.", ()),
    ("process_max_fds", "gauge", "How many may be.", ()),
    ("python_info", "gauge", "1; the version of Python is in the labels.", ("version", "implementation", "major", "minor", "patchlevel")),
    ("python_gc_objects_collected_total", "counter", "Objects that Python's collector of cycles freed.", ("generation",)),
    ("python_gc_objects_uncollectable_total", "counter", "Objects that it could not free.", ("generation",)),
    ("python_gc_collections_total", "counter", "How often it ran.", ("generation",)),
)  # fmt: skip
"""What prometheus_client tells of every process: name, type, meaning, labels. Those of ``process_`` on Linux only."""


class Exposition(Collector):
    """Makes all that is ours anew for each scrape."""

    def __init__(
        self, lobby: Lobby, heartbeat: Heartbeat, pulse: Pulse, doorman: Doorman, rates: Rates, uploads: Uploads
    ) -> None:
        self._lobby = lobby
        self._edges = (heartbeat, pulse, doorman, rates, uploads)

    def look(self) -> Sight:
        """What there is to see now."""
        file = self._lobby.around.data_file
        return Sight(self._lobby, *self._edges, take_census(self._lobby), look_at(file) if file else None)

    def collect(self) -> Iterator[Metric]:
        """All families, with their values at this moment."""
        sight = self.look()
        for family in FAMILIES:
            yield _metric(family, family.read(sight))

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry would otherwise collect once just to learn the names."""
        return ()


def new_registry(exposition: Exposition) -> CollectorRegistry:
    """What is ours, and what is known of every process in Python."""
    registry = CollectorRegistry()
    registry.register(exposition)
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


def _metric(family: Family, value: float | Values | Histogram) -> Metric:
    name, meaning = family.name, family.meaning.replace("`", "")
    if isinstance(value, Histogram):
        histogram = HistogramMetricFamily(name, meaning)
        histogram.add_metric([], _buckets(value), value.total)
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(name, meaning, labels=family.labels)
    for labels, each in [((), value)] if isinstance(value, int | float) else value:
        metric.add_metric(labels, each)
    return metric


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """How many values were at most each bound."""
    buckets, count = [], 0
    for bound, here in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        count += here
        buckets.append(("+Inf" if bound == float("inf") else str(bound), float(count)))
    return buckets

"""Looks at a server from outside, again and again: its numbers, its process, its files.

Owns: the samples, their CSV, and what they say of memory. Does not know: what the crowd does.
"""

from __future__ import annotations

import asyncio
import csv
import os
import statistics
import time
from pathlib import Path
from typing import NamedTuple, TextIO

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.serving import ServerProcess

FLAT_WITHIN = 0.10
"""How much memory may differ between the first and the last window after the warm-up."""

MIB = 1024 * 1024


class Sample(NamedTuple):
    """One look."""

    at_s: float
    rss_bytes: int
    fds: int
    threads: int
    tasks: int
    rooms: int
    documents: int
    members: int
    lagging: int
    outbox_bytes: int
    cpu_s: float
    loop_delay_max_s: float
    updates: int
    deliveries: int
    data_bytes: int
    wal_bytes: int


class Watch:
    """Samples of one server."""

    def __init__(self, server: ServerProcess, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.samples: list[Sample] = []
        self._http = http
        self._began_s = time.monotonic()

    async def numbers(self) -> dict[str, float]:
        """The server's metrics by name, summed over labels."""
        async with self._http.get(self.server.url + "/metrics") as response:
            text = await response.text()
        summed: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                summed[sample.name] = summed.get(sample.name, 0.0) + sample.value
        return summed

    async def look(self) -> Sample:
        """One look now."""
        numbers = await self.numbers()

        def count(name: str) -> int:
            return int(numbers[name])

        status = _status(self.server.pid)
        return Sample(
            at_s=round(time.monotonic() - self._began_s, 1),
            rss_bytes=status["VmRSS"] * 1024,
            fds=len(os.listdir(f"/proc/{self.server.pid}/fd")),  # noqa: PTH208 - of a process, in one call
            threads=status["Threads"],
            tasks=count("carets_tasks"),
            rooms=count("carets_rooms"),
            documents=count("carets_documents"),
            members=count("carets_members"),
            lagging=count("carets_members_lagging"),
            outbox_bytes=count("carets_outbox_bytes"),
            cpu_s=round(numbers["process_cpu_seconds_total"], 2),
            loop_delay_max_s=round(numbers["carets_loop_delay_max_seconds"], 4),
            updates=count("carets_updates_received_total"),
            deliveries=count("carets_deliveries_total"),
            data_bytes=_size(self.server.data / "carets.sqlite3"),
            wal_bytes=_size(self.server.data / "carets.sqlite3-wal"),
        )

    async def run(self, every_s: float, out: TextIO) -> None:
        """Look for ever, and write each look as a line of CSV."""
        self._began_s = time.monotonic()
        writer = csv.writer(out)
        writer.writerow(Sample._fields)
        while True:
            sample = await self.look()
            self.samples.append(sample)
            writer.writerow(sample)
            out.flush()
            await asyncio.sleep(every_s)


class Memory(NamedTuple):
    """The resident memory of two windows after the warm-up."""

    early_bytes: float
    late_bytes: float

    @property
    def growth(self) -> float:
        """By what part of the early one the late one is larger."""
        return self.late_bytes / self.early_bytes - 1

    @property
    def is_flat(self) -> bool:
        """Whether that is within `FLAT_WITHIN`."""
        return abs(self.growth) <= FLAT_WITHIN


def memory_of(samples: list[Sample], warm_up_s: float) -> Memory | None:
    """Medians of the first and of the last third after the warm-up; None when there are too few looks for that."""
    after = [sample.rss_bytes for sample in samples if sample.at_s >= warm_up_s]
    third = len(after) // 3
    if third < 3:
        return None
    return Memory(statistics.median(after[:third]), statistics.median(after[-third:]))


def _status(pid: int) -> dict[str, int]:
    """What the kernel says of a process: the first number of each line."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    words = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    return {name: int(values[0]) for name, values in words.items() if values and values[0].isdigit()}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0

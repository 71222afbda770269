"""What a room costs: latency of a keystroke, updates a second, a reconnect on a long history.

The server is a process of its own on one core, this generator sits on the other. Everything is durable
(``synchronous=FULL``) and goes through the admission gate. Figures are printed, never asserted.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
from pycrdt import Doc, Text

from bench.line import binary, open_member
from carets.protocol.wire import cut_in_parts, encode_step_2, encode_update
from tests.peer import create_workspace
from tests.serving import ServerProcess, serving

TRACE = Path(__file__).parent.parent.parent / "shared" / "data" / "traces" / "automerge-paper.json.gz"


def typed(count: int, client_id: int) -> list[bytes]:
    """The updates of somebody who types at the end of a file, as frames for file 1."""
    doc: Doc[Text] = Doc(client_id=client_id)
    text = doc.get("text", type=Text)
    frames: list[bytes] = []
    subscription = doc.observe(lambda event: frames.append(binary(b"\x01" + encode_update(event.update))))
    for _ in range(count):
        text += "x"
    doc.unobserve(subscription)
    return frames


def saved_counts(frames: Iterator[tuple[int, bytes]]) -> Iterator[int]:
    """The counts of the `saved` notices among these frames."""
    for opcode, payload in frames:
        if opcode == 1 and payload.startswith(b'{"type":"saved"'):
            yield json.loads(payload)["count"]


def percentiles_ms(samples_s: list[float]) -> str:
    """p50 and p99 in milliseconds."""
    cuts = statistics.quantiles(samples_s, n=100)
    return f"p50 {cuts[49] * 1000:7.2f} ms   p99 {cuts[98] * 1000:7.2f} ms"


async def _writer(server: ServerProcess, files: int = 1) -> tuple[str, str]:
    async with aiohttp.ClientSession() as http:
        workspace_id, keys = await create_workspace(http, server.url, {f"{n}.txt": "" for n in range(files)})
    return workspace_id, keys["editor"]


async def latency(server: ServerProcess, updates_per_s: int, seconds: float) -> None:
    """From send to `saved`, and from send to the other member."""
    workspace_id, key = await _writer(server)
    frames = typed(int(updates_per_s * seconds), 7)
    author = await open_member(server.port, workspace_id, key, 7)
    reader = await open_member(server.port, workspace_id, key, 8)
    sent: list[float] = []
    saved: list[float] = []
    seen: list[float] = []
    done = asyncio.Event()
    offset = 1  # the author's answer to the server's step 1 counts, too

    def on_saved(incoming: Iterator[tuple[int, bytes]]) -> None:
        for count in saved_counts(incoming):
            now = time.perf_counter()
            saved.extend(now - sent[n] for n in range(len(saved), count - offset))
        if len(saved) == len(frames):
            done.set()

    def on_seen(incoming: Iterator[tuple[int, bytes]]) -> None:
        now = time.perf_counter()
        for opcode, payload in incoming:
            if opcode == 2 and payload[:3] == b"\x01\x00\x02":
                seen.append(now - sent[len(seen)])

    author.write(binary(b"\x01" + encode_step_2(b"\0\0")))
    author.on_frames, reader.on_frames = on_saved, on_seen
    start = time.perf_counter()
    for number, frame in enumerate(frames):
        await asyncio.sleep(max(0.0, start + number / updates_per_s - time.perf_counter()))
        sent.append(time.perf_counter())
        author.write(frame)
    await asyncio.wait_for(done.wait(), 60)
    print(f"  {updates_per_s:5} edits/s  to saved      {percentiles_ms(saved)}   ({len(saved)} edits)")
    print(f"               to the other  {percentiles_ms(seen)}")
    author.close()
    reader.close()


async def throughput(server: ServerProcess, members: int, count: int, window: int) -> None:
    """One writer with a bounded number of unsaved edits; all the others read."""
    workspace_id, key = await _writer(server)
    frames = typed(count, 7)
    author = await open_member(server.port, workspace_id, key, 7)
    readers = [await open_member(server.port, workspace_id, key, 100 + n) for n in range(members - 1)]
    author.write(binary(b"\x01" + encode_step_2(b"\0\0")))
    await asyncio.sleep(0.3)  # until presence has told everybody of everybody: it would count as deliveries
    for reader in readers:
        reader.on_frames, reader.bytes_in = None, 0
    saved = 0
    more = asyncio.Event()

    def on_saved(incoming: Iterator[tuple[int, bytes]]) -> None:
        nonlocal saved
        for number in saved_counts(incoming):
            saved = number - 1
            more.set()

    author.on_frames = on_saved
    cpu_before, start, sent = cpu_s(server.pid), time.perf_counter(), 0
    while saved < count:
        while sent < count and sent - saved < window:
            author.write(b"".join(frames[sent : sent + 32]))
            sent = min(count, sent + 32)
        more.clear()
        if saved < count:
            await asyncio.wait_for(more.wait(), 60)
    # What a reader gets has no mask: four bytes less a frame.
    expected = sum(len(frame) - 4 for frame in frames)
    await asyncio.gather(*(reader.until_bytes(expected) for reader in readers))
    elapsed_s = time.perf_counter() - start
    cpu_us = (cpu_s(server.pid) - cpu_before) / count * 1e6
    print(
        f"  {members:4} members, window {window:4}: {count / elapsed_s:9,.0f} updates/s"
        f"   {count * (members - 1) / elapsed_s:11,.0f} deliveries/s   server {cpu_us:6.1f} us an update"
    )
    for line in (author, *readers):
        line.close()


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _paper() -> Doc[Text]:
    """The document of automerge-paper, typed edit by edit, with all its deletions."""
    trace = json.loads(gzip.decompress(TRACE.read_bytes()))
    doc: Doc[Text] = Doc(client_id=7)
    text = doc.get("text", type=Text)
    for transaction in trace["txns"]:
        with doc.transaction():
            for at, deleted, inserted in transaction["patches"]:
                if deleted:
                    del text[at : at + deleted]
                if inserted:
                    text.insert(at, inserted)
    return doc


async def reconnect(server: ServerProcess, rounds: int) -> None:
    """Hello, open, both answers with their whole delete sets, and `saved`."""
    doc = _paper()
    workspace_id, key = await _writer(server)
    author = await open_member(server.port, workspace_id, key, 7)
    for part in cut_in_parts(1, encode_update(doc.get_update())):
        author.write(binary(part))
    await author.until(lambda opcode, payload: opcode == 1 and b'"saved"' in payload)
    author.close()
    step_2 = binary(b"\x01" + encode_step_2(doc.get_update(doc.get_state())))
    times, cpu_before = [], cpu_s(server.pid)
    for _ in range(rounds):
        start = time.perf_counter()
        line = await open_member(server.port, workspace_id, key, 7, doc.get_state(), author.person)
        line.write(step_2)
        await line.until(lambda opcode, payload: opcode == 1 and b'"saved"' in payload)
        times.append(time.perf_counter() - start)
        line.close()
    cpu_ms = (cpu_s(server.pid) - cpu_before) / rounds * 1000
    print(f"  {len(step_2):,} bytes of step 2 each way: {percentiles_ms(times)}   server {cpu_ms:.2f} ms of CPU each")


async def main(*, quick: bool) -> None:
    """Run all, one after the other."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    pin = ("taskset", "-c", str(cores[0]))
    with tempfile.TemporaryDirectory() as directory:
        crowd = ("--address-connections-max", "4000")  # all of them come from here
        async with serving(Path(directory) / "data", *crowd, prefix=pin) as server:
            print("One keystroke")
            await latency(server, 20, 5 if quick else 20)
            await latency(server, 2_000, 3 if quick else 10)
            print("One writer, as fast as it goes")
            for members in (1, 10, 100):
                for window in (32, 512):
                    await throughput(server, members, 10_000 if quick else 40_000, window)
            print("A reconnect on automerge-paper")
            if TRACE.exists():
                await reconnect(server, 20 if quick else 100)
            else:
                print("  skipped: ../shared/data/traces is absent")

"""What one member's flood costs the others: for each kind, the server's time and how long a bystander's edits take.

Each flood is written as fast as the server reads it, for some seconds, beside a bystander who types ten times a second.
Figures are printed, never asserted; ``tests/test_allowance.py`` and its neighbours assert the bounds.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from bench.line import BenchLine, binary, open_member, text
from bench.pump import FIRST_CLIENT, quantile, typed
from bench.targets import cpu_s
from carets import limits
from carets.protocol.wire import encode_step_1, encode_step_2, encode_update
from tests.peer import create_workspace
from tests.serving import ServerProcess, serving
from tests.sessions import block, item, update

_BUFFER_BYTES = 1 << 20
_FOLDER_FILES = 4_900
_PIECES = 3_000


class Flooder(BenchLine):
    """Counts what it is refused, and whether it was closed."""

    refusals = 0
    is_closed = False

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.refusals += data.count(b'"rate_limited"')

    def connection_lost(self, _: Exception | None) -> None:
        self.is_closed = True

    async def pour(self, frames: Iterator[bytes]) -> int:
        """Write frames as they are taken, until cancelled or closed; how many."""
        assert self._transport is not None
        count = 0
        while not self._transport.is_closing():
            for frame in frames:
                self.write(frame)
                count += 1
                if self._transport.is_closing() or self._transport.get_write_buffer_size() >= _BUFFER_BYTES:
                    break
            await asyncio.sleep(0.01)
        return count


def _repeat(*frames: bytes) -> Iterator[bytes]:
    """These frames again and again, many in one write, so that this process has time for the bystander."""
    whole = b"".join(frames)
    while True:
        yield whole * max(1, 65_536 // len(whole))


def _pieces() -> Iterator[bytes]:
    """Updates of many pieces of one letter, each where no other is: the most expensive shape for its bytes."""
    for number in range(10_000):
        clock = number * _PIECES
        structs = [
            item("a", (9, clock + at - 1 - at * 7919 % (clock + at))) if clock + at else item("a")
            for at in range(_PIECES)
        ]
        yield binary(b"\x01" + encode_update(update(block(9, clock, *structs))))


def floods() -> dict[str, Iterator[bytes]]:
    """Each kind by its name."""
    return {
        "nothing": iter(()),
        "pings": _repeat(text(type="ping")),
        "places": _repeat(text(type="place", file_id=1), text(type="place", file_id=2)),
        "profiles": _repeat(text(type="profile", name="a", color="#112233"), text(type="profile", name="b", color="")),
        "chat": (text(type="chat", text="x" * 1_000, nonce=f"{number}") for number in range(10**9)),
        "signals of 15 KB": _repeat(text(type="signal", kind="a", data="x" * 15_000)),
        "open and close": _repeat(text(type="open_file", file_id=2, client_id=9), text(type="close_file", file_id=2)),
        "step 1, 5 MB": _repeat(binary(b"\x02" + encode_step_1(b"\0"))),
        "a folder moved": _repeat(
            text(type="rename_folder", path="d", to="e"), text(type="rename_folder", path="e", to="d")
        ),
        f"{_PIECES} pieces": _pieces(),
    }


def _saved_counts(frames: Iterator[tuple[int, bytes]]) -> Iterator[int]:
    """The counts of the `saved` notices among these frames."""
    for opcode, payload in frames:
        if opcode == 1 and payload.startswith(b'{"type":"saved"'):
            yield json.loads(payload)["count"]


async def flood(server: ServerProcess, name: str, frames: Iterator[bytes], seconds: float) -> None:
    """One kind, and a bystander."""
    async with aiohttp.ClientSession() as http:
        files = {"a": "", "b": "x" * 5_000_000} | {f"d/{number}": "" for number in range(_FOLDER_FILES)}
        workspace_id, keys = await create_workspace(http, server.url, files)
    bystander = await open_member(server.port, workspace_id, keys["editor"], FIRST_CLIENT)
    bystander.write(binary(b"\x01" + encode_step_2(b"\0\0")))
    flooder = await Flooder.connect(server.port, f"/ws/{workspace_id}")
    assert isinstance(flooder, Flooder)
    flooder.write(text(type="hello", key=keys["editor"]))
    for file_id in (1, 2):
        flooder.write(text(type="open_file", file_id=file_id, client_id=9))
        flooder.write(binary(bytes((file_id,)) + encode_step_1(b"\0")))
    await flooder.until(lambda opcode, payload: opcode == 2 and payload[:3] == b"\x01\x00\x01")
    flooder.on_frames = None
    sent: list[float] = []
    saved: list[float] = []

    def on_saved(incoming: Iterator[tuple[int, bytes]]) -> None:
        for count in _saved_counts(incoming):
            saved.extend(time.perf_counter() - sent[number] for number in range(len(saved), count - 1))

    bystander.on_frames = on_saved
    updates = typed(0, int(seconds * 10), is_scattered=False).updates
    edits = [binary(b"\x01" + encode_update(each)) for each in updates]
    pouring = asyncio.create_task(flooder.pour(frames))
    began_s, began_cpu_s = time.perf_counter(), cpu_s(server.pid)
    for number, edit in enumerate(edits):
        await asyncio.sleep(max(0.0, began_s + number / 10 - time.perf_counter()))
        sent.append(time.perf_counter())
        bystander.write(edit)
    share = (cpu_s(server.pid) - began_cpu_s) / (time.perf_counter() - began_s)
    pouring.cancel()
    state = "closed" if flooder.is_closed else f"{flooder.refusals} refused"
    flooder.close()
    async with asyncio.timeout(60):
        while len(saved) < len(edits):  # noqa: ASYNC110 - a measurement
            await asyncio.sleep(0.05)
    bystander.close()
    p50_ms, p99_ms = quantile(saved, 0.5) * 1000, quantile(saved, 0.99) * 1000
    times = f"p50 {p50_ms:7.2f} ms   p99 {p99_ms:7.2f} ms"
    print(f"  {name:18} server {share:5.0%} of a core   edits to saved {times}   {state}", flush=True)


async def main(*, quick: bool) -> None:
    """All, one after the other."""
    print(f"One member's flood (a member's share of the event loop: {limits.MEMBER_TURN_SHARE:.0%})")
    with tempfile.TemporaryDirectory() as directory:
        async with serving(Path(directory) / "data") as server:
            for name, frames in floods().items():
                await flood(server, name, frames, 3 if quick else 8)


if __name__ == "__main__":
    asyncio.run(main(quick=True))

"""The heartbeat: which lines are looked at when, who is pinged, and who is taken for dead."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator

import pytest

from carets import limits
from carets.edges.line import Heartbeat, Line
from carets.errors import Code, Unavailable
from carets.metrics import Metrics
from tests.lines import Staged, StageRequest, StageSocket, StageTransport, look, staged_line


@pytest.fixture
async def staged() -> AsyncIterator[Staged]:
    async with staged_line() as staged:
        yield staged


async def test_a_silent_line_is_pinged_once_and_then_dropped(staged: Staged) -> None:
    line, transport, socket = staged
    for second in range(40):
        await look(line, second)
        assert transport.pings == (1 if second >= limits.PING_EVERY_S else 0)
        is_dead = second >= limits.PING_EVERY_S + limits.PONG_WAIT_S
        assert (line.closed_with is not None) == is_dead
    assert line.closed_with is not None
    assert line.closed_with.code == socket.close_code == Code.SILENT


async def test_a_line_that_answers_lives(staged: Staged) -> None:
    line, transport, _ = staged
    for second in range(200):
        await look(line, second)
        if line.was_pinged:
            line.heard_at_s, line.was_pinged = second, False
    assert (line.closed_with, transport.pings) == (None, 9)


async def test_a_line_that_drains_lives_however_much_comes_after(staged: Staged) -> None:
    # It once had to hold less at each look than at the one before: a long download was cut after 30 seconds.
    line, transport, _ = staged
    for second in range(300):
        line.write(b"x" * 70_000)
        await look(line, second)
        transport.waiting = max(1, transport.waiting - 70_000)
    assert line.closed_with is None


async def test_a_line_that_just_drained_is_asked_before_it_is_dropped(staged: Staged) -> None:
    line, transport, _ = staged
    line.write(b"x" * 1_000_000)
    for second in range(100):
        transport.waiting -= 10_000
        await look(line, second)
    transport.waiting = 0
    for second in range(100, 125):
        await look(line, second)
        assert line.closed_with is None
    assert transport.pings == 1


async def test_a_full_line_that_does_not_drain_is_dropped(staged: Staged) -> None:
    line, transport, socket = staged
    line.write(b"x" * 1_000_000)
    for second in range(32):
        await look(line, second)
    assert (transport.pings, socket.close_code) == (0, Code.SILENT)


async def test_a_line_that_we_do_not_read_is_not_silent(staged: Staged) -> None:
    # A member that is read later for its rate, or whose file is being loaded, can say nothing that we would hear.
    line, transport, _ = staged
    line.is_read = False
    for second in range(100):
        await look(line, second)
    assert (line.closed_with, transport.pings) == (None, 0)
    line.is_read = True
    for second in range(100, 130):
        assert line.closed_with is None
        await look(line, second)
    assert line.closed_with is not None
    assert line.closed_with.code is Code.SILENT


async def test_a_line_is_pinged_unless_the_ping_would_wait_behind_what_fills_it(staged: Staged) -> None:
    line, transport, _ = staged
    transport.waiting = limits.OUTBOX_BYTES_FULL + 1
    await look(line, limits.PING_EVERY_S)
    assert transport.pings == 0
    transport.waiting = limits.OUTBOX_BYTES_FULL
    line.heard_at_s = 0.0
    line._left_before = line._written
    await look(line, limits.PING_EVERY_S)
    assert transport.pings == 1


async def test_a_server_that_stood_still_takes_nobody_for_dead(staged: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 33 s of SIGSTOP all idle members were closed: the heartbeat woke before what they had sent was read."""
    line, transport, _ = staged
    monkeypatch.setattr(limits, "PING_EVERY_S", 0.2)
    monkeypatch.setattr(limits, "PONG_WAIT_S", 0.1)
    monkeypatch.setattr("carets.edges.line._LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("carets.edges.line._LATE_S", 0.3)
    heartbeat = Heartbeat(Metrics())
    heartbeat.add(line)
    line.heard_at_s = asyncio.get_running_loop().time()
    running = asyncio.create_task(heartbeat.run())
    await asyncio.sleep(0)
    time.sleep(0.5)  # noqa: ASYNC251 - the whole process stands still
    while not transport.pings:
        await asyncio.sleep(0.01)
        assert line.closed_with is None, "it is pinged before it is taken for dead"
    running.cancel()


async def test_nothing_is_written_after_the_close(staged: Staged) -> None:
    line, transport, _ = staged
    line.close(Unavailable(Code.DRAINING))
    line.close(Unavailable(Code.SILENT))
    assert line.write(b"late") == 0
    assert transport.waiting == 0
    await line.finish()
    assert line.closed_with is not None
    assert line.closed_with.code is Code.DRAINING


class Beats:
    """A heartbeat over lines of a stage, in a loop whose time a test sets: one beat a second."""

    def __init__(self, count: int) -> None:
        self.heartbeat = Heartbeat(Metrics())
        self.now_s = 0.0
        self.looks = 0
        self.turns = 0
        self.lines = [self._line() for _ in range(count)]

    def _line(self) -> Line:
        line = Line(StageRequest(StageTransport()), StageSocket(), "carets.v1", Metrics())  # type: ignore[arg-type]
        line.heard_at_s = 0.0
        self.heartbeat.add(line)
        look = line.look

        def counted(now_s: float) -> float:
            self.looks += 1
            return look(now_s)

        line.look = counted  # type: ignore[method-assign]
        return line

    async def beat(self) -> int:
        """A second passes; how many lines were looked at."""
        self.now_s += 1.0
        before = self.looks
        await self.heartbeat.beat(lambda: self.now_s)
        return self.looks - before

    def pings_of(self, line: Line) -> int:
        transport = line._transport
        assert isinstance(transport, StageTransport)
        return transport.pings


async def test_quiet_lines_are_looked_at_when_they_are_due_and_not_with_every_beat() -> None:
    """Ten thousand lines were all looked at once a second: 1 % of a core for lines to which nothing happens."""
    beats = Beats(1_000)
    looks = []
    for second in range(1, 61):
        looks.append(await beats.beat())
        for line in beats.lines:
            if line.was_pinged:
                line.heard_at_s, line.was_pinged = float(second), False
    assert [beats.pings_of(line) for line in beats.lines] == [3] * 1_000
    assert sum(looks) <= 1_000 * 2 * 3, looks


async def test_a_line_that_answers_no_ping_is_looked_at_until_it_is_dropped() -> None:
    beats = Beats(2)
    silent, lively = beats.lines
    while silent.closed_with is None:
        await beats.beat()
        lively.heard_at_s = beats.now_s
    assert beats.now_s == limits.PING_EVERY_S + limits.PONG_WAIT_S
    assert (lively.closed_with, beats.pings_of(lively)) == (None, 0)


async def test_a_line_in_which_bytes_wait_is_looked_at_with_every_beat_until_they_have_left() -> None:
    beats = Beats(1)
    (line,) = beats.lines
    transport = line._transport
    assert isinstance(transport, StageTransport)
    assert [await beats.beat() for _ in range(3)] == [0, 0, 0]
    line.write(b"x" * 1_000)
    for _ in range(4):
        assert await beats.beat() == 1
        transport.waiting -= 100
    transport.waiting = 0
    assert [await beats.beat() for _ in range(5)] == [1, 0, 0, 0, 0]
    assert line.heard_at_s == 8.0, "bytes left until then"


async def test_a_line_that_ended_is_looked_at_no_more_and_a_look_that_fails_comes_again() -> None:
    beats = Beats(3)
    gone, bad, good = beats.lines
    beats.heartbeat.discard(gone)
    transport, bad._transport = bad._transport, None  # type: ignore[assignment]
    for _ in range(int(limits.PING_EVERY_S) - 1):
        await beats.beat()
    with pytest.raises(AttributeError):
        await beats.beat()
    bad._transport = transport
    await beats.beat()
    assert [beats.pings_of(line) for line in (gone, bad, good)] == [0, 1, 1]
    assert len(beats.heartbeat.lines) == 2


async def test_everybody_else_has_their_turn_while_very_many_lines_are_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carets.edges.line._LOOKS_PER_TURN", 10)
    beats = Beats(100)
    beats.now_s = limits.PING_EVERY_S - 1
    beating = asyncio.create_task(beats.beat())
    seen = []
    while not beating.done():
        await asyncio.sleep(0)
        seen.append(beats.looks)
    assert max(later - earlier for earlier, later in itertools.pairwise(seen)) == 10

"""What costs nothing to anybody: ten thousand connections on which nothing happens, and one member who stopped reading.

Owns: how such a crowd is made and held. Does not know: how members join (bench/dialects.py), servers' processes.

Idle: every connection is a member that has joined a document (100 rooms of 100), had its answer and answered the
server's question; from then on it answers pings and says nothing. Counted: the process' resident memory (`VmRSS`)
above what it had with the rooms there and nobody in them, by the connections; what the kernel holds for a socket
is not in it. CPU is that of the whole process over a little more than two of Carets' ping periods of 20 s, from when
it is quiet after the joins. Hocuspocus sends no pings by default, y-websocket-server one every 30 s.

Stalled: one types 16 KiB in place of the last 16 KiB, 300 times a second, so that the document stays small; eight read,
and a tenth member reads nothing until the end. Then it reads, and has to come to the writer's text. Memory is the
kernel's own mark of the most (`VmHWM`) above what there was when the typing began.
"""

from __future__ import annotations

import contextlib
import re
import select
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pycrdt import Doc, Text

from bench.dialects import DIALECTS, Joined, close_all, join
from bench.line import binary, frame, frames_of
from bench.pump import FIRST_CLIENT, READER_CLIENT, BenchFailed, quantile
from bench.rows import Row
from bench.storms import MB, forget_peak, peak_bytes
from bench.targets import Running, Target
from carets import limits
from carets.protocol.wire import Message, Part, PartsInbox, Step2, Update, decode_frame, decode_message, encode_varuint

ROOMS, MEMBERS = 100, 100
SPAN_S = 2 * limits.PING_EVERY_S + 1
QUIET_S = 12.0
"""Seconds without any message but pings before anything is counted."""

UPDATE_BYTES = 16 * 1024
UPDATES_PER_S, STALL_S = 300, 6.0
READERS = 8
_WAKE_S = 20.0
_NUMBER = re.compile(rb"#(\d{8})#")
_PING, _PONG = 9, 10


# -- idle


class Quiet:
    """Members that answer pings, on one thread."""

    def __init__(self) -> None:
        self.members: dict[int, Joined] = {}
        self.pings = self.other_bytes = self.lost = 0
        self._poll = select.epoll()

    def add(self, members: Sequence[Joined]) -> None:
        """Hold these, too."""
        for member in members:
            member.line.setblocking(False)
            self.members[member.line.fileno()] = member
            self._poll.register(member.line, select.EPOLLIN)

    def answer(self, seconds: float) -> None:
        """Answer pings for so long, and until everything that has come is read."""
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0 or self._poll.poll(0, 1):
            for number, _ in self._poll.poll(max(0.0, min(left_s, 0.5)), 256):
                self._read(self.members[number])

    def _read(self, member: Joined) -> None:
        try:
            data = member.line.recv(1 << 18)
        except ConnectionError:
            data = b""
        if not data:
            self._poll.unregister(member.line)
            self.lost += 1
            return
        member.early += data
        for opcode, payload in frames_of(member.early):
            if opcode == _PING:
                self.pings += 1
                member.line.sendall(frame(_PONG, payload))
            else:
                self.other_bytes += len(payload)

    def until_quiet(self) -> None:
        """Answer until nothing else has come for `QUIET_S`."""
        before = -1
        while before != self.other_bytes:
            before = self.other_bytes
            self.answer(QUIET_S)


def idle(target: Target, rooms: int = ROOMS) -> Iterator[Row]:
    """One round."""
    case = f"{rooms * MEMBERS:,} members in {rooms} rooms"
    with tempfile.TemporaryDirectory() as directory, target.start(Path(directory) / "data") as running:
        places = [running.room(f"idle-{number}") for number in range(rooms)]
        close_all([join(running, places[0], [1, 2])])
        time.sleep(1)
        before_bytes, crowd = running.rss_bytes(), Quiet()
        for number, place in enumerate(places):
            crowd.add(join(running, place, range(READER_CLIENT, READER_CLIENT + MEMBERS), first_source=number))
            crowd.answer(0)
        crowd.until_quiet()
        crowd.pings, cpu_before_s, began_s = 0, running.cpu_s(), time.monotonic()
        crowd.answer(SPAN_S)
        share = (running.cpu_s() - cpu_before_s) / (time.monotonic() - began_s)
        if crowd.lost:
            raise BenchFailed(f"{crowd.lost} of {len(crowd.members)} were lost")
        each_bytes = (running.rss_bytes() - before_bytes) / len(crowd.members)
        close_all([list(crowd.members.values())])
    yield Row("idle", case, target.name, "memory a connection", "KB", each_bytes / 1000)
    yield Row("idle", case, target.name, "server CPU", "%", share * 100)
    yield Row("idle", case, target.name, "pings", "1/s", crowd.pings / SPAN_S)


# -- a stalled reader


def _typing(count: int) -> tuple[list[bytes], str]:
    """Updates, each of which puts a numbered 16 KiB in place of what is there; and the text at the end."""
    doc: Doc[Text] = Doc(client_id=FIRST_CLIENT)
    text = doc.get("text", type=Text)
    updates: list[bytes] = []
    subscription = doc.observe(lambda event: updates.append(event.update))
    for number in range(count):
        with doc.transaction():
            if number:
                del text[0:UPDATE_BYTES]
            text.insert(0, f"#{number:08}#".ljust(UPDATE_BYTES, "x"))
    doc.unobserve(subscription)
    return updates, str(text)


class Reader:
    """A member that notes when it has each update, or what came after it."""

    def __init__(self, member: Joined) -> None:
        self.member = member
        self.seen_s: list[float] = []
        member.line.setblocking(False)

    def read(self) -> None:
        """Take what has come. Raises: ConnectionError."""
        member, now_s = self.member, time.perf_counter()
        data = member.line.recv(1 << 20)
        if not data:
            raise ConnectionError("the server closed")
        member.early += data
        for opcode, payload in frames_of(member.early):
            if opcode == _PING:
                member.line.sendall(frame(_PONG, payload))
            for number in _NUMBER.findall(payload):
                self.seen_s += [now_s] * (int(number) + 1 - len(self.seen_s))


def _wake(dialect: str, sleeper: Joined, expected: str) -> float:
    """Read all that waits; seconds until the text is right. Raises: BenchFailed when it never is."""
    speaks, doc, parts = DIALECTS[dialect], Doc[Text](), PartsInbox()
    text = doc.get("text", type=Text)
    part_head, head = speaks.part_head(sleeper.place), speaks.head(sleeper.place)[:-2]
    began_s = time.perf_counter()
    sleeper.line.settimeout(_WAKE_S)
    with contextlib.suppress(TimeoutError, ConnectionError):
        for _, payload in sleeper.frames():
            message: Message | None = None
            if part_head and payload.startswith(part_head):
                part = decode_frame(payload)[1]
                assert isinstance(part, Part)
                message = parts.take(1, part)
            elif payload.startswith(head) and payload[len(head)] in {0, 4}:
                message = decode_message(b"\0" + payload[len(head) + 1 :])
            if isinstance(message, Step2 | Update):
                doc.apply_update(message.update)
                if str(text) == expected:
                    return time.perf_counter() - began_s
    raise BenchFailed("the one who stalled does not have the text")


def stalled(target: Target) -> Iterator[Row]:
    """One round: first without, then with a member who does not read."""
    with tempfile.TemporaryDirectory() as directory, target.start(Path(directory) / "data") as running:
        yield from _beside(running, is_stalled=False)
        yield from _beside(running, is_stalled=True)


def _beside(running: Running, *, is_stalled: bool) -> Iterator[Row]:
    case = "one stalled" if is_stalled else "nobody stalled"
    place = running.room(f"stalled-{time.monotonic_ns()}")
    updates, text = _typing(int(UPDATES_PER_S * STALL_S))
    members = join(running, place, [FIRST_CLIENT, *range(READER_CLIENT, READER_CLIENT + READERS + 1)])
    writer, sleeper = Reader(members[0]), members[-1]
    readers = [Reader(member) for member in members[1:-1]]
    others = readers if is_stalled else [*readers, Reader(sleeper)]
    poll, by_number = select.epoll(), {each.member.line.fileno(): each for each in (writer, *others)}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    head = DIALECTS[running.dialect].head(place)
    frames = [binary(head + encode_varuint(len(update)) + update) for update in updates]
    before_bytes = running.rss_bytes()
    forget_peak(running.pid)
    sent_s: list[float] = []
    began_s, cpu_before_s, waiting = time.perf_counter(), running.cpu_s(), b""
    while any(len(each.seen_s) < len(frames) for each in others):
        now_s = time.perf_counter() - began_s
        if now_s > STALL_S + _WAKE_S:
            raise BenchFailed(f"the others have {[len(each.seen_s) for each in readers]} of {len(frames)}")
        while len(sent_s) < len(frames) and now_s >= len(sent_s) / UPDATES_PER_S:
            waiting += frames[len(sent_s)]
            sent_s.append(time.perf_counter())
        if waiting:
            with contextlib.suppress(BlockingIOError):
                waiting = waiting[writer.member.line.send(waiting) :]
        for number, _ in poll.poll(0.001, 16):
            by_number[number].read()
    elapsed_s, grown = time.perf_counter() - began_s, peak_bytes(running.pid) - before_bytes
    share = (running.cpu_s() - cpu_before_s) / elapsed_s
    if is_stalled:
        yield Row(
            "stalled reader", case, running.name, "text right after waking", "s", _wake(running.dialect, sleeper, text)
        )
    close_all([members])
    taken_ms = [(at_s - sent_s[number]) * 1000 for each in readers for number, at_s in enumerate(each.seen_s)]
    yield Row("stalled reader", case, running.name, "to the others, p99", "ms", quantile(taken_ms, 0.99))
    yield Row("stalled reader", case, running.name, "memory grown", "MB", grown / MB)
    yield Row("stalled reader", case, running.name, "server CPU", "%", share * 100)

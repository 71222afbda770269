"""The load of one run, as ``pump.c`` wants it: who sits where, who types what, and what came of it.

Owns: the updates (the bytes that a Yjs document gives), the tables in C's form, the check of the texts at the end.
Does not know: which server it is.
"""

from __future__ import annotations

import ctypes
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from pycrdt import Doc, Text

from bench.build import build
from bench.dialects import DIALECTS, Joined, join
from bench.line import binary
from bench.targets import Running, cpu_clock
from carets.protocol.wire import encode_varuint

FIRST_CLIENT = 0xC0000000
"""The first writer's Yjs client id: five bytes as a varuint, as browsers' ids have."""

READER_CLIENT = 0x70000000
"""The first id of those who only read."""

SETTLE_S = 0.15
_DRAIN_S = 60.0
_SAMPLES_MAX = 4_000_000
_RECORD_BYTES = 64 << 20


class _Stream(ctypes.Structure):
    _fields_ = (
        ("frames", ctypes.c_char_p),
        ("ends", ctypes.POINTER(ctypes.c_uint64)),
        ("count", ctypes.c_uint64),
        ("every_s", ctypes.c_double),
        ("first_s", ctypes.c_double),
    )


class _Line(ctypes.Structure):
    _fields_ = (
        ("fd", ctypes.c_int32),
        ("room", ctypes.c_int32),
        ("early", ctypes.c_char_p),
        ("early_bytes", ctypes.c_uint64),
        ("presence", _Stream),
    )


class _Writer(ctypes.Structure):
    _fields_ = (
        ("line", ctypes.c_int32),
        ("room", ctypes.c_int32),
        ("text", ctypes.c_char_p),
        ("updates", _Stream),
        ("counted_before", ctypes.c_uint64),
    )


class _Room(ctypes.Structure):
    _fields_ = (
        ("head", ctypes.c_char_p),
        ("part_head", ctypes.c_char_p),
        ("head_bytes", ctypes.c_uint64),
        ("part_head_bytes", ctypes.c_uint64),
        ("first_writer", ctypes.c_int32),
        ("writers", ctypes.c_int32),
        ("first_line", ctypes.c_int32),
        ("lines", ctypes.c_int32),
    )


class _Plan(ctypes.Structure):
    _fields_ = (
        ("lines", ctypes.POINTER(_Line)),
        ("writers", ctypes.POINTER(_Writer)),
        ("rooms", ctypes.POINTER(_Room)),
        ("line_count", ctypes.c_int32),
        ("writer_count", ctypes.c_int32),
        ("room_count", ctypes.c_int32),
        ("recorded_line", ctypes.c_int32),
        ("is_scattered", ctypes.c_int32),
        ("tells_saved", ctypes.c_int32),
        ("server_clock", ctypes.c_int32),
        ("unused", ctypes.c_int32),
        ("first_client", ctypes.c_uint64),
        ("units", ctypes.c_uint64),
        ("window", ctypes.c_uint64),
        ("settle_s", ctypes.c_double),
        ("seconds", ctypes.c_double),
        ("drain_s", ctypes.c_double),
        ("delivery_us", ctypes.POINTER(ctypes.c_float)),
        ("saved_us", ctypes.POINTER(ctypes.c_float)),
        ("delivery_max", ctypes.c_uint64),
        ("saved_max", ctypes.c_uint64),
        ("record", ctypes.POINTER(ctypes.c_char)),
        ("record_max", ctypes.c_uint64),
    )


class _Outcome(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("sent", "completed", "deliveries", "delivery_samples", "saved_samples")),
        *((name, ctypes.c_uint64) for name in ("record_bytes", "bytes_in", "bytes_out", "receives", "sends")),
        *((name, ctypes.c_uint64) for name in ("other_frames", "presence_sent", "updates_in", "recorded_sent")),
        ("server_cpu_s", ctypes.c_double),
        ("elapsed_s", ctypes.c_double),
        ("loop_s", ctypes.c_double),
        ("idle_s", ctypes.c_double),
        ("complaint", ctypes.c_char * 240),
    )


class BenchFailed(Exception):
    """What arrived is not what was sent, or did not arrive: the run is void."""


@dataclass(frozen=True)
class Load:
    """What happens in a run."""

    writers: int
    """Members of each room who type; they are its first ones."""
    seconds: float
    window: int = 0
    """Updates in flight for each writer, as many as that always; 0: by rate."""
    updates_per_s: float = 0.0
    """Of each writer."""
    is_scattered: bool = False
    """Whether each update is somewhere else in what its writer has typed; else it is behind the last one."""
    presence_per_s: float = 0.0
    """Carets moved by each member."""
    settle_s: float = SETTLE_S
    """How long nothing must have come before it begins."""


@dataclass
class Outcome:
    """What came of it."""

    updates: int
    deliveries: int
    elapsed_s: float
    server_cpu_s: float
    """What the server took from the first update to the last."""
    generator_load: float
    """Share of the time in which the load generator, which never sleeps, had something to do."""
    bytes_in: int
    receives: int
    updates_in: int
    """Update messages that arrived, each with one update in it or many."""
    other_frames: int
    delivery_us: list[float]
    saved_us: list[float]

    @property
    def deliveries_per_s(self) -> float:
        return self.deliveries / self.elapsed_s


@dataclass(frozen=True)
class Typed:
    """What one writer types: the letters in the order of typing, and the Yjs update of each."""

    text: str
    updates: list[bytes]


_COMPARED = 2_000
"""Updates that are compared with those of a real document, beyond where clocks take two bytes."""


@cache
def typed(writer: int, count: int, *, is_scattered: bool) -> Typed:
    """So many keystrokes of one who types in an empty document, at its end or anywhere.

    They are written here, since a document of hundreds of thousands of edits takes minutes to type: the first ones are
    compared with what a real document gives, byte by byte.
    """
    chance = random.Random(writer)
    letters = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz (){};\n", k=count))
    client = encode_varuint(FIRST_CLIENT + writer)
    order: list[int] = []
    places, updates = [], []
    for clock, letter in enumerate(letters.encode()):
        at = chance.randrange(clock + 1) if is_scattered else clock
        begin = b"\x01\x01%b%b" % (client, encode_varuint(clock))
        left = b"%b%b" % (client, encode_varuint(order[at - 1])) if at else b""
        right = b"%b%b" % (client, encode_varuint(order[at])) if at < clock else b""
        kind = 0x04 | (0x80 if left else 0) | (0x40 if right else 0)
        root = b"" if left or right else b"\x01\x04text"
        updates.append(b"%b%c%b%b%b\x01%c\0" % (begin, kind, left, right, root, letter))
        order.insert(at, clock)
        places.append(at)
    if not writer:
        _compare(letters, places, updates[:_COMPARED])
    return Typed(letters, updates)


def _compare(letters: str, places: list[int], updates: list[bytes]) -> None:
    doc: Doc[Text] = Doc(client_id=FIRST_CLIENT)
    text = doc.get("text", type=Text)
    real: list[bytes] = []
    subscription = doc.observe(lambda event: real.append(event.update))
    for number in range(len(updates)):
        text.insert(places[number], letters[number])
    doc.unobserve(subscription)
    assert real == updates, "what is sent here is not what a Yjs document gives"


@cache
def _frames(writer: int, count: int, head: bytes, *, is_scattered: bool) -> tuple[bytes, ctypes.Array[ctypes.c_uint64]]:
    updates = typed(writer, count, is_scattered=is_scattered).updates
    frames = [binary(head + encode_varuint(len(each)) + each) for each in updates]
    return b"".join(frames), _ends(frames)


def _ends(frames: Sequence[bytes]) -> ctypes.Array[ctypes.c_uint64]:
    ends, at = (ctypes.c_uint64 * len(frames))(), 0
    for number, each in enumerate(frames):
        at += len(each)
        ends[number] = at
    return ends


class Run:
    """One load on rooms whose members have joined. What C points into is held here."""

    def __init__(self, running: Running, rooms: Sequence[Sequence[Joined]], load: Load, updates_max: int) -> None:
        """`updates_max` is what each writer has ready to type."""
        self._running, self._rooms, self._load, self._updates_max = running, rooms, load, updates_max
        self._dialect = dialect = DIALECTS[running.dialect]
        members = [member for room in rooms for member in room]
        self._members = members
        self._lines = (_Line * len(members))()
        self._writers = (_Writer * (len(rooms) * load.writers))()
        self._table = (_Room * len(rooms))()
        self._held: list[object] = []
        line = 0
        for number, room in enumerate(rooms):
            head, part_head = dialect.head(room[0].place), dialect.part_head(room[0].place)
            self._table[number] = _Room(
                head,
                part_head or None,
                len(head),
                len(part_head),
                number * load.writers,
                load.writers,
                line,
                len(room),
            )
            for index, member in enumerate(room):
                self._lines[line] = _Line(
                    member.line.fileno(), number, bytes(member.early), len(member.early), self._presence(member, line)
                )
                if index < load.writers:
                    self._writers[number * load.writers + index] = self._writer(number, index, line, head)
                line += 1

    def _writer(self, room: int, index: int, line: int, head: bytes) -> _Writer:
        load, writer = self._load, room * self._load.writers + index
        frames, ends = _frames(writer, self._updates_max, head, is_scattered=load.is_scattered)
        every_s = 1 / load.updates_per_s if load.updates_per_s else 0.0
        first_s = every_s * writer / max(1, len(self._writers))
        content = typed(writer, self._updates_max, is_scattered=load.is_scattered).text.encode()
        self._held += (frames, ends, content)
        # One step 2 was sent in joining.
        return _Writer(line, room, content, _Stream(frames, ends, len(ends), every_s, first_s), 1)

    def _presence(self, member: Joined, line: int) -> _Stream:
        if not self._load.presence_per_s:
            return _Stream()
        count = int(self._load.seconds * self._load.presence_per_s) + 1
        frames = [self._dialect.presence(member, 2 + clock, clock) for clock in range(count)]
        every_s = 1 / self._load.presence_per_s
        joined, ends = b"".join(frames), _ends(frames)
        self._held += (joined, ends)
        return _Stream(joined, ends, count, every_s, every_s * line / len(self._members))

    def pump(self) -> Outcome:
        """Do it. Raises: BenchFailed."""
        load = self._load
        is_paced = load.updates_per_s > 0
        delivery_us = (ctypes.c_float * (_SAMPLES_MAX if is_paced else 1))()
        saved_us = (ctypes.c_float * (_SAMPLES_MAX if is_paced else 1))()
        record = (ctypes.c_char * _RECORD_BYTES)()
        plan = _Plan(
            self._lines,
            self._writers,
            self._table,
            len(self._lines),
            len(self._writers),
            len(self._table),
            len(self._rooms[0]) - 1,
            load.is_scattered,
            self._running.dialect == "carets",
            cpu_clock(self._running.pid),
            0,
            FIRST_CLIENT,
            1,
            load.window,
            load.settle_s,
            load.seconds,
            _DRAIN_S,
            delivery_us if is_paced else None,
            saved_us if is_paced else None,
            len(delivery_us),
            len(saved_us),
            record,
            _RECORD_BYTES,
        )
        out = _Outcome()
        if _library().pump(ctypes.byref(plan), ctypes.byref(out)) != 0:
            raise BenchFailed(out.complaint.decode(errors="replace"))
        expected = out.sent * (len(self._rooms[0]) - 1)
        if out.deliveries != expected or out.completed != out.sent or not out.sent:
            raise BenchFailed(f"{out.deliveries} deliveries of {expected}")
        if load.presence_per_s and out.other_frames < len(self._lines) * load.seconds / 2:
            raise BenchFailed(f"members were told of carets {out.other_frames} times only")
        self._check_texts(ctypes.string_at(record, out.record_bytes), out.sent, out.recorded_sent)
        return Outcome(
            out.sent,
            out.deliveries,
            out.elapsed_s,
            out.server_cpu_s,
            1 - out.idle_s / out.loop_s,
            out.bytes_in,
            out.receives,
            out.updates_in,
            out.other_frames,
            list(delivery_us[: out.delivery_samples]),
            list(saved_us[: out.saved_samples]),
        )

    def _check_texts(self, record: bytes, sent: int, own: int) -> None:
        """What the recorded member makes of its updates, and what a newcomer gets, is the same text."""
        load, room = self._load, self._rooms[0]
        writer, count = len(room) - 1, self._updates_max
        updates = typed(writer, count, is_scattered=load.is_scattered).updates[:own] if own else []
        at = 0
        while at < len(record):
            length = int.from_bytes(record[at : at + 4], "little")
            updates.append(record[at + 4 : at + 4 + length])
            at += 4 + length
        seen = _text_of(updates)
        if len(self._rooms) == 1 and len(seen) != sent:
            raise BenchFailed(f"the last member has {len(seen)} characters of {sent}")
        if not self._running.target.keeps_documents:
            return
        newcomer = join(self._running, room[0].place, [READER_CLIENT - 1])[0]
        newcomer.close()
        if _text_of([newcomer.document]) != seen:
            raise BenchFailed("a newcomer gets another text than the last member has")


def _text_of(updates: Sequence[bytes]) -> str:
    doc: Doc[Text] = Doc()
    text = doc.get("text", type=Text)
    # In one transaction the engine would join neighbours in time that grows with the square of their number.
    for at in range(0, len(updates), 500):
        with doc.transaction():
            for update in updates[at : at + 500]:
                doc.apply_update(update)
    return str(text)


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(str(build("pump")))


def quantile(samples: Sequence[float], share: float) -> float:
    """Such as the 0.99 quantile."""
    return statistics.quantiles(samples, n=1000, method="inclusive")[round(share * 1000) - 1]

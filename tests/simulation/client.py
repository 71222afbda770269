"""A member that behaves like the page: many files, edits before and after every cut, an exact count of what is saved.

Owns: one tab, over all its connections: replicas, what it asked and was told. Does not know: the server's insides.
What it checks by itself are the invariants that show at the very arrival of a frame (1, 2, 11, 12).
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from carets import limits
from carets.errors import Code
from carets.protocol import wire
from carets.protocol.dialect import CARETS
from carets.protocol.messages import FileRecord
from tests.simulation.checks import Witness
from tests.simulation.door import BINARY, TEXT
from tests.simulation.network import Line
from tests.simulation.replica import Replica
from tests.simulation.talk import Talk

_FRAMES_PER_TURN = 3
"""Frames written before others get their turn: parts of several files mix."""

_LINE_BYTES_FULL = 20_000
"""Bytes waiting above which a page writes no more for a moment."""

GONE_FILE = frozenset((Code.FILE_DELETED, Code.FILE_UNKNOWN))


@dataclass(slots=True, eq=False)
class Frame:
    """A step 2 or update frame that was sent, and the edits in it."""

    replica: Replica
    update: bytes
    edits: list[int]
    is_taken: bool = True


@dataclass(slots=True)
class Seat:
    """An open file of one connection."""

    is_synced: bool = False
    has_uplink: bool = False
    """Whether the server's step 1 was answered, so that edits go out as they are made."""
    is_blocked: bool = False


@dataclass(slots=True)
class Session:
    """What belongs to one connection."""

    line: Line
    is_welcome: bool = False
    member_id: int = 0
    sent: list[Frame] = field(default_factory=list)
    saved: int = 0
    seats: dict[int, Seat] = field(default_factory=dict)
    opened_at: dict[int, list[int]] = field(default_factory=dict)
    """By file, how many frames were sent before each `open_file`."""
    reopened: set[int] = field(default_factory=set)
    """Files of which something may still come that was written before they were closed."""
    parts: wire.PartsInbox = field(default_factory=wire.PartsInbox)
    queues: dict[int, deque[tuple[bytes, Callable[[], None] | None]]] = field(default_factory=dict)
    presence: dict[int, dict[int, Any]] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)
    posts: dict[int, str] = field(default_factory=dict)
    """By request, the nonce of what was said."""
    fault: str | None = None
    """Why nothing can be saved, as it was told last."""
    refused_posts: list[str] = field(default_factory=list)
    """What could not be kept, and is said again when it can."""


class Person:
    """A browser: its tabs share one token."""

    def __init__(self, name: str, key: str) -> None:
        self.name = name
        self.key = key
        self.token = ""


class Page:
    """One tab."""

    def __init__(
        self, name: str, person: Person, witness: Witness, chance: Random, connect: Callable[[], Line | None]
    ) -> None:
        self.name = name
        self.person = person
        self.witness = witness
        self.chance = chance
        self.connect_line = connect
        self.token = ""
        self.is_viewer = False
        self.is_eager = chance.random() < 0.5
        """Sends edits before the server has asked: their dependencies may be missing there."""
        self.replicas: dict[int, Replica] = {}
        self.talk = Talk(name, witness)
        self.files: dict[int, FileRecord] = {}
        self.members: dict[int, Any] = {}
        self.session: Session | None = None
        self.may_rejoin = True
        self.reloads = 0
        self.hasty_file = 0
        """The file to type into and to close as soon as it is opened, before the server can ask for what is missing."""
        self._requests = 0
        self._loop = asyncio.get_running_loop()
        self._pumping = False

    # -- connections

    def join(self) -> None:
        """Connect and say hello, unless there is a connection."""
        if self.session is not None or (line := self.connect_line()) is None:
            return
        session = self.session = Session(line)
        line.on_frame = lambda opcode, payload: self._arrived(session, opcode, payload)
        line.on_lost = lambda code: self._lost(session, code)
        hello = {"type": "hello", "key": self.person.key, "person": self.token or self.person.token, "name": self.name}
        hello["page"] = f"{self.name} {self.reloads}"
        line.up.write(CARETS.notice(json.dumps(hello).encode()))
        self.witness.note(self.name, "joins")

    def leave(self) -> None:
        """Hang up."""
        if self.session is not None:
            self.session.line.hang_up()

    def reload(self) -> None:
        """As when the page is reloaded: a new Yjs client id for each file; what was typed under the old ones stays."""
        self.leave()
        self.reloads += 1
        for file_id, replica in list(self.replicas.items()):
            replica.close()
            self._new_replica(file_id, replica)

    def _lost(self, session: Session, code: int) -> None:
        self.witness.note(self.name, f"lost {code}")
        self.witness.check_close(self.name, code)
        if self.session is session:
            self.session = None
            if self.may_rejoin:
                self._loop.call_later(self.chance.uniform(0.05, 3.0), self._rejoin)

    def _rejoin(self) -> None:
        if self.may_rejoin:
            self.join()

    # -- sending

    def _enqueue(self, queue: int, frame: bytes, when_sent: Callable[[], None] | None = None) -> None:
        assert self.session is not None
        self.session.queues.setdefault(queue, deque()).append((frame, when_sent))
        self._pump_soon()

    def _pump_soon(self) -> None:
        if not self._pumping:
            self._pumping = True
            is_full = self.session is not None and self.session.line.up.waiting > _LINE_BYTES_FULL
            self._loop.call_later(0.05 if is_full else 0.001, self._pump)

    def _pump(self) -> None:
        """Write a few frames, from any file's queue that has some."""
        self._pumping = False
        session = self.session
        if session is None:
            return
        for _ in range(_FRAMES_PER_TURN):
            ready = [queue for queue, frames in session.queues.items() if frames]
            if not ready or session.line.up.waiting > _LINE_BYTES_FULL:
                break
            frame, when_sent = session.queues[self.chance.choice(ready)].popleft()
            session.line.up.write(frame)
            if when_sent is not None:
                when_sent()
        if any(session.queues.values()):
            self._pump_soon()

    def send(self, queue: int, **message: Any) -> None:
        """Send a text frame, in the order of a file's other frames."""
        self._enqueue(queue, CARETS.notice(json.dumps(message).encode()))

    def send_message(self, file_id: int, message: bytes, when_sent: Callable[[], None] | None = None) -> None:
        """Send a message, in parts when it is large."""
        if len(message) <= limits.PART_BYTES_MAX:
            self._enqueue(file_id, CARETS.message(file_id, message), when_sent)
            return
        parts = list(wire.cut_in_parts(file_id, message))
        for part in parts[:-1]:
            self._enqueue(file_id, CARETS.part(part))
        self._enqueue(file_id, CARETS.part(parts[-1]), when_sent)

    def _send_counted(self, replica: Replica, message: bytes, update: bytes, edits: list[int]) -> None:
        session = self.session
        assert session is not None
        seat = session.seats[replica.file_id]
        frame = Frame(replica, update, edits)

        def when_sent() -> None:
            frame.is_taken = not seat.is_blocked
            session.sent.append(frame)

        self.send_message(replica.file_id, message, when_sent)

    # -- files

    @property
    def is_ready(self) -> bool:
        """Whether it was welcomed on a line that it believes to be alive."""
        return self.session is not None and self.session.is_welcome

    def open_file(self, file_id: int) -> None:
        """Open a file on this connection, with the replica that is held or a new one."""
        session = self.session
        if session is None or not session.is_welcome or file_id in session.seats:
            return
        replica = self.replicas.get(file_id) or self._new_replica(file_id)
        session.seats[file_id] = Seat()
        epoch = self.files[file_id].epoch if file_id in self.files else ""
        opening = {"type": "open_file", "file_id": file_id, "client_id": replica.client_id, "epoch": epoch}

        def when_sent() -> None:
            session.opened_at.setdefault(file_id, []).append(len(session.sent))

        self._enqueue(file_id, CARETS.notice(json.dumps(opening).encode()), when_sent)
        self.send_message(file_id, wire.encode_step_1(replica.doc.get_state()))

    def type_in(self, file_id: int, units: int = 0) -> None:
        """Type something, if the file is still held."""
        if replica := self.replicas.get(file_id):
            replica.type(self.chance, units)

    def close_file(self, file_id: int) -> None:
        """Close a file; what is unsaved stays and goes up when it is opened again."""
        session = self.session
        if session is not None and file_id in session.seats:
            del session.seats[file_id]
            session.presence.pop(file_id, None)
            session.reopened.add(file_id)
            self.send(file_id, type="close_file", file_id=file_id)
        if file_id in self.replicas and not self.replicas[file_id].unsaved:
            self.replicas.pop(file_id).close()

    def ask(self, kind: str, **fields: Any) -> None:
        """Ask for a change of the list of files."""
        if self.session is not None and self.session.is_welcome:
            self._requests += 1
            self.session.asked.add(self._requests)
            self.send(0, type=kind, request=self._requests, **fields)

    def say(self, letters: int) -> None:
        """Say something in the chat; without a line it goes up later."""
        nonce, text = self.talk.say(letters)
        self._post(nonce, text)

    def _post(self, nonce: str, text: str) -> None:
        self.ask("chat", nonce=nonce, text=text)
        if self.session is not None and self.session.is_welcome:
            self.session.posts[self._requests] = nonce

    def send_presence(self, file_id: int) -> None:
        """Say where the caret is."""
        session = self.session
        if session is None or file_id not in session.seats:
            return
        place = {"item": {"client": self.chance.randrange(100), "clock": self.chance.randrange(100)}}
        state = json.dumps({"cursor": {"anchor": place, "head": place}})
        self.send_message(file_id, wire.encode_awareness([wire.Presence(session.member_id, 1, state)]))

    def _new_replica(self, file_id: int, before: Replica | None = None) -> Replica:
        replica = Replica(file_id, self.witness.new_client_id(self.chance), self.witness, before)
        replica.is_forbidden = self.is_viewer
        replica.on_edit = lambda number, update: self._edited(replica, number, update)
        self.replicas[replica.file_id] = replica
        return replica

    def _drop(self, file_id: int) -> None:
        """The server will not take what is unsaved here: a page would offer it as a diff."""
        if replica := self.replicas.pop(file_id, None):
            replica.excuse()
            replica.close()
        self.close_file(file_id)

    def _edited(self, replica: Replica, number: int, update: bytes) -> None:
        self.witness.note(self.name, f"edits {replica.file_id}", update)
        seat = self.session.seats.get(replica.file_id) if self.session else None
        if seat is not None and (self.is_eager or seat.has_uplink or self.is_viewer):
            self._send_counted(replica, wire.encode_update(update), update, [number])

    # -- receiving

    def _arrived(self, session: Session, opcode: int, payload: bytes) -> None:
        if self.session is not session:
            return
        self.witness.note(self.name, f"gets {opcode}", payload)
        if opcode == TEXT:
            self._take_notice(session, json.loads(payload))
            return
        self.witness.require(opcode == BINARY, 11, f"opcode {opcode}")
        file_id, message = wire.decode_frame(payload)
        if isinstance(message, wire.Part):
            whole = session.parts.take(file_id, message)
            if whole is None:
                return
            message = whole
        elif not isinstance(message, wire.Awareness):
            is_between = session.parts.is_open(file_id)
            self.witness.require(not is_between, 11, f"{self.name} got another message of a file between parts")
        seat = session.seats.get(file_id)
        if seat is not None and file_id in self.replicas:
            self._take_message(session, seat, self.replicas[file_id], message)

    def _take_message(self, session: Session, seat: Seat, replica: Replica, message: wire.Message) -> None:
        file_id = replica.file_id
        match message:
            case wire.Step1(state_vector):
                update = replica.doc.get_update(state_vector)
                self._send_counted(replica, wire.encode_step_2(update), update, list(replica.unsaved))
                seat.has_uplink = True
            case wire.Step2(update) | wire.Update(update):
                self.witness.require(
                    self.witness.has(file_id, update), 1, f"{self.name} sees what is not kept of file {file_id}"
                )
                if isinstance(message, wire.Step2):
                    seat.is_synced = True
                elif not seat.is_synced:
                    is_old = file_id in session.reopened
                    self.witness.require(is_old, 11, f"{self.name} got an update before its first step 2")
                replica.take(update)
            case wire.Awareness(payload):
                states = session.presence.setdefault(file_id, {})
                for entry in wire.decode_awareness(payload, 10_000):
                    states[entry.id] = json.loads(entry.state)

    def _take_notice(self, session: Session, notice: dict[str, Any]) -> None:
        match notice["type"]:
            case "welcome":
                session.is_welcome = True
                session.fault = notice["fault"]
                session.member_id = notice["member_id"]
                self.token = notice["person"]
                self.person.token = self.person.token or self.token
                self.members = {}
                self._take_members(notice["members"], [])
                self._take_files(notice["files"], full=True)
                for file_id in list(self.replicas):
                    self.open_file(file_id)
                for nonce, text in self.talk.unanswered.items():
                    self._post(nonce, text)
                self._be_hasty(session)
            case "files":
                session.asked.discard(notice.get("request", 0))
                self._take_files(notice["files"], full=notice.get("full", False))
            case "members":
                if notice.get("full"):
                    self.members = {}
                self._take_members(notice["members"], notice.get("left", []))
            case "chat" if (request := notice.get("request")) is not None:
                session.asked.discard(request)
                self.talk.answered(session.posts[request], notice["entries"])
            case "chat":
                self.talk.hear(notice["entries"])
            case "saved":
                self._take_saved(session, notice["count"])
            case "storage":
                session.fault = notice["fault"]
                self._say_again(session)
            case "refused":
                self._take_refusal(session, notice)

    def _say_again(self, session: Session) -> None:
        if session.fault is None:
            refused, session.refused_posts = session.refused_posts, []
            for nonce in refused:
                self._post(nonce, self.talk.unanswered[nonce])

    def _be_hasty(self, session: Session) -> None:
        file_id, self.hasty_file = self.hasty_file, 0
        if file_id in session.seats:
            for _ in range(2):
                self.replicas[file_id].type(self.chance)
            self.close_file(file_id)

    def _take_members(self, members: list[dict[str, Any]], left: list[int]) -> None:
        self.members.update((member["member_id"], member) for member in members)
        for member_id in left:
            self.members.pop(member_id, None)

    def _take_files(self, files: list[dict[str, Any]], *, full: bool) -> None:
        records = msgspec.convert(files, list[FileRecord])
        for record in records:
            self.witness.require(self.witness.has_record(record), 1, f"{self.name} sees {record}, which is not kept")
        if full:
            self.files = {}
        self.files.update((record.file_id, record) for record in records)

    def _take_saved(self, session: Session, count: int) -> None:
        is_possible = session.saved < count <= len(session.sent)
        self.witness.require(is_possible, 2, f"{self.name}: {count} after {session.saved} of {len(session.sent)}")
        for number, frame in enumerate(session.sent[session.saved : count], session.saved + 1):
            if frame.is_taken and not self.is_viewer:
                file_id = frame.replica.file_id
                is_kept = self.witness.has(file_id, frame.update)
                self.witness.require(is_kept, 2, f"{self.name}: frame {number} of file {file_id} is not kept")
                frame.replica.saved(frame.edits)
        session.saved = count

    def _take_refusal(self, session: Session, notice: dict[str, Any]) -> None:
        code, file_id, frame = notice["code"], notice.get("file_id"), notice.get("frame")
        self.witness.note(self.name, f"refused {code} {file_id} {frame}")
        session.asked.discard(notice.get("request", 0))
        if code == Code.UNAVAILABLE and notice.get("request") in session.posts:
            session.refused_posts.append(session.posts[notice["request"]])
        if notice.get("request") is not None or file_id is None:
            return
        if frame is not None:
            self._refused_frame(session, code, file_id, frame)
        elif code in GONE_FILE:
            self._drop(file_id)
        elif code == Code.UNAVAILABLE:
            session.seats.pop(file_id, None)
            self._loop.call_later(1.0, self._open_again, session, file_id)
        else:
            self.witness.fail(11, f"{self.name} may not open file {file_id}: {notice['text']}")

    def _refused_frame(self, session: Session, code: int, file_id: int, frame: int) -> None:
        allowed = GONE_FILE | {Code.FILE_NOT_OPEN} | ({Code.ROLE_TOO_LOW} if self.is_viewer else set())
        told = f"{self.name}: frame {frame} of file {file_id} was refused with {code}"
        self.witness.require(code in allowed, 11, told)
        self.witness.require(frame > session.saved, 12, f"{self.name}: frame {frame} was saved and is refused now")
        reopened = [count for count in session.opened_at.get(file_id, ()) if count >= frame]
        for sent in session.sent[frame - 1 : min(reopened, default=None)]:
            if sent.replica.file_id == file_id:
                sent.is_taken = False
        if (not reopened or code in GONE_FILE) and (seat := session.seats.get(file_id)):
            # What waits to be sent in a seat that was taken meanwhile is not taken either when the file is gone.
            seat.is_blocked = code != Code.FILE_NOT_OPEN
        if code in GONE_FILE:
            self._drop(file_id)

    def _open_again(self, session: Session, file_id: int) -> None:
        if self.session is session and file_id in self.replicas:
            self.open_file(file_id)

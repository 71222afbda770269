"""Members that are no page of ours: a stock Yjs client, which knows no `saved`, and one that means harm.

Owns: what y-websocket does on the wire, and a supply of hostile bytes. Does not know: the server's insides.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from random import Random

from pycrdt import Doc, Text

from carets.errors import FINAL
from carets.protocol import access, wire
from carets.protocol.dialect import CARETS, STOCK
from tests.simulation.checks import Witness
from tests.simulation.client import Page
from tests.simulation.door import BINARY
from tests.simulation.network import Line
from tests.simulation.replica import Replica

_VECTORS = Path(__file__).parent.parent / "vectors" / "hostile_updates.json"
_MESSAGE_BYTES_MAX = 50_000


def _read_vectors() -> list[bytes]:
    vectors = json.loads(_VECTORS.read_text())
    updates = [b"".join(bytes.fromhex(piece) * count for piece, count in vector["hex"]) for vector in vectors]
    return [update for update in updates if len(update) < _MESSAGE_BYTES_MAX]


_HOSTILE_UPDATES = _read_vectors()


class StockClient:
    """What ``new WebsocketProvider(url, path, doc)`` does, with one doc for as long as the file is there."""

    def __init__(
        self, name: str, witness: Witness, chance: Random, connect: Callable[[int], Line | None], *, is_viewer: bool
    ) -> None:
        self.name = name
        self.witness = witness
        self.chance = chance
        self.connect_line = connect
        self.is_viewer = is_viewer
        self.may_rejoin = True
        self.line: Line | None = None
        self.is_synced = False
        self.replica: Replica | None = None
        self._loop = asyncio.get_running_loop()

    def take(self, file_id: int) -> None:
        """Begin with a file."""
        replica = self.replica = Replica(file_id, self.witness.new_client_id(self.chance), self.witness)
        replica.is_forbidden = self.is_viewer
        replica.on_edit = self._edited
        self.join()

    def join(self) -> None:
        """Connect, unless there is a connection or no file."""
        if self.replica is None or self.line is not None or (line := self.connect_line(self.replica.file_id)) is None:
            return
        self.line, self.is_synced = line, False
        line.on_frame = lambda opcode, payload: self._arrived(line, payload)
        line.on_lost = lambda code: self._lost(line, code)
        self._send(wire.encode_step_1(self.replica.doc.get_state()))
        self.send_presence()

    def send_presence(self) -> None:
        """Awareness, as y-codemirror has it."""
        if self.line is not None and self.replica is not None:
            state = json.dumps({"user": {"name": self.name}, "cursor": None})
            entry = wire.Presence(self.replica.client_id, self.chance.randrange(1000), state)
            self._send(wire.encode_awareness([entry]))

    def leave(self) -> None:
        """Hang up."""
        if self.line is not None:
            self.line.hang_up()

    def _send(self, message: bytes) -> None:
        if self.line is not None:
            self.line.up.write(STOCK.message(0, message))

    def _edited(self, number: int, update: bytes) -> None:
        self.witness.note(self.name, "edits", update)
        self._send(wire.encode_update(update))

    def _lost(self, line: Line, code: int) -> None:
        self.witness.note(self.name, f"lost {code}")
        if self.line is not line:
            return
        self.line = None
        if code in FINAL and self.replica is not None:
            self.witness.require(code in {4425, 4426}, 11, f"{self.name} was closed with {code}")
            self.replica.excuse()
            self.replica.close()
            self.replica = None
            return
        self.witness.check_close(self.name, code)
        self._loop.call_later(self.chance.uniform(0.1, 2.5), self._rejoin)

    def _rejoin(self) -> None:
        if self.may_rejoin:
            self.join()

    def _arrived(self, line: Line, payload: bytes) -> None:
        replica = self.replica
        if self.line is not line or replica is None:
            return
        self.witness.note(self.name, "gets", payload)
        if payload[:2] == b"\x02\x00":
            self.witness.require(self.is_viewer, 11, f"{self.name} may not write")
            return
        match wire.decode_message(payload):
            case wire.Step1(state_vector):
                self._send(wire.encode_step_2(replica.doc.get_update(state_vector)))
            case wire.Step2(update) | wire.Update(update) as message:
                is_kept = self.witness.has(replica.file_id, update)
                self.witness.require(is_kept, 1, f"{self.name} sees what is not kept of file {replica.file_id}")
                self.is_synced |= isinstance(message, wire.Step2)
                self.witness.require(self.is_synced, 11, f"{self.name} got an update before its first step 2")
                replica.take(update)


class Hostile(Page):
    """A page that means harm: whatever it sends, only itself is closed."""

    def forge(self, file_id: int, state: bytes, client_id: int) -> None:
        """Type on under somebody else's client id."""
        doc: Doc[Text] = Doc(client_id=client_id)
        text = doc.get("text", type=Text)
        doc.apply_update(state)
        before = doc.get_state()
        text += "forged"
        if self.session is not None:
            self.send_message(file_id, wire.encode_update(doc.get_update(before)))

    def harm(self, seen: list[bytes], client_ids: list[int]) -> None:
        """Send something that it should not, over whatever it has open."""
        session, chance = self.session, self.chance
        if session is None:
            return
        file_id = chance.choice([*session.seats, 1, 999])
        update = chance.choice(_HOSTILE_UPDATES)
        if seen and chance.random() < 0.6:
            update = self._bent(chance.choice(seen), client_ids)
        message = chance.choice((wire.encode_update, wire.encode_step_2))(update)
        match chance.randrange(8):
            case 0:
                session.line.up.write(CARETS.notice(chance.randbytes(20)))
            case 1:
                session.line.up.write(CARETS.part(chance.randbytes(chance.randrange(60))))
            case 2:
                session.line.up.write(CARETS.message(file_id, b"\x64\x05" + chance.randbytes(5)))
            case 3:
                session.line.up.write(CARETS.message(file_id, wire.encode_step_1(chance.randbytes(9))))
            case 4:
                self.send(0, type="open_file", file_id=file_id, client_id=chance.choice([*client_ids, 5]))
            case _:
                session.line.up.write(CARETS.message(file_id, message))
        self.witness.note(self.name, "harms", message)

    def _bent(self, update: bytes, client_ids: list[int]) -> bytes:
        """An update that somebody sent, with a few bytes changed."""
        bent = bytearray(update)
        for _ in range(self.chance.randint(0, 3)):
            bent[self.chance.randrange(len(bent))] = self.chance.randrange(256)
        return bytes(bent)

    def _lost(self, session: object, code: int) -> None:
        self.witness.note(self.name, f"lost {code}")
        self.session = None
        if self.may_rejoin:
            self._loop.call_later(self.chance.uniform(0.05, 1.0), self._rejoin)

    def _arrived(self, session: object, opcode: int, payload: bytes) -> None:
        """It listens only for its welcome; what it holds is of no interest."""
        own = self.session
        if own is None or own is not session or opcode == BINARY:
            return
        notice = json.loads(payload)
        if notice["type"] == "welcome":
            own.is_welcome = True
            own.member_id = notice["member_id"]
            person_id = base64.urlsafe_b64decode(notice["person"] + "==")[:12]
            self.witness.hostile_persons.add(access.person_name(person_id))
            self.token = notice["person"]

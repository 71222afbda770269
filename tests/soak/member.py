"""The members of the crowd: each comes, does this and that, and leaves in one way or another, again and again.

Owns: what a member does, and what it writes into the ledger. Does not know: how many there are, the server's insides.
A page's member holds on to its documents when its connection is cut, comes back and sends what was not saved.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import aiohttp
from pycrdt import Doc, Text

from carets.protocol import wire
from tests.peer import Peer, join
from tests.soak.ledger import PIECE, Ledger, member_of, new_piece, piece_id, pieces_of

FILES = 3
"""Files of each workspace."""

PIECES_MAX = 40
"""Pieces of one text above which more is deleted than typed, so that texts stay as they are."""

FILLING_CHARACTERS = 20_000
"""Of a pasted piece."""

_VISIT_ACTS = 25
"""Acts for which a visit would last, on average."""

_UNREAD_ACTS = 15
"""Acts for which a slow reader reads nothing: at one a second, below the silence after which it is taken for dead."""


class Room(NamedTuple):
    """A workspace of the soak."""

    id: str
    keys: dict[str, str]
    is_busy: bool = False
    """Whether much is pasted there, so that who does not read falls behind."""


class Crowd(Protocol):
    """What a member knows of the whole."""

    url: str
    http: aiohttp.ClientSession
    ledger: Ledger
    pace_s: float
    """Between two acts of a member."""
    frozen: asyncio.Event
    """From now on nobody begins anything."""

    def pick(self, chance: random.Random, *, busy: bool) -> Room:
        """A workspace to visit."""

    def count(self, what: str) -> None:
        """Something happened."""

    async def hold(self, papers: list[Paper]) -> None:
        """All of ours is saved: stay, until it is the same everywhere and all is over."""


@dataclass
class Paper:
    """One file in a member's hands, over all connections of one visit."""

    place: str
    file_id: int
    doc: Doc[Text]
    pastes: float
    """How often a piece is a long one."""
    typed: list[int] = field(default_factory=list)
    """Pieces that were not told saved yet."""
    deleted: list[int] = field(default_factory=list)
    mark: int = 0
    """How many frames must be told saved until these are."""

    @property
    def text(self) -> Text:
        """The root."""
        return self.doc.get("text", type=Text)


class Member:
    """What both kinds have: a number, chance, and pieces that nobody else types."""

    is_slow = False

    def __init__(self, crowd: Crowd, number: int, seed: int) -> None:
        self.crowd = crowd
        self.number = number
        self.chance = random.Random(f"{seed} {number}")
        self.pieces = 0
        self.settled = asyncio.Event()
        """Whether it holds, or has left for good."""

    async def live(self) -> None:
        """Visit one workspace after the other."""
        while not self.crowd.frozen.is_set():
            await self.visit(self.crowd.pick(self.chance, busy=self.is_slow))

    async def visit(self, room: Room) -> None:
        """Come, do something, leave."""
        raise NotImplementedError

    async def rest(self, seconds: float) -> bool:
        """Wait; True when the crowd was frozen meanwhile."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.crowd.frozen.wait(), seconds)
        return self.crowd.frozen.is_set()

    def visit_s(self) -> float:
        """How long to stay."""
        return self.chance.expovariate(1 / (self.crowd.pace_s * _VISIT_ACTS))

    def pause_s(self) -> float:
        """Until the next act."""
        return self.crowd.pace_s * self.chance.uniform(0.3, 1.7)

    def type(self, paper: Paper) -> None:
        """Put a new piece between others."""
        self.pieces += 1
        filling = "x" * FILLING_CHARACTERS if self.chance.random() < paper.pastes else ""
        at = self.chance.choice([0, *(found.end() for found in PIECE.finditer(str(paper.text)))])
        piece = new_piece(self.number, self.pieces, filling)
        (id_,) = pieces_of(piece)
        self.crowd.ledger.typed[paper.place].add(id_)
        paper.typed.append(id_)
        paper.text.insert(at, piece)

    def delete(self, paper: Paper) -> None:
        """Take a whole piece out, long ones first."""
        found = list(PIECE.finditer(str(paper.text)))
        if not found:
            return
        piece = max(found, key=lambda each: (each.end() - each.start() > 100, self.chance.random()))
        self.crowd.ledger.deleted[paper.place].add(piece_id(piece))
        paper.deleted.append(piece_id(piece))
        del paper.text[piece.start() : piece.end()]

    def edit(self, paper: Paper) -> None:
        """Type or delete."""
        count = str(paper.text).count("<")
        if self.chance.random() < (0.15 if count < PIECES_MAX else 0.7):
            self.delete(paper)
        else:
            self.type(paper)
        self.crowd.count("edits")

    def note_seen(self, paper: Paper) -> None:
        """Write down which pieces of others are there."""
        self.crowd.ledger.seen[paper.place].update(
            piece for piece in pieces_of(str(paper.text)) if member_of(piece) != self.number
        )


class PageMember(Member):
    """A member as our page is one."""

    role = "editor"

    async def visit(self, room: Room) -> None:
        """Stay for a while, over as many connections as it takes."""
        files = self.chance.sample(range(1, FILES + 1), self.chance.randint(1, 2))
        papers = [Paper(f"{room.id}/{file}", file, Doc(), _pastes(room)) for file in files]
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self.visit_s()
        token, comes_back = "", True
        while comes_back:
            peer = await join(
                self.crowd.http, self.crowd.url, room.id, room.keys[self.role], person=token, name=f"Soak {self.number}"
            )
            self.crowd.count("joins")
            token = peer.welcome["person"]
            try:
                comes_back = await self._sit(peer, papers, until_s)
            finally:
                await self._part(peer, papers)

    async def _sit(self, peer: Peer, papers: list[Paper], until_s: float) -> bool:
        """Be a member over one connection. Returns whether it was cut and shall come back."""
        for paper in papers:
            await self._open(peer, paper)
        while not self.crowd.frozen.is_set() and asyncio.get_running_loop().time() < until_s:
            fate = self.chance.random()
            if self.is_slow and fate < 0.1:
                await self._read_nothing(peer)
            elif fate < 0.01:
                _transport(peer).abort()
                self.crowd.count("cuts")
                # Half of them come back and send again; of the rest nobody knows what was saved.
                return self.chance.random() < 0.5
            else:
                await self._act(peer, papers, fate)
            self._take_note(peer, papers)
            if await self.rest(self.pause_s()):
                break
        await peer.until_saved()
        self._take_note(peer, papers)
        if self.crowd.frozen.is_set():
            self.settled.set()
            await self.crowd.hold(papers)
        return False

    async def _act(self, peer: Peer, papers: list[Paper], fate: float) -> None:
        paper = self.chance.choice(papers)
        if fate < 0.04:
            peer.send_json(type="close_file", file_id=paper.file_id)
            peer.replicas.pop(paper.file_id).let_go()
            await self._round_trip(peer)
            await self._open(peer, paper)
            self.crowd.count("reopens")
        elif fate < 0.07 and self.role != "viewer":
            peer.send_json(type="chat", text=f"member {self.number} says é😀", nonce=str(fate))
            self.crowd.count("chats")
        elif fate < 0.10 and self.role != "viewer":
            peer.send_json(type="signal", kind="soak", data={"from": self.number})
            self.crowd.count("signals")
        elif self.role != "viewer":
            self.edit(paper)
            paper.mark = peer.count
        place = {"item": {"client": paper.doc.client_id, "clock": self.chance.randrange(1000)}}
        peer.send_presence(paper.file_id, {"cursor": {"anchor": place, "head": place}})

    async def _open(self, peer: Peer, paper: Paper) -> None:
        answered = peer.count + 1
        await peer.open_file(paper.file_id, doc=paper.doc)
        if self.role != "viewer":
            # The answer to the server's step 1 holds whatever was typed before and not saved.
            await peer.until(lambda: peer.count >= answered)
        paper.mark = peer.count

    async def _read_nothing(self, peer: Peer) -> None:
        transport = _transport(peer)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        transport.pause_reading()
        self.crowd.count("pauses")
        await self.rest(self.crowd.pace_s * _UNREAD_ACTS)
        transport.resume_reading()
        await self._round_trip(peer)

    @staticmethod
    async def _round_trip(peer: Peer) -> None:
        """Wait until all has come that was under way."""
        peer.notices.clear()
        peer.send_json(type="ping")
        await peer.until(lambda: any(notice["type"] == "pong" for notice in peer.notices), "for a pong")

    def _take_note(self, peer: Peer, papers: list[Paper]) -> None:
        """Write down what was told saved by now, and what is there of others."""
        for paper in papers:
            if paper.mark <= peer.saved:
                self.crowd.ledger.acked[paper.place].update(paper.typed)
                self.crowd.ledger.gone[paper.place].update(paper.deleted)
                paper.typed, paper.deleted = [], []

    async def _part(self, peer: Peer, papers: list[Paper]) -> None:
        for paper in papers:
            self.note_seen(paper)
        for replica in peer.replicas.values():
            replica.let_go()
        for refusal in peer.refusals:
            self.crowd.count(f"refused {refusal['code']}")
        await peer.close()


def _pastes(room: Room) -> float:
    return 0.1 if room.is_busy else 0.005


def _transport(peer: Peer) -> Any:
    """The transport below a connection. Raises: ConnectionResetError when it has ended."""
    transport = peer.socket._conn.transport if peer.socket._conn is not None else None
    if transport is None:
        raise ConnectionResetError(f"closed with {peer.close_code}: {peer.refusals}")
    return transport


class SlowMember(PageMember):
    """One that reads nothing for a while, in the busy room."""

    is_slow = True


class Viewer(PageMember):
    """One that only looks."""

    role = "viewer"


class StockMember(Member):
    """A plain client of y-protocols on one file: nobody tells it what was saved."""

    async def visit(self, room: Room) -> None:
        """Come, type and leave."""
        file_id = self.chance.randint(1, FILES)
        paper = Paper(f"{room.id}/{file_id}", file_id, Doc(), _pastes(room))
        url = f"{self.crowd.url}/yjs/{room.id}/~{file_id}?key={room.keys['editor']}"
        async with self.crowd.http.ws_connect(url, protocols=("yjs",), max_msg_size=0) as line:
            self.crowd.count("stock joins")
            reading = asyncio.create_task(self._read(line, paper))
            await line.send_bytes(wire.encode_step_1(paper.doc.get_state()))
            until_s = asyncio.get_running_loop().time() + self.visit_s()
            outgoing: list[bytes] = []
            subscription = paper.doc.observe(lambda event: outgoing.append(wire.encode_update(event.update)))
            while not self.crowd.frozen.is_set() and asyncio.get_running_loop().time() < until_s:
                outgoing.clear()
                self.edit(paper)
                for message in outgoing.copy():
                    await line.send_bytes(message)
                if await self.rest(self.pause_s()):
                    break
            paper.doc.unobserve(subscription)
            if self.crowd.frozen.is_set():
                self.settled.set()
                await self.crowd.hold([paper])
            self.note_seen(paper)
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    async def _read(self, line: aiohttp.ClientWebSocketResponse, paper: Paper) -> None:
        async for message in line:
            match wire.decode_message(message.data):
                case wire.Step1(state_vector):
                    await line.send_bytes(wire.encode_step_2(paper.doc.get_update(state_vector)))
                case wire.Step2(update) | wire.Update(update):
                    paper.doc.apply_update(update)

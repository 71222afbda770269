"""Real editing, recorded and replayed: who typed what on top of what, and a member of a room who types it again.

Owns: reading a trace, and the rule that nobody knows more of the others than the trace says.
Does not know: servers; a replaying member is a `Peer` like any other.

Source: github.com/josephg/editing-traces; positions are code points, where pycrdt counts UTF-8 bytes.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pycrdt import Doc, Text

from carets.protocol.updates import NONE, decode_state_vector, read_structs
from tests.peer import Peer, Replica
from tests.sessions import block, item
from tests.sessions import update as made_update

UNSAVED_MAX = 1_000
"""Edits that a typist sends ahead of `saved`: enough to keep the server busy, too few for anybody to lag."""


class Edit(NamedTuple):
    """One transaction of one agent: patches of `(position, deleted, inserted)`, and how many of the others' it knew."""

    patches: list[tuple[int, int, str]]
    others_known: int


@dataclass(frozen=True)
class Trace:
    """The edits of each agent in order, and what they make of `start`."""

    start: str
    end: str
    agents: list[list[Edit]]
    is_ascii: bool

    @property
    def count(self) -> int:
        return sum(map(len, self.agents))


def read_trace(path: Path) -> Trace:
    """Read a trace of one agent or two. Without `parents` each edit stands on the one before."""
    raw = json.loads(gzip.decompress(path.read_bytes()))
    agents: list[list[Edit]] = [[] for _ in range(raw.get("numAgents", 1))]
    known: list[list[int]] = []
    for number, txn in enumerate(raw["txns"]):
        agent = txn.get("agent", 0)
        parents = txn["parents"] if "parents" in txn else [number - 1] if number else []
        knows = [max((known[parent][other] for parent in parents), default=0) for other in range(len(agents))]
        assert knows[agent] == len(agents[agent]), "an agent that forgot an edit of its own"
        others_known = sum(knows) - knows[agent]
        assert not agents[agent] or others_known >= agents[agent][-1].others_known
        agents[agent].append(Edit([(at, gone, new) for at, gone, new in txn["patches"]], others_known))
        knows[agent] += 1
        known.append(knows)
    start, end = raw.get("startContent", ""), raw["endContent"]
    typed = (new for edits in agents for edit in edits for _, _, new in edit.patches)
    return Trace(start, end, agents, all(map(str.isascii, (start, end, *typed))))


class HeldReplica(Replica):
    """A file whose remote updates wait until they are let in, edit by edit, as long as this member does not lag.

    What was typed on in one batch comes as one update, maybe with a deletion from in between after it. It is cut again
    where the other's edits ended, which the other tells by `edit_ends`, and let in by their numbers.
    """

    def __init__(self, peer: Peer, file_id: int, client_id: int | None = None, doc: Doc[Text] | None = None) -> None:
        super().__init__(peer, file_id, client_id, doc)
        self.held: dict[int, bytes] = {}
        """The other's edits that are not let in, by their numbers."""
        self.received = 0
        """The number of the other's first edit that has not come."""
        self.other: HeldReplica | None = None
        self.edit_ends: list[int] = []
        """Its own next clock after each of its edits."""
        self._let_in = 0

    def apply(self, update: bytes) -> None:
        """Keep an update for later; the first answer, before there are any edits, is taken at once."""
        if not self.synced:
            super().apply(update)
            return
        self.held |= self._edits_of(update)
        while self.received in self.held:
            self.received += 1

    def _edits_of(self, update: bytes) -> dict[int, bytes]:
        assert self.other is not None
        ends = self.other.edit_ends
        blocks, _, _ = read_structs(update)
        if not blocks:
            deletions = (at for at in range(self._let_in, len(ends)) if ends[at] == (ends[at - 1] if at else 0))
            return {next(at for at in deletions if at not in self.held): update}
        [(client, clock, end, structs, _)] = blocks
        numbers = [
            at for at in range(self._let_in, len(ends)) if max(clock, ends[at - 1] if at else 0) < ends[at] <= end
        ]
        if len(numbers) == 1:
            return {numbers[0]: update}
        [(_, _, origin, origin_clock, right, right_clock, text_at, text_end, _)] = structs
        text = update[text_at:text_end].decode()
        assert len(text) == end - clock, "the traces have no characters of two units"
        left = None if origin == NONE else (origin, origin_clock)
        edits, first = {}, clock
        for number in numbers:
            after = ends[number]
            piece = item(text[first - clock : after - clock], left, None if right == NONE else (right, right_clock))
            edits[number] = made_update(block(client, first, piece))
            left, first = (client, after - 1), after
        return edits

    @property
    def own_clock(self) -> int:
        """The next clock of what it types."""
        return decode_state_vector(self.doc.get_state()).get(self.client_id, 0)

    async def until_received(self, count: int) -> None:
        """Wait until the others' edits up to number `count` are here."""
        if self.received < count:
            await self.peer.until(lambda: self.received >= count, f"for edit {count} of the others")

    def let_in(self, count: int) -> None:
        """Take in the others' edits up to number `count`."""
        while self._let_in < count:
            super().apply(self.held.pop(self._let_in))
            self._let_in += 1


def make_edit(replica: Replica, edit: Edit, is_ascii: bool) -> None:
    """Type one edit as one transaction, which is one update frame."""
    with replica.doc.transaction():
        for position, deleted, inserted in edit.patches:
            start, end = position, position + deleted
            if not is_ascii:
                text = str(replica.text)
                start = len(text[:position].encode())
                end = start + len(text[position : position + deleted].encode())
            if end > start:
                replica.delete(start, end - start)
            if inserted:
                replica.insert(start, inserted)


async def type_all(replica: HeldReplica, edits: list[Edit], is_ascii: bool) -> None:
    """Type an agent's edits in order, each on top of exactly as much of the others' as its author knew."""
    peer = replica.peer
    for edit in edits:
        await replica.until_received(edit.others_known)
        replica.let_in(edit.others_known)
        make_edit(replica, edit, is_ascii)
        replica.edit_ends.append(replica.own_clock)
        if peer.count - peer.saved >= UNSAVED_MAX:
            await peer.until(lambda: peer.count - peer.saved < UNSAVED_MAX // 2, "for room in the window")
    await peer.until_saved()

"""One file while its document is in memory.

Owns: the document (committed), the gate (admitted), the members who have it open, their presence.
Does not know: other files, commits, sockets.

Invariants:
  1. ``document`` holds exactly the log up to ``seq``; ``gate`` holds that and what is queued up to ``admitted_seq``.
  2. When nothing is queued, gate and document agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from weakref import ref

from carets import limits
from carets.errors import Code, Refused
from carets.protocol import wire
from carets.protocol.admission import Gate
from carets.protocol.messages import FileRecord
from carets.protocol.updates import decode_state_vector
from carets.rooms.answer import Answer
from carets.rooms.document import Document
from carets.rooms.member import Mark, Seat
from carets.rooms.presence import Whereabouts
from carets.rooms.store import Checkpoint, FileLog


class OpenFile:
    """A document, its gate, and who is in it."""

    def __init__(
        self,
        record: FileRecord,
        document: Document,
        log: FileLog,
        *,
        is_carrying: Callable[[], bool] = lambda: False,
    ) -> None:
        self.id = record.file_id
        self.document = document
        self._is_carrying = is_carrying
        self.owners = dict(log.owners)
        self.gate = self._new_gate({})
        self.former_client_ids = log.former_client_ids
        self.is_lineage_stale = False
        """Whether the file has another path since, which other files may have had before."""
        self.load_s = 0.0
        """Seconds of the event loop that it took to bring it into memory."""
        self.deleted = record.deleted_at_ms is not None
        self.seats: dict[int, Seat] = {}
        self.whereabouts = Whereabouts()
        self.seq = self.admitted_seq = log.seq
        self.checkpoint_seq = log.checkpoint.seq if log.checkpoint else 0
        self.checkpoint_running = False
        self._answers: dict[int, Answer] = {}
        self._told: Mark | None = None
        self._told_answer: Callable[[], Answer | None] = lambda: None
        self._bytes_since_told = 0
        self.bytes_since_checkpoint = sum(map(len, log.updates))

    def _new_gate(self, declared: Mapping[int, str]) -> Gate:
        """The gate of what is committed. Raises: DocumentFailed."""
        document = self.document
        return Gate.of(
            document.encode(),
            self.owners,
            outline=document.outline(),
            declared=declared,
            is_carrying=self._is_carrying,
        )

    def mark(self) -> Mark:
        """The document's present moment."""
        return Mark(self.document.version, self.document.state_vector())

    def answer(self, known: dict[int, int], step: int = wire.STEP_2) -> Answer:
        """What a member lacks that knows so much; those who ask the same between two commits share it and its bytes."""
        update = self.document.encode_since(known)
        if (answer := self._answers.get(step)) is None or answer.update is not update:
            answer = self._answers[step] = Answer(self.id, step, update)
        return answer

    def whole(self) -> tuple[Mark, Answer]:
        """What a member lacks that has nothing, and the moment of the document that this tells.

        While one of a little earlier is on its way to somebody, it is that one: who comes while others type gets what
        those before it got, and is then brought up from there. Otherwise each would have a document of its own made.
        """
        mark, is_near = self._told, self._bytes_since_told <= limits.PART_BYTES_MAX
        if mark is not None and is_near and (told := self._told_answer()) is not None and told.is_large:
            return mark, told
        self._told, answer, self._bytes_since_told = self.mark(), self.answer({}), 0
        self._told_answer = ref(answer)
        return self._told, answer

    def check_lineage(self, known: dict[int, int]) -> None:
        """Refuse a document that was typed into another file at this path: merging it would double the text.

        Raises: Refused EPOCH_CHANGED.
        """
        own = self.gate.known_clocks()
        if any(client in self.former_client_ids and client not in own for client in known):
            raise Refused(Code.EPOCH_CHANGED, "the document belongs to an earlier file at this path")

    def commit(self, updates: list[bytes], claims: list[tuple[int, str]]) -> None:
        """Take what is durable now into the document. Raises: DocumentFailed."""
        self.document.apply(updates)
        self._answers.clear()
        self.seq += len(updates)
        added_bytes = sum(map(len, updates))
        self.bytes_since_checkpoint += added_bytes
        self._bytes_since_told += added_bytes
        self.owners.update(claims)

    def fall_back(self) -> None:
        """Forget what was admitted and not committed; reservations of client ids stay."""
        declared = self.gate.declared()
        for seat in self.seats.values():
            seat.asked = False
            if seat.client_id is not None and seat.member.may_write and seat.member.dialect.has_notices:
                # Its first use may be what was just forgotten.
                declared.setdefault(seat.client_id, seat.author.person)
        self.gate = self._new_gate(declared)
        self.admitted_seq = self.seq

    @property
    def is_clean(self) -> bool:
        """Whether all that was admitted is committed."""
        return self.admitted_seq == self.seq

    @property
    def is_checkpoint_due(self) -> bool:
        """Whether enough came since the last checkpoint to be worth a new one."""
        return (
            self.seq - self.checkpoint_seq >= limits.CHECKPOINT_UPDATES
            or self.bytes_since_checkpoint >= limits.CHECKPOINT_BYTES
        ) and self.seq > self.checkpoint_seq

    def make_checkpoint(self) -> Checkpoint:
        """A checkpoint of the document as it is committed. Raises: DocumentFailed."""
        return Checkpoint(self.seq, self.document.encode())

    def checkpointed(self, checkpoint: Checkpoint) -> None:
        """The checkpoint is kept."""
        self.checkpoint_seq = checkpoint.seq
        self.bytes_since_checkpoint = 0

    def agrees(self) -> bool:
        """Whether gate and document say the same of clocks and length; meaningful only while clean. For simulations."""
        state = decode_state_vector(self.document.state_vector())
        other = Gate.of(self.document.encode(), self.owners)
        return self.gate.known_clocks() == state == other.known_clocks() and self.gate.units == other.units

    def describe(self) -> dict[str, object]:
        """For the operator."""
        return {
            "file_id": self.id,
            "units": self.gate.units,
            "seq": self.seq,
            "queued": self.admitted_seq - self.seq,
            "members": len(self.seats),
            "behind": sum(seat.behind is not None for seat in self.seats.values()),
        }

"""A workspace's chat: its latest entries, as they are committed and as they will be when what is queued is.

Owns: which id comes next, what is known as a repetition, which entries are told at once.
Does not know: members' rights, commits, stores. Earlier entries are the store's.

Invariants:
  1. Ids count from 1 without gaps, and an id is told only once its entry is durable.
  2. One person's nonce names one entry among the latest `CHAT_TAIL_ENTRIES` and those that are queued.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from carets import limits
from carets.protocol.messages import ChatNotice, ChatRecord
from carets.rooms.store import ChatEntry


class Chat:
    """The chat of one workspace."""

    def __init__(self, latest: Sequence[ChatEntry]) -> None:
        self._latest: deque[ChatEntry] = deque(latest, maxlen=limits.CHAT_TAIL_ENTRIES)
        self.fall_back()

    @property
    def is_empty(self) -> bool:
        """Whether nobody ever said anything."""
        return not self._latest

    def admit(self, at_ms: int, author: str, look: tuple[str, str], text: str, nonce: str) -> tuple[ChatEntry, bool]:
        """The entry for a message of an author, who looks so (name, colour), and whether it is new."""
        known = self._nonces.get((author, nonce))
        if known is not None:
            return known, False
        entry = ChatEntry(self._next_id, at_ms, author, *look, text, nonce)
        self._next_id += 1
        self._nonces[author, nonce] = entry
        return entry, True

    def commit(self, entries: Iterable[ChatEntry]) -> None:
        """Take what is durable now; what is no longer among the latest is forgotten."""
        for entry in entries:
            if len(self._latest) == self._latest.maxlen:
                oldest = self._latest[0]
                self._nonces.pop((oldest.author, oldest.nonce), None)
            self._latest.append(entry)

    def fall_back(self) -> None:
        """Forget what was admitted and not committed."""
        self._next_id = self._latest[-1].chat_id + 1 if self._latest else 1
        self._nonces = {(entry.author, entry.nonce): entry for entry in self._latest}

    def tail(self) -> ChatNotice:
        """The latest entries, as many as `CHAT_TAIL_BYTES` hold."""
        return ChatNotice(_last([entry.record for entry in self._latest]), full=True)

    def news(self, entries: Sequence[ChatEntry]) -> ChatNotice:
        """The notice of entries that were just committed: these alone, or the tail when they have more bytes."""
        records = [entry.record for entry in entries]
        return ChatNotice(records) if sum(map(_bytes_of, records)) <= limits.CHAT_TAIL_BYTES else self.tail()


def _bytes_of(record: ChatRecord) -> int:
    return len(msgspec.json.encode(record)) + 1


def _last(records: list[ChatRecord]) -> list[ChatRecord]:
    """The last of these, as many as `CHAT_TAIL_BYTES` hold."""
    bytes_left = limits.CHAT_TAIL_BYTES
    first = len(records)
    for record in reversed(records):
        bytes_left -= _bytes_of(record)
        if bytes_left < 0:
            break
        first -= 1
    return records[first:]

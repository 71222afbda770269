"""Log entries as one blob: what an engine keeps for one file and one commit.

Owns: the format, by its version byte. Does not know: where blobs go.

The format, version 1: the byte 1, then the MessagePack array ``[authors, at_ms, author_indexes, updates]``. Each author
is told once, in `authors`; the first time is whole, the others are told from the one before (and may be negative).
The columns cost some 3 bytes for each entry beside its update.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from carets.rooms.store import LogEntry

RECORD_VERSION = 1


class _Record(msgspec.Struct, array_like=True):
    """The columns, in their order."""

    authors: list[str]
    at_ms: list[int]
    author_indexes: list[int]
    updates: list[bytes]


_record_encoder = msgspec.msgpack.Encoder()
_record_decoder = msgspec.msgpack.Decoder(_Record)


def encode_record(entries: Sequence[LogEntry]) -> bytes:
    """Entries as one blob."""
    authors: dict[str, int] = {}
    record = _Record([], [], [], [])
    before_ms = 0
    for at_ms, author, update in entries:
        record.at_ms.append(at_ms - before_ms)
        record.author_indexes.append(authors.setdefault(author, len(authors)))
        record.updates.append(update)
        before_ms = at_ms
    record.authors = list(authors)
    return bytes((RECORD_VERSION,)) + _record_encoder.encode(record)


def decode_record(blob: bytes) -> list[LogEntry]:
    """The entries of one blob.

    Raises: ValueError for what `encode_record` has not made (msgspec's errors are among them).
    """
    if blob[:1] != bytes((RECORD_VERSION,)):
        raise ValueError(f"a log record of version {blob[:1].hex()}, which this build does not know")
    record = _record_decoder.decode(memoryview(blob)[1:])
    at_ms = 0
    entries = []
    for later_ms, index, update in zip(record.at_ms, record.author_indexes, record.updates, strict=True):
        at_ms += later_ms
        entries.append(LogEntry(at_ms, record.authors[index], update))
    return entries

"""Log entries as one blob, and checkpoints as one: what an engine keeps of one file, with the means to notice damage.

Owns: both formats, by their version bytes. Does not know: where blobs go.

A record, version 2: the byte 2, a CRC-32 of the rest (big endian), then the MessagePack array ``[authors, at_ms,
author_indexes, updates]``. Each author is told once, in `authors`; the first time is whole, the others are told from
the one before. The columns cost some 3 bytes for each entry beside its update. Version 1 had no CRC.
A checkpoint: eight bytes FF, with which no Yjs update begins, the byte 1, a CRC-32 of the rest, then the state.
Earlier builds kept the state alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import msgspec

from carets.rooms.store import LogEntry

RECORD_VERSION = 2
_UNSUMMED_VERSION = 1

_CHECKPOINT_HEAD = b"\xff" * 8 + b"\x01"
_SUM_BYTES = 4


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
    times: list[int] = []
    indexes: list[int] = []
    updates: list[bytes] = []
    before_ms = 0
    for at_ms, author, update in entries:
        times.append(at_ms - before_ms)
        indexes.append(authors.setdefault(author, len(authors)))
        updates.append(update)
        before_ms = at_ms
    # In the order of `_Record`, which is read.
    columns = _record_encoder.encode((list(authors), times, indexes, updates))
    return b"".join((bytes((RECORD_VERSION,)), _sum(columns), columns))


def decode_record(blob: bytes) -> list[LogEntry]:
    """The entries of one blob.

    Raises: ValueError for what `encode_record` has not made (msgspec's errors are among them).
    """
    if blob[:1] == bytes((RECORD_VERSION,)):
        columns = _checked(blob, 1)
    elif blob[:1] == bytes((_UNSUMMED_VERSION,)):
        columns = memoryview(blob)[1:]
    else:
        raise ValueError(f"a log record of version {blob[:1].hex() or 'none'}, which this build does not know")
    record = _record_decoder.decode(columns)
    if not all(0 <= index < len(record.authors) for index in record.author_indexes):
        raise ValueError("an author that is not told")
    at_ms = 0
    entries = []
    for later_ms, index, update in zip(record.at_ms, record.author_indexes, record.updates, strict=True):
        at_ms += later_ms
        entries.append(LogEntry(at_ms, record.authors[index], update))
    return entries


def encode_checkpoint(state: bytes) -> bytes:
    """A document's state as it is kept."""
    return b"".join((_CHECKPOINT_HEAD, _sum(state), state))


def decode_checkpoint(blob: bytes) -> bytes:
    """The state. Raises: ValueError when it is not what was kept."""
    return bytes(_checked(blob, len(_CHECKPOINT_HEAD))) if blob.startswith(_CHECKPOINT_HEAD) else blob


def _sum(kept: bytes | memoryview) -> bytes:
    return crc32(kept).to_bytes(_SUM_BYTES, "big")


def _checked(blob: bytes, at: int) -> memoryview:
    """What follows the sum at this place. Raises: ValueError when the sum is another."""
    kept = memoryview(blob)[at + _SUM_BYTES :]
    if _sum(kept) != blob[at : at + _SUM_BYTES]:
        raise ValueError("its checksum is another: it was torn or changed on the disk")
    return kept

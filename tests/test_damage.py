"""Rows of the data file that are not as they were written: noticed, named, and never applied.

What a disk does to them is done here by an UPDATE beside the store.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from carets.engines.record import decode_checkpoint, decode_record, encode_checkpoint, encode_record
from carets.engines.sqlite import SqliteStore
from carets.protocol.messages import FileRecord
from carets.rooms.store import Batch, Checkpoint, StoreFailed
from tests.suites.store_promises import ROOM, bytes_of, entry, record, updates


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """Two files with ten updates each, in four rows: 1 to 3, 4 to 5, 6, 7 to 10."""
    store = SqliteStore.open(tmp_path / "carets.db")
    await store.create_workspace(record(FileRecord(1, "a.py", "e1"), FileRecord(2, "b.py", "e2")), Batch(ROOM))
    for file_id in (1, 2):
        for seq, count in ((1, 3), (4, 2), (6, 1), (7, 4)):
            await store.append(updates(seq, count, file_id))
    yield store
    await store.close()


@pytest.fixture
def spoil(tmp_path: Path) -> Callable[..., None]:
    """Do something to the rows of file 1 behind the store's back; `{document}` stands for its document."""

    def run(sql: str, *values: object) -> None:
        with sqlite3.connect(tmp_path / "carets.db") as connection:
            (document,) = connection.execute("SELECT document FROM files WHERE file_id = 1").fetchone()
            assert connection.execute(sql.format(document=document), values).rowcount == 1
        connection.close()

    return run


async def failure(store: SqliteStore, file_id: int = 1) -> str:
    with pytest.raises(StoreFailed) as caught:
        await store.load_file(ROOM, file_id)
    return caught.value.detail


@pytest.mark.parametrize("seq", [1, 4, 6, 7])
async def test_a_changed_row_is_named_and_the_other_files_go_on(
    store: SqliteStore, spoil: Callable[..., None], seq: int
) -> None:
    torn = encode_record([entry(1)])[:-4] + bytes(4)
    with capture_logs() as logs:
        spoil("UPDATE log SET record = ? WHERE document = {document} AND seq = ?", torn, seq)
        told = await failure(store)
    assert told.startswith(
        f"file 1 of workspace {ROOM}: update {seq} of the log cannot be read (its checksum is another"
    )
    assert [(log["event"], log["workspace"], log["file"], log["seq"]) for log in logs] == [
        ("record_damaged", ROOM, 1, seq)
    ]
    with pytest.raises(StoreFailed, match=f"update {seq} of the log"):
        await store.read_log(ROOM, 1, 0, 10)
    assert (await store.load_file(ROOM, 2)).updates == bytes_of(1, 10)
    await store.append(updates(11, 1, 2))
    assert (await store.load_file(ROOM, 2)).seq == 11


async def test_what_a_damaged_row_does_not_touch_can_still_be_read(
    store: SqliteStore, spoil: Callable[..., None]
) -> None:
    await store.put_checkpoint(ROOM, 1, Checkpoint(5, b"state"))
    spoil("UPDATE log SET record = x'02' WHERE document = {document} AND seq = 1")
    log = await store.load_file(ROOM, 1)
    assert (log.checkpoint, log.updates) == ((5, b"state"), bytes_of(6, 10))
    assert await store.read_log(ROOM, 1, 3, 10) == [entry(number) for number in range(4, 11)]


@pytest.mark.parametrize(
    "sql, named, reason",
    [
        ("DELETE FROM log WHERE document = {document} AND seq = 1", 1, "the next row begins with update 4"),
        ("DELETE FROM log WHERE document = {document} AND seq = 4", 4, "the next row begins with update 6"),
        ("UPDATE log SET count = 3 WHERE document = {document} AND seq = 4", 4, "2 updates where there were 3"),
        ("UPDATE log SET count = 1 WHERE document = {document} AND seq = 7", 7, "4 updates where there were 1"),
        ("UPDATE log SET seq = 17 WHERE document = {document} AND seq = 7", 7, "the next row begins with update 17"),
        ("UPDATE log SET record = x'' WHERE document = {document} AND seq = 6", 6, "version none"),
        ("UPDATE log SET record = x'0900' WHERE document = {document} AND seq = 6", 6, "version 09"),
    ],
)
async def test_rows_that_do_not_make_a_whole_log_are_noticed(
    store: SqliteStore, spoil: Callable[..., None], sql: str, named: int, reason: str
) -> None:
    spoil(sql)
    told = await failure(store)
    assert f"update {named} of the log" in told
    assert reason in told


async def test_a_log_that_ends_before_its_checkpoint_is_noticed(store: SqliteStore, spoil: Callable[..., None]) -> None:
    """The checkpoint would have hidden it, and the next update would have got a number for the second time."""
    await store.put_checkpoint(ROOM, 1, Checkpoint(10, b"state"))
    spoil("DELETE FROM log WHERE document = {document} AND seq = 7")
    assert "update 7 of the log cannot be read (the log ends before it" in await failure(store)


@pytest.mark.parametrize("keep", [lambda kept: kept[:-1] + b"!", lambda kept: kept[:9], lambda kept: kept[:-1]])
async def test_a_changed_checkpoint_counts_as_none_since_the_log_has_all(
    store: SqliteStore, spoil: Callable[..., None], keep: Callable[[bytes], bytes]
) -> None:
    await store.put_checkpoint(ROOM, 1, Checkpoint(5, b"state"))
    await store.quarantine(ROOM, 1, 8)
    with capture_logs() as logs:
        changed = keep(encode_checkpoint(b"state"))
        spoil("UPDATE checkpoints SET state = ? WHERE document = {document}", changed)
        log = await store.load_file(ROOM, 1)
    assert (log.checkpoint, log.updates) == (None, [*bytes_of(1, 7), b"", *bytes_of(9, 10)])
    assert [each["event"] for each in logs] == ["checkpoint_broken"]


def test_a_flip_of_any_bit_is_noticed() -> None:
    kept = encode_record([entry(1), entry(2)])
    state = encode_checkpoint(b"some state")
    for at in range(8 * len(kept)):
        with pytest.raises(ValueError):  # noqa: PT011 - any text will do
            decode_record(flipped(kept, at))
    for at in range(8 * 9, 8 * len(state)):
        with pytest.raises(ValueError, match="checksum"):
            decode_checkpoint(flipped(state, at))
    for at in range(8 * 9):  # what is left is no Yjs update, and is refused where those are read
        assert decode_checkpoint(flipped(state, at)) == flipped(state, at)


def flipped(blob: bytes, at: int) -> bytes:
    changed = bytearray(blob)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def test_records_of_version_1_are_still_read() -> None:
    entries = [entry(1), entry(2)]
    columns = encode_record(entries)[5:]
    assert decode_record(b"\x01" + columns) == entries
    assert decode_checkpoint(b"\x00\x00") == b"\x00\x00"


@pytest.mark.parametrize("index", [1, -1])
def test_a_record_of_version_1_whose_author_is_not_told_is_a_value_error(index: int) -> None:
    columns = msgspec.msgpack.encode([["person:ann"], [5], [index], [b"x"]])
    with pytest.raises(ValueError, match="author"):
        decode_record(b"\x01" + columns)

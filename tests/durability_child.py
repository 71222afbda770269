"""A small program that saves batches and says ``ack N;`` for each, for tests that watch its system calls or kill it.

``python -m tests.durability_child MODE DATABASE COUNT``. Each batch appends its text ``batch-00000N;`` to two files.

Modes: `honest`; `unsynced`, with SQLite's ``synchronous = OFF``; `early`, whose acks leave before the COMMIT.
A batch that fails is said to have ``failed N;`` and given once more, as a client would.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from carets.engines.sqlite import SqliteStore
from carets.protocol.messages import FileRecord
from carets.rooms.store import Batch, FileAppend, LogEntry, StoreFailed, WorkspaceRecord

if TYPE_CHECKING:
    from sqlite3 import _Parameters

ROOM = "workspace-1"


def text_of(number: int) -> bytes:
    return b"batch-%06d;" % number


def say(word: str, number: int) -> None:
    os.write(sys.stdout.fileno(), f"{word} {number};\n".encode())


class Unsynced(sqlite3.Connection):
    def execute(self, sql: str, parameters: _Parameters = (), /) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous = FULL", "synchronous = OFF"), parameters)


class Early(sqlite3.Connection):
    number = 0

    def execute(self, sql: str, parameters: _Parameters = (), /) -> sqlite3.Cursor:
        if sql == "COMMIT" and Early.number:
            say("ack", Early.number)
        return super().execute(sql, parameters)


async def save(mode: str, path: Path, count: int) -> None:
    connection_class = {"honest": sqlite3.Connection, "unsynced": Unsynced, "early": Early}[mode]
    store = SqliteStore.open(path, connection_class=connection_class)
    files = [FileRecord(1, "a.py", "e1"), FileRecord(2, "b.py", "e2")]
    await store.create_workspace(WorkspaceRecord(ROOM, "", 0, files), Batch(ROOM))
    for number in range(1, count + 1):
        appends = [FileAppend(file_id, number, [LogEntry(0, "person:ann", text_of(number))]) for file_id in (1, 2)]
        Early.number = number
        try:
            await store.append(Batch(ROOM, appends))
        except StoreFailed:
            say("failed", number)
            await store.append(Batch(ROOM, appends))
        if mode != "early":
            say("ack", number)
    await store.close()


if __name__ == "__main__":
    asyncio.run(save(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))

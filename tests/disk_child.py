"""A fixed piece of work with a store, for tests that let its n-th system call fail.

``python -m tests.disk_child FILE``. Each step is told as ``ack NAME`` once the store has promised it. A step that fails
is looked for, as a room does, and tried again where it is certainly not there; after `TRIES` it is given up, and the
rest goes on.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from carets.engines.sqlite import SqliteStore
from carets.errors import Misconfigured
from carets.protocol.messages import FileRecord
from carets.rooms.store import (
    Batch,
    ChatEntry,
    Checkpoint,
    FileAppend,
    LinkRecord,
    LogEntry,
    StoreFailed,
    WorkspaceRecord,
    may_be_kept,
)

ROOM = "workspace-1"
FILES = [FileRecord(1, "a.py", "e1"), FileRecord(2, "b.py", "e2")]
LINKS = [LinkRecord("link-1", "owner", b"hash", "owner", 0)]
LINK = LinkRecord("link-2", "editor", b"hash", "late", 1)
TITLE = "Another title"
EDITS = 6
CHECKPOINT = Checkpoint(EDITS // 2, b"state")
TRIES = 3


def text_of(number: int) -> bytes:
    """Some are longer than a page."""
    return b"edit %d;" % number * (1 if number % 3 else 900)


def said(number: int) -> ChatEntry:
    return ChatEntry(number, 0, "person:ann", "Ann", "#123456", f"message {number}", f"nonce {number}")


def batch_of(number: int) -> Batch:
    """An edit of both files with a first use of a client id, a message, and with the last a new file."""
    appends = [
        FileAppend(file_id, number, [LogEntry(number, "person:ann", text_of(number))], [(number, "person:ann")])
        for file_id in (1, 2)
    ]
    files = [FileRecord(3, "c.py", "e3")] if number == EDITS else []
    return Batch(ROOM, appends, files, number, [said(number)])


def say(word: str, name: str) -> None:
    os.write(sys.stdout.fileno(), f"{word} {name}\n".encode())


async def insist(name: str, work: Callable[[], Awaitable[object]], is_there: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(TRIES):
        try:
            await work()
        except StoreFailed:
            say("failed", name)
            if not await is_there():
                continue
        say("ack", name)
        return


async def never() -> bool:
    return False


async def main(path: Path) -> int:
    try:
        store = SqliteStore.open(path)
    except Misconfigured as error:
        say("refused", str(error))
        return 2
    record = WorkspaceRecord(ROOM, "", 0, FILES, LINKS)

    async def is_made() -> bool:
        return await store.load_workspace(ROOM) is not None

    try:
        await insist("create", lambda: store.create_workspace(record, Batch(ROOM)), is_made)
        for number in range(1, EDITS + 1):
            batch, committed = batch_of(number), {file.file_id: file for file in FILES}
            await insist(
                f"edit {number}",
                lambda batch=batch: store.append(batch),  # type: ignore[misc]
                lambda batch=batch, committed=committed: may_be_kept(store, batch, committed),  # type: ignore[misc]
            )
            if number == EDITS // 2:
                await insist("checkpoint", lambda: store.put_checkpoint(ROOM, 1, CHECKPOINT), never)
        await insist("link", lambda: store.put_link(ROOM, LINK), never)
        await insist("title", lambda: store.put_workspace(ROOM, TITLE, None), never)
        await insist("probe", lambda: store.probe(100_000), never)
    except StoreFailed as error:
        say("lost sight", str(error))
    await store.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]))))

"""``carets serve`` as it is, or with one promise of its store broken, for tests that watch its system calls.

``python -m tests.durability_server MODE --port 0 --data DIR``. Modes: `honest`; `unsynced`, with SQLite's
``synchronous = OFF``; `early`, whose store returns before its write is done.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path
from typing import ClassVar

from carets import config, server
from carets.engines.sqlite import SqliteStore
from carets.rooms.store import Batch
from tests.durability_child import Unsynced


class UnsyncedStore(SqliteStore):
    @classmethod
    def open(cls, path: Path, *, connection_class: type[sqlite3.Connection] = Unsynced) -> SqliteStore:
        return super().open(path, connection_class=connection_class)


class EarlyStore(SqliteStore):
    writes: ClassVar[list[asyncio.Task[None]]] = []

    async def append(self, batch: Batch) -> None:
        self.writes.append(asyncio.create_task(super().append(batch)))


STORES = {"honest": SqliteStore, "unsynced": UnsyncedStore, "early": EarlyStore}

if __name__ == "__main__":
    server.SqliteStore = STORES[sys.argv[1]]  # type: ignore[attr-defined]
    sys.exit(server.serve(config.parse(sys.argv[2:])))

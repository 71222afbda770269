"""Which of a workspace's documents are in memory, and what is kept of them besides the log.

Owns: loading, checkpoints, putting idle documents away, setting aside updates that cannot be applied.
Does not know: members' rights, commits, other workspaces.

Invariants:
  1. A file is loaded once for all who wait for it.
  2. A document leaves memory only when nobody has it open, all of it is durable, and its checkpoint is the newest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import structlog

from carets import limits
from carets.errors import Code, Refused
from carets.protocol.updates import read_structs
from carets.rooms import chores
from carets.rooms import document as documents
from carets.rooms.allowance import Allowance
from carets.rooms.file import OpenFile
from carets.rooms.files import FileTable
from carets.rooms.storage import Storage
from carets.rooms.store import FileLog, StoreFailed

_log = structlog.get_logger("carets.shelf")


class Shelf:
    """The open files of one workspace."""

    def __init__(
        self,
        workspace_id: str,
        store: Storage,
        table: FileTable,
        clock_s: Callable[[], float],
        *,
        is_carrying: Callable[[], bool] = lambda: False,
    ) -> None:
        self.files: dict[int, OpenFile] = {}
        self._workspace_id = workspace_id
        self._store = store
        self._table = table
        self._clock_s = clock_s
        self._is_carrying = is_carrying
        self._loading: dict[int, asyncio.Task[None]] = {}
        self._chores: set[asyncio.Task[None]] = set()

    @property
    def is_busy(self) -> bool:
        """Whether a load or a checkpoint is under way."""
        return bool(self._loading or self._chores)

    async def load(self, file_id: int, payer: Allowance | None = None) -> OpenFile:
        """The file, brought into memory if it is not there, at the payer's cost. Raises: Refused, StoreFailed."""
        is_there = file_id in self.files
        while (file := self.files.get(file_id)) is None:
            self._table.live(file_id)
            task = self._loading.get(file_id)
            if task is None:
                if sum(each.gate.units for each in self.files.values()) >= limits.ROOM_UNITS_MAX:
                    raise Refused(Code.FILES_OPEN_TOO_MANY, "the members together have as much text open as may be")
                task = self._loading[file_id] = chores.begin(self._load(file_id))
                task.add_done_callback(lambda _: self._loading.pop(file_id, None))
            await asyncio.shield(task)
        if payer is not None and not is_there:
            payer.spent(file.load_s)
        if file.is_lineage_stale:
            log = await self._store.load_file(self._workspace_id, file_id)
            file.former_client_ids, file.is_lineage_stale = log.former_client_ids, False
        return file

    async def read_text(self, file_id: int) -> str:
        """The committed text of a live file; its document does not stay for it. Raises: Refused, StoreFailed."""
        self._table.live(file_id)
        try:
            if file := self.files.get(file_id):
                return file.document.text()
            document, *_ = await self._read(file_id)
            return document.text()
        except documents.DocumentFailed as error:
            raise StoreFailed(Code.UNAVAILABLE, "the file cannot be read") from error

    async def _load(self, file_id: int) -> None:
        document, log, began_s = await self._read(file_id)
        file = OpenFile(self._table.committed[file_id], document, log, is_carrying=self._is_carrying)
        file.load_s = self._clock_s() - began_s
        file.deleted = self._table.is_deleted(file_id)  # its deletion may have been admitted during the load
        self.files[file_id] = file

    async def _read(self, file_id: int) -> tuple[documents.Document, FileLog, float]:
        """A file's document, the log that it was made of, and when that began. Raises: StoreFailed."""
        log = await self._store.load_file(self._workspace_id, file_id)
        began_s = self._clock_s()
        document, bad = self._build(file_id, log)
        if log.checkpoint is not None and 0 in bad:
            _log.error("checkpoint_broken", workspace=self._workspace_id, file=file_id, seq=log.checkpoint.seq)
            entries = await self._store.read_log(self._workspace_id, file_id, 0, log.seq)
            updates = [entry.update for entry in entries]
            log = FileLog(None, updates, log.owners, log.former_client_ids)
            document, bad = self._build(file_id, log)
        for seq in bad:
            _log.error("update_quarantined", workspace=self._workspace_id, file=file_id, seq=seq)
            await self._store.quarantine(self._workspace_id, file_id, seq)
        if not _holds(document, [update for seq, update in _numbered(log) if seq not in bad]):
            # Going on would show, and soon checkpoint, a text without edits that were told saved. The log has them all.
            _log.error("document_incomplete", workspace=self._workspace_id, file=file_id, set_aside=bad)
            raise StoreFailed(Code.UNAVAILABLE, "edits of the file rest on one that cannot be applied")
        return document, log, began_s

    def _build(self, file_id: int, log: FileLog) -> tuple[documents.Document, list[int]]:
        """A log's document, and the numbers of updates that had to be left out; 0 stands for the checkpoint."""
        numbered = _numbered(log)
        if log.checkpoint is not None:
            numbered.insert(0, (0, log.checkpoint.state))
        try:
            document, bad = documents.load([update for _, update in numbered])
        except documents.DocumentFailed as error:
            _log.exception("document_unloadable", workspace=self._workspace_id, file=file_id)
            raise StoreFailed(Code.UNAVAILABLE, "the file cannot be loaded") from error
        return document, [numbered[place][0] for place in bad]

    def unload_idle(self) -> None:
        """Put away what nobody has open, after its last checkpoint."""
        for file in list(self.files.values()):
            if file.seats or not file.is_clean or file.checkpoint_running:
                continue
            if file.seq > file.checkpoint_seq:
                self._checkpoint(file)
            else:
                del self.files[file.id]

    def checkpoint_if_due(self, file: OpenFile) -> None:
        """Begin a checkpoint if enough came since the last one."""
        if file.is_checkpoint_due and not file.checkpoint_running:
            self._checkpoint(file)

    def _checkpoint(self, file: OpenFile) -> None:
        if not self._store.is_writable:
            return
        file.checkpoint_running = True
        self._chore(self._put_checkpoint(file))

    async def _put_checkpoint(self, file: OpenFile) -> None:
        try:
            checkpoint = file.make_checkpoint()
            await self._store.put_checkpoint(self._workspace_id, file.id, checkpoint)
            file.checkpointed(checkpoint)
        except (StoreFailed, documents.DocumentFailed) as error:
            _log.warning("checkpoint_failed", workspace=self._workspace_id, file=file.id, error=str(error))
        finally:
            file.checkpoint_running = False

    def _chore(self, work: Coroutine[object, object, None]) -> None:
        task = chores.begin(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def settle(self) -> None:
        """Wait until the checkpoints under way are kept."""
        while self._chores:
            await asyncio.wait(self._chores)


def _numbered(log: FileLog) -> list[tuple[int, bytes]]:
    """The updates after the checkpoint that are not set aside, with their numbers."""
    first = log.seq - len(log.updates) + 1
    return [(seq, update) for seq, update in enumerate(log.updates, first) if update]


def _holds(document: documents.Document, updates: list[bytes]) -> bool:
    """Whether all that these updates typed is part of the document, and nothing waits in it for what is not there."""
    clocks = document.clocks()
    blocks = (block for update in updates for block in read_structs(update)[0])
    return all(clocks.get(block.client, 0) >= block.end for block in blocks)

"""The store as all rooms of a process share it: whether it takes what it is given, and why not.

Owns: what ails the store, the probes that find out when it is well again, the watch on writes that do not return.
Does not know: members, files, SQL. Itself it is a `Store`: reads go through as they are, writes pass here.

Invariants:
  1. While it is not writable nothing but a probe is written, and every write fails at once, with the reason.
  2. It is not writable from a failed probe to a probe that is durable. A failed write alone is followed by a probe.
  3. A write that does not return is told as `stalled`, and takes nothing from anybody: what comes next waits behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import structlog

from carets import limits
from carets.errors import Code
from carets.metrics import Metrics
from carets.protocol.messages import FaultName
from carets.rooms import chores
from carets.rooms.store import (
    Batch,
    ChatEntry,
    Checkpoint,
    FileLog,
    LinkRecord,
    LogEntry,
    Store,
    StoreFailed,
    WorkspaceRecord,
)

_log = structlog.get_logger("carets.storage")

T = TypeVar("T")

SENTENCES: dict[FaultName, str] = {
    "full": "its disk is full",
    "read_only": "its disk is read-only",
    "failing": "its disk fails",
    "damaged": "its data are damaged; the operator should run carets check",
    "stalled": "its disk does not answer",
}
"""How each fault reads behind "the server cannot save"."""

_MAKE_ROOM = "make room on its disk: it goes on by itself, and cannot be restarted before"
_MEND = "mend what the error says: it goes on by itself"


class Storage:
    """A store and how it is."""

    def __init__(self, store: Store, on_change: Callable[[], None], metrics: Metrics, place: str = "") -> None:
        """`on_change` is called whenever `fault` is another; `place` is where the store is, for the log."""
        self._place = place
        self._store = store
        self._metrics = metrics
        self._on_change = on_change
        self._broken: FaultName | None = None
        self._begun: dict[object, float] = {}
        """When each write that is under way began, the oldest first; without those that are known to stall."""
        self._watch: asyncio.TimerHandle | None = None
        self._stalled: set[object] = set()
        self._bytes_needed = limits.PROBE_BYTES
        self._probing: asyncio.Task[None] | None = None

    @property
    def fault(self) -> FaultName | None:
        """What ails the store; None while it is well."""
        return self._broken or ("stalled" if self._stalled else None)

    @property
    def is_writable(self) -> bool:
        """Whether writes are given to the store; one that stalls still gets them."""
        return self._broken is None

    def stop(self) -> None:
        """No more probes, and no more watch."""
        if self._probing is not None:
            self._probing.cancel()
        if self._watch is not None:
            self._watch.cancel()

    def describe(self) -> dict[str, object]:
        """For the operator."""
        return {"writable": self.is_writable, "fault": self.fault, "stalled_writes": len(self._stalled)}

    # -- writes

    def check(self) -> None:
        """Raises: StoreFailed while nothing can be written."""
        if self._broken is not None:
            raise failure_of(self._broken)

    async def _write(self, work: Callable[[], Coroutine[object, object, None]], bytes_count: int = 0) -> None:
        self.check()
        write = object()
        self._begun[write] = asyncio.get_running_loop().time()
        if self._watch is None:
            self._watch = chores.later(limits.WRITE_STALL_S, self._look)
        try:
            await work()
        except StoreFailed as error:
            self._take_failure(error, bytes_count)
            raise
        else:
            self._bytes_needed = limits.PROBE_BYTES
        finally:
            self._begun.pop(write, None)
            if write in self._stalled:
                self._stalled.remove(write)
                self._on_change()

    def _look(self) -> None:
        """One timer looks at all writes: a busy server makes thousands a second, each for a moment."""
        self._watch = None
        now_s = asyncio.get_running_loop().time()
        for write, begun_s in list(self._begun.items()):
            wait_s = begun_s + limits.WRITE_STALL_S - now_s
            if wait_s > 0:
                # They are in the order in which they were begun.
                self._watch = chores.later(wait_s, self._look)
                return
            del self._begun[write]
            self._stalls(write)

    def _stalls(self, write: object) -> None:
        _log.error("write_stalls", seconds=limits.WRITE_STALL_S)
        self._stalled.add(write)
        self._on_change()

    def _take_failure(self, error: StoreFailed, bytes_count: int) -> None:
        """A write failed: find out whether others would. Damage is one workspace's, and no probe can tell of it."""
        self._count_damage(error)
        if error.fault is None or error.fault == "damaged":
            return
        self._bytes_needed = max(self._bytes_needed, min(bytes_count, limits.BATCH_BYTES_MAX))
        if self._probing is None or self._probing.done():
            self._probing = chores.begin(self._probe())

    def _count_damage(self, error: StoreFailed) -> None:
        self._metrics.damaged += error.fault == "damaged"

    async def _probe(self) -> None:
        """Probe at once, and again until it is durable."""
        while True:
            try:
                await self._store.probe(self._bytes_needed)
            except StoreFailed as error:
                self._set(error.fault or "failing", error)
            else:
                self._set(None, None)
                return
            await asyncio.sleep(limits.PROBE_EVERY_S)

    def _set(self, broken: FaultName | None, error: StoreFailed | None) -> None:
        if broken == self._broken:
            return
        if broken is None:
            _log.info("storage_writable")
        else:
            next_step = _MAKE_ROOM if broken == "full" else _MEND
            _log.error("storage_read_only", fault=broken, error=str(error), store=self._place, next_step=next_step)
        self._broken = broken
        self._on_change()

    # -- the store: writes

    async def create_workspace(self, record: WorkspaceRecord, first: Batch) -> None:
        """See `Store`."""
        await self._write(lambda: self._store.create_workspace(record, first), _bytes_of(first))

    async def put_workspace(self, workspace_id: str, title: str, deleted_at_ms: int | None) -> None:
        """See `Store`."""
        await self._write(lambda: self._store.put_workspace(workspace_id, title, deleted_at_ms))

    async def append(self, batch: Batch) -> None:
        """See `Store`."""
        metrics, mark, bytes_count = self._metrics, object(), _bytes_of(batch)
        began_s = metrics.commits_begun[mark] = metrics.clock()
        try:
            await self._write(lambda: self._store.append(batch), bytes_count)
        except StoreFailed:
            metrics.commits_failed += 1
            raise
        finally:
            del metrics.commits_begun[mark]
        metrics.commit_seconds.observe(metrics.clock() - began_s)
        metrics.commit_updates.observe(sum([len(append.entries) for append in batch.appends]))
        metrics.commit_bytes.observe(bytes_count)

    async def put_checkpoint(self, workspace_id: str, file_id: int, checkpoint: Checkpoint) -> None:
        """See `Store`."""
        size = len(checkpoint.state)
        await self._write(lambda: self._store.put_checkpoint(workspace_id, file_id, checkpoint), size)
        self._metrics.checkpoints += 1

    async def quarantine(self, workspace_id: str, file_id: int, seq: int) -> None:
        """See `Store`."""
        await self._write(lambda: self._store.quarantine(workspace_id, file_id, seq))
        self._metrics.quarantined += 1

    async def put_link(self, workspace_id: str, link: LinkRecord) -> None:
        """See `Store`."""
        await self._write(lambda: self._store.put_link(workspace_id, link))

    async def probe(self, bytes_count: int) -> None:
        """See `Store`."""
        await self._store.probe(bytes_count)

    # -- the store: reads

    async def _read(self, work: Coroutine[object, object, T]) -> T:
        try:
            return await work
        except StoreFailed as error:
            self._count_damage(error)
            raise

    async def load_workspace(self, workspace_id: str) -> WorkspaceRecord | None:
        """See `Store`."""
        return await self._read(self._store.load_workspace(workspace_id))

    async def read_chat(self, workspace_id: str, before_id: int, count_max: int) -> list[ChatEntry]:
        """See `Store`."""
        return await self._read(self._store.read_chat(workspace_id, before_id, count_max))

    async def load_file(self, workspace_id: str, file_id: int) -> FileLog:
        """See `Store`."""
        return await self._read(self._store.load_file(workspace_id, file_id))

    async def read_log(self, workspace_id: str, file_id: int, after_seq: int, count_max: int) -> list[LogEntry]:
        """See `Store`."""
        return await self._read(self._store.read_log(workspace_id, file_id, after_seq, count_max))


class RoomStorage:
    """The storage as one workspace has it."""

    def __init__(self, shared: Storage) -> None:
        self.shared = shared
        self.is_damaged = False
        """Whether a commit found the workspace's own data damaged: its room writes nothing more to them."""

    @property
    def fault(self) -> FaultName | None:
        """Why nothing can be saved here; None while all can."""
        return "damaged" if self.is_damaged else self.shared.fault

    @property
    def is_writable(self) -> bool:
        """Whether anything new is admitted."""
        return self.shared.is_writable and not self.is_damaged

    def check(self) -> None:
        """Raises: StoreFailed while nothing new is admitted."""
        if self.is_damaged:
            raise failure_of("damaged")
        self.shared.check()


def failure_of(fault: FaultName) -> StoreFailed:
    """What is told to whoever asks for something to be kept meanwhile."""
    return StoreFailed(Code.UNAVAILABLE, SENTENCES[fault], fault=fault, retry_after_s=limits.PROBE_EVERY_S)


def _bytes_of(batch: Batch) -> int:
    return sum([len(entry.update) for append in batch.appends for entry in append.entries])

"""Opens and closes rooms, and makes new workspaces.

Owns: which workspaces are in memory. Does not know: sockets, SQL, what happens inside a room.

Invariants:
  1. A workspace has at most one room at a time.
  2. A room leaves memory only when it is empty and all that was admitted is durable.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from heapq import nsmallest
from typing import NamedTuple

import structlog

from carets import limits
from carets.errors import RIGHTS, CaretsError, Code, Refused, Unavailable
from carets.protocol import access
from carets.protocol.access import Role, RoleName
from carets.rooms import chores, imports
from carets.rooms.files import FileTable
from carets.rooms.ledger import Ledger
from carets.rooms.links import Links
from carets.rooms.room import Room
from carets.rooms.storage import SENTENCES, Storage
from carets.rooms.store import Batch, LinkRecord, WorkspaceRecord
from carets.rooms.surroundings import Surroundings

_log = structlog.get_logger("carets.lobby")

_SWEEP_S = 5.0
"""Seconds between looks for rooms and files that may leave memory."""


_DAY_MS = 24 * 3600 * 1000


_TOLD_MAX = 100
"""Rooms that are described at once: some hundred KB of JSON."""


class NewLink(NamedTuple):
    """A link that was just made; its key is told only now."""

    record: LinkRecord
    key: str


class Lobby:
    """All open rooms of this process."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.storage = Storage(around.store, self._storage_changed, around.metrics, str(around.data_file or ""))
        self.rooms: dict[str, Room] = {}
        self.is_draining = False
        self._opening: dict[str, asyncio.Task[Room]] = {}
        self._opening_for: Counter[str] = Counter()
        self._restoring = asyncio.Lock()
        self._hurried_at_s = -limits.ROOM_HURRIED_S

    async def enter(self, workspace_id: str, network: str = "") -> Room:
        """The workspace's room, opened if need be, once for all who wait. Raises: Refused, Unavailable.

        `network` is who asks, and has a share of what may be read at once; empty: the operator.
        """
        if self.is_draining:
            raise Unavailable(Code.DRAINING)
        if not access.is_id(workspace_id):
            raise Refused(Code.WORKSPACE_UNKNOWN)
        room = self.rooms.get(workspace_id)
        if room is not None and room.failed is None:
            return _undeleted(room)
        task = self._opening.get(workspace_id)
        if task is None:
            if len(self._opening) >= limits.OPENINGS_MAX:
                raise Unavailable(Code.ROOMS_TOO_MANY, "as many as can be read at once", retry_after_s=1.0)
            if network and self._opening_for[network] >= limits.ADDRESS_OPENINGS_MAX:
                raise Unavailable(Code.ROOMS_TOO_MANY, "as many as one address may read at once", retry_after_s=1.0)
            task = self._opening[workspace_id] = chores.begin(self._open(workspace_id))
            self._opening_for[network] += 1
            task.add_done_callback(lambda _: self._opened(workspace_id, network))
        room = await asyncio.shield(task)
        if self.is_draining:
            raise Unavailable(Code.DRAINING)
        return _undeleted(room)

    def _opened(self, workspace_id: str, network: str) -> None:
        self._opening.pop(workspace_id, None)
        self._opening_for[network] -= 1
        if not self._opening_for[network]:
            del self._opening_for[network]

    async def _open(self, workspace_id: str) -> Room:
        if failed := self.rooms.pop(workspace_id, None):
            self.around.metrics.rooms_dropped += 1
            await failed.settle()
        record = await self.storage.load_workspace(workspace_id)
        if record is None:
            raise Refused(Code.WORKSPACE_UNKNOWN)
        if record.deleted_at_ms is not None:
            raise Refused(Code.WORKSPACE_DELETED)
        self._make_place()
        room = self.rooms[workspace_id] = Room(record, self.around, self.storage)
        self.around.metrics.rooms_opened += 1
        _log.info("room_opened", workspace=workspace_id, files=len(record.files))
        return room

    def _make_place(self) -> None:
        """Put idle rooms out of memory, if there is no place for another one. Raises: Unavailable ROOMS_TOO_MANY."""
        clock_s, rooms_max = self.around.clock_s(), self.around.quotas.rooms_max
        if len(self.rooms) >= rooms_max and clock_s - self._hurried_at_s >= limits.ROOM_HURRIED_S:
            self._hurried_at_s = clock_s
            self.sweep(limits.ROOM_HURRIED_S)
        if len(self.rooms) >= rooms_max:
            raise Unavailable(Code.ROOMS_TOO_MANY, retry_after_s=limits.ROOM_HURRIED_S)

    async def create(self, title: str, files: dict[str, str]) -> tuple[WorkspaceRecord, dict[RoleName, NewLink]]:
        """Make a workspace with its first files and its three links, durably. Raises: Refused, Unavailable."""
        if self.is_draining:
            raise Unavailable(Code.DRAINING)
        workspace_id = access.encode_token(self.around.entropy(access.WORKSPACE_ID_BYTES))
        links: dict[RoleName, NewLink] = {}
        for role in access.Role:
            links[role.label] = self.new_link(role.label, "", None)
        now_ms, entropy = self.around.now_ms(), self.around.entropy
        drafts = await imports.draft_all(files, entropy)
        Ledger(0, self.around.quotas.workspace_bytes_max).check(sum(len(each.update) for each in drafts))
        made, appends = imports.place(drafts, FileTable([]), entropy, now_ms, imports.SERVER)
        record = WorkspaceRecord(
            workspace_id,
            access.clean_label(title, limits.TITLE_UNITS_MAX, "Untitled workspace"),
            now_ms,
            files=made,
            links=[link.record for link in links.values()],
        )
        await self.storage.create_workspace(record, Batch(workspace_id, appends, at_ms=now_ms))
        self.around.audit.note("workspace_created", workspace=workspace_id, files=len(made))
        return record, links

    async def restore(self, workspace_id: str, key: str | None) -> str:
        """Take back the deletion of a workspace, by an owner's key; its title. None: the operator asks.

        Raises: Refused, Unavailable.
        """
        if self.is_draining:
            raise Unavailable(Code.DRAINING)
        # One at a time: a second one must not take back a deletion that came after the first.
        async with self._restoring:
            room = self.rooms.get(workspace_id)
            if room is not None and room.failed is not None:
                room = None
            kept: Room | WorkspaceRecord | None = room
            if kept is None and access.is_id(workspace_id):
                kept = await self.storage.load_workspace(workspace_id)
            if kept is None:
                raise Refused(Code.WORKSPACE_UNKNOWN)
            links = kept.links if isinstance(kept, Room) else Links(kept.links)
            now_ms = self.around.now_ms()
            link = None if key is None else links.find(key, now_ms)
            if link is not None and link.role != Role.OWNER.label:
                raise Refused(Code.ROLE_TOO_LOW, "only owners restore a workspace")
            if kept.deleted_at_ms is None:
                return kept.title
            if now_ms - kept.deleted_at_ms > limits.TOMBSTONE_DAYS * _DAY_MS:
                raise Refused(Code.WORKSPACE_DELETED, f"more than {limits.TOMBSTONE_DAYS} days ago")
            if room is not None:
                await room.restore()
            else:
                await self.storage.put_workspace(workspace_id, kept.title, None)
            by = {} if link is None else {"link": link.link_id}
            self.around.audit.note("workspace_restored", workspace=workspace_id, **by)
            return kept.title

    def new_link(self, role: RoleName, name: str, expires_at_ms: int | None) -> NewLink:
        """A link with a fresh key; not kept yet."""
        key = access.encode_token(self.around.entropy(limits.KEY_BYTES))
        link_id = access.encode_token(self.around.entropy(9))
        label = access.clean_label(name, limits.TITLE_UNITS_MAX, role)
        record = LinkRecord(link_id, role, access.hash_key(key), label, self.around.now_ms(), expires_at_ms)
        return NewLink(record, key)

    def _storage_changed(self) -> None:
        for room in list(self.rooms.values()):
            if room.failed is not None:
                continue
            try:
                room.storage_changed()
            except Exception as error:  # noqa: BLE001 - around one room, which is dropped; logged whole
                room.fail(error)

    def note(self, error: CaretsError, **told: str) -> None:
        """Tell of a refusal: the audit log when it is one of rights, else the log."""
        if error.code in RIGHTS:
            self.around.audit.note("refused", error=str(error), **told)
        else:
            _log.info("refused", error=str(error))

    async def run(self) -> None:
        """End what a link's time is over for, and put idle rooms and files out of memory, for ever."""
        looks = 0
        while True:
            await asyncio.sleep(limits.LINK_LOOK_S)
            self.expel_expired()
            looks += 1
            if looks * limits.LINK_LOOK_S >= _SWEEP_S:
                looks = 0
                self.sweep()

    def expel_expired(self) -> None:
        """Close whoever is on a link whose time is over, in all rooms."""
        for room in list(self.rooms.values()):
            try:
                room.expel_expired()
            except Exception as error:  # noqa: BLE001 - around one room, which is dropped; logged whole
                room.fail(error)

    def sweep(self, idle_s: float | None = None) -> None:
        """One look: what is clean, and idle for so long (`ROOM_IDLE_S`), leaves memory."""
        idle_s = limits.ROOM_IDLE_S if idle_s is None else idle_s
        now_ms = self.around.now_ms()
        for room in list(self.rooms.values()):
            # A calendar that was set back must not keep it for as long.
            room.empty_since_ms = min(room.empty_since_ms, now_ms)
            is_idle = not room.members and now_ms - room.empty_since_ms >= idle_s * 1000
            if self._may_go(room) and (room.failed is not None or is_idle):
                room.delivery.stop()
                del self.rooms[room.id]
                self.around.metrics.rooms_dropped += room.failed is not None
                _log.info("room_closed", workspace=room.id)

    def _may_go(self, room: Room) -> bool:
        try:
            return room.sweep()
        except Exception as error:  # noqa: BLE001 - around one room, which is dropped; logged whole
            room.fail(error)
            return False

    async def drain(self) -> None:
        """Make everything durable, tell all members, and close them. At most `DRAIN_S` seconds."""
        self.is_draining = True
        rooms = list(self.rooms.values())
        for room in rooms:
            room.drain()
        try:
            async with asyncio.timeout(limits.DRAIN_S):
                for room in rooms:
                    await room.settle()
        except TimeoutError:
            _log.error("drain_incomplete", unclean=[room.id for room in rooms if not room.is_clean])
        for room in rooms:
            for member in list(room.members.values()):
                room.expel(member, Unavailable(Code.DRAINING))
            room.delivery.stop()
        self.storage.stop()

    def unready_reasons(self) -> list[str]:
        """Why new members cannot be served; empty while they can."""
        reasons = ["draining"] if self.is_draining else []
        if self.storage.fault is not None:
            reasons.append(f"cannot save: {SENTENCES[self.storage.fault]}")
        if sum(bool(room.members) for room in self.rooms.values()) >= self.around.quotas.rooms_max:
            reasons.append("as many workspaces open as may be")
        return reasons

    def describe(self, after: str = "") -> dict[str, object]:
        """For the operator: at most `_TOLD_MAX` rooms, those whose ids come after `after` in their order."""
        ids = nsmallest(_TOLD_MAX, (id_ for id_ in self.rooms if id_ > after))
        return {
            "rooms": [self.rooms[id_].describe() for id_ in ids],
            "next": ids[-1] if len(ids) == _TOLD_MAX else None,
            "refusals": {int(code): count for code, count in self.around.metrics.refusals.items()},
            "draining": self.is_draining,
            "storage": self.storage.describe(),
        }


def _undeleted(room: Room) -> Room:
    """The room, unless its workspace is deleted. Raises: Refused."""
    if room.deleted_at_ms is not None:
        raise Refused(Code.WORKSPACE_DELETED)
    return room

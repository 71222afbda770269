"""What whoever holds the machine may do with all workspaces, whether they are open or not.

Owns: the rights that need no key of a workspace. Does not know: HTTP, SQL, how the operator was recognised.
"""

from __future__ import annotations

import asyncio
from typing import Literal, NamedTuple, Protocol

from carets import limits
from carets.protocol import access
from carets.protocol.access import Role, RoleName
from carets.rooms.lobby import Lobby, NewLink

TokenName = Literal["admin", "create"]

_DAY_MS = 24 * 3600 * 1000

LISTED_MAX = 1_000
"""Workspaces that are told at once: a few hundred KB of JSON."""


class WorkspaceSummary(NamedTuple):
    """A workspace as the operator sees it: how much, and nothing of what is in it but its title."""

    number: int
    """Rises in the order of their making, in this data file."""
    workspace_id: str
    title: str
    created_at_ms: int
    changed_at_ms: int
    """When the latest edit or message came; `created_at_ms` when none did."""
    deleted_at_ms: int | None
    files: int
    """Files that are not deleted."""
    log_bytes: int


class Usage(NamedTuple):
    """How much there is in the store."""

    workspaces: int
    deleted_workspaces: int
    files: int
    log_bytes: int
    checkpoint_bytes: int
    chat_entries: int
    store_bytes: int
    """What the data file takes of the disk, without SQLite's log."""
    free_bytes: int
    """What of it holds nothing at the moment; it is used again."""


class Purged(NamedTuple):
    """What was removed for good."""

    workspaces: int = 0
    """Workspaces that are gone."""
    rows: int = 0
    """Rows of the store, of any kind; 0 when there was nothing to remove."""


class Inventory(Protocol):
    """What an engine tells of all workspaces together. Every method raises `StoreFailed` when it cannot."""

    async def list_workspaces(self, after: int, count_max: int) -> list[WorkspaceSummary]:
        """Workspaces with numbers above `after`, deleted ones too, by their numbers."""

    async def measure(self) -> Usage:
        """How much there is."""

    async def put_secret(self, name: str, value: bytes) -> None:
        """Keep a secret of the server in place of the one before, durably."""

    async def purge(self, deleted_before_ms: int) -> Purged:
        """Remove a part of what was deleted before, durably and for good: little enough that nobody waits for it."""


class Steward:
    """All workspaces in the hands of the operator."""

    def __init__(self, lobby: Lobby, inventory: Inventory) -> None:
        self._lobby = lobby
        self._inventory = inventory
        self._linking = asyncio.Lock()
        """One at a time, so that two who revoke all other links do not leave a workspace without any."""

    async def workspaces(self, after: int = 0) -> list[dict[str, object]]:
        """At most `LISTED_MAX` workspaces with numbers above `after`, and who is in them now. Raises: StoreFailed."""
        return [
            {**summary._asdict(), "members": self._members(summary.workspace_id)}
            for summary in await self._inventory.list_workspaces(after, LISTED_MAX)
        ]

    async def usage(self) -> dict[str, object]:
        """How much there is in the store, and how much of it is open. Raises: StoreFailed."""
        rooms = self._lobby.rooms.values()
        open_now = {"rooms": len(rooms), "members": sum(len(room.members) for room in rooms)}
        return {**(await self._inventory.measure())._asdict(), **open_now}

    async def new_links(self, workspace_id: str, *, revoke_old: bool) -> dict[RoleName, NewLink]:
        """Make a link of each role, and revoke all that there were if asked to. Raises: Refused, Unavailable."""
        async with self._linking:
            made = {role.label: self._lobby.new_link(role.label, "", None) for role in Role}
            for link in made.values():
                await (await self._lobby.enter(workspace_id)).put_link(link.record)
            self._note("links_made", workspace_id)
            if revoke_old:
                await self._revoke_others(workspace_id, {link.record.link_id for link in made.values()})
            return made

    async def _revoke_others(self, workspace_id: str, fresh: set[str]) -> None:
        """Revoke every link but these, and one made meanwhile with an old one. Raises: Refused, Unavailable."""
        while True:
            # Entered anew for each: between two of them the room may have left memory and come back with the others.
            room = await self._lobby.enter(workspace_id)
            old = [link for link in room.links.values() if link.revoked_at_ms is None and link.link_id not in fresh]
            if not old:
                return
            await room.put_link(old[0]._replace(revoked_at_ms=self._lobby.around.now_ms()))

    async def delete(self, workspace_id: str) -> None:
        """Delete a workspace, so that it can be restored, and close whoever is in it. Raises: Refused, Unavailable."""
        await (await self._lobby.enter(workspace_id)).delete()
        self._note("workspace_deleted", workspace_id)

    async def restore(self, workspace_id: str) -> str:
        """Take back the deletion of a workspace; its title. Raises: Refused, Unavailable."""
        title = await self._lobby.restore(workspace_id, None)
        self._note("workspace_restored", workspace_id)
        return title

    async def renew_token(self, name: TokenName) -> str:
        """Keep another token of the server in place of the one before, and tell it. Raises: StoreFailed."""
        value = access.encode_token(self._lobby.around.entropy(limits.KEY_BYTES))
        await self._inventory.put_secret(f"{name}_token", value.encode())
        self._note(f"{name}_token_made")
        return value

    async def purge(self) -> Purged:
        """Remove for good what can be restored no more, part by part; others get their turns. Raises: StoreFailed."""
        before_ms = self._lobby.around.now_ms() - limits.TOMBSTONE_DAYS * _DAY_MS
        total = Purged()
        while (part := await self._inventory.purge(before_ms)).rows:
            total = Purged(total.workspaces + part.workspaces, total.rows + part.rows)
        self._note("purged", rows=total.rows)
        return total

    def _note(self, what: str, workspace_id: str = "", **fields: int) -> None:
        self._lobby.around.audit.note(
            "admin", what=what, **({"workspace": workspace_id} if workspace_id else {}), **fields
        )

    def _members(self, workspace_id: str) -> int:
        room = self._lobby.rooms.get(workspace_id)
        return len(room.members) if room is not None else 0

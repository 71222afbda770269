"""What whoever holds the machine may do with all workspaces, whether they are open or not.

Owns: the rights that need no key of a workspace. Does not know: HTTP, SQL, how the operator was recognised.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from carets.rooms.lobby import Lobby

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


class Inventory(Protocol):
    """What an engine tells of all workspaces together. Every method raises `StoreFailed` when it cannot."""

    async def list_workspaces(self, after: int, count_max: int) -> list[WorkspaceSummary]:
        """Workspaces with numbers above `after`, deleted ones too, by their numbers."""

    async def measure(self) -> Usage:
        """How much there is."""


class Steward:
    """All workspaces in the hands of the operator."""

    def __init__(self, lobby: Lobby, inventory: Inventory) -> None:
        self._lobby = lobby
        self._inventory = inventory

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

    def _members(self, workspace_id: str) -> int:
        room = self._lobby.rooms.get(workspace_id)
        return len(room.members) if room is not None else 0

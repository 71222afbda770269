"""What every room of a process shares.

Owns: the list of it. Does not know: who provides it. Time and chance are passed in, so that a simulation can own them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from carets import limits
from carets.audit import Action, Audit
from carets.errors import RIGHTS, CaretsError
from carets.metrics import Metrics
from carets.rooms.store import LinkRecord, Store


def _loop_clock_s() -> float:
    return asyncio.get_running_loop().time()


class Surroundings(NamedTuple):
    """The store, the clocks, chance, and what the operator has set."""

    store: Store
    now_ms: Callable[[], int]
    entropy: Callable[[int], bytes]
    secret: bytes
    """Signs person tokens."""
    build: str
    metrics: Metrics
    is_open: bool = False
    """Whether a hello without a key is let in as an editor."""
    quotas: limits.Quotas = limits.Quotas()
    audit: Audit = Audit()
    carry_until_ms: int = 0
    """Until when members may carry back what others typed, after the restore of an older backup; 0: never."""

    data_file: Path | None = None
    """Where the store is, for whoever watches its disk; None where nobody does."""

    clock_s: Callable[[], float] = _loop_clock_s
    """Seconds that only go forward, fine enough to tell what one frame costs; from when does not matter."""

    def is_carrying(self) -> bool:
        """Whether that is so now."""
        return self.now_ms() < self.carry_until_ms

    def note_refusal(self, error: CaretsError, workspace_id: str) -> None:
        """Count a refusal inside a room, and tell the audit log if it is one of rights; the member stays."""
        self.metrics.refusals[error.code] += 1
        if error.code in RIGHTS:
            self.audit.note("refused", workspace=workspace_id, error=str(error))

    def note_link(self, link: LinkRecord, workspace_id: str) -> None:
        """Tell the audit log of a link that was made or revoked."""
        action: Action = "link_made" if link.revoked_at_ms is None else "link_revoked"
        self.audit.note(action, workspace=workspace_id, target=link.link_id, role=link.role)

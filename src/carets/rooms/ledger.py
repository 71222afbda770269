"""How much of its quota a workspace takes.

Owns: the count of bytes, kept and on their way, and the refusal at its end. Does not know: members, stores, commits.

Invariant: `log_bytes` is what the store says of the workspace, after every commit and after none.
"""

from __future__ import annotations

from carets import limits
from carets.errors import Code, Refused


class Ledger:
    """The bytes of one workspace's log."""

    def __init__(self, log_bytes: int, bytes_max: int) -> None:
        self.log_bytes = log_bytes
        self._bytes_max = bytes_max
        self._sealed = 0

    def has_room(self, bytes_waiting: int) -> bool:
        """Whether so much may come besides what is kept and being kept."""
        return self.log_bytes + self._sealed + bytes_waiting <= self._bytes_max

    def check(self, bytes_waiting: int) -> None:
        """Raises: Refused WORKSPACE_FULL when there is no room."""
        if not self.has_room(bytes_waiting):
            raise self.refusal()

    def refusal(self) -> Refused:
        """What whoever would add more is told."""
        return Refused(Code.WORKSPACE_FULL, f"{self._bytes_max // limits.MIB} MiB, with all that was ever typed in it")

    def seal(self, log_bytes: int) -> None:
        """A commit of so much begins."""
        self._sealed = log_bytes

    def commit(self) -> None:
        """It is kept."""
        self.log_bytes += self._sealed
        self._sealed = 0

    def fall_back(self) -> None:
        """It is not."""
        self._sealed = 0

"""Delete sets as they come again and again: after a cut each member of a room sends all that is deleted.

Owns: what is remembered of delete sets in which nothing is new any more. Does not know: what is deleted.

Invariant: nothing is left out of what is read here but what was noted, and the gate notes only what it has admitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from carets.errors import Code, WireError
from carets.limits import DELETE_SET_BYTES_MAX
from carets.protocol.repetition import RANGES_MAX, RANGES_MIN, Repetition
from carets.protocol.updates import Deletions, Told, ranges_of, read_deletions, read_told

DIGESTS_MAX = 64
"""Digests of delete sets without news; the oldest gives way. Who missed nothing sends the same one as the others."""

BYTES_DIGESTED = 256
"""Bytes from which a delete set is worth a digest: a shorter one is read as fast."""

CLIENTS_MAX = 16
"""Client ids of which the ranges of an earlier delete set are kept, to find them again; the oldest gives way."""


class Reading(NamedTuple):
    """What a delete set says, less what is known to be no news."""

    deletions: Deletions
    is_whole: bool = True
    """Whether nothing was left out."""
    digest: bytes = b""
    unlike: Sequence[tuple[bytes, Told]] = ()
    """Long parts of it that are like none before, with their update: what comes next may be like them."""


class DeleteSets:
    """What one gate remembers of the delete sets that it was sent."""

    def __init__(self) -> None:
        self._digests: dict[bytes, None] = {}
        self._before: dict[int, Repetition] = {}

    def read(self, update: bytes, at: int, *, trusted: bool) -> Reading:
        """Read the delete set at `at`. Changes nothing. Raises: WireError."""
        size = len(update) - at
        if size < BYTES_DIGESTED:
            return Reading(read_deletions(update, at))
        digest = blake2b(memoryview(update)[at:], digest_size=16).digest()
        if digest in self._digests:
            return Reading([], is_whole=False, digest=digest)
        if trusted:
            return Reading(read_deletions(update, at), digest=digest)
        if size > DELETE_SET_BYTES_MAX:
            raise WireError(Code.MESSAGE_TOO_LARGE, f"more than {DELETE_SET_BYTES_MAX} bytes of deletions")
        told = read_told(update, at, self._before)
        deletions = [(each.client, each.ranges) for each in told if each.ranges]
        is_whole = all(len(each.ranges) == each.ranges_count for each in told)
        return Reading(deletions, is_whole, digest, [(update, each) for each in told if _is_unlike(each)])

    def note(self, reading: Reading) -> None:
        """Remember that all of it is deleted now."""
        if not reading.digest or reading.digest in self._digests:
            return
        if len(self._digests) >= DIGESTS_MAX:
            del self._digests[next(iter(self._digests))]
        self._digests[reading.digest] = None
        for update, told in reading.unlike:
            self._before.pop(told.client, None)
            if len(self._before) >= CLIENTS_MAX:
                del self._before[next(iter(self._before))]
            self._before[told.client] = Repetition(update[told.begin : told.end], ranges_of(update, told))


def _is_unlike(told: Told) -> bool:
    """Whether so much had to be read that it is worth keeping: an eighth, of thousands."""
    return max(RANGES_MIN, told.ranges_count // 8) <= len(told.ranges) and told.ranges_count <= RANGES_MAX


NOTHING = Reading([])
"""Of an update that is not read yet."""

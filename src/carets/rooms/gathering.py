"""How long a room gathers edits between one commit and the next.

Owns: the rule. Does not know: commits, members.

While many type, each edit would have a commit and a write to everybody of its own, and these writes are most of what
a room costs. A room that has just told its members little rests for twice as long as that took: a keystroke on its own
waits for nothing, and in a crowd batches grow until they are worth their writes.
Source: docs/decisions/0023-a-room-rests-between-small-commits.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

FRAMES_WORTH_TELLING = 8
"""Edits from which a commit is not worth waiting for more: senders with a window may have sent all that they may."""

REST_PER_WORK = 2.0
"""Seconds of rest for each second of work: a room in which many type a little takes a third of the event loop."""

REST_S_MAX = 0.003
"""However long it took: well below what anybody sees."""


class Gathering:
    """One commit's telling, and the rest after it."""

    def __init__(self, frames: int, clock_s: Callable[[], float]) -> None:
        """Begin to tell of `frames` edits."""
        self._frames = frames
        self._clock_s = clock_s
        self._began_s = clock_s()

    async def rest(self) -> None:
        """Let more come, after all have been told."""
        if 0 < self._frames < FRAMES_WORTH_TELLING:
            worked_s = self._clock_s() - self._began_s
            await asyncio.sleep(min(REST_PER_WORK * worked_s, REST_S_MAX))

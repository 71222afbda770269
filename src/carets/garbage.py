"""When Python looks for garbage that reference counts do not free: objects that refer to each other in a ring.

Owns: the choice of that moment. Does not know: what there is.

Python looks through everything that lives whenever a quarter more has come to live. Here that is connections: with
1,000 it takes 75 ms, with 10,000 half a second, in which nobody is served, and while members come there is nothing to
find. Rings become garbage when connections end, those of plain requests, too; so
that is when they are looked for. What is young is looked through as ever.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

_LOOK_EVERY_S = 5.0
"""Seconds between looks at how many connections have ended."""

_ENDED_MIN = 1_000
"""Connections whose rings are worth looking for: they take some 5 KB each."""

_ENDED_SHARE = 0.25
"""The same, of those that are open: looking takes as long as there are many."""

REQUESTS_PER_MEMBER = 4
"""Connections for plain requests that leave as much as a member's: some 2 KB each."""

_REST_S = 900.0
"""Seconds after which fewer are worth it, too: whatever else may have come together goes with them."""

_NEVER = 1_000_000
"""Collections of the middle generation before Python looks through everything by itself."""


def set_up() -> None:
    """Leave what was imported out of every look, and what is old to `Garbage`."""
    gc.collect()
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)


class Garbage:
    """The looks for rings among what is old."""

    def __init__(self, ended: Callable[[], int], open_: Callable[[], int], clock_s: Callable[[], float]) -> None:
        """Watch over two counts.

        `ended` counts the members' connections that have ended since the start, and others by what they leave; `open_`
        counts those of members that are open.
        """
        self._ended = ended
        self._open = open_
        self._clock_s = clock_s
        self._ended_before = 0
        self._looked_at_s = clock_s()

    async def run(self) -> None:
        """Look when it is due, for ever."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            self.look_if_due()

    def look_if_due(self) -> bool:
        """Look through everything, if enough has ended; whether that was done."""
        ended = self._ended() - self._ended_before
        is_long_ago = self._clock_s() - self._looked_at_s >= _REST_S
        if not ended or not (is_long_ago or ended >= max(_ENDED_MIN, self._open() * _ENDED_SHARE)):
            return False
        gc.collect()
        self._ended_before += ended
        self._looked_at_s = self._clock_s()
        return True

"""Virtual time: an event loop that never waits, because its clock jumps to the next timer.

Owns: what time it is. Does not know: sockets, threads, signals; there are none here.

Invariants:
  1. The same callbacks run in the same order at the same times, whatever the machine does meanwhile.
  2. A loop in which nothing can happen any more raises `Stuck` instead of hanging.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

BEGIN_MS = 1_700_000_000_000
"""What the server's calendar says when virtual time is 0."""


class Stuck(Exception):
    """Somebody waits for what can never come."""


class _Jump:
    """In place of a selector: instead of waiting, it moves the clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        """Let `timeout` seconds pass at once."""
        if timeout is None:
            raise Stuck
        self._loop.now_s += timeout
        return []

    def close(self) -> None:
        """There is nothing to let go of."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop whose time is a number."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self._selector = _Jump(self)
        self.set_exception_handler(self._keep)
        self.unhandled: list[str] = []
        """Errors that no one took."""

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self.now_s

    def now_ms(self) -> int:
        """The calendar of the server."""
        return BEGIN_MS + int(self.now_s * 1000)

    def _process_events(self, event_list: list[Any]) -> None:
        """Nothing comes from outside."""

    def _write_to_self(self) -> None:
        """Nobody wakes this loop from another thread."""

    def _keep(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.unhandled.append(f"{context.get('message')}: {context.get('exception')!r}")


def run(loop: VirtualLoop, main: Coroutine[Any, Any, _T]) -> _T:
    """Run `main` to its end, cancel whatever is left, and close the loop."""
    try:
        return loop.run_until_complete(main)
    finally:
        left = tasks_in_order(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()


def tasks_in_order(loop: asyncio.AbstractEventLoop) -> list[asyncio.Task[Any]]:
    """All tasks that are not done, oldest first: a set of tasks has another order each time."""
    return sorted(asyncio.all_tasks(loop), key=lambda task: (len(task.get_name()), task.get_name()))

"""Work that a room does for everybody, although one member's frame began it.

Owns: that such work does not pass for that member's, and the count of calls under way. Does not know: what is done.

Invariant: what is begun here inherits nothing from the running task; else a failed commit would be logged under the
connection of whoever happened to wake it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class Calls:
    """Calls that are under way, each inside a ``with``."""

    def __init__(self) -> None:
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *_: object) -> None:
        self._count -= 1


def begin(work: Coroutine[Any, Any, _Result]) -> asyncio.Task[_Result]:
    """Begin something that may wait; the caller keeps the task."""
    return Context().run(asyncio.get_running_loop().create_task, work)


def soon(call: Callable[..., object], *arguments: object) -> asyncio.Handle:
    """Call in the next turn of the event loop."""
    return Context().run(asyncio.get_running_loop().call_soon, call, *arguments)


def later(delay_s: float, call: Callable[..., object], *arguments: object) -> asyncio.TimerHandle:
    """Call after a delay."""
    return Context().run(asyncio.get_running_loop().call_later, delay_s, call, *arguments)

"""The event loop's pulse: how late it comes back to a timer, and what held it.

Owns: the timer, the thread that looks at what runs while the loop is held, the lines in the log about it.
Does not know: sockets.

Invariants:
  1. A hold is told in one line when it is over, and at most once in `_TOLD_EVERY_S`; the others are counted.
  2. What is told of it are places in our own code and a workspace's id: no other values, so no text and no key.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from time import monotonic
from types import FrameType

import structlog

from carets import limits
from carets.metrics import Metrics
from carets.rooms.room import Room

_log = structlog.get_logger("carets.pulse")

_BEAT_S = 0.1
"""Seconds between beats: ten looks a second cost nothing, and miss few holds that a person could feel."""

_TOLD_EVERY_S = 10.0
"""Seconds between lines about holds: a loop that is held all the time must not fill the log."""

_WINDOW_S = 60.0
"""Seconds for which a longest delay is remembered, at least: scrapes are more frequent."""

_PLACES_MAX = 4
"""Places told of a stack, the innermost first."""

_OURS = str(Path(__file__).parent.parent)


class Pulse:
    """The pulse of one event loop, and the watch beside it."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._began_s = self._beat_s = self._window_s = monotonic()
        self._recent_max_s = self._former_max_s = 0.0
        self._told_s = -_TOLD_EVERY_S
        self._untold = 0
        self._seen: dict[str, str] | None = None

    @property
    def uptime_s(self) -> float:
        """Seconds since the server began."""
        return monotonic() - self._began_s

    @property
    def delay_max_s(self) -> float:
        """The longest delay of the last one to two minutes."""
        return max(self._recent_max_s, self._former_max_s)

    async def run(self) -> None:
        """Beat, for ever."""
        is_over = threading.Event()
        arguments = (threading.get_ident(), is_over)
        watch = threading.Thread(target=self._watch, args=arguments, name="carets-pulse", daemon=True)
        self._beat_s = monotonic()
        watch.start()
        try:
            while True:
                await asyncio.sleep(_BEAT_S)
                self.beat()
        finally:
            is_over.set()

    def beat(self) -> None:
        """The loop came back: note how late."""
        now_s = monotonic()
        delay_s = max(0.0, now_s - self._beat_s - _BEAT_S)
        seen, self._seen = self._seen, None
        self._beat_s = now_s
        self._metrics.loop_delay_seconds.observe(delay_s)
        if now_s - self._window_s >= _WINDOW_S:
            self._window_s, self._former_max_s, self._recent_max_s = now_s, self._recent_max_s, 0.0
        self._recent_max_s = max(self._recent_max_s, delay_s)
        if delay_s >= limits.LOOP_HELD_S:
            self._metrics.loop_holds += 1
            self._tell(now_s, delay_s, seen or {})

    def _tell(self, now_s: float, delay_s: float, seen: dict[str, str]) -> None:
        if now_s - self._told_s < _TOLD_EVERY_S:
            self._untold += 1
            return
        _log.warning("loop_held", seconds=round(delay_s, 3), untold=self._untold, **seen)
        self._told_s, self._untold = now_s, 0

    # -- the watch, in its own thread

    def _watch(self, loop_thread: int, is_over: threading.Event) -> None:
        while not is_over.wait(limits.LOOP_HELD_S / 4):
            if self._seen is None and monotonic() - self._beat_s > _BEAT_S + limits.LOOP_HELD_S / 2:
                self._seen = _places(sys._current_frames().get(loop_thread))  # noqa: SLF001 - no other way to look


def _places(frame: FrameType | None) -> dict[str, str]:
    """Where a stack is in our own code, the innermost places first, and for which workspace."""
    places: list[str] = []
    room: Room | None = None
    while frame is not None and (len(places) < _PLACES_MAX or room is None):
        path = frame.f_code.co_filename
        if path.startswith(_OURS):
            if len(places) < _PLACES_MAX:
                places.append(f"{path[len(_OURS) + 1 :]}:{frame.f_lineno} {frame.f_code.co_name}")
            owner = frame.f_locals.get("self") or frame.f_locals.get("room")
            room = room or (owner if isinstance(owner, Room) else None)
        frame = frame.f_back
    return {"ran": " < ".join(places)} | ({"workspace": room.id} if room is not None else {})

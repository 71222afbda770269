"""How lines of the log are written: one event a line on standard error, for people or as JSON.

Owns: their form, what may not be in them, and how many there may be. Does not know: what happens, files.

Invariants:
  1. What a client sent looks like no line of ours, and no line holds a key that came by its connection.
  2. Of one event on one address there are at most so many lines a minute, then one that counts the rest.
  3. To write cannot fail: a full disk or a closed pipe costs the line, not the room.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import NamedTuple

import structlog
from structlog.typing import EventDict, Processor

from carets import limits
from carets.edges import trace
from carets.edges.visitor import network_of

_log = structlog.get_logger("carets.logs")

LEFT_OUT = "lines_left_out"
"""The event of the line that counts what was not written."""

_ORDER = (
    *("time", "action", "timestamp", "level", "event", "logger"),
    *("connection", "address", "workspace", "link", "member", "request"),
)
"""Words that stand in this order before all others."""

_OURS = frozenset((*_ORDER, "person", "role", "target"))
"""Words whose values we made: nobody strikes one out of the log by sending it as a key."""

_OFTEN = frozenset(
    {"connection_failed", "export_failed", "export_left", "library", "refused", "request_failed", "token_forged"}
)
"""What somebody may bring about as often as he likes, or what comes with a traceback: bounded as refusals are."""

_ALL = "all"
_LOOK_EVERY_S = 5.0
"""Seconds between looks for minutes that are over."""


class LeftOut(NamedTuple):
    """What a minute had too much of."""

    event: str
    address: str
    """One, an IPv6 network, ``all``, or ``others`` where there were too many to tell apart."""
    lines: int


class Flow:
    """How many lines of each event and address there were in their current minute."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._counts: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        """By event and address, oldest minute first: when it began, and how many lines it wanted."""

    def may_pass(self, event: str, address: str) -> bool:
        """Count a line; whether it is written."""
        key = (event, network_of(address))
        if key not in self._counts and len(self._counts) >= limits.LOG_ADDRESSES_MAX:
            key = (event, "others")
        return self._count(key) and self._count((event, _ALL))

    def _count(self, key: tuple[str, str]) -> bool:
        began_s, count = self._counts.get(key, (self._now_s(), 0))
        self._counts[key] = (began_s, count + 1)
        return count < _lines_max(*key)

    def ended(self, *, all_of_them: bool = False) -> Iterator[LeftOut]:
        """Forget the minutes that are over, and tell what they had too much of."""
        while self._counts:
            key = next(iter(self._counts))
            began_s, count = self._counts[key]
            if not all_of_them and self._now_s() - began_s < 60:
                return
            del self._counts[key]
            if count > _lines_max(*key):
                yield LeftOut(*key, count - _lines_max(*key))


def _lines_max(event: str, address: str) -> int:
    if address == _ALL:
        return limits.LOG_EVENT_LINES_PER_MINUTE
    return limits.LOG_REFUSALS_PER_MINUTE if event in _OFTEN else limits.LOG_LINES_PER_MINUTE


class _Output:
    """Where structlog's loggers write."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def write(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = write


class _Library(logging.Handler):
    """Takes what libraries log by Python's own `logging`, so that it is bounded and in the form of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        _log.log(record.levelno, "library", source=record.name, text=record.getMessage(), exc_info=record.exc_info)


def set_up(form: str) -> Flow:
    """Write all logs of this process in this form. Whoever starts it runs `tell_left_out` with what is returned."""
    flow = Flow()

    def bound(_: object, __: str, event: EventDict) -> EventDict:
        if event["event"] != LEFT_OUT and not flow.may_pass(event["event"], str(event.get("address", ""))):
            raise structlog.DropEvent
        return event

    renderer: Processor = structlog.processors.JSONRenderer()
    if form == "text":
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=20,
            sort_keys=False,
            exception_formatter=structlog.dev.plain_traceback,  # others print local variables, keys among them
        )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            bound,
            structlog.stdlib.add_logger_name,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            tidy,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=_Output,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Library()], level=logging.INFO, force=True)
    return flow


async def tell_left_out(flow: Flow, tell: Callable[[LeftOut], None] | None = None) -> None:
    """Say after each minute what of it was not written, for ever, and at the end of what is not over."""
    try:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            for left_out in flow.ended():
                (tell or _tell)(left_out)
    finally:
        for left_out in flow.ended(all_of_them=True):
            (tell or _tell)(left_out)


def _tell(left_out: LeftOut) -> None:
    # In a context of its own: it speaks of no one connection.
    Context().run(_log.warning, LEFT_OUT, of=left_out.event, address=left_out.address, lines=left_out.lines)


def tidy(_: object, __: str, event: EventDict) -> EventDict:
    """The words in their order; keys taken out, control characters written out, long values cut."""
    tidied: EventDict = {}
    for name in [*(name for name in _ORDER if name in event), *(name for name in event if name not in _ORDER)]:
        value = event[name]
        if name == "exception":
            # Set in: no line of a traceback, whatever its message holds, begins as one of ours does.
            lines = [f"  {_written_out(line)}" for line in trace.without_secrets(str(value)).splitlines()]
            tidied[name] = _cut("\n".join(lines), limits.LOG_TRACEBACK_CHARACTERS_MAX)
        elif isinstance(value, str):
            shown = value if name in _OURS else trace.without_secrets(value)
            tidied[name] = _cut(_written_out(shown), limits.LOG_VALUE_CHARACTERS_MAX)
        else:
            tidied[name] = value
    return tidied


def _written_out(text: str) -> str:
    return text if text.isprintable() else repr(text)[1:-1]


def _cut(text: str, characters_max: int) -> str:
    if len(text) <= characters_max:
        return text
    half = characters_max // 2
    return f"{text[:half]} … {len(text) - 2 * half} characters left out … {text[-half:]}"

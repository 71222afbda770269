"""When rings of objects are looked for: not while members come, and after enough of them have gone."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from carets.garbage import REQUESTS_PER_MEMBER, Garbage, set_up
from carets.server import _garbage
from tests.clock import Clock


class Ring:
    """Something that only the garbage collector frees."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture
def _as_served() -> Iterator[None]:
    thresholds = gc.get_threshold()
    set_up()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.mark.usefixtures("_as_served")
def test_while_ever_more_lives_nothing_that_is_old_is_looked_through() -> None:
    """With each quarter more, everything was: 75 ms with 1,000 members, 590 ms with 10,000, and nothing was found."""
    before = gc.get_stats()[2]["collections"]
    held = [[number] for number in range(1_000_000)]
    assert gc.get_stats()[2]["collections"] == before
    assert gc.get_freeze_count() > 10_000, "what was imported is not looked through either"
    del held


@pytest.mark.usefixtures("_as_served")
def test_rings_that_die_young_are_found_as_ever() -> None:
    ring = weakref.ref(Ring())
    held = [[number] for number in range(50_000)]
    assert ring() is None
    del held


class Book:
    ended, open = 0, 0


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def garbage(book: Book, clock: Clock) -> Garbage:
    return Garbage(lambda: book.ended, lambda: book.open, clock)


@pytest.mark.parametrize("open_, enough", [(0, 1_000), (4_000, 1_000), (8_000, 2_000)])
def test_everything_is_looked_through_when_enough_have_left(
    garbage: Garbage, book: Book, open_: int, enough: int
) -> None:
    ring = weakref.ref(Ring())
    book.open, book.ended = open_, enough - 1
    assert (garbage.look_if_due(), ring() is None) == (False, False)
    book.ended = enough
    assert (garbage.look_if_due(), ring() is None) == (True, True)
    assert not garbage.look_if_due()
    book.ended = 2 * enough - 1
    assert not garbage.look_if_due()


def test_after_a_long_time_one_who_left_is_enough(garbage: Garbage, book: Book, clock: Clock) -> None:
    clock.now_s += 900
    assert not garbage.look_if_due(), "nothing has changed"
    book.ended = 1
    assert garbage.look_if_due()
    book.ended = 2
    clock.now_s += 899
    assert not garbage.look_if_due()


def test_plain_requests_leave_rings_as_well(clock: Clock) -> None:
    """Whoever reads `/healthz` all day by new connections, and nobody else there: memory grew for ever."""
    around: Any = SimpleNamespace(metrics=SimpleNamespace(connections_opened=Counter(carets=10)), clock_s=clock)
    doorman = SimpleNamespace(left=0)
    listener: Any = SimpleNamespace(heartbeat=SimpleNamespace(lines=set(range(10))), doorman=doorman)
    garbage = _garbage(around, listener)
    doorman.left = 1_000 * REQUESTS_PER_MEMBER - 1
    assert not garbage.look_if_due()
    doorman.left += 1
    assert garbage.look_if_due()

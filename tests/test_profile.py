"""What a member says of itself: taken cleaned, bounded, and for its own only."""

from __future__ import annotations

import json

import pytest

from carets import limits
from carets.errors import Code, WireError
from carets.protocol import messages, wire
from carets.protocol.access import Role
from carets.protocol.admission import Author
from carets.protocol.dialect import CARETS, STOCK, Dialect
from carets.rooms.allowance import Allowance
from carets.rooms.member import Member, Seat
from carets.rooms.outbox import Outbox
from carets.rooms.presence import Whereabouts
from carets.rooms.profile import take_page_presence, take_profile, take_stock_presence
from tests.stage import StageLine

STOCK_ID = 4_000_000_000
CURSOR = {"anchor": {"tname": "text"}, "head": {"tname": "text"}}


def member_of(dialect: Dialect = CARETS) -> Member:
    return Member(
        3, "person:ann", "link-a", Role.EDITOR, "Ann", "#112233", dialect, Outbox(StageLine()), Allowance(lambda: 0.0)
    )


def seat_of(member: Member) -> Seat:
    return Seat(member, 1, Author(member.person))


def payload(*entries: tuple[int, object], clock: int = 1) -> bytes:
    """An awareness update, as it is inside its message."""
    message = wire.encode_awareness([wire.Presence(id_, clock, json.dumps(state)) for id_, state in entries])
    decoded = wire.decode_message(message)
    assert isinstance(decoded, wire.Awareness)
    return decoded.payload


def shown(whereabouts: Whereabouts) -> dict[int, object]:
    """By the ids that stock clients know, what is there."""
    return {place.stock_id: json.loads(place.state) for place in whereabouts.news()}


def test_a_profile_is_cleaned_and_keeps_what_was_there_when_nothing_is_left() -> None:
    member = member_of()
    take_profile(member, messages.Profile("  An\u202en\nie ", "#ABCDEF"), {})
    assert (member.name, member.color) == ("Ann ie", "#abcdef")
    take_profile(member, messages.Profile("\u200b", "red"), {})
    assert member.name == "Ann ie"
    assert member.color.startswith("#")


def test_a_page_tells_one_caret_under_its_own_name() -> None:
    member, whereabouts = member_of(), Whereabouts()
    take_page_presence(whereabouts, member, payload((99, {"cursor": CURSOR, "user": {"name": "Eve"}})))
    user = {"id": 3, "name": "Ann", "color": "#112233", "role": "editor"}
    assert shown(whereabouts) == {3: {"user": user, "cursor": CURSOR}}
    with pytest.raises(WireError):
        take_page_presence(whereabouts, member, payload((3, {}), (4, {})))
    take_page_presence(whereabouts, member, payload((3, None)))
    assert shown(whereabouts) == {3: None}


def test_a_stock_client_is_named_once_and_speaks_for_itself_only() -> None:
    member, whereabouts = member_of(STOCK), Whereabouts()
    seat = seat_of(member)
    first = payload((STOCK_ID, {"user": {"name": "Bob", "color": "#445566"}, "cursor": None}))
    assert take_stock_presence(whereabouts, seat, first)
    assert (member.name, member.color, seat.client_id) == ("Bob", "#445566", STOCK_ID)
    later = payload((STOCK_ID, {"user": {"name": "Eve"}}), (STOCK_ID + 1, {"user": {"name": "Forged"}}), clock=2)
    assert not take_stock_presence(whereabouts, seat, later)
    assert member.name == "Bob"
    assert list(shown(whereabouts)) == [STOCK_ID]
    assert not take_stock_presence(whereabouts, seat, payload((STOCK_ID, None), clock=3))
    assert shown(whereabouts) == {STOCK_ID: None}


def test_a_stock_clock_that_nobody_could_count_on_from_is_refused() -> None:
    member, whereabouts = member_of(STOCK), Whereabouts()
    with pytest.raises(WireError) as caught:
        take_stock_presence(whereabouts, seat_of(member), payload((STOCK_ID, {}), clock=limits.CLOCK_MAX + 1))
    assert caught.value.code is Code.MALFORMED_PRESENCE
    assert shown(whereabouts) == {}


def test_a_name_is_as_long_as_a_name_may_be() -> None:
    member = member_of()
    take_profile(member, messages.Profile("x" * 1000, "#123456"), {})
    assert member.name == "x" * limits.NAME_UNITS_MAX


def test_a_stock_client_repeats_no_more_people_than_there_may_be() -> None:
    others: list[tuple[int, object]] = [(id_, {}) for id_ in range(limits.PRESENCE_ENTRIES_MAX + 1)]
    take_stock_presence(Whereabouts(), seat_of(member_of(STOCK)), payload(*others[:-1]))
    with pytest.raises(WireError) as caught:
        take_stock_presence(Whereabouts(), seat_of(member_of(STOCK)), payload(*others))
    assert caught.value.code is Code.MALFORMED_PRESENCE

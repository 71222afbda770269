"""Presence: what of it is taken, how its clocks go, and that nobody speaks for anybody else."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carets import limits
from carets.errors import Code, WireError
from carets.protocol.messages import MemberRecord
from carets.rooms.presence import (
    Cursor,
    ItemId,
    PageState,
    RelativePosition,
    StockUser,
    Whereabouts,
    decode_page_state,
    decode_stock_state,
)

ANN = MemberRecord(1, "Ann", "#112233", "editor")
BOB = MemberRecord(2, "Bob", "#445566", "viewer")
STOCK_ID = 3_000_000_000


def test_a_caret_is_read_as_yjs_writes_it() -> None:
    text = (
        '{"cursor":{"anchor":{"type":null,"tname":"text","item":{"client":5,"clock":9},"assoc":0},"head":{"assoc":-1}}}'
    )
    state = decode_page_state(text)
    anchor = RelativePosition(None, "text", ItemId(5, 9))
    assert state == PageState(Cursor(anchor, RelativePosition(assoc=-1)))
    assert decode_page_state("null") is None
    assert decode_page_state('{"cursor":null,"user":{"name":"forged"}}') == PageState()


@given(st.text(max_size=60) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_state_is_read_or_refused(text: str) -> None:
    for decode in (decode_page_state, decode_stock_state):
        with contextlib.suppress(WireError):
            decode(text)


@pytest.mark.parametrize("text", ['{"x":"' + "é" * (limits.PRESENCE_BYTES_MAX // 2) + '"}', "[" * 4000, "{", "1"])
def test_what_is_too_large_or_no_object_is_refused(text: str) -> None:
    for decode in (decode_page_state, decode_stock_state):
        with pytest.raises(WireError) as caught:
            decode(text)
        assert caught.value.code is Code.MALFORMED_PRESENCE


@pytest.mark.parametrize("client,clock", [(limits.CLIENT_ID_MAX + 1, 0), (0, limits.CLOCK_MAX + 1)])
def test_a_caret_beyond_all_ids_or_clocks_is_refused(client: int, clock: int) -> None:
    def stands_at(client: int, clock: int) -> str:
        at = f'{{"item":{{"client":{client},"clock":{clock}}}}}'
        return f'{{"cursor":{{"anchor":{at},"head":{at}}}}}'

    last = RelativePosition(item=ItemId(limits.CLIENT_ID_MAX, limits.CLOCK_MAX))
    assert decode_page_state(stands_at(limits.CLIENT_ID_MAX, limits.CLOCK_MAX)) == PageState(Cursor(last, last))
    with pytest.raises(WireError) as caught:
        decode_page_state(stands_at(client, clock))
    assert caught.value.code is Code.MALFORMED_PRESENCE
    assert decode_stock_state(stands_at(client, clock))[1] == PageState(), "of a stock client only the caret is lost"


def test_a_stock_state_may_hold_anything_and_only_user_and_caret_are_taken() -> None:
    assert decode_stock_state('{"user":[1],"cursor":{"line":3},"mouse":{"x":[[[1]]]}}') == (StockUser(), PageState())
    user, state = decode_stock_state('{"user":{"name":"Zoë","color":"red","colorLight":"x"},"cursor":null}')
    assert (user, state) == (StockUser("Zoë", "red"), PageState())
    assert decode_stock_state("null") == (StockUser(), None)


def test_news_are_told_once_and_all_of_it_any_time() -> None:
    where = Whereabouts()
    where.put(ANN, PageState())
    where.put(ANN, PageState())
    where.put(BOB, PageState(), STOCK_ID, 7)
    assert where.has_news
    page, stock = where.take_news()
    assert [entry.id for entry in page] == [1, 2]
    assert [(entry.id, entry.clock) for entry in stock][1] == (STOCK_ID, 7)
    assert json.loads(page[0].state)["user"] == {"id": 1, "name": "Ann", "color": "#112233", "role": "editor"}
    assert (where.has_news, where.take_news()) == (False, ([], []))
    assert where.all() == (page, stock)


def test_a_new_name_is_in_the_state_that_is_there() -> None:
    where = Whereabouts()
    where.restamp(ANN)
    assert not where.has_news
    where.put(ANN, PageState())
    (before,), _ = where.take_news()
    where.restamp(MemberRecord(1, "Anna", "#112233", "editor"))
    (after,), _ = where.take_news()
    assert after.clock > before.clock
    assert json.loads(after.state)["user"]["name"] == "Anna"


def test_only_the_states_of_our_own_members_are_renewed_with_a_newer_clock() -> None:
    where = Whereabouts()
    where.put(ANN, PageState())
    where.put(BOB, PageState(), STOCK_ID, 7)
    before = {entry.id: entry.clock for entry in where.take_news()[1]}
    where.renew()
    after = {entry.id: entry.clock for entry in where.take_news()[1]}
    assert after[1] > before[1]
    assert after[STOCK_ID] == before[STOCK_ID]


def test_an_id_towards_stock_clients_belongs_to_one() -> None:
    where = Whereabouts()
    where.put(BOB, PageState(), STOCK_ID, 7)
    assert where.is_taken(STOCK_ID, ANN.member_id)
    assert not where.is_taken(STOCK_ID, BOB.member_id)
    assert not where.is_taken(STOCK_ID + 1, ANN.member_id)
    assert where.is_taken(1, BOB.member_id), "the low ones are members'"


@given(st.lists(st.tuples(st.sampled_from(["put", "remove", "restamp", "renew", "take"]), st.sampled_from([ANN, BOB]))))
def test_what_is_told_later_is_newer(steps: list[tuple[str, MemberRecord]]) -> None:
    where = Whereabouts()
    told: dict[int, int] = {}
    for step, member in [*steps, ("take", ANN)]:
        match step:
            case "put":
                where.put(member, PageState())
            case "remove":
                where.remove(member.member_id)
            case "restamp":
                where.restamp(member)
            case "renew":
                where.renew()
            case _:
                for entry in where.take_news()[0]:
                    assert entry.clock > told.get(entry.id, 0)
                    told[entry.id] = entry.clock

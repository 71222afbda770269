"""Presence: what of it is taken, how its clocks go, and that nobody speaks for anybody else."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carets import limits
from carets.errors import Code, WireError
from carets.protocol import wire
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


def test_news_are_what_changed_since_and_each_member_is_in_them_once() -> None:
    where = Whereabouts()
    where.put(ANN, PageState())
    where.put(ANN, PageState())
    where.put(BOB, PageState(), STOCK_ID, 7)
    ann, bob = where.news()
    assert (ann.id, bob.id, bob.stock_id, bob.clock) == (1, 2, STOCK_ID, 7)
    assert json.loads(ann.state)["user"] == {"id": 1, "name": "Ann", "color": "#112233", "role": "editor"}
    assert where.news(ann.version) == [bob]
    assert where.news(where.version) == []
    where.put(ANN, PageState())
    assert [place.id for place in where.news()] == [2, 1], "the oldest change first"


def test_each_state_is_there_in_bytes_for_both_kinds_of_clients() -> None:
    where = Whereabouts()
    where.put(ANN, PageState())
    where.put(BOB, PageState(), STOCK_ID, 7)
    for place in where.news():
        for told, id_ in ((place.page, place.id), (place.stock, place.stock_id)):
            message = wire.decode_message(wire.join_awareness([told]))
            assert isinstance(message, wire.Awareness)
            assert wire.decode_awareness(message.payload, 1) == [
                wire.Presence(id_, place.clock, place.state.decode()),
            ]


def test_what_changes_while_it_is_told_is_news_again() -> None:
    where = Whereabouts()
    where.put(ANN, PageState())
    news = [where.has_news]
    where.begin_telling(0)
    news.append(where.has_news)
    where.put(BOB, PageState())
    news.append(where.has_news)
    assert news == [True, False, True]


def test_those_who_left_are_remembered_until_everybody_knows_and_the_latest_for_longer() -> None:
    where = Whereabouts()
    members = [MemberRecord(number, "", "", "editor") for number in range(1, 302)]
    for member in members:
        where.put(member, PageState())
    for member in members[:300]:
        where.remove(member.member_id)
    where.begin_telling(where.news()[0].version)
    assert len(where.news()) == 301, "not everybody was told"
    where.begin_telling(where.version)
    assert [place.id for place in where.news()] == [301, *range(45, 301)]
    where.put(members[0], PageState())
    where.begin_telling(where.version)
    assert where.news()[-1].id == 1, "who came back is not among them"


def test_no_more_are_remembered_than_a_room_has_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMBERS_MAX", 300)
    where = Whereabouts()
    for number in range(1, 402):
        member = MemberRecord(number, "", "", "editor")
        where.put(member, PageState())
        where.remove(number)
    where.begin_telling(0)
    assert len(where.news()) == 300


def test_a_new_name_is_in_the_state_that_is_there() -> None:
    where = Whereabouts()
    where.restamp(ANN)
    assert where.news() == []
    where.put(ANN, PageState())
    (before,) = where.news()
    where.restamp(MemberRecord(1, "Anna", "#112233", "editor"))
    (after,) = where.news()
    assert after.clock > before.clock
    assert json.loads(after.state)["user"]["name"] == "Anna"


def test_only_the_states_of_our_own_members_are_renewed_with_a_newer_clock() -> None:
    where = Whereabouts()
    where.put(ANN, PageState())
    where.put(BOB, PageState(), STOCK_ID, 7)
    before = {place.stock_id: place.clock for place in where.news()}
    told = where.version
    where.renew()
    after = {place.stock_id: place.clock for place in where.news(told)}
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
    version = 0
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
                news, version = where.news(version), where.version
                for entry in news:
                    assert entry.clock > told.get(entry.id, 0)
                    told[entry.id] = entry.clock

"""The carry window: after the restore of an older backup, whoever comes brings back what the others had typed, too.

The first half asks the gate, the second a room whose store went back in time under its members.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator

import pytest
from pycrdt import Doc, Text

from carets.errors import Code, Refused
from carets.protocol import admission, wire
from carets.protocol.admission import Author, Gate
from carets.protocol.dialect import STOCK
from carets.rooms.lobby import Lobby
from tests.sessions import block, item, update
from tests.stage import ROOM_ID, Actor, Stage, settled

ANN, BOB, EVE = "person:ann", "person:bob", "person:eve"
TYPED = update(block(1, 0, item("abc")))
TYPED_ON = update(block(1, 3, item("d", (1, 2))))
WHOLE = update(block(1, 0, item("abcd")))


class Window:
    """Open or shut, as the test says."""

    def __init__(self) -> None:
        self.is_open = True

    def gate(self, *known: bytes) -> Gate:
        """A gate to whose document Ann has typed this."""
        gate = Gate(is_carrying=lambda: self.is_open)
        for typed in known:
            gate.admit(typed, Author(ANN))
        gate.take_claims()
        return gate


@pytest.fixture
def window() -> Window:
    return Window()


def taken(gate: Gate, data: bytes, person: str) -> bool:
    """Whether typing this is refused, as under somebody else's id."""
    with pytest.raises(Refused) as caught:
        gate.admit(data, Author(person))
    return caught.value.code is Code.CLIENT_ID_TAKEN


def test_without_a_window_nobody_carries_anything(window: Window) -> None:
    window.is_open = False
    gate = window.gate(TYPED)
    with pytest.raises(Refused) as caught:
        gate.carry(WHOLE, Author(BOB))
    assert caught.value.code is Code.CLIENT_ID_TAKEN
    assert gate.known_clocks() == {1: 3}
    assert gate.carry(WHOLE, Author(ANN)) == TYPED_ON


def test_what_somebody_typed_may_be_carried_and_stays_theirs(window: Window) -> None:
    gate = window.gate(TYPED)
    assert gate.carry(WHOLE, Author(BOB)) == TYPED_ON
    assert gate.take_claims() == []
    on = update(block(1, 4, item("e", (1, 3))))
    assert taken(gate, on, BOB), "to carry is not to own"
    assert gate.admit(on, Author(ANN)) is on


def test_typing_under_somebody_elses_id_is_refused_in_the_window_too(window: Window) -> None:
    assert taken(window.gate(TYPED), TYPED_ON, BOB)


def test_an_id_that_is_carried_and_on_no_record_is_nobodys(window: Window) -> None:
    gate = window.gate()
    assert gate.carry(TYPED, Author(BOB)) is TYPED
    assert gate.take_claims() == []
    window.is_open = False
    for person in (ANN, BOB):
        assert taken(gate, TYPED_ON, person)
        with pytest.raises(Refused):
            gate.declare(1, Author(person))


def test_whoever_declares_a_carried_id_in_the_window_has_it(window: Window) -> None:
    gate = window.gate()
    gate.carry(TYPED, Author(BOB))
    gate.declare(1, Author(ANN))
    with pytest.raises(Refused):
        gate.declare(1, Author(EVE))
    window.is_open = False
    assert taken(gate, TYPED_ON, EVE)
    assert gate.carry(WHOLE, Author(ANN)) == TYPED_ON
    assert gate.take_claims() == [(1, ANN)]


def test_what_was_declared_before_it_is_carried_stays_its_persons(window: Window) -> None:
    gate = window.gate()
    gate.declare(1, Author(ANN))
    assert gate.carry(TYPED, Author(BOB)) is TYPED
    assert taken(gate, TYPED_ON, BOB)
    assert gate.admit(TYPED_ON, Author(ANN)) is TYPED_ON
    assert gate.take_claims() == [(1, ANN)]


def test_a_stock_client_that_carried_its_own_id_may_type_on(window: Window) -> None:
    """It declares nothing: its first edit must not be refused because its step 2 came before."""
    gate, author = window.gate(), Author("link:bob")
    gate.carry(TYPED, author)
    assert gate.admit(TYPED_ON, author) is TYPED_ON
    assert gate.take_claims() == [(1, "link:bob")]


@pytest.mark.parametrize("is_known", [True, False])
def test_who_carried_somebodys_text_does_not_type_on_in_their_name(window: Window, is_known: bool) -> None:
    """The fast path asks for no owner, so it must never begin at what was only carried."""
    gate, author = window.gate(*[TYPED] * is_known), Author(BOB)
    gate.carry(WHOLE, author)
    window.is_open = False
    with pytest.raises(Refused):
        gate.admit(update(block(1, 4, item("e", (1, 3)))), author)


def test_carrying_spends_none_of_ones_own_new_ids(window: Window) -> None:
    gate, author = window.gate(), Author(BOB, new_ids_left=1)
    gate.carry(update(*(block(client, 0, item("x")) for client in range(1, 30))), author)
    own = update(block(99, 0, item("y")))
    assert gate.admit(own, author) is own


def test_a_file_takes_no_more_carried_ids_than_any_others(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "CLIENT_IDS_MAX", 5)
    gate = window.gate(TYPED)
    gate.carry(update(*(block(client, 0, item("x")) for client in range(2, 6))), Author(BOB))
    with pytest.raises(Refused) as caught:
        gate.carry(update(block(6, 0, item("x"))), Author(BOB))
    assert caught.value.code is Code.CLIENT_IDS_TOO_MANY
    assert taken(gate, update(block(1, 3, item("d", (1, 2)))), BOB), "what is there goes on as before"


# -- a room


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = await Stage().set_up("a.py")
    yield stage
    stage.room.delivery.stop()


async def go_back(stage: Stage, kept: dict[str, object], window_ms: int) -> None:
    """The server ends; its store is what it was, and the window is open."""
    stage.room.delivery.stop()
    stage.store.__dict__.update(copy.deepcopy(kept))
    stage.around = stage.around._replace(carry_until_ms=stage.now_ms + window_ms)
    stage.lobby = Lobby(stage.around)
    stage.room = await stage.lobby.enter(ROOM_ID)


def bring(again: Actor, actor: Actor) -> None:
    """The document of an earlier connection becomes this one's."""
    doc = again.docs[1] = actor.doc(1)
    again._subscriptions.append(doc.observe(lambda event: again._changed(1, event)))


async def come_back(stage: Stage, actor: Actor) -> Actor:
    """The same browser, by its person's token, with the document that it has."""
    (welcome,) = actor.told("welcome")
    again = stage.join(person=welcome["person"])
    bring(again, actor)
    await again.open(1)
    await settled()
    again.answer_step_1(1)
    await settled()
    return again


def parts(store: object) -> dict[str, object]:
    names = ("workspaces", "logs", "owners", "checkpoints", "quarantined", "batches")
    return copy.deepcopy({name: getattr(store, name) for name in names})


async def typed_and_lost(stage: Stage) -> tuple[Actor, Actor, dict[str, object]]:
    """Ann and Bob have typed; then comes a backup; then they have typed on, were told saved, and saw each other."""
    ann, bob = await stage.editor(1, client_id=1), await stage.editor(1, client_id=2)
    for actor, text in ((ann, "one "), (bob, "two ")):
        actor.type(1, text)
        await settled()
    kept = parts(stage.store)
    for actor, text in ((ann, "three "), (bob, "four ")):
        actor.type(1, text)
        await settled()
    assert ann.text(1) == bob.text(1) == "one two three four "
    assert ann.saved == ann.member.received
    return ann, bob, kept


async def test_one_who_comes_back_brings_what_all_had_typed(stage: Stage) -> None:
    ann, bob, kept = await typed_and_lost(stage)
    late = ann.edit(1, 0, "zero ")
    await go_back(stage, kept, 1000)
    assert (await stage.room.shelf.read_text(1)) == "one two "
    bob = await come_back(stage, bob)
    assert [notice["carries"] for notice in bob.told("welcome")] == [True], "a page brings what it remembers, too"
    assert (await stage.room.shelf.read_text(1)) == "one two three four "
    assert bob.told("refused") == []
    ann = await come_back(stage, ann)
    assert ann.told("refused") == []
    assert late, "typed while the server was gone"
    assert ann.text(1) == bob.text(1) == await stage.room.shelf.read_text(1) == "zero one two three four "
    ann.type(1, "five")
    bob.type(1, "!")
    await settled()
    assert ann.text(1) == bob.text(1) == await stage.room.shelf.read_text(1)
    assert stage.store.owners[ROOM_ID, 1] == {1: ann.member.person, 2: bob.member.person}


async def test_after_the_window_nobody_brings_what_others_typed(stage: Stage) -> None:
    _, bob, kept = await typed_and_lost(stage)
    await go_back(stage, kept, 1000)
    stage.now_ms += 1000
    bob = await come_back(stage, bob)
    assert [notice["carries"] for notice in bob.told("welcome")] == [False]
    assert [notice["code"] for notice in bob.told("refused")] == [Code.CLIENT_ID_TAKEN]
    assert (await stage.room.shelf.read_text(1)) == "one two "


async def test_a_viewer_carries_nothing(stage: Stage) -> None:
    _, bob, kept = await typed_and_lost(stage)
    await go_back(stage, kept, 1000)
    eve = stage.join("viewer")
    await eve.open(1, client_id=3)
    await settled()
    eve.send(1, wire.encode_step_2(bob.doc(1).get_update()))
    assert [notice["code"] for notice in eve.told("refused")] == [Code.ROLE_TOO_LOW]
    assert (await stage.room.shelf.read_text(1)) == "one two "


async def test_a_failed_commit_leaves_the_window_open(stage: Stage) -> None:
    _, bob, kept = await typed_and_lost(stage)
    await go_back(stage, kept, 1000)
    eve = await stage.editor(1, client_id=3)
    stage.store.gate.clear()
    eve.type(1, "lost ")
    stage.store.fails = True
    stage.store.gate.set()
    await settled()
    stage.store.fails = False
    bob = await come_back(stage, bob)
    assert bob.told("refused") == []
    assert "three four" in await stage.room.shelf.read_text(1)


async def test_a_stock_client_carries_by_its_link_and_types_on(stage: Stage) -> None:
    _, bob, kept = await typed_and_lost(stage)
    await go_back(stage, kept, 1000)
    stock = stage.join(dialect=STOCK)
    own: Doc[Text] = Doc(client_id=50)
    own.apply_update(bob.doc(1).get_update())
    own["text"] = text = Text()
    await stage.room.open_stock_file(stock.member, 1)
    text += "five "
    stage.room.receive_stock(stock.member, 1, wire.encode_step_1(own.get_state()))
    stage.room.receive_stock(stock.member, 1, wire.encode_step_2(own.get_update()))
    await settled()
    before = own.get_state()
    text += "six "
    stage.room.receive_stock(stock.member, 1, wire.encode_update(own.get_update(before)))
    await settled()
    assert stock.line.closed_with is None
    assert (await stage.room.shelf.read_text(1)) == "one two three four five six "
    assert stage.store.owners[ROOM_ID, 1][50] == "link:link-editor"

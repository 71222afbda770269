"""The gate, rule by rule, on updates made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carets.errors import Code, Refused, WireError
from carets.limits import CLIENT_ID_MAX, CLIENT_IDS_NEW_MAX, CLOCK_MAX
from carets.protocol import admission, deletions
from carets.protocol.admission import Author, Gate
from carets.protocol.wire import encode_varuint as v
from tests.sessions import block, item, new_doc, skip, state_of, text_of, update

VECTORS = json.loads((Path(__file__).parent / "vectors" / "hostile_updates.json").read_text())
HELLO = update(block(1, 0, item("hello")))
EMOJI = update(block(1, 0, item("a😀b")))
"""Clocks: a 0, the halves 1 and 2, b 3."""


def gate_with(*updates: bytes, person: str = "person:ann") -> tuple[Gate, Author]:
    gate, author = Gate(), Author(person)
    for each in updates:
        assert gate.admit(each, author) is each
    return gate, author


def refused(gate: Gate, data: bytes, author: Author) -> Code:
    """The code with which `data` is refused; nothing may change."""
    before = state_of(gate), gate.declared(), author.new_ids_left
    with pytest.raises((WireError, Refused)) as caught:
        gate.admit(data, author)
    assert (state_of(gate), gate.declared(), author.new_ids_left) == before
    assert caught.value.code is Code.DOCUMENT_TOO_LARGE or isinstance(
        caught.value, Refused if caught.value.code in (Code.CLIENT_ID_TAKEN, Code.CLIENT_IDS_TOO_MANY) else WireError
    )
    return caught.value.code


def assert_gap(gate: Gate, data: bytes, author: Author) -> None:
    before = state_of(gate), author.new_ids_left
    assert gate.admit(data, author) is None
    assert (state_of(gate), author.new_ids_left) == before
    assert gate.has_news(data)


# -- what continues the document


def test_what_is_wholly_new_is_handed_back_as_it_came() -> None:
    gate, author = gate_with(HELLO)
    more = update(block(1, 5, item("!", (1, 4))), gone={1: [(0, 1)]})
    assert gate.admit(more, author) is more
    assert gate.known_clocks() == {1: 6}
    assert gate.known_deletions() == {1: [(0, 1)]}
    assert gate.units == 5


def test_a_duplicate_has_nothing_new() -> None:
    gate, author = gate_with(HELLO, update(gone={1: [(1, 3)]}))
    for each in (HELLO, update(gone={1: [(1, 3)]}), update(gone={1: [(2, 3)]}), b"\0\0"):
        assert gate.admit(each, author) == b""
        assert not gate.has_news(each)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(update(block(1, 6, item("x", (1, 5)))), id="own-clock"),
        pytest.param(update(block(2, 1, item("x", (2, 0)))), id="clock-of-a-new-client"),
        pytest.param(update(block(2, 0, item("x", (1, 5)))), id="origin"),
        pytest.param(update(block(2, 0, item("x", None, (1, 5)))), id="right-origin"),
        pytest.param(update(block(2, 0, item("x", (3, 0)))), id="origin-of-nobody"),
        pytest.param(update(block(2, 0, item("x")), block(3, 0, item("y", (2, 1)))), id="beyond-a-block"),
        pytest.param(update(gone={1: [(4, 6)]}), id="deletion"),
        pytest.param(update(gone={2: [(0, 1)]}), id="deletion-of-nobody"),
        pytest.param(update(block(1, 5, item("xy", (1, 4))), gone={1: [(6, 8)]}), id="deletion-beyond-the-block"),
        pytest.param(update(block(1, 5, item("x", (1, 4)), skip(2), item("y", (1, 5)))), id="skip"),
        pytest.param(update(block(1, 0, item("hello"), skip(2))), id="skip-after-what-is-known"),
    ],
)
def test_what_refers_to_something_missing_is_a_gap(data: bytes) -> None:
    assert_gap(*gate_with(HELLO)[:1], data, Author("person:ann"))


def test_a_gap_that_was_closed_is_one_no_more() -> None:
    gate, author = gate_with(HELLO)
    late = update(block(1, 6, item("!", (1, 5))))
    assert_gap(gate, late, author)
    gate.admit(update(block(1, 5, item("?", (1, 4)))), author)
    assert gate.admit(late, author) is late


# -- overlap


def test_an_overlap_is_trimmed_to_what_is_new() -> None:
    gate, author = gate_with(HELLO)
    more = update(block(1, 0, item("hello, w"), item("x", (1, 2), (1, 3))), gone={1: [(0, 1)]})
    assert gate.admit(more, author) == update(
        block(1, 5, item(", w", (1, 4)), item("x", (1, 2), (1, 3))), gone={1: [(0, 1)]}
    )
    assert gate.units == 8


def test_a_trimmed_struct_keeps_its_right_origin() -> None:
    gate, author = gate_with(HELLO, update(block(2, 0, item("ab", (1, 1), (1, 2)))))
    assert gate.admit(update(block(2, 0, item("abcd", (1, 1), (1, 2)))), author) == update(
        block(2, 2, item("cd", (2, 1), (1, 2)))
    )


def test_the_origin_of_a_known_head_goes_with_it() -> None:
    gate, author = gate_with(HELLO)
    assert gate.admit(update(block(1, 0, item("hello!", (9, 9)))), author) == update(block(1, 5, item("!", (1, 4))))


def test_known_blocks_are_dropped_whole() -> None:
    gate, author = gate_with(HELLO)
    both = update(block(1, 0, item("hello")), block(2, 0, item("x", (1, 4))))
    assert gate.admit(both, author) == update(block(2, 0, item("x", (1, 4))))


def test_another_text_in_a_known_part_changes_nothing() -> None:
    gate, author = gate_with(HELLO)
    assert gate.admit(update(block(1, 0, item("JELLOW"))), author) == update(block(1, 5, item("W", (1, 4))))
    assert gate.admit(update(block(1, 0, item("😀😀😀"))), author) == b""


def test_an_overlap_that_ends_inside_a_character_is_refused() -> None:
    gate, author = gate_with(HELLO)
    assert refused(gate, update(block(1, 0, item("hell😀"))), author) is Code.SPLIT_CHARACTER


def test_an_overlap_may_have_a_whole_character_in_its_known_part() -> None:
    gate, author = gate_with(update(block(1, 0, item("😀a"))))
    assert gate.admit(update(block(1, 0, item("😀ab"))), author) == update(block(1, 3, item("b", (1, 2))))


def test_the_halves_of_a_trimmed_struct_are_kept() -> None:
    gate, author = gate_with(update(block(1, 0, item("ab"))))
    trimmed = gate.admit(update(block(1, 0, item("ab😀c"))), author)
    assert trimmed == update(block(1, 2, item("😀c", (1, 1))))
    assert refused(gate, update(block(1, 5, item("x", (1, 2)))), author) is Code.SPLIT_CHARACTER


def test_deletions_that_are_known_are_subtracted() -> None:
    gate, author = gate_with(HELLO, update(gone={1: [(1, 2), (3, 4)]}))
    assert gate.admit(update(gone={1: [(0, 5)]}), author) == update(gone={1: [(0, 1), (2, 3), (4, 5)]})
    assert gate.units == 0


def test_a_run_that_was_deleted_before_it_came_counts_as_deleted_once() -> None:
    gate, author = gate_with(HELLO)
    typed_and_gone = update(block(1, 5, item(3, (1, 4)), item("x", (1, 7))), gone={1: [(4, 8)]})
    assert gate.admit(typed_and_gone, author) is typed_and_gone
    assert gate.known_deletions() == {1: [(4, 8)]}
    assert gate.units == 5


# -- order inside one update


def test_two_tabs_that_typed_into_each_other_are_admitted() -> None:
    a = block(1, 0, item("a"), item("c", (2, 0)))
    b = block(2, 0, item("b", (1, 0)), item("d", (1, 1)))
    for data in (update(a, b), update(b, a)):
        gate, _ = gate_with(data)
        assert gate.known_clocks() == {1: 2, 2: 2}


def test_a_cycle_of_origins_is_refused() -> None:
    a = block(1, 0, item("a", (2, 0)))
    b = block(2, 0, item("b", (3, 0)))
    c = block(3, 0, item("c", None, (1, 0)))
    assert refused(Gate(), update(a, block(2, 0, item("b", (1, 0)))), Author("p")) is Code.ILLEGAL_UPDATE
    assert refused(Gate(), update(a, b, c), Author("p")) is Code.ILLEGAL_UPDATE


@pytest.mark.parametrize("origin", [(1, 5), (1, 6), (1, 99)])
def test_a_struct_that_refers_to_its_own_future_is_refused(origin: tuple[int, int]) -> None:
    gate, author = gate_with(HELLO)
    for struct in (item("xy", origin), item("xy", None, origin)):
        assert refused(gate, update(block(1, 5, struct)), author) is Code.ILLEGAL_UPDATE


def test_a_long_chain_between_two_clients_costs_no_recursion() -> None:
    depth = 20_000
    a = [item("a"), *(item("a", (2, at)) for at in range(depth - 1))]
    b = [item("b", (1, at)) for at in range(depth)]
    gate, _ = gate_with(update(block(1, 0, *a), block(2, 0, *b)))
    assert gate.units == 2 * depth


def test_a_chain_through_many_clients_costs_no_recursion() -> None:
    clients = 20_000
    chain = [block(at, 0, item("x", (at + 1, 0))) for at in range(1, clients)]
    assert Gate().admit(update(*chain, block(clients, 0, item("x"))), Author("p", clients))


# -- characters of two units


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(update(block(2, 0, item("x", (1, 1), (1, 2)))), id="between"),
        pytest.param(update(block(2, 0, item("x", (1, 1)))), id="after-the-first-half"),
        pytest.param(update(block(2, 0, item("x", None, (1, 2)))), id="before-the-second-half"),
        pytest.param(update(gone={1: [(1, 2)]}), id="first-half-deleted"),
        pytest.param(update(gone={1: [(2, 3)]}), id="second-half-deleted"),
        pytest.param(update(gone={1: [(0, 2)]}), id="deletion-up-to-the-middle"),
        pytest.param(update(gone={1: [(2, 4)]}), id="deletion-from-the-middle"),
        pytest.param(update(block(2, 0, item("😀"), item("x", (2, 0)))), id="in-the-update-itself"),
        pytest.param(update(block(2, 0, item("😀")), gone={2: [(0, 1)]}), id="deleted-in-the-update-itself"),
        pytest.param(update(block(2, 0, item("😀")), block(3, 0, item("x", None, (2, 1)))), id="in-another-block"),
    ],
)
def test_nothing_comes_between_the_halves_of_a_character(data: bytes) -> None:
    gate, author = gate_with(EMOJI)
    assert refused(gate, data, author) is Code.SPLIT_CHARACTER
    reloaded = Gate.of(EMOJI, {1: "person:ann"})
    assert refused(reloaded, data, author) is Code.SPLIT_CHARACTER


def test_beside_a_character_all_is_well() -> None:
    gate, author = gate_with(EMOJI)
    for data in (
        update(block(2, 0, item("x", (1, 2), (1, 3)))),
        update(block(3, 0, item("x", (1, 0), (1, 1)))),
        update(gone={1: [(1, 3)]}),
        update(block(4, 0, item("x", (1, 2), (1, 3)))),
    ):
        assert gate.admit(data, author) is data


def test_a_deleted_character_is_still_whole() -> None:
    gate, author = gate_with(EMOJI, update(gone={1: [(1, 3)]}))
    assert refused(gate, update(block(2, 0, item("x", (1, 1)))), author) is Code.SPLIT_CHARACTER


# -- whose client id is whose


def test_a_client_id_belongs_to_the_person_who_used_it_first() -> None:
    gate, _ = gate_with(HELLO)
    other = Author("person:bob")
    assert refused(gate, update(block(1, 5, item("x", (1, 4)))), other) is Code.CLIENT_ID_TAKEN
    assert gate.admit(HELLO, other) == b""
    another_tab = Author("person:ann")
    assert gate.admit(update(block(1, 5, item("x", (1, 4)))), another_tab)
    assert another_tab.new_ids_left == CLIENT_IDS_NEW_MAX


def test_what_is_known_of_others_is_dropped_beside_ones_own() -> None:
    gate, _ = gate_with(HELLO)
    theirs_and_mine = update(block(1, 0, item("hello")), block(2, 0, item("x", (1, 4))))
    assert gate.admit(theirs_and_mine, Author("person:bob")) == update(block(2, 0, item("x", (1, 4))))
    more = update(block(1, 0, item("hello!")), block(2, 1, item("y", (2, 0))))
    assert refused(gate, more, Author("person:bob")) is Code.CLIENT_ID_TAKEN


def test_anybody_may_delete() -> None:
    gate, _ = gate_with(HELLO)
    assert gate.admit(update(gone={1: [(0, 1)]}), Author("person:bob", 0))


def test_claims_are_told_once() -> None:
    gate, author = gate_with(HELLO)
    gate.declare(7, author)
    assert gate.take_claims() == [(1, "person:ann")]
    assert gate.take_claims() == []
    gate.admit(update(block(7, 0, item("x", (1, 4)))), author)
    gate.admit(update(block(7, 1, item("x", (7, 0)))), author)
    assert gate.take_claims() == [(7, "person:ann")]


def test_a_declared_client_id_is_reserved() -> None:
    gate, author = gate_with(HELLO)
    gate.declare(7, author)
    assert author.new_ids_left == CLIENT_IDS_NEW_MAX - 2
    gate.declare(7, author)
    other = Author("person:bob")
    with pytest.raises(Refused) as caught:
        gate.declare(7, other)
    assert caught.value.code is Code.CLIENT_ID_TAKEN
    assert refused(gate, update(block(7, 0, item("x", (1, 4)))), other) is Code.CLIENT_ID_TAKEN
    gate.admit(update(block(7, 0, item("x", (1, 4)))), author)
    assert author.new_ids_left == CLIENT_IDS_NEW_MAX - 2
    assert gate.declared() == {}


def test_ones_own_and_used_client_id_may_be_declared_again() -> None:
    gate, author = gate_with(HELLO)
    gate.declare(1, author)
    assert gate.declared() == {}
    with pytest.raises(Refused):
        gate.declare(1, Author("person:bob"))


def test_new_client_ids_are_counted() -> None:
    gate, author = Gate(), Author("person:ann")
    many = [block(at, 0, item("x")) for at in range(CLIENT_IDS_NEW_MAX + 1)]
    assert refused(gate, update(*many), author) is Code.CLIENT_IDS_TOO_MANY
    assert gate.admit(update(*many[:-1]), author)
    assert refused(gate, update(many[-1]), author) is Code.CLIENT_IDS_TOO_MANY
    with pytest.raises(Refused) as caught:
        gate.declare(99, author)
    assert caught.value.code is Code.CLIENT_IDS_TOO_MANY


@pytest.mark.parametrize("client_id", [-1, CLIENT_ID_MAX + 1])
def test_what_is_no_client_id_cannot_be_declared(client_id: int) -> None:
    with pytest.raises(WireError):
        Gate().declare(client_id, Author("person:ann"))


def test_declarations_are_bounded_and_the_oldest_gives_way() -> None:
    gate = Gate()
    for client in range(admission.DECLARED_MAX + 1):
        gate.declare(client, Author(f"person:{client}"))
    assert len(gate.declared()) == admission.DECLARED_MAX
    assert 0 not in gate.declared()


def test_who_declares_without_end_gives_up_its_own() -> None:
    # Whoever opened a file a thousand times could push the others' reservations out, and then take their ids.
    gate = Gate()
    gate.declare(1, Author("person:ann"))
    for client in range(10, 10 + 2 * admission.DECLARED_MAX):
        gate.declare(client, Author("person:eve"))
    assert gate.declared()[1] == "person:ann"
    eves = [client for client, person in gate.declared().items() if person == "person:eve"]
    assert len(eves) == admission.DECLARED_PERSON_MAX
    assert eves[-1] == 10 + 2 * admission.DECLARED_MAX - 1, "its latest ones stay"


def test_declarations_outlive_a_failed_commit() -> None:
    gate, author = gate_with(HELLO)
    gate.declare(7, author)
    again = Gate.of(HELLO, {1: "person:ann"}, declared=gate.declared())
    assert refused(again, update(block(7, 0, item("x", (1, 4)))), Author("person:bob")) is Code.CLIENT_ID_TAKEN


def test_a_client_id_of_the_document_without_an_owner_belongs_to_nobody() -> None:
    gate = Gate.of(HELLO, {})
    for person in ("person:ann", admission.NOBODY + "x"):
        assert refused(gate, update(block(1, 5, item("x", (1, 4)))), Author(person)) is Code.CLIENT_ID_TAKEN
        with pytest.raises(Refused):
            gate.declare(1, Author(person))


def test_owners_on_record_are_kept_before_their_first_struct() -> None:
    gate = Gate({9: "person:ann"})
    assert refused(gate, update(block(9, 0, item("x"))), Author("person:bob")) is Code.CLIENT_ID_TAKEN
    assert gate.admit(update(block(9, 0, item("x"))), Author("person:ann", 0))
    assert gate.take_claims() == []


# -- size


def test_a_document_has_a_largest_size() -> None:
    gate, author = Gate(units_max=5), Author("person:ann")
    assert gate.admit(HELLO, author)
    more = update(block(1, 5, item("x", (1, 4))))
    assert refused(gate, more, author) is Code.DOCUMENT_TOO_LARGE
    replaced = update(block(1, 5, item("x", (1, 4))), gone={1: [(0, 1)]})
    assert gate.admit(replaced, author)
    assert refused(gate, update(block(1, 6, item("y", (1, 5)))), author) is Code.DOCUMENT_TOO_LARGE
    assert gate.admit(update(gone={1: [(1, 3)]}), author)
    assert gate.admit(update(block(1, 6, item("y", (1, 5)))), author)


def test_a_document_above_a_lowered_limit_may_shrink_or_stay() -> None:
    gate = Gate.of(HELLO, {1: "person:ann"}, units_max=2)
    author = Author("person:ann")
    assert gate.admit(update(gone={1: [(0, 1)]}), author)
    assert refused(gate, update(block(1, 5, item("x", (1, 4)))), author) is Code.DOCUMENT_TOO_LARGE
    assert gate.admit(update(block(1, 5, item("x", (1, 4))), gone={1: [(1, 2)]}), author)


def test_clocks_end_at_their_limit_on_either_path() -> None:
    gate = Gate.of(update(block(1, 0, item(CLOCK_MAX - 2))), {1: "person:ann"})
    author = Author("person:ann")
    for at in (2, 1):
        typed = update(block(1, CLOCK_MAX - at, item("x", (1, CLOCK_MAX - at - 1))))
        assert gate.admit(typed, author) is typed
    assert refused(gate, update(block(1, CLOCK_MAX, item("x", (1, CLOCK_MAX - 1)))), author) is Code.ILLEGAL_UPDATE


# -- the fast path


def test_a_keystroke_after_ones_own_last_character_takes_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, author = gate_with(HELLO, update(block(2, 0, item("x", (1, 1), (1, 2)))))
    monkeypatch.setattr(Gate, "_admit_any", None)
    clock = 1
    for text in ("a", "é", "漢", "abc", "\uffff", "é" * 60):
        typed = update(block(2, clock, item(text, (2, clock - 1), (1, 2))))
        assert gate.admit(typed, author) is typed
        clock += len(text)
    assert gate.known_clocks() == {1: 5, 2: clock}
    assert gate.units == 5 + clock


def test_the_fast_path_of_one_gate_is_not_taken_by_another() -> None:
    gate, author = gate_with(HELLO)
    fallen_back = Gate.of(HELLO, {1: "person:bob"})
    assert refused(fallen_back, update(block(1, 5, item("x", (1, 4)))), author) is Code.CLIENT_ID_TAKEN
    assert gate.units == 5


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(update(block(1, 5, item("", (1, 4)))), id="empty"),
        pytest.param(update(block(1, 5, item("é", (1, 4)).replace("é".encode(), b"\xc3\x28"))), id="no-utf8"),
        pytest.param(update(block(1, 5, item("x", (1, 4)))) + b"\0", id="tail"),
        pytest.param(update(block(1, 5, item("x", (1, 4))))[:-1] + b"\x05", id="no-delete-set"),
        pytest.param(update(block(1, 5, item("xx", (1, 4)).replace(b"\x02x", b"\x01x"))), id="short-length"),
        pytest.param(update(block(1, 5, item("x", (1, 4))))[:-3], id="cut-before-the-length"),
        pytest.param(update(block(1, 5, item("x", (1, 4))))[:-1], id="cut-before-the-delete-set"),
        pytest.param(
            update(block(1, 5, item("x", (1, 4))))[:-3] + b"\x81\x7f" + b"x" * 128 + b"\0", id="length-of-two-bytes"
        ),
    ],
)
def test_what_only_looks_like_a_keystroke_is_refused(data: bytes) -> None:
    gate, author = gate_with(HELLO)
    assert refused(gate, data, author) is Code.MALFORMED_UPDATE


# -- load, replay, delete sets


def test_a_gate_is_loaded_from_a_real_document() -> None:
    doc = new_doc(3)
    doc["text"] += "a😀b漢字"
    del doc["text"][0:1]
    gate = Gate.of(doc.get_update(), {3: "person:ann"})
    assert gate.known_clocks() == {3: 6}
    assert gate.known_deletions() == {3: [(0, 1)]}
    assert gate.units == 5
    assert Gate.of(b"\0\0", {}).units == 0


def test_a_replay_asks_for_no_owner_and_no_room() -> None:
    gate = Gate(units_max=1)
    gate.replay(HELLO)
    gate.replay(update(gone={1: [(0, 2)]}))
    assert gate.units == 3
    assert gate.take_claims() == []


def test_a_log_with_a_gap_is_our_bug() -> None:
    with pytest.raises(AssertionError):
        Gate().replay(update(block(1, 5, item("x", (1, 4)))))


def test_a_delete_set_seen_before_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ranges = [(2 * at, 2 * at + 1) for at in range(200)]
    gate, author = gate_with(update(block(1, 0, item("x" * 400))))
    everything = update(gone={1: ranges})
    assert gate.admit(everything, author) is everything
    monkeypatch.setattr(deletions, "read_told", None)
    assert gate.admit(everything, author) == b""
    assert not gate.has_news(everything)
    typed = update(block(1, 400, item("y", (1, 399))), gone={1: ranges})
    assert gate.admit(typed, author) == update(block(1, 400, item("y", (1, 399))))


def test_a_delete_set_that_was_refused_is_not_taken_for_known() -> None:
    ranges = [(2 * at, 2 * at + 1) for at in range(200)]
    gate, author = gate_with(update(block(1, 0, item("x" * 300))))
    everything = update(gone={1: ranges})
    assert_gap(gate, everything, author)
    assert gate.has_news(everything)
    assert_gap(gate, everything, author)


# -- bytes that harm an engine without a gate


@pytest.mark.parametrize("vector", [pytest.param(each, id=each["name"]) for each in VECTORS])
def test_hostile_bytes_get_their_verdict(vector: dict[str, object]) -> None:
    parts = vector["hex"]
    assert isinstance(parts, list)
    data = b"".join(bytes.fromhex(piece) * times for piece, times in parts)
    gate, author = Gate(), Author("person:ann")
    if vector["before"]:
        assert gate.admit(bytes.fromhex(str(vector["before"])), author)
    if vector["verdict"] == "gap":
        assert_gap(gate, data, author)
    else:
        assert refused(gate, data, author).name == vector["verdict"]


def test_the_updates_that_lose_text_out_of_order_are_gaps_until_their_turn() -> None:
    """y-crdt#632: applied in this order, yrs says 'bad' where Yjs says 'cbad'."""
    a, c, d, b = (
        bytes.fromhex(h)
        for h in (
            "0101010004010474657874016100",
            "01010102440101016300",
            "01010103840100016400",
            "01010101440100016200",
        )
    )
    gate, author = gate_with(a)
    assert_gap(gate, c, author)
    assert_gap(gate, d, author)
    doc = new_doc()
    doc.apply_update(a)
    for each in (b, c, d):
        assert gate.admit(each, author) is each
        doc.apply_update(each)
    assert text_of(doc) == "cbad"


def test_numbers_are_compared_whole() -> None:
    """A keystroke's prefix of a small clock must not pass for a larger one."""
    gate, author = gate_with(update(block(1, 0, item("x" * 128))))
    overlong = b"\x01\x01\x01" + v(128) + b"\x84\x01\xff\x00\x01y\x00"
    assert refused(gate, overlong, author) is Code.MALFORMED_UPDATE


# -- updates merged from single keystrokes


def merged_keystrokes(count: int) -> tuple[bytes, bytes]:
    """An update with a struct for each keystroke, as `Y.mergeUpdates` makes it, and the same text in one struct."""
    text = "".join(chr(97 + n % 26) for n in range(count))
    structs = [item(text[0])] + [item(char, (7, n)) for n, char in enumerate(text[1:])]
    return update(block(7, 0, *structs)), update(block(7, 0, item(text)))


def test_keystrokes_that_were_merged_are_joined_before_the_engine_sees_them() -> None:
    # yrs joins neighbours in memory that grows with the square of their number: 100,000 at once ended a server.
    merged, joined = merged_keystrokes(5_000)
    assert Gate().admit(merged, Author("person:ann")) == joined


def test_only_what_was_typed_one_behind_the_other_is_joined() -> None:
    structs = [item("a")] + [item("b", (7, n)) for n in range(80)]
    structs += [
        item("c", (7, 3)),
        item(2, (7, 81)),
        item(3, (7, 83)),
        item("é", (7, 86), (8, 0)),
        item("😀", (7, 87), (8, 0)),
    ]
    other = block(8, 0, item("z"))
    admitted = Gate().admit(update(other, block(7, 0, *structs)), Author("person:ann"))
    expected = [item("a" + "b" * 80), item("c", (7, 3)), item(5, (7, 81)), item("é😀", (7, 86), (8, 0))]
    assert admitted == update(other, block(7, 0, *expected))


def test_a_file_has_an_end_of_client_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carets.protocol.admission.CLIENT_IDS_MAX", 2)
    gate = Gate()
    for client in (1, 2):
        assert gate.admit(update(block(client, 0, item("a"))), Author("person:ann"))
    with pytest.raises(Refused) as refused:
        gate.admit(update(block(3, 0, item("a"))), Author("person:ann"))
    assert refused.value.code is Code.CLIENT_IDS_TOO_MANY
    monkeypatch.setattr("carets.protocol.admission.CLIENT_IDS_MAX", 1)
    assert gate.admit(update(block(1, 1, item("b", (1, 0)))), Author("person:ann")), "who is there may go on"


def test_an_update_of_pieces_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    # 64 MiB of pieces of one character held the event loop for a minute.
    monkeypatch.setattr("carets.protocol.admission.UPDATE_STRUCTS_MAX", 1000)
    pieces = [item("a", (7, 0)) for _ in range(999)]
    gate, author = Gate(), Author("person:ann")
    assert gate.admit(update(block(7, 0, item("a"), *pieces)), author)
    assert refused(gate, update(block(7, 1000, item("a", (7, 0)), *pieces, item("b", (7, 0)))), author) is (
        Code.MESSAGE_TOO_LARGE
    )
    halves = update(block(7, 1000, *pieces[:501]), block(8, 0, *pieces[:500]))
    assert refused(gate, halves, author) is Code.MESSAGE_TOO_LARGE, "all blocks together"
    whole = update(block(7, 0, item("a"), *pieces, *pieces))
    Gate().replay(whole)


def test_deletions_without_end_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carets.protocol.deletions.DELETE_SET_BYTES_MAX", 1000)
    gate, author = gate_with(update(block(7, 0, item("a" * 2000))))
    gone = update(gone={7: [(n, n + 1) for n in range(0, 2000, 2)]})
    assert refused(gate, gone, author) is Code.MESSAGE_TOO_LARGE
    gate.replay(gone)  # what is in our own log is read

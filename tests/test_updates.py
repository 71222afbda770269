"""The reader and writer of Yjs updates and state vectors."""

from __future__ import annotations

import pytest

from carets.errors import Code, WireError
from carets.limits import CLIENT_ID_MAX, CLOCK_MAX, STATE_VECTOR_ENTRIES_MAX
from carets.protocol.updates import (
    NONE,
    decode_state_vector,
    encode_block,
    encode_state_vector,
    encode_update,
    join_structs,
    read_deletions,
    read_structs,
)
from carets.protocol.wire import encode_varuint as v
from tests.sessions import block, item, new_doc, skip, update, utf16


def read(data: bytes) -> None:
    _, at, _ = read_structs(data)
    read_deletions(data, at)


def code_of(data: bytes) -> Code:
    with pytest.raises(WireError) as caught:
        read(data)
    return caught.value.code


def test_a_block_is_read_field_by_field() -> None:
    data = update(block(300, 5, item("aé😀b", (300, 4), (7, 200)), item(3, (300, 9))), gone={300: [(0, 2), (3, 4)]})
    blocks, at, has_skips = read_structs(data)
    assert not has_skips
    (only,) = blocks
    assert (only.client, only.clock, only.end) == (300, 5, 13)
    text, deleted = only.structs
    assert text[:6] == (5, 5, 300, 4, 7, 200)
    assert data[text[6] : text[7]].decode() == "aé😀b"
    assert text[8] == [7]
    assert deleted[:7] == (10, 3, 300, 9, NONE, NONE, 0)
    assert read_deletions(data, at) == [(300, [(0, 2), (3, 4)])]


def test_a_skip_is_read_and_reported() -> None:
    blocks, _, has_skips = read_structs(update(block(1, 0, item("a"), skip(4), item("b", (1, 4)))))
    assert has_skips
    assert [struct[0] for struct in blocks[0].structs] == [0, 5]


GOOD = update(
    block(1, 0, item("aé😀"), item(2, (1, 0), (1, 2))), block(2**40, 7, item("x", (1, 0))), gone={1: [(0, 1)]}
)


def test_an_update_cut_anywhere_is_malformed() -> None:
    read(GOOD)
    for end in range(len(GOOD)):
        assert code_of(GOOD[:end]) is Code.MALFORMED_UPDATE


@pytest.mark.parametrize("tail", [b"\0", b"\xff", GOOD])
def test_anything_after_the_end_is_malformed(tail: bytes) -> None:
    assert code_of(GOOD + tail) is Code.MALFORMED_UPDATE


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x80\x00\x00", id="overlong-zero"),
        pytest.param(b"\x01\x01\x85\x00\x00\x04\x01\x04text\x01a\x00", id="overlong-client"),
        pytest.param(b"\x01\x01\x85\x80\x80\x00\x00\x04\x01\x04text\x01a\x00", id="overlong-long-client"),
        pytest.param(update(block(CLIENT_ID_MAX + 1, 0, item("a"))), id="54-bits"),
        pytest.param(b"\x01\x01" + b"\xff" * 9 + b"\x01", id="endless-number"),
        pytest.param(b"\x00" + b"\xff" * 70_000, id="endless-number-in-delete-set"),
        pytest.param(bytes.fromhex("8080808001"), id="count-of-blocks"),
        pytest.param(v(2**50) + block(1, 0, b"\0\1") + b"\0", id="huge-count-of-blocks"),
        pytest.param(b"\x01" + v(2**31) + b"\x01\x00\x04\x01\x04text\x01a\x00", id="count-of-structs"),
        pytest.param(b"\x00" + v(2**31) + b"\x01\x01\x00\x01", id="count-of-clients-deleted"),
        pytest.param(b"\x00\x01\x01" + v(2**31) + b"\x00\x01", id="count-of-ranges"),
        pytest.param(update(block(1, 0)), id="no-structs"),
        pytest.param(update(block(1, 0, item("a")), block(1, 1, item("b", (1, 0)))), id="client-twice"),
        pytest.param(update(block(1, 0, item(""))), id="empty-string"),
        pytest.param(update(block(1, 0, item(0))), id="empty-deletion"),
        pytest.param(update(block(1, 0, item("a"), skip(0))), id="empty-skip"),
        pytest.param(update(block(1, 0, item("abc").replace(b"abc", b"a\xff\xff"))), id="no-utf8"),
        pytest.param(update(block(1, 0, item("abc").replace(b"abc", b"\xed\xa0\x80"))), id="lone-surrogate"),
        pytest.param(update(block(1, 0, item("abc").replace(b"\x03abc", b"\x7fabc"))), id="string-over-the-end"),
        pytest.param(update(gone={1: []}), id="no-ranges"),
        pytest.param(update(gone={1: [(3, 3)]}), id="empty-range"),
        pytest.param(update(gone={1: [(3, 5), (4, 6)]}), id="overlapping-ranges"),
        pytest.param(update(gone={1: [(3, 5), (0, 1)]}), id="descending-ranges"),
        pytest.param(b"\x00\x02\x01\x01\x00\x01\x01\x01\x02\x01", id="client-twice-in-delete-set"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_is_no_canonical_update_is_malformed(data: bytes) -> None:
    assert code_of(data) is Code.MALFORMED_UPDATE


@pytest.mark.parametrize(
    "data",
    [
        *(
            pytest.param(update(block(1, 0, bytes((kind,)) + item("a")[1:])), id=f"kind-{kind}")
            for kind in (0, 2, 3, 5, 6, 7, 8, 9, 11, 31)
        ),
        pytest.param(update(block(1, 0, b"\x24" + item("a")[1:])), id="parent-sub"),
        pytest.param(update(block(1, 0, b"\xa4" + item("a", (1, 0))[1:])), id="parent-sub-beside-origin"),
        pytest.param(update(block(1, 0, b"\x8a\x01")), id="skip-with-origin"),
        pytest.param(update(block(1, 0, item("a").replace(b"\x01\x04text", b"\x01\x04texu"))), id="another-root"),
        pytest.param(update(block(1, 0, item("a").replace(b"\x01\x04text", b"\x01\x05text2"))), id="longer-root"),
        pytest.param(update(block(1, 0, item("a").replace(b"\x01\x04text", b"\x00\x01\x00"))), id="nested-parent"),
        pytest.param(update(block(1, CLOCK_MAX, item("a"))), id="clock"),
        pytest.param(update(block(1, 0, item(CLOCK_MAX + 1))), id="length"),
        pytest.param(update(gone={1: [(0, CLOCK_MAX + 1)]}), id="deletion"),
    ],
)
def test_what_is_no_text_of_the_file_is_illegal(data: bytes) -> None:
    assert code_of(data) is Code.ILLEGAL_UPDATE


def test_touching_ranges_are_in_order() -> None:
    assert read_deletions(update(gone={1: [(3, 5), (5, 6)]}), 1) == [(1, [(3, 5), (5, 6)])]


@pytest.mark.parametrize("known", [1, 2, 4, 5, 6, 7])
def test_a_block_is_cut_as_yjs_cuts_it(known: int) -> None:
    """The difference that pycrdt makes from a state vector is the example."""
    doc = new_doc(9)
    doc["text"] += "ab😀é"
    doc["text"].insert(1, "xyz")
    whole, wanted = doc.get_update(), doc.get_update(encode_state_vector({9: known}))
    (only,), _, _ = read_structs(whole)
    first = next(at for at, struct in enumerate(only.structs) if struct[0] + struct[1] > known)
    cut = encode_update([encode_block(whole, only, first, known)], [])
    assert cut == wanted


@pytest.mark.parametrize(
    "struct, rest", [(item("a😀é", None, (7, 1)), item("é", (5, 2), (7, 1))), (item(4), item(1, (5, 2)))]
)
def test_a_struct_without_its_head_hangs_on_its_last_known_unit(struct: bytes, rest: bytes) -> None:
    data = update(block(5, 0, struct, item("z", (5, 1))))
    (only,), _, _ = read_structs(data)
    assert encode_update([encode_block(data, only, 0, 3)], []) == update(block(5, 3, rest, item("z", (5, 1))))


def test_lengths_are_utf16_units() -> None:
    for text in ("a", "é", "漢", "😀", "\uffff", "a\U00010000b", "🏳️‍🌈" * 50):
        (only,), _, _ = read_structs(update(block(1, 0, item(text))))
        assert only.end == utf16(text)


def test_a_state_vector_survives_the_round_trip() -> None:
    clocks = {CLIENT_ID_MAX: 1, 5: CLOCK_MAX, 0: 300}
    assert decode_state_vector(encode_state_vector(clocks)) == clocks
    assert encode_state_vector({}) == b"\0"
    assert encode_state_vector({1: 2, 300: 4}) == b"\x02\xac\x02\x04\x01\x02"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x01\x05", id="cut"),
        pytest.param(b"\x02\x05\x01\x06", id="cut-later"),
        pytest.param(b"\x00\x00", id="tail"),
        pytest.param(bytes.fromhex("8080808001"), id="count-that-costs-500-MB-elsewhere"),
        pytest.param(b"\x02\x05\x01\x05\x02", id="client-twice"),
        pytest.param(b"\x01\x05\x80\x00", id="overlong"),
        pytest.param(b"\x01" + v(CLIENT_ID_MAX + 1) + b"\x01", id="client-id"),
        pytest.param(b"\x01\x05" + v(CLOCK_MAX + 1), id="clock"),
        pytest.param(encode_state_vector(dict.fromkeys(range(STATE_VECTOR_ENTRIES_MAX + 1), 1)), id="entries"),
    ],
)
def test_a_bad_state_vector_is_malformed(data: bytes) -> None:
    with pytest.raises(WireError) as caught:
        decode_state_vector(data)
    assert caught.value.code is Code.MALFORMED_STATE_VECTOR


def test_a_delete_set_may_have_many_clients() -> None:
    assert read_deletions(update(gone={1: [(3, 5)], 2: [(0, 1)]}), 1) == [(1, [(3, 5)]), (2, [(0, 1)])]


def test_what_has_another_right_neighbour_is_not_joined() -> None:
    data = update(block(8, 0, item("z")), block(7, 0, item("a"), item("b", (7, 0), (8, 0))))
    assert join_structs(data) is data


def test_the_shortest_state_vector_is_read_and_as_many_entries_as_are_allowed() -> None:
    assert decode_state_vector(b"\x01\x01\x05", entries_max=1) == {1: 5}
    with pytest.raises(WireError):
        decode_state_vector(b"\x02\x01\x05\x02\x05", entries_max=1)

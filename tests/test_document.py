"""The one place that touches the engine: what it gives, and that all its failures leave by one door."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from carets.protocol.updates import decode_state_vector
from carets.rooms import document as documents
from carets.rooms.document import EMPTY_UPDATE, Document, DocumentFailed, load, update_of
from tests.sessions import block, item, update

POISON = bytes.fromhex("01011601000000")
HELLO = update(block(1, 0, item("hello")))
WORLD = update(block(1, 5, item(" world", (1, 4))))
GONE = update(gone={1: [(0, 1)]})


def test_a_document_is_what_was_applied() -> None:
    document = Document([HELLO, WORLD])
    assert document.text() == "hello world"
    assert decode_state_vector(document.state_vector()) == {1: 11}
    assert Document([document.encode()]).text() == "hello world"
    assert Document().encode() == EMPTY_UPDATE


def test_every_change_has_a_version_deletions_too() -> None:
    document = Document()
    document.apply([])
    assert document.version == 0
    versions = []
    for each in (HELLO, WORLD, GONE):
        document.apply([each])
        versions.append(document.version)
    assert versions == [1, 2, 3]
    assert document.text() == "ello world"


def test_what_is_encoded_once_is_shared_until_the_next_change() -> None:
    document = Document([HELLO, WORLD])
    assert document.encode() is document.encode()
    assert document.state_vector() is document.state_vector()
    assert document.encode_since({1: 5}) is document.encode_since({1: 5})
    before = document.encode()
    document.apply([GONE])
    assert document.encode() != before


@pytest.mark.parametrize("known", [{}, {1: 0}, {1: 3}, {1: 5}, {1: 11}, {1: 2**31 - 1}, {7: 9}, {1: 5, 7: 9}])
def test_what_a_peer_lacks_completes_it_whatever_it_says_it_has(known: dict[int, int]) -> None:
    document = Document([HELLO, WORLD])
    document.apply([GONE])
    peer = Document([update(block(1, 0, item("hello world"[: min(11, known[1])])))] if known.get(1) else [])
    peer.apply([document.encode_since(known)])
    assert peer.text() == "ello world"


def test_a_text_is_written_by_the_client_that_is_named() -> None:
    document = Document([update_of("a😀\n", 77)])
    assert document.text() == "a😀\n"
    assert decode_state_vector(document.state_vector()) == {77: 4}


def test_a_panic_leaves_as_document_failed() -> None:
    document = Document([POISON])
    with pytest.raises(DocumentFailed, match="Panic"):
        document.encode()
    with pytest.raises(DocumentFailed):
        Document([b"\xff"])


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_is_no_failure_of_a_document(kind: type[BaseException]) -> None:
    def stop() -> None:
        raise kind

    with pytest.raises(kind):
        documents._through_the_door(stop)


def test_every_call_goes_through_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[object] = []
    real = documents._through_the_door

    def through(call: Callable[[], object]) -> object:
        passed.append(call)
        return real(call)

    monkeypatch.setattr(documents, "_through_the_door", through)
    document = Document([HELLO])
    for call in (document.encode, document.state_vector, document.text, lambda: document.encode_since({1: 3})):
        before = len(passed)
        call()
        assert len(passed) > before


# -- loading


def test_a_sound_log_loads_whole() -> None:
    document, bad = load([HELLO, WORLD])
    assert (document.text(), bad) == ("hello world", [])
    assert load([])[0].text() == ""


@pytest.mark.parametrize("places", [[0], [1], [2], [0, 1], [0, 2], [0, 1, 2, 3]])
def test_updates_that_cannot_be_applied_are_left_out_and_named(places: list[int]) -> None:
    updates = [HELLO, WORLD]
    for place in places:
        updates.insert(place, POISON if place % 2 else b"\xff\xff")
    document, bad = load(updates)
    assert document.text() == "hello world"
    assert sorted(bad) == places


def test_more_than_a_handful_of_bad_updates_is_a_failure_of_the_file() -> None:
    with pytest.raises(DocumentFailed, match="more than"):
        load([HELLO, *[b"\xff"] * (documents._BAD_MAX + 1)])

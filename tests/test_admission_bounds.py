"""The gate exactly at its edges: what mutants showed that nobody would have missed."""

from __future__ import annotations

import pytest

from carets.errors import CaretsError, Code
from carets.limits import DOCUMENT_UNITS_MAX
from carets.protocol.admission import Author, Gate
from tests.sessions import block, item, update


def test_a_gate_keeps_the_limit_of_a_file_unless_it_is_told_another() -> None:
    for gate in (Gate(), Gate.of(b"\0\0", {})):
        author = Author("person:ann")
        assert gate.admit(update(block(1, 0, item("x" * DOCUMENT_UNITS_MAX))), author)
        with pytest.raises(CaretsError) as caught:
            gate.admit(update(block(1, DOCUMENT_UNITS_MAX, item("y", (1, DOCUMENT_UNITS_MAX - 1)))), author)
        assert caught.value.code is Code.DOCUMENT_TOO_LARGE


def test_deletions_of_exactly_the_limit_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = update(gone={7: [(at, at + 1) for at in range(0, 600, 2)]})
    monkeypatch.setattr("carets.protocol.deletions.DELETE_SET_BYTES_MAX", len(gone) - 1)
    gate, author = Gate.of(update(block(7, 0, item("a" * 600))), {7: "person:ann"}), Author("person:ann")
    assert gate.admit(gone, author) == gone


def test_halves_are_seen_in_what_comes_beside_what_is_here() -> None:
    """The first half is the very first unit that is new of a client who is known."""
    gate, author = Gate.of(update(block(1, 0, item("a"))), {1: "person:ann"}), Author("person:ann")
    with pytest.raises(CaretsError) as caught:
        gate.admit(update(block(1, 1, item("😀", (1, 0)), item("x", (1, 1)))), author)
    assert caught.value.code is Code.SPLIT_CHARACTER


def test_an_id_that_was_declared_counts_among_those_of_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """They were not: one editor could bring more ids than a state vector may have, and the file opened no more."""
    monkeypatch.setattr("carets.protocol.admission.CLIENT_IDS_MAX", 2)
    gate = Gate()
    for client in (1, 2, 3):
        author = Author("person:mallory")
        gate.declare(client, author)
        if client <= 2:
            assert gate.admit(update(block(client, 0, item("a"))), author)
            continue
        with pytest.raises(CaretsError) as caught:
            gate.admit(update(block(client, 0, item("a"))), author)
        assert caught.value.code is Code.CLIENT_IDS_TOO_MANY

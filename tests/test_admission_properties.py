"""The gate against real documents: honest people always pass, hostile bytes never harm, and both paths agree."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from carets.errors import CaretsError, Code, WireError
from carets.protocol.admission import Author, Gate
from carets.protocol.updates import decode_state_vector, encode_state_vector
from carets.rooms.document import Document
from tests.sessions import (
    PIECES,
    Id,
    Server,
    block,
    deletions,
    honest_session,
    item,
    mutated,
    new_doc,
    skip,
    state_of,
    text_of,
    update,
    utf16,
)

ROOT = Path(__file__).parent.parent
TRACES = Path(__file__).parent.parent.parent / "shared" / "data" / "traces"
TRACE_EDITS_MAX = 6_000
SEED = st.integers(0, 2**32 - 1)
IDS = (1, 2, 3, 300)


def assert_agrees(gate: Gate, server: Server) -> None:
    """The gate's account of the document is the document's own."""
    text, state = text_of(server.doc), server.doc.get_update()
    assert gate.units == utf16(text)
    assert gate.known_clocks() == server.clocks
    assert state_of(Gate.of(state, {})) == state_of(gate)


# -- honest


@settings(derandomize=True, max_examples=60, deadline=None)
@given(seed=SEED)
def test_honest_people_are_always_admitted_and_agree(seed: int) -> None:
    server, replicas = honest_session(seed, 90)
    text = text_of(server.doc)
    assert all(text_of(replica.doc) == text for replica in replicas)
    assert_agrees(server.gate, server)
    reloaded = new_doc()
    reloaded.apply_update(server.doc.get_update())
    assert text_of(reloaded) == text


@settings(derandomize=True, max_examples=40, deadline=None)
@given(seed=SEED)
def test_one_update_of_many_tabs_reads_as_its_edits_one_by_one(seed: int) -> None:
    """Blocks of one update that wait for each other are safe in one `apply_update`."""
    server, _ = honest_session(seed, 60)
    whole, late = server.doc.get_update(), Server()
    assert late.receive(whole, Author("person:ann", 1000)) is whole
    assert text_of(late.doc) == text_of(server.doc)
    assert_agrees(late.gate, late)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(seed=SEED)
def test_the_fast_path_is_the_general_path(seed: int) -> None:
    """A fresh author for every update has no fast path."""
    server, _ = honest_session(seed, 80)
    chance = random.Random(seed)
    authors: dict[str, Author] = {}
    fast, general = Gate(), Gate()
    for data, person in server.received:
        author = authors.setdefault(person, Author(person, 1000))
        for each in (mutated(data, chance), data):
            assert verdict(fast, each, author) == verdict(general, each, Author(person, 1000))
            assert state_of(fast) == state_of(general)
    assert fast.take_claims() == general.take_claims()


@settings(derandomize=True, max_examples=30, deadline=None)
@given(seed=SEED)
def test_a_gate_loaded_anew_gives_the_same_verdicts(seed: int) -> None:
    """A restart in the middle is not seen by honest people."""
    server, _ = honest_session(seed, 60)
    author = Author("person:ann", 1000)
    gate, doc, owners = Gate(), new_doc(), dict[int, str]()
    for data, _ in server.received:
        admitted = gate.admit(data, author)
        if admitted:
            doc.apply_update(admitted)
        owners |= gate.take_claims()
        gate = Gate.of(doc.get_update(), owners)
    assert text_of(doc) == text_of(server.doc)
    assert state_of(gate) == state_of(server.gate)


def test_people_in_real_yjs_who_undo_and_redo_are_always_admitted() -> None:
    """Undoing gives units origins that no typing gives; on slow lines they meet what others typed meanwhile."""
    script = [str(ROOT / ".venv/bin/node"), str(ROOT / "tests/honest.mjs"), str(ROOT / "web/node_modules"), "1", "25"]
    sessions = json.loads(subprocess.run(script, check=True, capture_output=True).stdout)
    assert len(sessions) == 25
    for session in sessions:
        server, authors = Server(), [Author(f"person:{at}") for at in range(3)]
        for who, data in session["updates"]:
            assert server.receive(bytes.fromhex(data), authors[who]) is not None
        assert text_of(server.doc) == session["text"]
        assert_agrees(server.gate, server)


@pytest.mark.parametrize("name", ["automerge-paper", "rustcode", "seph-blog1", "friendsforever"])
def test_real_people_are_always_admitted(name: str) -> None:
    path = TRACES / f"{name}.json.gz"
    if not path.exists():
        pytest.skip("the traces are not beside the repository")
    transactions = json.loads(gzip.decompress(path.read_bytes()))["txns"][:TRACE_EDITS_MAX]
    server = Server()
    for data, person in trace_updates(transactions):
        author = Author(person, 1000)
        assert server.receive(data, author) is data
    assert_agrees(server.gate, server)


def trace_updates(transactions: list[dict[str, object]]) -> list[tuple[bytes, str]]:
    """The updates of a trace, each typed on top of its parents as its author saw them, with their authors."""
    agents = sorted({int(str(each.get("agent", 0))) for each in transactions})
    docs = {agent: new_doc(agent + 1000) for agent in agents}
    out: list[tuple[bytes, str]] = []
    made: list[dict[int, int]] = []
    for at, transaction in enumerate(transactions):
        agent = int(str(transaction.get("agent", 0)))
        doc = docs[agent]
        parents = transaction.get("parents", [at - 1] if at else [])
        assert isinstance(parents, list)
        for parent in parents:
            if any(
                clock > decode_state_vector(doc.get_state()).get(client, 0) for client, clock in made[parent].items()
            ):
                for data, _ in out[: parent + 1]:
                    doc.apply_update(data)
        emitted: list[bytes] = []
        subscription = doc.observe(lambda event, emitted=emitted: emitted.append(event.update))
        text = doc["text"]
        patches = transaction["patches"]
        assert isinstance(patches, list)
        with doc.transaction():
            for position, deleted, inserted in patches:
                characters = str(text)
                first, last = (len(characters[:end].encode()) for end in (position, position + deleted))
                if deleted:
                    del text[first:last]
                if inserted:
                    text.insert(first, inserted)
        doc.unobserve(subscription)
        made.append(decode_state_vector(doc.get_state()))
        out.append((emitted[0] if emitted else b"\0\0", f"person:{agent}"))
    return [(data, person) for data, person in out if data != b"\0\0"]


# -- hostile


def verdict(gate: Gate, data: bytes, author: Author) -> object:
    try:
        return gate.admit(data, author)
    except CaretsError as error:
        return error.code


def well_formed(clocks: dict[int, int], chance: random.Random) -> bytes:
    """An update that reads well and says anything about a document with these clocks."""
    blocks: list[bytes] = []
    ends = dict(clocks)

    def any_unit(own: int, clock: int) -> Id | None:
        client = chance.choice(IDS)
        end = clock + chance.choice((0, 0, 0, 1)) if client == own else clocks.get(client, 0) + chance.choice((0, 0, 3))
        return (client, chance.randrange(end)) if end and chance.random() < 0.75 else None

    for client in chance.sample(IDS, chance.randint(0, 3)):
        begin = clock = max(0, clocks.get(client, 0) + chance.choice((0, 0, 0, 0, 0, -1, -3, 1)))
        structs: list[bytes] = []
        for _ in range(chance.randint(1, 3)):
            content = chance.choice(PIECES) if chance.random() < 0.8 else chance.randint(1, 4)
            structs.append(item(content, any_unit(client, clock), any_unit(client, clock)))
            clock += content if isinstance(content, int) else utf16(content)
            if chance.random() < 0.01:
                structs.append(skip(2))
        blocks.append(block(client, begin, *structs))
        ends[client] = max(clock, ends.get(client, 0))
    gone: dict[int, list[tuple[int, int]]] = {}
    for client in chance.sample(IDS, chance.randint(0, 2)):
        end = ends.get(client, 0)
        if end:
            cuts = sorted(chance.sample(range(end + 1), min(end + 1, chance.choice((2, 2, 4))) // 2 * 2))
            gone[client] = list(zip(cuts[::2], cuts[1::2], strict=True))
    return update(*blocks, gone=gone)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(seed=SEED)
def test_whatever_is_admitted_does_the_engine_no_harm(seed: int) -> None:
    """Every admitted update applies, and then the document reads, encodes, loads again, and is as the gate says."""
    chance = random.Random(seed)
    server, author = Server(), Author("person:ann", 1000)
    for _ in range(30):
        data = well_formed(server.gate.known_clocks(), chance)
        if chance.random() < 0.2:
            data = mutated(data, chance)
        try:
            admitted = server.receive(data, author)
        except CaretsError:
            continue
        if admitted:
            assert server.gate.admit(admitted, author) == b""
    assert_agrees(server.gate, server)
    reloaded = new_doc()
    reloaded.apply_update(server.doc.get_update())
    assert utf16(text_of(reloaded)) == server.gate.units
    assert decode_state_vector(reloaded.get_state()) == server.clocks


@settings(derandomize=True, max_examples=120, deadline=None)
@given(seed=SEED, is_honest=st.booleans())
def test_a_gate_that_reads_its_structs_later_gives_the_same_verdicts(seed: int, is_honest: bool) -> None:
    """Whatever comes first after a load: typing, deletions alone, what is known, what is spoiled or made up."""
    chance = random.Random(seed)
    sent = [data for data, _ in honest_session(seed, 40)[0].received] if is_honest else [b""] * 30
    document, owners = Document(), dict[int, str]()
    now, later = Gate(), Gate()
    for data in sent:
        if chance.random() < 0.3:
            now = Gate.of(document.encode(), owners)
            later = Gate.of(document.encode(), owners, outline=document.outline())
        gone = document.encode_since(document.clocks()) if chance.random() < 0.3 else b"\0\0"
        edit = data or well_formed(now.known_clocks(), chance)
        for each in (mutated(gone, chance), mutated(edit, chance), gone, edit):
            assert state_of(later) == state_of(now)
            admitted = verdict(now, each, Author("person:ann", 1000))
            assert later.has_news(each) if admitted is None else True
            assert verdict(later, each, Author("person:ann", 1000)) == admitted
            if admitted and isinstance(admitted, bytes):
                document.apply([admitted])
        assert now.take_claims() == later.take_claims()
        owners |= dict.fromkeys(now.known_clocks(), "person:ann")
    assert state_of(later) == state_of(now)


def test_a_deletion_that_comes_first_after_a_load_cannot_cut_a_character() -> None:
    document = Document([update(block(1, 0, item("a😀b")))])
    gate = Gate.of(document.encode(), {1: "person:ann"}, outline=document.outline())
    for cut in ((0, 2), (2, 4)):
        assert verdict(gate, update(gone={1: [cut]}), Author("person:ann")) is Code.SPLIT_CHARACTER


@settings(derandomize=True, max_examples=100, deadline=None)
@given(seed=SEED)
def test_has_news_says_what_admit_would_do_and_changes_nothing(seed: int) -> None:
    chance = random.Random(seed)
    gate, author = Gate(), Author("person:ann", 1000)
    for _ in range(20):
        data = well_formed(gate.known_clocks(), chance)
        before = state_of(gate)
        try:
            news: object = gate.has_news(data)
        except WireError as error:
            news = error.code
        assert state_of(gate) == before
        found = verdict(gate, data, author)
        assert news == (found != b"" if found is None or isinstance(found, bytes) else found)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(seed=SEED)
def test_mutated_updates_get_a_verdict_or_a_named_error_and_nothing_else(seed: int) -> None:
    chance = random.Random(seed)
    server, _ = honest_session(seed, 40)
    gate, author = Gate(), Author("person:ann", 1000)
    for data, _ in server.received:
        for _ in range(10):
            probe = mutated(data, chance)
            before = state_of(gate)
            found = verdict(gate, probe, author)
            assert (state_of(gate) == before) == (not isinstance(found, bytes) or found == b"")
        verdict(gate, data, author)


@settings(derandomize=True, max_examples=500, deadline=None)
@given(data=st.binary(max_size=80))
@example(data=b"\x01" + b"\xff" * 8)
def test_any_bytes_get_a_verdict_or_a_named_error_and_nothing_else(data: bytes) -> None:
    gate = Gate.of(update(block(1, 0, item("a😀b"))), {1: "person:ann"})
    for probe in (data, b"\x01\x01\x01\x04\x84\x01\x03" + data, b"\x00" + data):
        verdict(gate, probe, Author("person:ann"))
    try:
        clocks = decode_state_vector(data)
    except WireError:
        return
    assert decode_state_vector(encode_state_vector(clocks)) == clocks


# -- cost


def test_a_hostile_delete_set_costs_its_length_and_not_its_square() -> None:
    """Every other clock is deleted, then every other of the rest: no range may move all the others."""
    count = 60_000
    gate, author = Gate(), Author("person:ann")
    gate.admit(update(block(1, 0, item("x" * 4 * count))), author)
    for offset in (0, 2):
        ranges = [(4 * at + offset, 4 * at + offset + 1) for at in range(count)]
        assert gate.admit(b"\x00" + deletions({1: ranges}), author)
    assert gate.units == 2 * count

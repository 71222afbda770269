"""What the gate costs: microseconds an update by shape and path, and milliseconds a document at load and reconnect.

Run `python -m bench.gate`. The document of automerge-paper is used where the traces lie beside the repository, else one
that is typed here. Each figure is the best of several rounds, so that a busy machine disturbs little.
"""

from __future__ import annotations

import gzip
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

from pycrdt import Doc, Text

from carets.protocol.admission import Author, Gate
from carets.protocol.deletions import DeleteSets

CLIENT_ID = 0xF1F2F3F4
"""Five bytes as a varuint, as browsers' ids have."""

EDITS = 5_000
ROUNDS = 7
TRACE = Path(__file__).parent.parent.parent / "shared" / "data" / "traces" / "automerge-paper.json.gz"

Edit = Callable[[Text, int], None]


def typed_on(text: Text, at: int) -> None:
    text.insert(500 + at, "a")


def typed_on_accented(text: Text, at: int) -> None:
    text.insert(500 + 2 * at, "é")


def typed_anywhere(text: Text, at: int) -> None:
    text.insert(at * 7919 % 20_000, "a")


def backspace(text: Text, at: int) -> None:
    del text[20_000 - at - 1]


def deleted_anywhere(text: Text, at: int) -> None:
    del text[at * 7919 % (20_000 - at)]


SHAPES: dict[str, Edit] = {
    "typed on": typed_on,
    "typed on, accented": typed_on_accented,
    "typed anywhere": typed_anywhere,
    "backspace": backspace,
    "deleted anywhere": deleted_anywhere,
}


def recorded(edit: Edit) -> tuple[bytes, list[bytes]]:
    """A document of 20,000 characters, and the updates of so many edits after it."""
    doc: Doc[Text] = Doc(client_id=CLIENT_ID)
    doc["text"] = text = Text("x" * 20_000)
    state = doc.get_update()
    updates: list[bytes] = []
    subscription = doc.observe(lambda event: updates.append(event.update))
    for at in range(EDITS):
        edit(text, at)
    doc.unobserve(subscription)
    return state, updates


def update_us(state: bytes, updates: list[bytes], *, is_fast: bool) -> float:
    """Microseconds an update. A fresh author for each has no fast path; making it is not counted."""
    best = float("inf")
    for _ in range(ROUNDS):
        gate = Gate.of(state, {CLIENT_ID: "person:ann"})
        one = Author("person:ann")
        authors = [one if is_fast else Author("person:ann") for _ in updates]
        admit = gate.admit
        begin = time.perf_counter()
        for update, author in zip(updates, authors, strict=True):
            admit(update, author)
        best = min(best, time.perf_counter() - begin)
    return best / len(updates) * 1e6


def document() -> tuple[str, bytes]:
    """The name and the encoded state of a document with a long history."""
    doc: Doc[Text] = Doc(client_id=CLIENT_ID)
    doc["text"] = text = Text()
    if not TRACE.exists():
        chance = random.Random(1)
        text += "x" * 100_000
        for _ in range(10_000):
            at = chance.randrange(len(text) - 1)
            text.insert(at, "word ")
            del text[at + 5]
        return "typed here, 10,000 edits", doc.get_update()
    for each in json.loads(gzip.decompress(TRACE.read_bytes()))["txns"]:
        # Each by itself: at the end of a transaction the engine joins neighbours in time that grows with their square.
        with doc.transaction():
            for position, deleted, inserted in each["patches"]:
                if deleted:
                    del text[position : position + deleted]
                if inserted:
                    text.insert(position, inserted)
    return "automerge-paper", doc.get_update()


def best_ms(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best * 1e3


def main() -> None:
    print(f"{'update':<20} {'one author':>12} {'general path':>13}")
    for name, edit in SHAPES.items():
        state, updates = recorded(edit)
        fast, general = (update_us(state, updates, is_fast=is_fast) for is_fast in (True, False))
        print(f"{name:<20} {fast:>9.2f} us {general:>10.2f} us")

    name, state = document()
    owners = {CLIENT_ID: "person:ann"}
    gate = Gate.of(state, owners)
    ranges = sum(len(each) for each in gate.known_deletions().values())
    doc: Doc[Text] = Doc()
    doc["text"] = Text()
    doc.apply_update(state)
    delete_set = doc.get_update(doc.get_state())
    loaded_gate = Gate.of(state, owners)

    def reads_delete_set() -> None:
        loaded_gate._delete_sets = DeleteSets()
        loaded_gate.admit(delete_set, Author("person:ann"))

    print(f"\n{name}: state {len(state):,} bytes, delete set {len(delete_set):,} bytes in {ranges:,} ranges")
    print(f"{'load, Gate.of':<34} {best_ms(lambda: Gate.of(state, owners)):>8.2f} ms")
    print(f"{'delete set of a reconnect, read':<34} {best_ms(reads_delete_set):>8.2f} ms")
    known = best_ms(lambda: loaded_gate.admit(delete_set, Author("person:ann")))
    print(f"{'delete set of a reconnect, digest':<34} {known:>8.3f} ms")


if __name__ == "__main__":
    main()

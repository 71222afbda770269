"""One file's Yjs document on the server: the only place where the CRDT engine is touched.

Owns: the engine, and the one door through which its errors leave. Does not know: members, rooms, stores.

Invariants:
  1. Only admitted updates come in here, in the order of their commits; nothing is ever pending inside.
  2. Whatever the engine throws, panics that are no `Exception` included, leaves as `DocumentFailed`.
  3. What has been encoded once is shared until the document changes.

Source: findings on pycrdt 0.14.13 (docs/decisions/0005-admission-before-the-engine.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from pycrdt import Doc, Text

from carets.limits import CLIENT_ID_MAX
from carets.protocol.outline import Outline
from carets.protocol.updates import decode_state_vector, encode_state_vector

ROOT = "text"
"""The name of the one root text, in every Carets document and for every stock client."""

EMPTY_UPDATE = b"\x00\x00"
"""A Yjs update without structs and deletions."""

_TRANSACTION_UPDATES_MAX = 500
"""Updates of one transaction. At its end yrs joins neighbouring runs in time and memory that grow with the square of
their number: 60,000 keystrokes took 2 GB in one transaction, and 30 MB in transactions of 1,000."""

_Result = TypeVar("_Result")


class DocumentFailed(Exception):
    """The engine failed: the document must be dropped and made again from the log."""


class Document:
    """A text that many write.

    `version` grows with every change, deletions included, which no state vector shows.
    """

    def __init__(self, updates: Sequence[bytes] = ()) -> None:
        self.version = 0
        self._doc: Doc[Text] = Doc()
        self._text: Text = self._doc.get(ROOT, type=Text)
        self._encoded: bytes | None = None
        self._state: bytes | None = None
        self._clocks: dict[int, int] | None = None
        self._since: tuple[bytes, bytes] = (b"", b"")
        self.apply(updates)

    def apply(self, updates: Sequence[bytes]) -> None:
        """Apply admitted updates, in order.

        Raises: DocumentFailed; the document must not be used after that.
        """
        if not updates:
            return

        def in_transactions() -> None:
            if len(updates) == 1:
                # The usual case has a transaction of its own already.
                self._doc.apply_update(updates[0])
                return
            for at in range(0, len(updates), _TRANSACTION_UPDATES_MAX):
                with self._doc.transaction():
                    for update in updates[at : at + _TRANSACTION_UPDATES_MAX]:
                        self._doc.apply_update(update)

        _through_the_door(in_transactions)
        self.version += 1
        self._encoded = self._state = self._clocks = None
        self._since = (b"", b"")

    def encode(self) -> bytes:
        """The whole document as one update; the same bytes object until the next change. Raises: DocumentFailed."""
        if self._encoded is None:
            self._encoded = _through_the_door(self._doc.get_update)
        return self._encoded

    def state_vector(self) -> bytes:
        """The encoded state vector; cached until the next change. Raises: DocumentFailed."""
        if self._state is None:
            self._state = _through_the_door(self._doc.get_state)
        return self._state

    def clocks(self) -> dict[int, int]:
        """The next clock of each client id; read once, until the next change. Raises: DocumentFailed."""
        if self._clocks is None:
            self._clocks = decode_state_vector(self.state_vector(), entries_max=CLIENT_ID_MAX)
        return self._clocks

    def encode_since(self, known: Mapping[int, int]) -> bytes:
        """What a peer lacks that has each client's units below these clocks; all deletions are always in it.

        Ids and clocks that the document does not have are left out before the engine sees them. Raises: DocumentFailed.
        """
        own = self.clocks()
        shared = {client: min(clock, own[client]) for client, clock in known.items() if client in own and clock}
        if not shared:
            return self.encode()
        encoded = encode_state_vector(shared)
        if self._since[0] != encoded:
            self._since = (encoded, _through_the_door(lambda: self._doc.get_update(encoded)))
        return self._since[1]

    def text(self) -> str:
        """The text as it is. Raises: DocumentFailed."""
        return _through_the_door(lambda: str(self._text))

    def outline(self) -> Outline:
        """What a gate must know before anybody types. Raises: DocumentFailed."""
        deletions = _through_the_door(lambda: self._doc.get_update(self.state_vector()))
        return Outline.of(self.clocks(), deletions, self.text())


def update_of(text: str, client_id: int) -> bytes:
    """The update by which this client id writes `text` into an empty document. Raises: DocumentFailed."""

    def write() -> bytes:
        doc: Doc[Text] = Doc(client_id=client_id)
        doc[ROOT] = Text(text)
        return doc.get_update()

    return _through_the_door(write)


def load(updates: Sequence[bytes]) -> tuple[Document, list[int]]:
    """A document of these updates, and the places of those that the engine cannot bear, which are left out.

    Raises: DocumentFailed when more than a handful would have to be left out.
    """
    kept = list(enumerate(updates))
    bad: list[int] = []
    for _ in range(_BAD_MAX):
        if (document := _whole([update for _, update in kept])) is not None:
            return document, bad
        good, failing = 0, len(kept)
        while failing - good > 1:
            middle = (good + failing) // 2
            if _whole([update for _, update in kept[:middle]]) is None:
                failing = middle
            else:
                good = middle
        bad.append(kept.pop(failing - 1)[0])
    raise DocumentFailed(f"more than {_BAD_MAX} updates cannot be applied")


_BAD_MAX = 8
"""Updates that may be set aside in one load; each costs a search. Behind the gate even one is a bug of ours."""


def _whole(updates: Sequence[bytes]) -> Document | None:
    """The document of these updates if it can be applied, encoded and read."""
    try:
        document = Document(updates)
        document.encode()
        document.text()
    except DocumentFailed:
        return None
    return document


def _through_the_door(call: Callable[[], _Result]) -> _Result:
    """Run `call`; whatever the engine throws, panics that derive from BaseException too, becomes `DocumentFailed`."""
    try:
        return call()
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise DocumentFailed(f"{type(error).__name__}: {error}"[:500]) from error

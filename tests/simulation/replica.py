"""One file as a member holds it: a real Yjs document, what was typed into it, and what of that is not saved yet.

Owns: the document, edits without an answer. Does not know: connections, frames, the server.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from pycrdt import Doc, Text

from tests.simulation.checks import Mark, Witness

_FILLING = ("a", "b\n", "  def x():\n", "ü", "é", "\U0001f600", "e\u0301", "", "", "0123456789")


class Replica:
    """A document that one member types into."""

    def __init__(self, file_id: int, client_id: int, witness: Witness, before: Replica | None = None) -> None:
        self.file_id = file_id
        self.witness = witness
        self.doc: Doc[Text] = Doc(client_id=client_id)
        self.text: Text = self.doc.get("text", type=Text)
        self.edits = 0
        self.unsaved: dict[int, list[Mark]] = {}
        """Edits that nobody said are saved, by number, with what can tell them in the text."""
        if before is not None:
            self.doc.apply_update(before.doc.get_update())
            self.edits, self.unsaved = before.edits, dict(before.unsaved)
        self.is_forbidden = False
        self.on_edit: Callable[[int, bytes], None] = lambda number, update: None
        self._is_remote = False
        self._typed: list[Mark] = []
        self._subscription = self.doc.observe(self._changed)

    @property
    def client_id(self) -> int:
        """The id under which this document is typed into."""
        return self.doc.client_id

    def _changed(self, event: Any) -> None:
        if self._is_remote:
            return
        self.edits += 1
        self.unsaved[self.edits] = self._typed
        self._typed = []
        self.on_edit(self.edits, event.update)

    def take(self, update: bytes) -> None:
        """Take in what came from the server."""
        self._is_remote = True
        try:
            self.doc.apply_update(update)
        finally:
            self._is_remote = False

    def type(self, chance: Random, units: int = 0) -> None:
        """Insert something with a mark in it, about `units` characters more."""
        mark = self.witness.new_mark(self.file_id)
        mark.is_forbidden = self.is_forbidden
        self._typed.append(mark)
        filling = "".join(chance.choice(_FILLING) * 9 for _ in range(units // 20))
        written = filling + mark.letter + chance.choice(_FILLING)
        text = str(self.text)
        at = len(text) if chance.random() < 0.4 else chance.randrange(len(text) + 1)
        self.text.insert(len(text[:at].encode()), written)

    def delete(self, chance: Random, most: int = 12) -> None:
        """Delete a run of whole characters, if there are any."""
        text = str(self.text)
        if not text:
            return
        start = chance.randrange(len(text))
        gone = text[start : start + chance.randint(1, most)]
        if not self.is_forbidden:
            self.witness.touched(gone)
        at = len(text[:start].encode())
        del self.text[at : at + len(gone.encode())]

    def replace(self, chance: Random) -> None:
        """Delete and type as one edit."""
        with self.doc.transaction():
            self.delete(chance)
            self.type(chance)

    def saved(self, numbers: list[int]) -> None:
        """These edits are durable, the server says."""
        for number in numbers:
            for mark in self.unsaved.pop(number, ()):
                mark.is_saved = True

    def excuse(self) -> None:
        """What is unsaved cannot be taken any more: a page would offer it in the rescue drawer."""
        for marks in self.unsaved.values():
            for mark in marks:
                mark.is_excused = True

    def close(self) -> None:
        """The document goes."""
        self.on_edit = lambda number, update: None

    def __str__(self) -> str:
        return str(self.text)

"""What one tab says in the chat, over all its connections, and what it hears.

Owns: what was said and not answered yet, which goes up again with the same nonce; what was heard, by its ids.
Does not know: lines, requests' numbers, the server's insides.
"""

from __future__ import annotations

from typing import Any

from carets.rooms.store import ChatEntry
from tests.simulation.checks import Witness


class Talk:
    """The chat as one tab has it."""

    def __init__(self, name: str, witness: Witness) -> None:
        self.name = name
        self.unanswered: dict[str, str] = {}
        self.heard: dict[int, dict[str, Any]] = {}
        self._witness = witness
        self._said = 0

    def say(self, letters: int) -> tuple[str, str]:
        """A nonce and a text that nobody else says."""
        self._said += 1
        nonce = f"{self.name} {self._said}"
        self.unanswered[nonce] = f"{nonce}:" + "x" * letters
        return nonce, self.unanswered[nonce]

    def answered(self, nonce: str, entries: list[dict[str, Any]]) -> None:
        """The server says that this is kept."""
        text = self.unanswered.pop(nonce, None)
        is_there = text in [entry["text"] for entry in entries]
        self._witness.require(text is None or is_there, 15, f"{self.name} was answered {entries} for {text!r}")
        self.hear(entries)

    def hear(self, entries: list[dict[str, Any]]) -> None:
        """Take entries that were told."""
        for entry in entries:
            self._witness.check_chat(self.name, entry)
            self.heard[entry["chat_id"]] = entry

    def check(self, kept: list[ChatEntry]) -> None:
        """After a long silence, with a connection: the newest is there, and no answer is missing."""
        newest = kept[-1].chat_id if kept else 0
        self._witness.require(newest in {0, *self.heard}, 15, f"{self.name} did not hear entry {newest}")
        self._witness.require(not self.unanswered, 12, f"{self.name} got no answer to {list(self.unanswered)}")

"""What a member of a file lacks, as bytes for its socket: made once for all who lack the same.

Owns: the frames of one such message, in each dialect. Does not know: who lacks what, the document.

Invariants:
  1. However many get it, its update is copied once into frames, and these are made when the first one needs them.
  2. A part is at most `PART_BYTES_MAX` long.
"""

from __future__ import annotations

from collections.abc import Iterator

from carets import limits
from carets.protocol import wire
from carets.protocol.dialect import Dialect


class Answer:
    """A step 2, or an update that brings a member up to date; the same object until the document changes."""

    def __init__(self, file_id: int, step: int, update: bytes) -> None:
        """`step` is `wire.STEP_2` or `wire.UPDATE`."""
        self.update = update
        self._file_id = file_id
        self._is_answer = step == wire.STEP_2
        self._head = wire.encode_head(step, len(update))
        self._whole: dict[Dialect, bytes] = {}
        self._parts: dict[Dialect, list[bytes]] = {}

    def __len__(self) -> int:
        """Bytes of the message."""
        return len(self._head) + len(self.update)

    @property
    def is_large(self) -> bool:
        """Whether it goes in parts where it may."""
        return len(self) > limits.PART_BYTES_MAX

    def whole(self, dialect: Dialect) -> bytes:
        """The one frame that carries it."""
        if dialect not in self._whole:
            self._whole[dialect] = dialect.message(self._file_id, self._head + self.update)
        return self._whole[dialect]

    def parts(self, dialect: Dialect) -> Iterator[bytes]:
        """The frames that carry it in parts; one after the other is made, for whoever comes to it first.

        Those of an update are not kept: hardly two members fall behind at the same moment.
        """
        made = self._parts.setdefault(dialect, []) if self._is_answer else []
        size = len(self)
        for number, at in enumerate(range(0, size, limits.PART_BYTES_MAX)):
            frame = (
                made[number] if number < len(made) else self._part(dialect, at, min(size, at + limits.PART_BYTES_MAX))
            )
            if self._is_answer and number == len(made):
                made.append(frame)
            yield frame

    def _part(self, dialect: Dialect, begin: int, end: int) -> bytes:
        skipped = len(self._head)
        head = self._head if begin == 0 else b""
        chunk = memoryview(self.update)[max(0, begin - skipped) : end - skipped]
        return dialect.part(wire.encode_part_head(self._file_id, len(self) - end), head, chunk)

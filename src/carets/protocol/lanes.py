"""What a gate knows of one Yjs client id.

Owns: how the next keystroke of a client id begins, kept ready byte for byte. Does not know: what is admitted.
"""

from __future__ import annotations

from array import array

from carets.protocol.intervals import Intervals
from carets.protocol.updates import NONE
from carets.protocol.wire import encode_varuint


class Lane:
    """What the gate knows of one Yjs client id.

    `keystroke` is how an update begins that types on right after this lane's last unit: one block, one struct, origin
    the last unit, right origin as before. A string's length, its bytes and an empty delete set follow. It changes in
    place with every keystroke: of the two clocks in it only the lowest seven bits move, 127 times out of 128.
    """

    __slots__ = (
        "_begin",
        "_first",
        "_head",
        "_middle",
        "_page",
        "_right",
        "_second",
        "client",
        "deleted",
        "highs",
        "keystroke",
        "next",
    )

    def __init__(self, client: int) -> None:
        self.client = client
        self.next = 0
        self.deleted = Intervals()
        self.highs = array("I")
        self.keystroke = bytearray()
        self._head = encode_varuint(client)
        self._begin = b"\x01\x01" + self._head
        self._middle = self._right = b""
        self._page = -1
        """What is above the lowest seven bits of both clocks; -1 where they differ there."""
        self._first = self._second = 0
        """Where in `keystroke` the lowest bits of both clocks are."""

    @property
    def begin(self) -> bytes:
        """How an update begins that holds one struct, which is the next of this client id, wherever it stands."""
        return self._begin + encode_varuint(self.next)

    def expect(self, right: int, right_clock: int) -> None:
        """Set the keystroke that would follow a last struct with this right origin."""
        if right == NONE:
            self._middle = b"\x84" + self._head
            self._right = b""
        else:
            self._middle = b"\xc4" + self._head
            head = self._head if right == self.client else encode_varuint(right)
            self._right = head + encode_varuint(right_clock)
        self._page = -1
        self.typed(0)

    def typed(self, units: int) -> None:
        """Go on by `units` of such a keystroke."""
        self.next = clock = self.next + units
        low = clock & 0x7F
        page = clock >> 7
        if low and page == self._page:
            if page:
                low |= 0x80
            self.keystroke[self._first] = low
            self.keystroke[self._second] = low - 1
            return
        self._page = page if low else -1
        head = self._begin
        first = encode_varuint(clock) + self._middle
        self._first, self._second = len(head), len(head) + len(first)
        self.keystroke = bytearray(head + first + encode_varuint(clock - 1) + self._right)

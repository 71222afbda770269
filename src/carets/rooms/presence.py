"""Who is where: the latest caret of each member in each open file.

Owns: the states, their clocks, what has changed since the last tick. Does not know: sockets, ticks' timing, documents.

Invariants:
  1. The ``user`` part of a state is the server's own word; a member gives only its caret.
  2. Nothing here is ever stored, and one member has at most one state in one file.

Source: y-protocols 1.0.7, awareness.js; docs/PROTOCOL.md, "Presence".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import msgspec

from carets import limits
from carets.errors import Code, WireError
from carets.protocol.messages import ClientId, MemberRecord
from carets.protocol.wire import Presence

_STOCK_ID_MIN = 1 << 16
"""Yjs client ids below are no stock client's in presence: member ids are there. Yjs draws its ids from 32 bits."""

Clock = Annotated[int, msgspec.Meta(ge=0, le=limits.CLOCK_MAX)]
_T = TypeVar("_T")

RootName = Literal["text"]
"""Yjs makes a root of whatever name a position asks for, in the document of everybody who is told of it."""


class ItemId(msgspec.Struct, frozen=True):
    """A place in the history of a text."""

    client: ClientId
    clock: Clock


class RelativePosition(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a caret stands, in the JSON of Yjs' relative positions."""

    type: ItemId | None = None
    tname: RootName | None = None
    item: ItemId | None = None
    assoc: Annotated[int, msgspec.Meta(ge=-1, le=1)] = 0


class Cursor(msgspec.Struct, frozen=True):
    """A selection: where it began and where the caret is."""

    anchor: RelativePosition
    head: RelativePosition


class PageState(msgspec.Struct, frozen=True):
    """What a member of ``carets.v1`` may say of itself."""

    cursor: Cursor | None = None


class StockUser(msgspec.Struct, frozen=True):
    """The name and colour that y-codemirror's users put into their awareness."""

    name: str = ""
    color: str = ""


class _StockState(msgspec.Struct, frozen=True):
    user: msgspec.Raw = msgspec.Raw(b"null")
    cursor: msgspec.Raw = msgspec.Raw(b"null")


_page: msgspec.json.Decoder[PageState | None] = msgspec.json.Decoder(PageState | None)
_stock = msgspec.json.Decoder(_StockState | None)
_user = msgspec.json.Decoder(StockUser | None)
_cursor = msgspec.json.Decoder(Cursor | None)


def decode_page_state(text: str) -> PageState | None:
    """Read a state of ``carets.v1``; None when the member has left the file. Raises: WireError MALFORMED_PRESENCE."""
    _check_size(text)
    try:
        return _page.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise WireError(Code.MALFORMED_PRESENCE, str(error)[:200]) from None


def decode_stock_state(text: str) -> tuple[StockUser, PageState | None]:
    """Read what a stock client says, whose states may hold anything: only user and caret are taken from it.

    Raises: WireError MALFORMED_PRESENCE when it is no JSON object, or too long.
    """
    _check_size(text)
    try:
        state = _stock.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise WireError(Code.MALFORMED_PRESENCE, str(error)[:200]) from None
    if state is None:
        return StockUser(), None
    return _or_default(_user, state.user) or StockUser(), PageState(_or_default(_cursor, state.cursor))


def _or_default(decoder: msgspec.json.Decoder[_T], raw: msgspec.Raw) -> _T | None:
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _check_size(text: str) -> None:
    if len(text.encode()) > limits.PRESENCE_BYTES_MAX:
        raise WireError(Code.MALFORMED_PRESENCE, f"above {limits.PRESENCE_BYTES_MAX} bytes")


@dataclass(slots=True)
class _Place:
    """One member in one file. `id` is the member's, or a stock client's Yjs id towards other stock clients."""

    id: int
    stock_id: int
    clock: int
    text: str


_GONE_MAX = 256
"""Members remembered to have left a file; who lags through more of them keeps a ghost until it reloads."""


class Whereabouts:
    """The presence of one file."""

    def __init__(self) -> None:
        self._places: dict[int, _Place] = {}
        self._changed: dict[int, _Place] = {}
        self._gone: dict[int, _Place] = {}
        """Who left, the latest ones: a member that lagged then must hear of it later."""
        self._clock = 0
        """One for all: a member that left and came back is newer than its leaving, which others may remember."""

    @property
    def has_news(self) -> bool:
        """Whether a tick has something to send."""
        return bool(self._changed)

    def put(
        self, member: MemberRecord, state: PageState, stock_id: int | None = None, clock: int | None = None
    ) -> None:
        """Keep a member's newest state. A stock client's own clock is kept, because its echo must not be newer."""
        if clock is None:
            self._clock += 1
            clock = self._clock
        text = msgspec.json.encode({"user": _stamp(member), "cursor": state.cursor}).decode()
        place = _Place(member.member_id, stock_id if stock_id is not None else member.member_id, clock, text)
        self._places[member.member_id] = self._changed[member.member_id] = place
        self._gone.pop(member.member_id, None)

    def is_taken(self, stock_id: int, member_id: int) -> bool:
        """Whether somebody else is known by this id towards stock clients, or members are, who have the low ones."""
        others = (place.stock_id for place in self._places.values() if place.id != member_id)
        return stock_id < _STOCK_ID_MIN or stock_id in others

    def _age(self, place: _Place) -> None:
        """Make a state newer than all that were told of it."""
        if place.stock_id == place.id:
            self._clock += 1
            place.clock = self._clock
        else:
            place.clock += 1

    def restamp(self, member: MemberRecord) -> None:
        """Write a member's new name and colour into the state that it has."""
        if place := self._places.get(member.member_id):
            place.text = msgspec.json.encode({**msgspec.json.decode(place.text), "user": _stamp(member)}).decode()
            self._age(place)
            self._changed[member.member_id] = place

    def remove(self, member_id: int) -> None:
        """Forget a member; the next tick tells the others."""
        if place := self._places.pop(member_id, None):
            self._age(place)
            gone = _Place(place.id, place.stock_id, place.clock, "null")
            self._changed[member_id] = self._gone[member_id] = gone
            if len(self._gone) > _GONE_MAX:
                del self._gone[next(iter(self._gone))]

    def renew(self) -> None:
        """Tell all states anew, so that stock clients do not forget them. Their own clocks are left to themselves."""
        for member_id, place in self._places.items():
            if place.stock_id == place.id:
                self._age(place)
            self._changed[member_id] = place

    def take_news(self) -> tuple[list[Presence], list[Presence]]:
        """What changed since the last call: for members of ``carets.v1``, and for stock clients."""
        changed, self._changed = self._changed, {}
        return self._entries(changed.values())

    def all(self) -> tuple[list[Presence], list[Presence]]:
        """Every state there is, and who left: for members of ``carets.v1``, and for stock clients."""
        return self._entries([*self._gone.values(), *self._places.values()])

    @staticmethod
    def _entries(places: Iterable[_Place]) -> tuple[list[Presence], list[Presence]]:
        page, stock = [], []
        for place in places:
            page.append(Presence(place.id, place.clock, place.text))
            stock.append(Presence(place.stock_id, place.clock, place.text))
        return page, stock


def _stamp(member: MemberRecord) -> dict[str, object]:
    return {"id": member.member_id, "name": member.name, "color": member.color, "role": member.role}

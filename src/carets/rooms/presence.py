"""Who is where: the latest caret of each member in each open file.

Owns: the states, their clocks, in which order they changed. Does not know: sockets, ticks, documents.

Invariants:
  1. The ``user`` part of a state is the server's own word; a member gives only its caret.
  2. Nothing here is ever stored, and one member has at most one state in one file.
  3. A state is encoded once, when it changes, however many are told of it.

Source: y-protocols 1.0.7, awareness.js; docs/PROTOCOL.md, "Presence".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple, TypeVar

import msgspec

from carets import limits
from carets.errors import Code, WireError
from carets.protocol.messages import ClientId, MemberRecord
from carets.protocol.wire import encode_presence

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


class Place(NamedTuple):
    """The latest of one member in one file. `id` is the member's, or a stock client's Yjs id to other stock clients."""

    id: int
    stock_id: int
    clock: int
    state: bytes
    """JSON; ``null`` when it has left."""
    version: int
    """The number of this change of the file's presence."""
    page: bytes
    """Its entry in an awareness message for members of ``carets.v1``."""
    stock: bytes
    """The same for stock clients."""


_GONE = b"null"
_GONE_MAX = 256
"""Members remembered to have left a file; who lags through more of them keeps a ghost until it reloads."""


class Whereabouts:
    """The presence of one file."""

    def __init__(self) -> None:
        self.version = 0
        """How many changes there were: who was told up to one of them needs only what came after it."""
        self._telling = 0
        self._latest: dict[int, Place] = {}
        """By member, who has left among them; the oldest change first."""
        self._gone: dict[int, None] = {}
        """Who has left: a member that is told later must hear of it then."""
        self._clock = 0
        """One for all: a member that left and came back is newer than its leaving, which others may remember."""

    def put(
        self, member: MemberRecord, state: PageState, stock_id: int | None = None, clock: int | None = None
    ) -> None:
        """Keep a member's newest state. A stock client's own clock is kept, because its echo must not be newer."""
        text = msgspec.json.encode({"user": _stamp(member), "cursor": state.cursor})
        self._gone.pop(member.member_id, None)
        if clock is None:
            clock = self._tick()
        self._keep(member.member_id, stock_id if stock_id is not None else member.member_id, clock, text)

    def is_taken(self, stock_id: int, member_id: int) -> bool:
        """Whether somebody else is known by this id towards stock clients, or members are, who have the low ones."""
        others = (place.stock_id for place in self._here() if place.id != member_id)
        return stock_id < _STOCK_ID_MIN or stock_id in others

    def restamp(self, member: MemberRecord) -> None:
        """Write a member's new name and colour into the state that it has."""
        place = self._latest.get(member.member_id)
        if place is not None and place.state != _GONE:
            text = msgspec.json.encode({**msgspec.json.decode(place.state), "user": _stamp(member)})
            self._keep(place.id, place.stock_id, self._newer(place), text)

    def remove(self, member_id: int) -> None:
        """Forget a member; the others are told."""
        place = self._latest.get(member_id)
        if place is not None and place.state != _GONE:
            self._keep(place.id, place.stock_id, self._newer(place), _GONE)
            self._gone[member_id] = None

    def renew(self) -> None:
        """Tell all states anew, so that stock clients do not forget them. Their own clocks are left to themselves."""
        for place in list(self._here()):
            clock = self._newer(place) if place.stock_id == place.id else place.clock
            self._keep(place.id, place.stock_id, clock, place.state)

    def news(self, since: int = 0) -> list[Place]:
        """What changed after the change `since`, the oldest first."""
        found = []
        for place in reversed(self._latest.values()):
            if place.version <= since:
                break
            found.append(place)
        found.reverse()
        return found

    @property
    def has_news(self) -> bool:
        """Whether something changed since `begin_telling`."""
        return self.version > self._telling

    def begin_telling(self, told: int) -> None:
        """Everybody is told now. They all know what changed up to `told`: of those who left before, the latest stay."""
        self._telling = self.version
        while len(self._gone) > _GONE_MAX:
            member_id = next(iter(self._gone))
            if self._latest[member_id].version > told and len(self._gone) <= limits.MEMBERS_MAX:
                return
            del self._gone[member_id], self._latest[member_id]

    def _here(self) -> Iterator[Place]:
        return (place for place in self._latest.values() if place.state != _GONE)

    def _tick(self) -> int:
        self._clock += 1
        return self._clock

    def _newer(self, place: Place) -> int:
        """A clock above all that were told of this member."""
        return self._tick() if place.stock_id == place.id else place.clock + 1

    def _keep(self, id_: int, stock_id: int, clock: int, state: bytes) -> None:
        self.version += 1
        page = encode_presence(id_, clock, state)
        stock = page if stock_id == id_ else encode_presence(stock_id, clock, state)
        self._latest.pop(id_, None)  # its change is the newest now
        self._latest[id_] = Place(id_, stock_id, clock, state, self.version, page, stock)


def _stamp(member: MemberRecord) -> dict[str, object]:
    return {"id": member.member_id, "name": member.name, "color": member.color, "role": member.role}

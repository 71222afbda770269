"""Who is connected, and who may be: counts by process and by address, and who gives way when there is no room.

Owns: the book of connections and visits. Does not know: sockets, HTTP, what visitors want.
Addresses count by `network_of`. What a trusted proxy brings counts as its visitor's, for as long as it is answered;
the proxy's own connections count for the process alone.

Invariants:
  1. Never more than `connections_max` connections, nor `address_connections_max` of one network.
  2. Nobody who is being served gives way to a newcomer; connections that wait for their next request do, longest first.
  3. At most `STRANGERS_MAX` WebSockets, `ADDRESS_STRANGERS_MAX` of one network, have not shown a key yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from carets import limits
from carets.edges.visitor import Network, Visitor, is_within, network_of
from carets.errors import Code, Unavailable
from carets.limits import Quotas

Bound = Literal["process", "address", "strangers", "address_strangers"]
"""What a newcomer can be turned away by."""

Kind = Literal["new", "idle", "http", "stranger", "member"]
"""What a connection is doing: it has sent no request yet, waits for its next, is answered, is a WebSocket without or
with a member."""


class Guest:
    """One connection in the book."""

    __slots__ = ("give_way", "is_proxy", "kind", "network")

    def __init__(self, network: str, give_way: Callable[[], None], *, is_proxy: bool) -> None:
        self.network = network
        self.is_proxy = is_proxy
        self.kind: Kind | None = None
        """None: not in the book (any more)."""
        self.give_way = give_way
        """Ends the connection, which waits for its next request."""


class Doorman:
    """The book of this process."""

    def __init__(self, quotas: Quotas, trusted: Sequence[Network]) -> None:
        self.connections_max = quotas.connections_max
        self.kinds: Counter[Kind] = Counter()
        """How many connections do what."""
        self.refused: Counter[Bound] = Counter()
        """How many were turned away since the start, by which bound."""
        self.gave_way = 0
        """How many made room for others since the start."""
        self.left = 0
        """How many have ended since the start."""
        self._address_max = quotas.address_connections_max
        self._trusted = trusted
        self._idle: dict[Guest, None] = {}
        """Those that wait for their next request, by how long they do."""
        self._by_network: dict[str, dict[Guest, None]] = {}
        """All of them; in each network, those that wait come in the same order."""
        self.visits: Counter[str] = Counter()
        """By network, what proxies bring and is being answered."""
        self.strangers: Counter[str] = Counter()
        """By network, WebSockets that have not shown a key yet."""

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return self.kinds.total()

    @property
    def is_full(self) -> bool:
        """Whether a newcomer would be turned away, whatever its address: nobody waits who could give way."""
        return self.connections >= self.connections_max and not self._idle

    # -- connections

    def admit(self, address: str, give_way: Callable[[], None]) -> Guest:
        """Take a new connection from a clean address into the book. Raises: Unavailable CONNECTIONS_TOO_MANY."""
        guest = Guest(network_of(address), give_way, is_proxy=is_within(address, self._trusted))
        theirs = self._by_network.get(guest.network, {})
        if not guest.is_proxy and len(theirs) >= self._address_max and not self._make_room(theirs):
            raise self._refusal("address", f"at most {self._address_max} from one address")
        if self.connections >= self.connections_max and not self._make_room(self._idle):
            raise self._refusal("process", f"at most {self.connections_max}")
        self._by_network.setdefault(guest.network, {})[guest] = None
        self.turn(guest, "new")
        return guest

    def leave(self, guest: Guest) -> None:
        """Strike a connection out of the book; one that is not in it (any more) is nothing to do."""
        if guest.kind is None:
            return
        self.left += 1
        self.turn(guest, None)
        theirs = self._by_network[guest.network]
        del theirs[guest]
        if not theirs:
            del self._by_network[guest.network]

    def waits(self, guest: Guest) -> None:
        """It was answered, and waits for its next request."""
        if guest.kind is None or guest.kind == "idle":
            return
        self.turn(guest, "idle")
        theirs = self._by_network[guest.network]
        theirs[guest] = theirs.pop(guest)  # now the last

    def _make_room(self, among: dict[Guest, None]) -> bool:
        for guest in among:
            if guest.kind == "idle":
                self.leave(guest)
                self.gave_way += 1
                guest.give_way()
                return True
        return False

    def turn(self, guest: Guest, kind: Kind | None) -> None:
        """A connection does something else from now on; None: it is in the book no more."""
        self._idle.pop(guest, None)
        if guest.kind is not None:
            self.kinds[guest.kind] -= 1
        if kind is not None:
            self.kinds[kind] += 1
        if kind == "idle":
            self._idle[guest] = None
        guest.kind = kind

    # -- visits

    def visit(self, guest: Guest | None, visitor: Visitor, *, upgrades: bool) -> Visit:
        """Begin to serve a request; the caller ends the visit. Raises: Unavailable CONNECTIONS_TOO_MANY."""
        network = visitor.network
        if visitor.by_proxy and self.visits[network] >= self._address_max:
            raise self._refusal("address", f"at most {self._address_max} from one address")
        if upgrades:
            if self.strangers[network] >= limits.ADDRESS_STRANGERS_MAX:
                what = f"at most {limits.ADDRESS_STRANGERS_MAX} from one address that have not shown a key yet"
                raise self._refusal("address_strangers", what)
            if self.strangers.total() >= limits.STRANGERS_MAX:
                raise self._refusal("strangers", f"at most {limits.STRANGERS_MAX} that have not shown a key yet")
        return Visit(self, guest, network, by_proxy=visitor.by_proxy, upgrades=upgrades)

    def _refusal(self, bound: Bound, detail: str) -> Unavailable:
        self.refused[bound] += 1
        return Unavailable(Code.CONNECTIONS_TOO_MANY, detail, retry_after_s=limits.CONNECTIONS_RETRY_S)

    def describe(self) -> dict[str, object]:
        """For the operator."""
        return {
            "connections": self.connections,
            "connections_max": self.connections_max,
            "kinds": {kind: count for kind, count in self.kinds.items() if count},
            "networks": len(self._by_network),
            "visits": self.visits.total(),
            "strangers": self.strangers.total(),
            "refused": dict(self.refused),
            "gave_way": self.gave_way,
        }


class Visit:
    """One request that is being served, from its head to its answer, or to the end of its WebSocket."""

    def __init__(self, doorman: Doorman, guest: Guest | None, network: str, *, by_proxy: bool, upgrades: bool) -> None:
        self._doorman = doorman
        self._guest = guest
        self._network = network
        self._by_proxy = by_proxy
        self._is_stranger = upgrades
        if by_proxy:
            doorman.visits[network] += 1
        if upgrades:
            doorman.strangers[network] += 1
        self._turn("stranger" if upgrades else "http")

    def welcome(self) -> None:
        """The stranger has shown a key that opens, and is a member now."""
        self._no_stranger()
        self._turn("member")

    def end(self) -> None:
        """It is over, but for what is still to be sent."""
        self._no_stranger()
        if self._by_proxy:
            _take_one(self._doorman.visits, self._network)
            self._by_proxy = False

    def _no_stranger(self) -> None:
        if self._is_stranger:
            _take_one(self._doorman.strangers, self._network)
            self._is_stranger = False

    def _turn(self, kind: Kind) -> None:
        if self._guest is not None and self._guest.kind is not None:
            self._doorman.turn(self._guest, kind)


def _take_one(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]

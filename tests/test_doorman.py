"""The book of connections: who is counted as whom, who is refused, who gives way."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from carets import limits
from carets.edges.doorman import Doorman, Guest, Visit
from carets.edges.visitor import Network, Visitor
from carets.errors import Code, Unavailable
from carets.limits import Quotas

PROXIES: tuple[Network, ...] = (ipaddress.ip_network("10.0.0.0/8"),)


def doorman(connections_max: int = 100, address_connections_max: int = 3) -> Doorman:
    quotas = Quotas(connections_max=connections_max, address_connections_max=address_connections_max)
    return Doorman(quotas, PROXIES)


class Door:
    """Connections with what became of them."""

    def __init__(self, book: Doorman) -> None:
        self.book = book
        self.gone: list[Guest] = []

    def come(self, address: str) -> Guest:
        guest = self.book.admit(address, lambda: None)
        guest.give_way = lambda: self.gone.append(guest)
        return guest


def refusal(book: Doorman, address: str) -> Unavailable:
    with pytest.raises(Unavailable) as refused:
        book.admit(address, lambda: None)
    assert refused.value.code is Code.CONNECTIONS_TOO_MANY
    assert refused.value.retry_after_s == limits.CONNECTIONS_RETRY_S
    return refused.value


def test_one_address_has_its_bound_and_no_other_pays() -> None:
    book = doorman()
    first = [book.admit("203.0.113.9", lambda: None) for _ in range(3)]
    assert "at most 3 from one address" in str(refusal(book, "203.0.113.9"))
    book.admit("203.0.113.10", lambda: None)
    book.leave(first[0])
    book.admit("203.0.113.9", lambda: None)
    assert book.refused == {"address": 1}


def test_the_process_has_its_bound() -> None:
    book = doorman(connections_max=4)
    for number in range(4):
        book.admit(f"203.0.113.{number}", lambda: None)
    assert "at most 4" in str(refusal(book, "203.0.113.9"))
    assert book.refused == {"process": 1}


def test_a_household_of_ipv6_counts_as_one() -> None:
    book = doorman()
    for number in range(3):
        book.admit(f"2001:db8:1:2::{number}", lambda: None)
    refusal(book, "2001:db8:1:2:ffff::1")
    book.admit("2001:db8:1:3::1", lambda: None)


def test_a_proxy_has_no_bound_of_its_own_but_the_process_has() -> None:
    book = doorman(connections_max=9)
    for _ in range(9):
        book.admit("10.0.0.1", lambda: None)
    refusal(book, "10.0.0.1")


def test_who_leaves_twice_is_gone_once() -> None:
    book = doorman()
    guest = book.admit("203.0.113.9", lambda: None)
    other = book.admit("203.0.113.9", lambda: None)
    book.leave(guest)
    book.leave(guest)
    assert book.connections == 1
    book.waits(guest)
    assert book.kinds["idle"] == 0
    book.leave(other)
    assert book.describe()["networks"] == 0


# -- giving way


def test_who_waits_longest_of_the_same_address_gives_way() -> None:
    book = doorman()
    door = Door(book)
    first, second, third = (door.come("203.0.113.9") for _ in range(3))
    other = door.come("203.0.113.10")
    for guest in (other, second, third, first):
        book.waits(guest)
    visit = book.visit(second, Visitor("203.0.113.9", "http", ""), upgrades=False)
    fourth = door.come("203.0.113.9")
    assert door.gone == [third]
    visit.end()
    book.waits(second)
    door.come("203.0.113.9")
    assert door.gone == [third, first]
    book.waits(fourth)
    door.come("203.0.113.9")
    assert door.gone == [third, first, second]
    assert (book.connections, book.gave_way, book.refused.total()) == (4, 3, 0)


def test_who_waits_longest_of_all_gives_way_when_the_process_is_full() -> None:
    book = doorman(connections_max=3)
    door = Door(book)
    new, second, first = (door.come(f"203.0.113.{number}") for number in range(3))
    book.waits(first)
    book.waits(second)
    door.come("203.0.113.9")
    assert door.gone == [first]
    door.come("203.0.113.9")
    assert door.gone == [first, second]
    refusal(book, "203.0.113.9")
    assert new.kind == "new", "it may be about to ask"


@pytest.mark.parametrize("upgrades", [False, True])
def test_nobody_who_is_served_gives_way(upgrades: bool) -> None:
    book = doorman()
    door = Door(book)
    for _ in range(3):
        guest = door.come("203.0.113.9")
        book.waits(guest)
        book.visit(guest, Visitor("203.0.113.9", "http", ""), upgrades=upgrades)
    refusal(book, "203.0.113.9")
    assert door.gone == []


# -- visits


def test_what_a_proxy_brings_counts_as_its_visitors() -> None:
    book = doorman()
    proxy = [book.admit("10.0.0.1", lambda: None) for _ in range(5)]
    visitor = Visitor("203.0.113.9", "https", "", by_proxy=True)
    visits = [book.visit(guest, visitor, upgrades=False) for guest in proxy[:3]]
    with pytest.raises(Unavailable) as refused:
        book.visit(proxy[3], visitor, upgrades=False)
    assert refused.value.code is Code.CONNECTIONS_TOO_MANY
    book.visit(proxy[3], visitor._replace(address="203.0.113.10"), upgrades=False)
    visits[0].end()
    visits[0].end()
    book.visit(proxy[4], visitor, upgrades=False)
    with pytest.raises(Unavailable):
        book.visit(None, visitor, upgrades=False)


def test_direct_visits_are_bounded_by_their_connections_alone() -> None:
    book = doorman()
    for _ in range(9):
        book.visit(None, Visitor("203.0.113.9", "http", ""), upgrades=False)


def test_strangers_are_bounded_by_address_and_by_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ADDRESS_STRANGERS_MAX", 2)
    monkeypatch.setattr(limits, "STRANGERS_MAX", 3)
    book = doorman()
    ann, bob, eve = (Visitor(f"203.0.113.{number}", "http", "") for number in range(3))
    first, second = (book.visit(None, ann, upgrades=True) for _ in range(2))
    with pytest.raises(Unavailable, match="one address"):
        book.visit(None, ann, upgrades=True)
    book.visit(None, ann, upgrades=False)
    book.visit(None, bob, upgrades=True)
    with pytest.raises(Unavailable, match="key yet"):
        book.visit(None, eve, upgrades=True)
    first.welcome()
    book.visit(None, eve, upgrades=True)
    second.end()
    book.visit(None, ann, upgrades=True)
    first.end()
    assert book.describe()["strangers"] == 3
    assert book.refused == {"address_strangers": 1, "strangers": 1}


def test_it_can_be_described() -> None:
    book = doorman()
    guests = [book.admit("203.0.113.9", lambda: None) for _ in range(3)]
    book.visit(guests[0], Visitor("203.0.113.9", "http", ""), upgrades=True).welcome()
    book.waits(guests[1])
    assert book.describe() == {
        "connections": 3,
        "connections_max": 100,
        "kinds": {"member": 1, "idle": 1, "new": 1},
        "networks": 1,
        "visits": 0,
        "strangers": 0,
        "refused": {},
        "gave_way": 0,
    }


class Book(RuleBasedStateMachine):
    """Whatever happens in whatever order: the bounds hold, and the counts are those of what is there."""

    def __init__(self) -> None:
        super().__init__()
        self.book = doorman(connections_max=6)
        self.here: list[Guest] = []
        self.visits: list[tuple[Visit, Visitor]] = []

    def pick(self, at: int) -> Guest | None:
        return self.here[at % len(self.here)] if self.here else None

    @rule(address=st.sampled_from(["10.0.0.1", "203.0.113.1", "203.0.113.2", "2001:db8::1", "2001:db8::2"]))
    def come(self, address: str) -> None:
        try:
            guest = self.book.admit(address, lambda: self.here.remove(guest))
        except Unavailable:
            return
        self.here.append(guest)

    @rule(at=st.integers(0, 9))
    def leave(self, at: int) -> None:
        if guest := self.pick(at):
            self.here.remove(guest)
            self.book.leave(guest)

    @rule(at=st.integers(0, 9))
    def wait(self, at: int) -> None:
        if guest := self.pick(at):
            self.book.waits(guest)

    @rule(at=st.integers(0, 9), upgrades=st.booleans(), by_proxy=st.booleans())
    def visit(self, at: int, upgrades: bool, by_proxy: bool) -> None:
        visitor = Visitor("203.0.113.7", "http", "", by_proxy)
        try:
            self.visits.append((self.book.visit(self.pick(at), visitor, upgrades=upgrades), visitor))
        except Unavailable:
            assert by_proxy
            assert self.book.visits["203.0.113.7"] == 3

    @rule(at=st.integers(0, 9), is_welcome=st.booleans())
    def end(self, at: int, is_welcome: bool) -> None:
        if self.visits:
            visit, _ = self.visits[at % len(self.visits)]
            if is_welcome:
                visit.welcome()
            else:
                visit.end()
                del self.visits[at % len(self.visits)]

    @invariant()
    def counts_are_true(self) -> None:
        assert self.book.connections == len(self.here) <= 6
        for network in {guest.network for guest in self.here}:
            theirs = [guest for guest in self.here if guest.network == network]
            assert len(theirs) <= 3 or theirs[0].is_proxy
        assert all(guest.kind is not None for guest in self.here)
        assert self.book.visits.total() == sum(visitor.by_proxy for _, visitor in self.visits) <= 3
        assert self.book.describe()["networks"] == len({guest.network for guest in self.here})


TestBook = Book.TestCase
TestBook.settings = settings(derandomize=True, max_examples=60, stateful_step_count=40)

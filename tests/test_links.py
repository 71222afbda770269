"""The links of a workspace: which key opens it, and when no longer."""

from __future__ import annotations

import pytest

from carets import limits
from carets.errors import Code, Refused
from carets.protocol import access
from carets.rooms.links import Links
from carets.rooms.store import LinkRecord


def link(
    link_id: str, key: str = "key", expires_at_ms: int | None = None, revoked_at_ms: int | None = None
) -> LinkRecord:
    return LinkRecord(link_id, "editor", access.hash_key(key), link_id, 0, expires_at_ms, revoked_at_ms)


def test_a_key_finds_its_link_until_that_has_expired_or_is_revoked() -> None:
    links = Links([link("a", "a"), link("b", "b", expires_at_ms=10), link("c", "c", revoked_at_ms=1)])
    assert links.find("a", 99).link_id == "a"
    assert links.find("b", 9).link_id == "b"
    for key, code in (("b", Code.LINK_EXPIRED), ("c", Code.LINK_REVOKED), ("", Code.KEY_WRONG), ("d", Code.KEY_WRONG)):
        with pytest.raises(Refused) as caught:
            links.find(key, 10)
        assert caught.value.code is code
    assert [links.has_expired(id_, 10) for id_ in ("a", "b", "gone")] == [False, True, False]
    assert [links.expired(now_ms) for now_ms in (9, 10, 11)] == [set(), {"b"}, {"b"}]


def test_a_link_ends_when_it_was_last_said_to() -> None:
    links = Links([link("a", expires_at_ms=10)])
    with links.coming(link("a", expires_at_ms=99)):
        pass
    assert links.expired(50) == set()
    with links.coming(link("a")):
        pass
    assert links.expired(10**15) == set()
    with links.coming(link("b", expires_at_ms=5)):
        pass
    assert links.expired(5) == {"b"}


def test_links_that_are_on_their_way_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINKS_MAX", 2)
    links = Links([link("a")])
    with links.coming(link("b")):
        assert list(links) == ["a"]
        with pytest.raises(Refused) as caught, links.coming(link("c")):
            pytest.fail("there is no room")
        assert caught.value.code is Code.LINKS_TOO_MANY
    assert list(links) == ["a", "b"]
    with links.coming(link("a", revoked_at_ms=5)):
        pass
    assert links["a"].revoked_at_ms == 5, "a change needs no new place"


def test_a_link_that_was_not_kept_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINKS_MAX", 1)
    links = Links([])
    with pytest.raises(OSError, match="full"), links.coming(link("a")):
        raise OSError("full")
    assert not links
    with links.coming(link("b")):
        pass
    assert list(links) == ["b"]

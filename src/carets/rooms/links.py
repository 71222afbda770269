"""The links of one workspace: which keys open it, as what, and until when.

Owns: finding the link of a key, and how many there may be. Does not know: members, stores, how keys travel.

Invariant: `LINKS_MAX` holds for the links that are kept and those that are about to be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from carets import limits
from carets.errors import Code, Refused
from carets.protocol import access
from carets.rooms.store import LinkRecord


class Links(dict[str, LinkRecord]):
    """The links by their ids, in the order of their making."""

    def __init__(self, records: Sequence[LinkRecord]) -> None:
        super().__init__()
        self._coming = 0
        self._ends_ms: dict[str, int] = {}
        """When each link ends that does, so that a look at all rooms every moment costs nothing where none do."""
        for link in records:
            self[link.link_id] = link

    def __setitem__(self, link_id: str, link: LinkRecord) -> None:
        super().__setitem__(link_id, link)
        self._ends_ms.pop(link_id, None)
        if link.expires_at_ms is not None:
            self._ends_ms[link_id] = link.expires_at_ms

    def find(self, key: str, now_ms: int) -> LinkRecord:
        """The link of this key. Raises: Refused KEY_WRONG, LINK_REVOKED or LINK_EXPIRED."""
        found = None
        for link in self.values():
            if access.key_matches(key, link.key_hash):
                found = link
        if found is None:
            raise Refused(Code.KEY_WRONG)
        if found.revoked_at_ms is not None:
            raise Refused(Code.LINK_REVOKED)
        if self.has_expired(found.link_id, now_ms):
            raise Refused(Code.LINK_EXPIRED)
        return found

    def has_expired(self, link_id: str, now_ms: int) -> bool:
        """Whether there is such a link and its time is over."""
        link = self.get(link_id)
        return link is not None and link.expires_at_ms is not None and link.expires_at_ms <= now_ms

    def expired(self, now_ms: int) -> set[str]:
        """The links whose time is over."""
        return {link_id for link_id, end_ms in self._ends_ms.items() if end_ms <= now_ms}

    @contextmanager
    def coming(self, link: LinkRecord) -> Iterator[None]:
        """Hold a place for a link while it is being kept, then take it in. Raises: Refused LINKS_TOO_MANY."""
        is_new = link.link_id not in self
        if is_new and len(self) + self._coming >= limits.LINKS_MAX:
            raise Refused(Code.LINKS_TOO_MANY, f"at most {limits.LINKS_MAX}")
        self._coming += is_new
        try:
            yield
        finally:
            self._coming -= is_new
        self[link.link_id] = link

"""What a member says of itself: its name and colour, the file it looks at, its carets.

Owns: how that is taken in, from the page and from stock clients. Does not know: who is told, and when.

Invariant: what is kept is cleaned, bounded and the member's own, whatever it said.
"""

from __future__ import annotations

from collections.abc import Mapping

from carets import limits
from carets.errors import Code, WireError
from carets.protocol import access, messages, wire
from carets.rooms.file import OpenFile
from carets.rooms.member import Member, Seat
from carets.rooms.presence import Whereabouts, decode_page_state, decode_stock_state


def take_profile(member: Member, profile: messages.Profile, open_files: Mapping[int, OpenFile]) -> None:
    """Give a member another name and colour, in its carets too."""
    _rename(member, profile.name, profile.color)
    for file_id in member.seats:
        open_files[file_id].whereabouts.restamp(member.record)


def _rename(member: Member, name: str, color: str) -> None:
    member.name = access.clean_label(name, limits.NAME_UNITS_MAX, member.name)
    member.color = access.clean_color(color, member.id)


def take_page_presence(whereabouts: Whereabouts, member: Member, payload: bytes) -> None:
    """Take the caret of a member of ``carets.v1`` in one file. Raises: WireError."""
    (entry,) = wire.decode_awareness(payload, 1) or (None,)
    state = decode_page_state(entry.state) if entry else None
    if state is None:
        whereabouts.remove(member.id)
    else:
        whereabouts.put(member.record, state)


def take_stock_presence(whereabouts: Whereabouts, seat: Seat, payload: bytes) -> bool:
    """Take what a stock client says, and its name the first time. Returns whether it was named. Raises: WireError.

    A stock client's first message about itself has one entry; later ones repeat what others said, too.
    """
    member, was_named = seat.member, False
    entries = wire.decode_awareness(payload, limits.PRESENCE_ENTRIES_MAX)
    if seat.client_id is None and len(entries) == 1 and entries[0].state != "null":
        seat.client_id = None if whereabouts.is_taken(entries[0].id, member.id) else entries[0].id
    for entry in entries:
        if entry.id != seat.client_id:
            continue
        if entry.clock > limits.CLOCK_MAX:
            # One more, when it leaves, and the others could not read the number any more.
            raise WireError(Code.MALFORMED_PRESENCE, f"a clock above {limits.CLOCK_MAX}")
        user, state = decode_stock_state(entry.state)
        if state is None:
            whereabouts.remove(member.id)
            continue
        if user.name and not seat.greeted:
            seat.greeted = was_named = True
            _rename(member, user.name, user.color)
        whereabouts.put(member.record, state, entry.id, entry.clock)
    return was_named

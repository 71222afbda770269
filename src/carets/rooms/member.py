"""One connection in a room, and its place in each file that it has open.

Owns: what the member sent and was told, per connection and per open file. Does not know: the room's rules, sockets.

Invariant: `saved` never passes a frame that waits for the repair of its gap.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from carets import limits
from carets.errors import CaretsError, Code, Unavailable
from carets.protocol import messages
from carets.protocol.access import Role
from carets.protocol.admission import Author
from carets.protocol.dialect import Dialect
from carets.protocol.wire import PartsInbox
from carets.rooms.allowance import Allowance
from carets.rooms.outbox import Outbox

_PARTS_WAIT_S = 10.0
"""Seconds after which others' large messages have come in, or were given up."""


class Mark(NamedTuple):
    """A moment of a document: what a member has that fell behind then."""

    version: int
    state_vector: bytes


@dataclass(slots=True, eq=False)
class Seat:
    """A member's place in one open file."""

    member: Member
    file_id: int
    author: Author
    client_id: int | None = None
    """The Yjs client id: declared by ``open_file``, or told by a stock client's first awareness."""
    ready: bool = False
    """Whether its first step 1 is being answered: only then do updates go to it."""
    question: bytes | None = None
    """The state vector of a step 1 that is not answered yet; of several, the last."""
    behind: Mark | None = None
    """What it has, while it is not up to date; None while each commit goes to it at once."""
    answer_due: bool = False
    """Whether the next catch-up answers a step 1."""
    in_parts: bool = False
    """Whether a message of this file is under way in parts, which its other sync messages wait for."""
    asked: bool = False
    """Whether a step 1 of ours waits for its step 2: at most one does."""
    ask_due: bool = False
    blocked: bool = False
    """Whether an edit was refused: what follows it cannot be taken until the file is opened anew."""
    presence_told: int = 0
    """Up to which change of the file's presence it was told."""
    presence_asked: bool = False
    greeted: bool = False
    """Whether a stock client's name and colour were taken: the first ones stay."""
    update_head: bytes = b""
    """What each of its edits here begins with."""

    def __post_init__(self) -> None:
        """Build once what every keystroke is compared with."""
        self.update_head = self.member.dialect.update_head(self.file_id)


@dataclass(slots=True, eq=False)
class Member:
    """A connection that said hello."""

    id: int
    person: str
    link_id: str
    role: Role
    name: str
    color: str
    dialect: Dialect
    outbox: Outbox
    allowance: Allowance
    page: str = ""
    """A random id of its page's life: the same person's same page has no second connection."""
    place: int | None = None
    """The file that it looks at."""
    seats: dict[int, Seat] = field(default_factory=dict)
    typing_in: int = 0
    """The file that its last edit was in: the next one is looked for there first."""
    parts: PartsInbox = field(default_factory=PartsInbox)
    received: int = 0
    """Step 2 and update frames that came."""
    saved: int = 0
    """How many of them it was told are durable."""
    gaps: dict[int, int] = field(default_factory=dict)
    """By file, the number of the first frame that waits for a step 2 to repair its gap."""
    requests_open: int = 0
    """File operations and chat that wait for their commit."""
    stale: dict[type[messages.Notice], None] = field(default_factory=dict)
    """Kinds of notices that it missed while it lagged."""
    saved_stale: bool = False
    gone: CaretsError | None = None
    """Why it was closed by the room; None while it is here."""

    def __post_init__(self) -> None:
        """A viewer sends nothing large: its automatic step 2 holds deletions that are known."""
        if not self.may_write:
            self.parts = PartsInbox(bytes_max=limits.VIEWER_UPDATE_BYTES_MAX)

    @property
    def may_write(self) -> bool:
        """Whether its edits are taken."""
        return self.role >= Role.EDITOR

    @property
    def record(self) -> messages.MemberRecord:
        """The member as the others see it."""
        return messages.MemberRecord(self.id, self.name, self.color, self.role.label, self.place)

    @property
    def acknowledgeable(self) -> int:
        """How many frames may be told saved once all that is admitted now is durable."""
        return min(self.gaps.values()) - 1 if self.gaps else self.received

    def describe(self) -> dict[str, object]:
        """For the operator."""
        return {
            "member_id": self.id,
            "role": self.role.label,
            "door": self.dialect.name,
            "lagging": self.outbox.lagging,
            "files": len(self.seats),
            "behind": sum(seat.behind is not None for seat in self.seats.values()),
            "received": self.received,
            "saved": self.saved,
            "gaps": len(self.gaps),
        }

    @property
    def has_unsaved(self) -> bool:
        """Whether something that it sent is not durable yet."""
        return self.saved < self.received or self.requests_open > 0


def check_parts(members: Iterable[Member]) -> None:
    """Look at what all of a room have begun in parts. Raises: Unavailable RATE_LIMITED when it is too much."""
    if sum(member.parts.held_bytes for member in members) > limits.ROOM_PARTS_BYTES_MAX:
        raise Unavailable(Code.RATE_LIMITED, "the workspace takes no more at once", retry_after_s=_PARTS_WAIT_S)

"""The gate: what of a Yjs update may enter a document, decided without applying it.

Owns: the admitted state of one document (clocks, deletions, halves of characters, whose client id is whose).
Does not know: the CRDT engine, rooms, the store, time.

Invariants:
  1. An update is admitted whole or not at all: every check comes before the first change of state.
  2. What is admitted continues the admitted state: its clocks do exactly, and all that it refers to exists.
  3. No admitted update refers between the two halves of a character, as far as its text was admitted here.
  4. New structs under a client id come from the one person to whom the id belongs, or are carried (`Gate.carry`).
  5. The fast path is a shortcut only: a fresh `Author` takes the general path to the same verdict and the same state.

Source: docs/ARCHITECTURE.md, "Admission".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from carets.errors import CaretsError, Code, Refused, WireError
from carets.limits import (
    CLIENT_ID_MAX,
    CLIENT_IDS_MAX,
    CLIENT_IDS_NEW_MAX,
    CLOCK_MAX,
    DOCUMENT_UNITS_MAX,
    UNJOINED_STRUCTS_MAX,
    UPDATE_STRUCTS_MAX,
)
from carets.protocol.change import Change, Part, is_in, split
from carets.protocol.deletions import DeleteSets
from carets.protocol.intervals import Intervals, Range
from carets.protocol.lanes import Lane
from carets.protocol.origins import Origins
from carets.protocol.outline import Outline
from carets.protocol.updates import (
    NONE,
    Deletions,
    join_structs,
    read_insertion,
    read_structs,
)

DECLARED_MAX = 1024
"""Client ids reserved and not used yet; the oldest gives way. Every reload declares one, most are never used."""

DECLARED_PERSON_MAX = 64
"""Of these, how many one person may have: who opens a file again and again gives up its own, and nobody else's."""

NOBODY = ""
"""The owner of a client id that is in the document and has none on record: nobody may continue it."""


class Author:
    """Who sends updates: one per member and file. `gate` and `lane` are the gate's, for its fast path."""

    __slots__ = ("gate", "lane", "new_ids_left", "person")

    def __init__(self, person: str, new_ids_left: int = CLIENT_IDS_NEW_MAX) -> None:
        self.person = person
        self.new_ids_left = new_ids_left
        self.gate: Gate | None = None
        self.lane: Lane | None = None


class _GapError(Exception):
    """The update refers to what is not here."""


class Gate:
    """The admitted state of one document: what is committed plus what is queued before it.

    Args:
        owners: the person of each Yjs client id on record; ids of the document that have none belong to nobody.
        units_max: UTF-16 units of live text above which the document may not grow.
        is_carrying: whether the window after the restore of an older backup is open at this moment.
    """

    def __init__(
        self,
        owners: Mapping[int, str] | None = None,
        *,
        units_max: int = DOCUMENT_UNITS_MAX,
        is_carrying: Callable[[], bool] = lambda: False,
    ) -> None:
        self.units = 0
        """Live UTF-16 units."""
        self._units_max = units_max
        self._is_carrying = is_carrying
        self._lanes: dict[int, Lane] = {}
        self._owners = dict(owners or {})
        self._declared: dict[int, str] = {}
        self._claims: list[tuple[int, str]] = []
        self._delete_sets = DeleteSets()
        self._origins = Origins()
        self._is_wide = False
        """Whether any lane has characters of two units."""
        self._unread = b""
        """The state whose structs are not read yet: of a document that nobody has typed in since it was loaded."""

    @classmethod
    def of(
        cls,
        state: bytes,
        owners: Mapping[int, str],
        *,
        outline: Outline | None = None,
        declared: Mapping[int, str] | None = None,
        units_max: int = DOCUMENT_UNITS_MAX,
        is_carrying: Callable[[], bool] = lambda: False,
    ) -> Gate:
        """The gate of a document of our own, from its whole encoded state.

        With its outline, the structs are not read before somebody types: whoever only reads does not wait for it.
        `declared` is what `Gate.declared` gave of the gate that this one replaces after a failed commit: members who
        stay do not declare again.
        """
        gate = cls(owners, units_max=units_max, is_carrying=is_carrying)
        if outline is None:
            gate.replay(state)
        else:
            gate._begin(state, outline)
        gate._declared.update(declared or {})
        return gate

    def _begin(self, state: bytes, outline: Outline) -> None:
        """Know what an outline tells; the rest is read by `_read_on`."""
        self._unread, self.units, self._is_wide = state, outline.units, outline.is_wide
        for client, clock in outline.clocks.items():
            lane = self._lanes[client] = Lane(client)
            lane.next = clock
        _, at, _ = read_structs(outline.deletions)
        reading = self._delete_sets.read(outline.deletions, at, trusted=True)
        for client, ranges in reading.deletions:
            self._lanes[client].deleted.add(ranges)
        self._delete_sets.note(reading)

    def _read_on(self) -> None:
        """Read the structs that were put off: what hangs on what, the halves of characters, what is typed on next."""
        state, self._unread = self._unread, b""
        change = Change()
        for block in read_structs(state)[0]:
            assert self._lanes[block.client].next == block.end, "the outline is another document's"
            change.parts[block.client] = part = Part(block, 0)
            change.survey(part)
        assert len(change.parts) == len(self._lanes), "the outline is another document's"
        try:
            self._walk(change, trusted=True)
        except _GapError:
            raise AssertionError("the document has a gap") from None
        self._take_in_structs(change)

    def _prepare(self, update: bytes) -> None:
        """Read on if this update cannot be judged without: it has structs, or may cut a character."""
        if self._unread and (self._is_wide or not update.startswith(b"\0")):
            self._read_on()

    # -- the two ways in

    def admit(self, update: bytes, author: Author) -> bytes | None:
        """Check an update and take what is new of it into the admitted state.

        Returns:
            What to log, apply and broadcast: `update` itself where all of it is new, else what is new of it, as Yjs
            would encode it. ``b""`` where nothing is new. None for a gap: something before it is missing, and nothing
            was changed.

        Raises:
            WireError: MALFORMED_UPDATE, ILLEGAL_UPDATE, SPLIT_CHARACTER. Nothing was changed.
            Refused: CLIENT_ID_TAKEN, CLIENT_IDS_TOO_MANY, DOCUMENT_TOO_LARGE. Nothing was changed.
        """
        lane = author.lane
        if lane is not None and author.gate is self and (self._type(update, 0, lane) or self._insert(update, lane)):
            return update
        return self._admit_any(update, author)

    def type_on(self, frames: Sequence[bytes], first: int, head: bytes, author: Author) -> list[bytes]:
        """Take in the keystrokes with which `frames` go on from number `first`, as `admit` would one after the other.

        A keystroke types on right after the author's last unit, in characters of one unit. In its frame there are
        `head`, the length of the update in one byte, and the update.

        Returns:
            Their texts, as UTF-8; it ends before the first frame that is anything else, which may be the first.
        """
        texts: list[bytes] = []
        lane = author.lane
        if lane is None or author.gate is not self:
            return texts
        at = len(head) + 1
        for place in range(first, len(frames)):
            frame = frames[place]
            update_bytes = len(frame) - at
            if not 0 < update_bytes < 0x80 or frame[at - 1] != update_bytes or not frame.startswith(head):
                break
            text = self._type(frame, at, lane)
            if not text:
                break
            texts.append(text)
        return texts

    def _type(self, data: bytes, at: int, lane: Lane) -> bytes:
        """Take in the update from `at` on if it is a keystroke in this lane; its text, b"" for anything else."""
        keystroke = lane.keystroke
        if not data.startswith(keystroke, at):
            return b""
        at += len(keystroke)
        if len(data) <= at + 2:
            return b""
        units = data[at]
        if len(data) != at + units + 2 or units >= 0x80 or data[-1]:
            return b""
        text = data[at + 1 : -1]
        if not text.isascii() and not (units := _units_of_basic(text)):
            return b""
        live = self.units + units
        if live > self._units_max or lane.next + units > CLOCK_MAX:
            return b""
        self.units = live
        lane.typed(units)
        return text

    def _insert(self, update: bytes, lane: Lane) -> bool:
        """Take in an update if it is a few plain characters somewhere in the text, and nothing is unusual about it.

        Whatever is, from a gap to a number too long, is left to the general path, which knows what to say of it.
        """
        begin = lane.begin
        if self._is_wide or not update.startswith(begin):
            return False
        insertion = read_insertion(update, len(begin))
        if insertion is None:
            return False
        units, left, right = insertion
        for unit in (left, right):
            if unit is not None:
                other = self._lanes.get(unit[0])
                if other is None or unit[1] >= other.next:
                    return False
        if right is not None and not self._origins.may_meet(left, right):
            return False
        live, clock = self.units + units, lane.next
        if live > self._units_max or clock + units > CLOCK_MAX:
            return False
        if left != (lane.client, clock - 1):
            self._origins.hang(lane.client, clock, left)
        self.units = live
        lane.next = clock + units
        lane.expect(*(right or (NONE, NONE)))
        return True

    def carry(self, update: bytes, author: Author) -> bytes | None:
        """As `admit`, and while the window is open also what others typed: their browsers may never come back.

        Carrying changes nobody's ids: those on record keep their person, and one that is on no record is nobody's until
        somebody declares it, or types under it, while the window is open.
        Source: docs/decisions/0014-backups-lineage-and-the-carry-window.md.
        """
        return self._admit_any(update, author, carries=self._is_carrying())

    def _admit_any(self, update: bytes, author: Author, *, carries: bool = False) -> bytes | None:
        self._prepare(update)
        nodes = len(self._origins)
        try:
            change = self._examine(update, trusted=False)
            if not change.parts and not change.deletions:
                self._delete_sets.note(change.reading)
                return b""
            if change.units > 0 and self.units + change.units > self._units_max:
                raise Refused(Code.DOCUMENT_TOO_LARGE, f"{self._units_max} UTF-16 units")
            self._claim(list(change.parts), author, carries=carries)
        except (CaretsError, _GapError) as error:
            self._origins.cut_back(nodes)
            if isinstance(error, _GapError):
                return None
            raise
        self._take_in(change)
        if len(change.parts) == 1 and self._owners.get(client := next(iter(change.parts))) == author.person:
            author.gate = self
            author.lane = self._lanes[client]
        admitted = update if change.is_whole else change.encode(update)
        if any(len(part.block.structs) > UNJOINED_STRUCTS_MAX for part in change.parts.values()):
            return join_structs(admitted)
        return admitted

    def replay(self, update: bytes) -> None:
        """Take in an update of our own log, or a whole state: admitted once, so references and owners are trusted.

        Raises: WireError for what is no update of a text; AssertionError for a gap, which our log cannot have.
        """
        self._prepare(update)
        try:
            change = self._examine(update, trusted=True)
        except _GapError:
            raise AssertionError("the log has a gap") from None
        self._take_in(change)

    def has_news(self, update: bytes) -> bool:
        """Whether anything in `update` is not here yet; a gap is news. Changes nothing.

        Raises: WireError as `admit` does.
        """
        self._prepare(update)
        nodes = len(self._origins)
        try:
            change = self._examine(update, trusted=False)
        except _GapError:
            return True
        finally:
            self._origins.cut_back(nodes)
        return bool(change.parts or change.deletions)

    # -- whose client id is whose

    def declare(self, client_id: int, author: Author) -> None:
        """Reserve a client id for the author's person, before anybody else can see it.

        Raises: Refused CLIENT_ID_TAKEN, CLIENT_IDS_TOO_MANY; WireError ILLEGAL_UPDATE for what is no client id.
        """
        if not 0 <= client_id <= CLIENT_ID_MAX:
            raise WireError(Code.ILLEGAL_UPDATE, "a client id is a whole number below 2^53")
        if self._unowned([client_id], author):
            author.new_ids_left -= 1
            own = [client for client, person in self._declared.items() if person == author.person]
            if len(own) >= DECLARED_PERSON_MAX:
                del self._declared[own[0]]
            elif len(self._declared) >= DECLARED_MAX:
                del self._declared[next(iter(self._declared))]
            self._declared[client_id] = author.person

    def declared(self) -> dict[int, str]:
        """The client ids that are reserved and not used yet, with their persons; for `Gate.of`."""
        return dict(self._declared)

    def take_claims(self) -> list[tuple[int, str]]:
        """The client ids first used since the last call, with their persons: to be stored with the same commit."""
        claims, self._claims = self._claims, []
        return claims

    def _owner(self, client: int) -> str | None:
        """Whose an id is, by use or by declaration; None for one that is new here."""
        owner = self._owners.get(client)
        if owner is None:
            owner = self._declared.get(client)
        return NOBODY if owner is None and client in self._lanes else owner

    def _unowned(self, clients: list[int], author: Author) -> list[int]:
        """Those of `clients` that are neither owned nor reserved; the others are the author's."""
        free: list[int] = []
        for client in clients:
            owner = self._owner(client)
            if owner is None or (owner == NOBODY and self._is_carrying()):
                free.append(client)
            elif owner != author.person:
                raise Refused(Code.CLIENT_ID_TAKEN, f"client id {client}")
        if len(free) > author.new_ids_left:
            raise Refused(Code.CLIENT_IDS_TOO_MANY, f"{len(free)} new, {author.new_ids_left} left")
        return free

    def _claim(self, clients: list[int], author: Author, *, carries: bool) -> None:
        """Make the author's person the owner of all `clients` or of none: the last check and the first change.

        Whoever carries becomes the owner of what they have declared only.
        """
        coming = 0
        if carries:
            coming = sum(self._owner(client) is None for client in clients)
            clients = [client for client in clients if self._owner(client) == author.person]
        free = self._unowned(clients, author)
        coming += sum(client not in self._owners for client in clients)  # those that were declared, too
        if coming and max(len(self._owners), len(self._lanes)) + coming > CLIENT_IDS_MAX:
            raise Refused(Code.CLIENT_IDS_TOO_MANY, f"{CLIENT_IDS_MAX} in one file")
        author.new_ids_left -= len(free)
        for client in clients:
            if client not in self._owners:
                self._declared.pop(client, None)
                self._owners[client] = author.person
                self._claims.append((client, author.person))

    # -- what is here

    def known_clocks(self) -> dict[int, int]:
        """The admitted state vector: next clock by client id."""
        return {client: lane.next for client, lane in self._lanes.items()}

    def known_deletions(self) -> dict[int, list[Range]]:
        """The admitted delete set: deleted ranges by client id, where there are any."""
        return {client: list(lane.deleted) for client, lane in self._lanes.items() if len(lane.deleted)}

    # -- the general path: read, compare, and only then change

    def _examine(self, update: bytes, *, trusted: bool) -> Change:
        """Read an update and find what is new of it. Changes nothing but the origins, which the caller cuts back.

        Raises: WireError; _GapError.
        """
        blocks, at, has_skips = read_structs(update) if trusted else read_structs(update, UPDATE_STRUCTS_MAX)
        change = Change()
        reading = change.reading = self._delete_sets.read(update, at, trusted=trusted)
        change.is_whole = reading.is_whole
        if has_skips:
            # A doc that waits for something itself: what follows its holes does not continue what is here.
            raise _GapError
        for block in blocks:
            lane = self._lanes.get(block.client)
            known = 0 if lane is None else lane.next
            if block.clock > known:
                raise _GapError
            if block.clock < known:
                change.is_whole = False
                if block.end <= known:
                    continue
            part = Part(block, known)
            change.survey(part)
            change.parts[block.client] = part
        self._walk(change, trusted)
        self._subtract(change, reading.deletions, trusted)
        return change

    def _walk(self, change: Change, trusted: bool) -> None:
        """See that there is an order in which every struct finds what it refers to.

        As Yjs integrates: a stack of parts that wait for each other. A part that waits for one further down the stack
        closes a circle. Each step either finishes a struct or puts a part on the stack, so this is linear.
        """
        parts = change.parts
        for bottom in parts.values():
            stack = [(bottom, bottom.block.end)]
            while stack:
                part, target = stack[-1]
                waits_for = self._advance(part, target, change, trusted)
                if waits_for is None:
                    part.is_waiting = False
                    stack.pop()
                    continue
                client, clock = waits_for
                other = parts.get(client)
                if other is None or clock >= other.block.end:
                    raise _GapError
                part.is_waiting = True
                if other.is_waiting:
                    raise WireError(Code.ILLEGAL_UPDATE, "its structs refer to each other in a circle")
                stack.append((other, clock + 1))

    def _advance(self, part: Part, target: int, change: Change, trusted: bool) -> tuple[int, int] | None:
        """Go on in one part until `target` is reached (None), or a struct refers to what is not yet: that unit."""
        client, structs = part.block.client, part.block.structs
        is_wide = not trusted and (self._is_wide or bool(change.highs))
        while part.reached < target:
            clock, units, origin, origin_clock, right, right_clock, _, _, _ = structs[part.at]
            if clock < part.known:
                # A struct that begins before what is known loses its head, and with it its origin.
                origin, origin_clock = client, part.known - 1
            elif origin != NONE:
                if not self._is_there(origin, origin_clock, client, clock, change):
                    return origin, origin_clock
                if is_wide and self._is_high(origin, origin_clock, change):
                    raise split("an origin is the first half of a character")
            left = None if origin == NONE else (origin, origin_clock)
            if right != NONE:
                if not self._is_there(right, right_clock, client, clock, change):
                    return right, right_clock
                if is_wide and self._is_high(right, right_clock - 1, change):
                    raise split("a right origin is the second half of a character")
                if not (trusted or self._origins.may_meet(left, (right, right_clock))):
                    raise WireError(Code.ILLEGAL_UPDATE, "a struct between two units that were never neighbours")
            if origin != client or origin_clock != part.reached - 1:
                self._origins.hang(client, part.reached, left)
            part.reached = clock + units
            part.at += 1
        return None

    def _is_there(self, client: int, clock: int, own: int, own_clock: int, change: Change) -> bool:
        """Whether a struct of client `own` at `own_clock` may refer to this unit by now."""
        if client == own:
            if clock >= own_clock:
                raise WireError(Code.ILLEGAL_UPDATE, "a struct refers to itself or to what its client typed later")
            return True
        part = change.parts.get(client)
        if part is not None:
            return clock < part.reached
        lane = self._lanes.get(client)
        return lane is not None and clock < lane.next

    def _is_high(self, client: int, clock: int, change: Change) -> bool:
        """Whether the unit is the first half of a character, here or in the update itself."""
        lane = self._lanes.get(client)
        if lane is not None and clock < lane.next:
            return bool(lane.highs) and is_in(clock, lane.highs)
        highs = change.highs.get(client)
        return highs is not None and is_in(clock, highs)

    def _subtract(self, change: Change, deletions: Deletions, trusted: bool) -> None:
        """Take what is deleted already out of `deletions`, and count the live units that the rest takes away."""
        is_wide = not trusted and (self._is_wide or bool(change.highs))
        for client, ranges in deletions:
            lane = self._lanes.get(client)
            part = change.parts.get(client)
            end = part.block.end if part is not None else 0 if lane is None else lane.next
            if ranges[-1][1] > end:
                raise _GapError
            if is_wide:
                for start, after in ranges:
                    if self._is_high(client, start - 1, change) or self._is_high(client, after - 1, change):
                        raise split("a deletion cuts a character")
            news = ranges if lane is None else lane.deleted.missing(ranges)
            if news:
                change.deletions.append((client, news))
                live = Intervals(change.gone[client]).missing(news) if client in change.gone else news
                for start, after in live:
                    change.units -= after - start
        if change.deletions != deletions:
            change.is_whole = False

    def _take_in(self, change: Change) -> None:
        self._take_in_structs(change)
        for client, ranges in change.deletions:
            self._lanes[client].deleted.add(ranges)
        self.units += change.units
        self._delete_sets.note(change.reading)

    def _take_in_structs(self, change: Change) -> None:
        for client, part in change.parts.items():
            lane = self._lanes.get(client)
            if lane is None:
                lane = self._lanes[client] = Lane(client)
            lane.next = part.block.end
            last = part.block.structs[-1]
            lane.expect(last[4], last[5])
        for client, highs in change.highs.items():
            self._lanes[client].highs.extend(highs)
            self._is_wide = True
        for client, ranges in change.gone.items():
            self._lanes[client].deleted.add(ranges)


def _units_of_basic(content: bytes) -> int:
    """The UTF-16 units of a string without characters of two units; 0 for any other, and for what is no UTF-8."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return 0
    return len(text) if max(text) <= "\uffff" else 0

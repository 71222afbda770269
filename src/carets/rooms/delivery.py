"""How what is committed reaches the members: broadcasts, answers, catch-ups, presence.

Owns: who is up to date and who is behind, and whom a tick of presence tells.
Does not know: admission, the store, sockets.

Invariants:
  1. A member gets no update of a file before the answer to its first step 1 there.
  2. A member that lags is sent nothing until it drains; then one update per open file brings it up to date.
  3. Each broadcast is encoded once per dialect, and each member is written to once per commit.
  4. A tick of presence tells `PRESENCE_MEMBERS_PER_TICK` members at most, in turns, and encodes once for all of them
     who know the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from carets import limits
from carets.metrics import Metrics
from carets.protocol import messages, wire
from carets.protocol.dialect import Dialect
from carets.protocol.updates import decode_state_vector
from carets.rooms import chores
from carets.rooms.commit import Edit, Post
from carets.rooms.file import OpenFile
from carets.rooms.member import Mark, Member, Seat


class Delivery:
    """The outgoing half of a room. It shares the room's tables of members and open files, and changes neither."""

    def __init__(
        self,
        members: dict[int, Member],
        open_files: dict[int, OpenFile],
        whole: Mapping[type[messages.Notice], Callable[[], messages.Notice]],
        fail: Callable[[Exception], None],
        metrics: Metrics,
    ) -> None:
        """`whole` makes, for a kind of notice, the one that stands for all that a member missed; others it misses.

        `fail` is told what goes wrong in a turn or a tick of ours, where nobody waits who could be.
        """
        self._fail = fail
        self._metrics = metrics
        self._members = members
        self._open = open_files
        self._whole = whole
        self._waiting: dict[Member, None] = {}
        self._resting: dict[Member, asyncio.TimerHandle] = {}
        """Who has had so many answers that the next one waits."""
        self._turn: asyncio.Handle | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._refresh: asyncio.TimerHandle | None = None
        self._arrived: set[int] = set()
        self._left: list[int] = []
        self._names_rest = 0.0
        """Ticks until it may be told again who came and left."""
        self._missed: dict[Seat, None] = {}
        """Who lagged while others were told of carets: told with the next round, or they would have every turn."""
        self._round: list[Seat] = []
        """Who is still to be told of carets before anybody is told again, the last one first."""

    def stop(self) -> None:
        """No more timers; what waits is forgotten."""
        for handle in (self._turn, self._tick, self._refresh, *self._resting.values()):
            if handle is not None:
                handle.cancel()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - around one room, which is dropped; logged whole
            self._fail(error)

    # -- commits

    def broadcast(self, file: OpenFile, edits: Sequence[Edit], before: Mark | None) -> None:
        """Put committed edits before everyone who has the file open and is up to date, except before their authors.

        With `before`, the moment of the document before these edits, they are too large for one write: they go as a
        catch-up, in parts.
        """
        places: dict[int, list[int]] = {}
        for place, edit in enumerate(edits):
            places.setdefault(edit.member.id, []).append(place)
        built: dict[Dialect, _Frames] = {}
        for seat in file.seats.values():
            if not seat.ready or seat.behind is not None:
                continue
            member = seat.member
            own = places.get(member.id)
            if own is not None and len(own) == len(edits):
                continue
            if before is not None:
                seat.behind = before
                self.catch_up_soon(member)
                continue
            frames = built.get(member.dialect)
            if frames is None:
                frames = built[member.dialect] = _Frames(member.dialect, file.id, edits)
            if own is None:
                member.outbox.put(frames.whole)
                frames.whole_puts += 1
            else:
                for piece in frames.without(own):
                    member.outbox.put(piece)
                    self._metrics.delivered_bytes += len(piece)
                self._metrics.deliveries += len(edits) - len(own)
        for frames in built.values():
            self._metrics.deliveries += frames.whole_puts * len(edits)
            self._metrics.delivered_bytes += frames.whole_puts * len(frames.whole)

    def notify(self, members: Iterable[Member], notice: messages.Notice) -> None:
        """Put a notice before members who take notices; who lags is told by `catch_up`."""
        text: bytes | None = None
        for member in members:
            if not member.dialect.has_notices:
                continue
            if member.outbox.lagging:
                member.stale[type(notice)] = None
                continue
            if text is None:
                text = member.dialect.notice(messages.encode_notice(notice))
            member.outbox.put(text)

    def reply(self, member: Member, notice: messages.Notice) -> None:
        """Put an answer to a member's own request, even while it lags; its edge reads no further above a hard bound."""
        if member.dialect.has_notices:
            member.outbox.put(member.dialect.notice(messages.encode_notice(notice)))

    def tell_chat(self, posts: Sequence[Post], news: messages.ChatNotice) -> None:
        """Tell everybody. To who asked for an answer the news is the answer, so that no page shows an entry twice."""
        answered: set[int] = set()
        for asker, request, entry, is_new in posts:
            if request is None or asker.gone is not None:
                continue
            has_news = is_new and not (news.full or asker.outbox.lagging or asker.id in answered)
            records, is_full = (news.entries, news.full) if has_news else ([entry.record], False)
            self.reply(asker, messages.ChatNotice(records, is_full, request))
            if has_news:
                answered.add(asker.id)
        if news.entries:
            self.notify([each for each in self._members.values() if each.id not in answered], news)

    def signal(self, sender: Member, signal: messages.Signal) -> None:
        """Write a signal to everybody else, or to the one it is for. Who lags or is not here never hears of it."""
        if signal.to is None:
            hearers = [member for member in self._members.values() if member is not sender]
        else:
            hearers = [self._members[signal.to]] if signal.to in self._members else []
        self.notify(hearers, messages.SignalNotice(sender.id, signal.kind, signal.data))
        for hearer in hearers:
            self.flush(hearer)

    def acknowledge(self, member: Member, count: int) -> None:
        """Tell a member how many of its frames are durable."""
        if count <= member.saved:
            return
        member.saved = count
        if not member.dialect.has_notices:
            return
        if member.outbox.lagging:
            member.saved_stale = True
        else:
            member.saved_stale = False
            member.outbox.put(member.dialect.notice(b'{"type":"saved","count":%d}' % count))

    def flush_all(self) -> None:
        """One write for each member that has something."""
        for member in list(self._members.values()):
            if member.outbox.is_waiting:
                self.flush(member)

    def flush(self, member: Member) -> None:
        """Write what is put, then parts; note what the member has when its line is full."""
        for file_id in member.outbox.flush():
            if seat := member.seats.get(file_id):
                seat.in_parts = False
                self.catch_up_soon(member)
        if member.outbox.lagging:
            for seat in member.seats.values():
                if seat.ready and seat.behind is None:
                    seat.behind = self._open[seat.file_id].mark()

    # -- catching up

    def answer(self, seat: Seat, state_vector: bytes) -> None:
        """Answer a step 1, soon. What is asked again before that has one answer, and so has what is asked meanwhile."""
        seat.question = state_vector
        self.catch_up_soon(seat.member)

    def answer_presence(self, seat: Seat) -> None:
        """Tell a member of every caret, soon."""
        seat.presence_asked = True
        self.catch_up_soon(seat.member)

    def _may_answer(self, member: Member) -> bool:
        """Whether a member is given what it asked for now; if not, it is later."""
        wait_s = member.allowance.answer_wait_s()
        if wait_s and member not in self._resting:
            self._resting[member] = chores.later(wait_s, self._guarded, partial(self._rested, member))
        return not wait_s

    def _rested(self, member: Member) -> None:
        del self._resting[member]
        self.catch_up_soon(member)

    def ask(self, seat: Seat) -> None:
        """Send a step 1 for what the member has and the file has not; at most one is under way."""
        if seat.asked:
            return
        if seat.in_parts:
            seat.ask_due = True
            return
        seat.asked, seat.ask_due = True, False
        member = seat.member
        state_vector = self._open[seat.file_id].document.state_vector()
        member.outbox.put(member.dialect.message(seat.file_id, wire.encode_step_1(state_vector)))

    def ask_for_gaps(self) -> None:
        """Ask everybody for the edits that were not taken."""
        for member in self._members.values():
            for file_id in member.gaps:
                if seat := member.seats.get(file_id):
                    self.ask(seat)

    def drained(self, member: Member) -> None:
        """The member's line took everything: it may be written to again."""
        if member.outbox.lagging:
            self._missed.update(dict.fromkeys(member.seats.values()))
            self.tick_soon()
        member.outbox.drained()
        self.catch_up_soon(member)

    def catch_up_soon(self, member: Member) -> None:
        """Bring a member up to date in the next turn of the event loop, a few members a turn."""
        self._waiting.setdefault(member)
        if self._turn is None:
            self._turn = chores.soon(self._guarded, self._catch_up_some)

    def _catch_up_some(self) -> None:
        self._turn = None
        encodings_left = limits.CATCH_UPS_PER_TURN
        while self._waiting and encodings_left > 0:
            member = next(iter(self._waiting))
            del self._waiting[member]
            if member.gone is None and not member.outbox.lagging:
                encodings_left -= self._catch_up(member, encodings_left)
                self.flush(member)
        if self._waiting:
            self._turn = chores.soon(self._guarded, self._catch_up_some)

    def _catch_up(self, member: Member, encodings_max: int) -> int:
        """Put what a member missed, what takes more encodings in a later turn. Returns how many there were."""
        for kind, make in self._whole.items():
            if kind in member.stale:
                self.reply(member, make())
        member.stale.clear()
        if member.saved_stale:
            member.saved_stale = False
            self.reply(member, messages.Saved(member.saved))
        encodings = 0
        for seat in member.seats.values():
            file = self._open[seat.file_id]
            if seat.presence_asked and self._may_answer(member):
                seat.presence_asked = False
                member.allowance.answered(self.tell_presence(file, seat))
            if seat.in_parts:
                continue
            if encodings >= encodings_max:
                self._waiting.setdefault(member)
                break
            if seat.ask_due:
                self.ask(seat)
            if seat.question is not None and self._may_answer(member):
                # What the asker has is where it is behind from.
                seat.behind = file.mark()._replace(state_vector=seat.question)
                seat.question, seat.answer_due, seat.ready = None, True, True
            if seat.behind is not None:
                encodings += self._bring_up(file, seat)
        return encodings

    def _bring_up(self, file: OpenFile, seat: Seat) -> int:
        """Put the one update, or answer, that a seat is behind by. Returns how many documents were encoded."""
        assert seat.behind is not None
        member, document = seat.member, file.document
        first_answer = seat.answer_due
        if not first_answer and seat.behind.version == document.version:
            seat.behind = None
            return 0
        known = decode_state_vector(
            seat.behind.state_vector, entries_max=limits.CLIENT_ID_MAX
        )  # our own, or read before
        if first_answer:
            with member.allowance.measured():  # it was asked for, and a short answer may take long
                is_new = not known and member.dialect.has_parts
                told, answer = file.whole() if is_new else (file.mark(), file.answer(known))
        else:
            told, answer = file.mark(), file.answer(known, wire.UPDATE)
        seat.answer_due = False
        self._metrics.catch_ups += 1
        self._metrics.catch_up_bytes += len(answer)
        if first_answer:
            member.allowance.answered(len(answer))
            if member.may_write:
                self.ask(seat)
        if answer.is_large and member.dialect.has_parts:
            seat.behind, seat.in_parts = told, True
            member.outbox.put_bulk(file.id, answer.parts(member.dialect))
        else:
            seat.behind = None
            member.outbox.put(answer.whole(member.dialect))
        if first_answer:
            self.tell_presence(file, seat)
        return 1

    # -- presence

    def tell_presence(self, file: OpenFile, seat: Seat) -> int:
        """Put every caret of a file before one member; how many bytes that were."""
        return self._put_presence(file, seat, 0, {})

    def _put_presence(self, file: OpenFile, seat: Seat, since: int, built: dict[tuple[Dialect, int], bytes]) -> int:
        """Put what changed after `since`. `built` has what others who know the same are sent in this tick."""
        dialect = seat.member.dialect
        seat.presence_told = file.whereabouts.version
        told = built.get((dialect, since))
        if told is None:
            places = file.whereabouts.news(since)
            entries = [place.page if dialect.has_notices else place.stock for place in places]
            told = dialect.message(file.id, wire.join_awareness(entries)) if entries else b""
            built[dialect, since] = told
        if told:
            seat.member.outbox.put(told)
        return len(told)

    def arrived(self, member: Member) -> None:
        """A member came or changed its name: the next tick tells the others."""
        self._arrived.add(member.id)
        self.tick_soon()

    def left(self, member: Member) -> None:
        """A member left: the next tick tells the others."""
        self._arrived.discard(member.id)
        self._waiting.pop(member, None)
        if rest := self._resting.pop(member, None):
            rest.cancel()
        self._left.append(member.id)
        self.tick_soon()

    def tick_soon(self) -> None:
        """Presence changed: the next ticks tell it, each some of the members, so that a crowd is told more rarely."""
        if self._tick is None:
            self._tick = chores.later(limits.PRESENCE_TICK_S, self._guarded, self._send_presence)

    def keep_stock_fresh(self) -> None:
        """From now on renew presence for stock clients while there are any: they forget, and hang up, otherwise."""
        if self._refresh is None:
            self._refresh = chores.later(limits.STOCK_REFRESH_S, self._guarded, self._renew_for_stock)

    def _renew_for_stock(self) -> None:
        self._refresh = None
        stock = [member for member in self._members.values() if not member.dialect.has_notices]
        for file_id in {file_id for member in stock for file_id in member.seats}:
            self._open[file_id].whereabouts.renew()
        for member in stock:
            for file_id in member.seats:
                if not member.outbox.lagging:
                    member.outbox.put(member.dialect.message(file_id, wire.encode_awareness(())))
        if stock:
            self.tick_soon()
            self.flush_all()
            self.keep_stock_fresh()

    def _send_presence(self) -> None:
        self._tick = None
        has_names = self._tell_names()
        if not self._round:
            self._begin_round()
        built: dict[int, dict[tuple[Dialect, int], bytes]] = {}
        told: dict[Member, None] = {}
        while self._round and len(told) < limits.PRESENCE_MEMBERS_PER_TICK:
            seat = self._round.pop()
            member = seat.member
            if self._is_here(seat) and _is_due(file := self._open[seat.file_id], seat):
                self._put_presence(file, seat, seat.presence_told, built.setdefault(file.id, {}))
                told[member] = None
        if has_names:
            self.flush_all()
        else:
            for member in told:
                self.flush(member)
        waits = self._round or self._missed or self._arrived or self._left
        if waits or any(file.whereabouts.has_news for file in self._open.values()):
            self.tick_soon()

    def _tell_names(self) -> bool:
        """Put who came and left before everybody, as rarely as each member is told of carets; whether that was done."""
        self._names_rest -= 1
        if self._names_rest > 0 or not (self._arrived or self._left):
            return False
        self._names_rest = len(self._members) / limits.PRESENCE_MEMBERS_PER_TICK
        came = [self._members[id_].record for id_ in sorted(self._arrived) if id_ in self._members]
        self.notify(self._members.values(), messages.Members(came, self._left))
        self._arrived, self._left = set(), []
        return True

    def _begin_round(self) -> None:
        """Everybody in a file with news is told of it in this tick and the next ones."""
        for file in self._open.values():
            if not file.whereabouts.has_news:
                continue
            seats = [seat for seat in file.seats.values() if _is_due(file, seat)]
            file.whereabouts.begin_telling(min((seat.presence_told for seat in seats), default=0))
            self._round += seats
        for seat in self._missed:
            if self._is_here(seat) and _is_due(self._open[seat.file_id], seat):
                self._round.append(seat)
        self._missed.clear()
        self._round.reverse()

    def _is_here(self, seat: Seat) -> bool:
        return seat.member.seats.get(seat.file_id) is seat


def _is_due(file: OpenFile, seat: Seat) -> bool:
    """Whether a tick has something to tell here; who lags, or waits for its first answer, is told with that."""
    return seat.ready and not seat.member.outbox.lagging and seat.presence_told < file.whereabouts.version


_FRAME_HEAD_BYTES = 16
"""Bytes before an update in a frame: file id, kind, step and length."""


def is_large(edits: Sequence[Edit]) -> bool:
    """Whether edits are too much for one write, so that they go as a catch-up, in parts."""
    sizes = [len(edit.update) + _FRAME_HEAD_BYTES for edit in edits]
    return max(sizes) > limits.PART_BYTES_MAX or sum(sizes) > limits.OUTBOX_BYTES_LAGGING


class _Frames:
    """The frames of one broadcast in one dialect, built once, and where each begins."""

    def __init__(self, dialect: Dialect, file_id: int, edits: Sequence[Edit]) -> None:
        frames = [dialect.message(file_id, wire.encode_update(edit.update)) for edit in edits]
        self.whole = b"".join(frames)
        self.whole_puts = 0
        self._starts = [0]
        for frame in frames:
            self._starts.append(self._starts[-1] + len(frame))

    def without(self, own: Sequence[int]) -> Iterable[bytes]:
        """The frames in between those at the places `own`, which are in order."""
        start = 0
        for place in own:
            if self._starts[place] > start:
                yield self.whole[start : self._starts[place]]
            start = self._starts[place + 1]
        if start < len(self.whole):
            yield self.whole[start:]

"""One simulation from its seed: rounds of trouble, each followed by silence in which all is held against all.

Owns: the order of rounds, limits small enough to be reached, the verdict. Does not know: how members behave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import structlog

from carets import limits
from carets.protocol.messages import FileRecord
from carets.rooms.member import Member
from carets.rooms.room import Room
from tests.simulation.checks import Violation, Witness
from tests.simulation.client import Page
from tests.simulation.clock import Stuck, VirtualLoop, run
from tests.simulation.world import Faults, Mistake, World

STEPS = 150
ROUNDS = 3
_SILENCE_S = 45.0
"""Longer than any line, backoff, half-open connection or presence tick takes."""
_HEALED_WITHIN = 6
"""Silences after which the last member must have sent up everything."""

_SMALL = {
    "PART_BYTES_MAX": 300,
    "FRAME_BYTES_MAX": 364,
    "OUTBOX_BYTES_FULL": 600,
    "OUTBOX_BYTES_LAGGING": 1_800,
    "OUTBOX_BYTES_HARD": 3_600,
    "CHAT_TAIL_BYTES": 600,
    "CHECKPOINT_UPDATES": 25,
    "CHECKPOINT_BYTES": 4_000,
    "ROOM_IDLE_S": 4.0,
}
"""Limits under which a short text is large and a short stall is long."""


@dataclass(frozen=True)
class Verdict:
    """What came of one seed."""

    seed: int
    trace: str
    events: int
    edits: int
    seconds: float
    violation: Violation | None


@contextmanager
def _limits_of(seed: int) -> Iterator[None]:
    """Small limits for most seeds, the real ones for the rest."""
    values: dict[str, float] = _SMALL if seed % 4 else {"ROOM_IDLE_S": 4.0, "CHECKPOINT_UPDATES": 25}
    before = {name: getattr(limits, name) for name in values}
    for name, value in values.items():
        setattr(limits, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(limits, name, value)


def simulate(seed: int, steps: int = STEPS, faults: Faults | None = None, *, verbose: bool = False) -> Verdict:
    """Run one seed to its end or to its first broken invariant."""
    loop = VirtualLoop()
    witness = Witness(loop.time)
    witness.verbose = verbose
    violation: Violation | None = None
    with _limits_of(seed), structlog.testing.capture_logs() as logs:
        try:
            run(loop, _live(loop, seed, steps, witness, faults or Faults()))
            _look_at_logs(witness, loop, logs)
            witness.raise_if_broken()
        except Violation as found:
            violation = found
        except Stuck:
            violation = Violation(12, "nothing can happen any more, and somebody waits")
        if verbose:
            print(*logs, sep="\n")
    return Verdict(seed, witness.trace, witness.events, len(witness.marks), loop.time(), violation)


def _look_at_logs(witness: Witness, loop: VirtualLoop, logs: Any) -> None:
    mistakes = [
        entry for entry in logs if entry["event"] in _MISTAKES and not isinstance(entry.get("exc_info"), Mistake)
    ]
    witness.require(not mistakes, 11, f"the log tells of a mistake: {mistakes[:1]}")
    witness.require(not loop.unhandled, 11, f"an error that nobody took: {loop.unhandled[:1]}")


_MISTAKES = {"room_failed", "update_quarantined", "checkpoint_broken", "document_unloadable", "connection_failed"}


async def _live(loop: VirtualLoop, seed: int, steps: int, witness: Witness, faults: Faults) -> None:
    world = World(loop, seed, witness, faults)
    world.director = asyncio.current_task()
    await world.create()
    pace = Random(f"{seed} pace")
    for _ in range(ROUNDS):
        world.set_rejoining(True)
        world.begin()
        await asyncio.sleep(1.0)
        world.begin()
        for _ in range(steps // ROUNDS):
            world.act()
            await asyncio.sleep(pace.choice((0.0, 0.001, 0.02, 0.02, 0.3)) * pace.uniform(0.5, 1.5))
            _check_always(world, witness, thoroughly=pace.random() < 0.05)
        await _fall_silent(world)
        _check_agreement(world, witness)
    await _heal(world, witness)
    await _close(world, witness)


def _check_always(world: World, witness: Witness, *, thoroughly: bool) -> None:
    if world.room is not None and world.is_up:
        witness.check_room(world.room, thoroughly=thoroughly)
        _check_outboxes(world, world.room, witness)
    witness.raise_if_broken()


def _check_outboxes(world: World, room: Room, witness: Witness) -> None:
    """Invariant 7. To a line that was not lagging one turn may write a message for each open file, and the lists."""
    lists = 160 * (len(room.files.committed) + len(room.members) + 4) + 2 * limits.CHAT_TAIL_BYTES + 1_000
    for line, member in world.server.lines.items():
        if member is None or room.members.get(member.id) is not member:
            continue
        if member.dialect.has_parts:
            most = limits.OUTBOX_BYTES_HARD + lists + (len(member.seats) + 1) * (limits.PART_BYTES_MAX + 1_000)
        else:
            documents = [2 * len(file.document.encode()) + 4_000 for file in room.open_files.values()]
            most = limits.OUTBOX_BYTES_HARD + sum(documents)
        told = f"{line.down.waiting_max} bytes wait for {member.name}, not {most}"
        witness.require(line.down.waiting_max <= most, 7, told)
        if member.dialect.has_parts:
            most -= limits.OUTBOX_BYTES_HARD - limits.OUTBOX_BYTES_LAGGING
            told = f"{line.down.write_max} bytes are written at once for {member.name}, not {most}"
            witness.require(line.down.write_max <= most, 7, told)
        line.down.waiting_max = line.down.write_max = 0


async def _fall_silent(world: World) -> None:
    """Trouble ends, nobody types, nobody rejoins; what is under way arrives."""
    world.set_rejoining(False)
    world.heal()
    await asyncio.sleep(_SILENCE_S)


def _check_agreement(world: World, witness: Witness) -> None:
    room = world.room
    witness.check_files(world.store, world.workspace_id)
    witness.check_quiet_chat(world.store.chat(world.workspace_id))
    if room is not None:
        witness.check_quiet_room(room)
        for line, member in world.server.lines.items():
            witness.require(not line.up.waiting + line.down.waiting, 12, "a line is full after a long silence")
            if member is not None:
                _check_seats(member, witness)
    for page in world.pages:
        if page.is_ready:
            witness.require(room is not None, 3, f"{page.name} is in no room")
            if room is not None:
                _check_page(page, room, world, witness)
    for stock in world.stocks:
        if stock.line is not None and stock.replica is not None and not stock.is_viewer:
            witness.require(stock.is_synced, 12, f"{stock.name} got no answer to its step 1")
            same = str(stock.replica) == witness.text(stock.replica.file_id)
            witness.require(same, 3, f"{stock.name} differs from the log of file {stock.replica.file_id}")
    witness.raise_if_broken()


def _check_seats(member: Member, witness: Witness) -> None:
    for seat in member.seats.values():
        is_settled = seat.behind is None and not seat.in_parts and not member.outbox.lagging
        witness.require(is_settled, 12, f"{member.name} is still behind in file {seat.file_id} after a long silence")


def _check_page(page: Page, room: Room, world: World, witness: Witness) -> None:
    session = page.session
    assert session is not None
    if not page.is_viewer:
        told = f"{page.name} sent {len(session.sent)} and was told {session.saved} saved"
        witness.require(session.saved == len(session.sent), 12, told)
    witness.require(session.fault is None, 12, f"{page.name} was last told that nothing can be saved: {session.fault}")
    witness.require(not session.asked, 12, f"{page.name} got no answer to {session.asked}")
    kept = world.store.files(world.workspace_id)
    page.talk.check(world.store.chat(world.workspace_id))
    witness.require(page.files == kept, 8, f"{page.name} lists {_difference(page.files, kept)}")
    members = {member.id: member.name for member in room.members.values()}
    known = {member_id: member["name"] for member_id, member in page.members.items()}
    witness.require(known == members, 8, f"{page.name} knows members {known}, there are {members}")
    for file_id, seat in session.seats.items():
        replica = page.replicas.get(file_id)
        if replica is None or seat.is_blocked:
            continue
        witness.require(seat.is_synced, 12, f"{page.name} got no answer to its step 1 of file {file_id}")
        if seat.is_synced and not page.is_viewer:
            same = str(replica) == witness.text(file_id)
            witness.require(same, 3, f"{page.name} differs from the log of file {file_id}")
        if page.is_viewer:
            _check_viewer(page, file_id, witness)
        _check_presence(page, room, file_id, witness)


def _check_viewer(page: Page, file_id: int, witness: Witness) -> None:
    """A viewer that types is alone with it; all that others wrote is there."""
    held = str(page.replicas[file_id])
    own = [letter for letter in held if (mark := witness.marks.get(letter)) and mark.is_forbidden]
    if not own and page.replicas[file_id].edits == 0:
        witness.require(held == witness.text(file_id), 3, f"{page.name} differs from the log of file {file_id}")


def _check_presence(page: Page, room: Room, file_id: int, witness: Witness) -> None:
    assert page.session is not None
    shown = page.session.presence.get(file_id, {})
    here = {member_id for member_id, state in shown.items() if state is not None and member_id in page.members}
    there = {place.id for place in room.open_files[file_id].whereabouts.news() if place.state != b"null"}
    witness.require(here == there, 13, f"{page.name} sees carets of {here} in file {file_id}, there are {there}")


def _difference(one: dict[int, FileRecord], other: dict[int, FileRecord]) -> str:
    differing = [i for i in sorted(one.keys() | other.keys()) if one.get(i) != other.get(i)]
    return ", ".join(f"{one.get(i)} for {other.get(i)}" for i in differing)


async def _heal(world: World, witness: Witness) -> None:
    """Everybody comes back and sends up what is left: then all that was typed is there, once."""
    world.set_rejoining(True)
    for _ in range(_HEALED_WITHIN):
        world.begin()
        await asyncio.sleep(_SILENCE_S)
        for page in world.pages:
            for file_id in list(page.replicas):
                page.open_file(file_id)
        await asyncio.sleep(_SILENCE_S)
        witness.raise_if_broken()
        if not any(replica.unsaved for page in _writers(world) for replica in page.replicas.values()):
            break
    for page in _writers(world):
        for replica in page.replicas.values():
            witness.require(not replica.unsaved, 5, f"{page.name} could not send up {list(replica.unsaved)}")
            is_kept = witness.has(replica.file_id, replica.doc.get_update())
            witness.require(is_kept, 5, f"{page.name} holds edits of file {replica.file_id} that are not kept")
    _check_agreement(world, witness)
    for page in _writers(world):
        witness.require(not page.talk.unanswered, 15, f"{page.name} could not say {list(page.talk.unanswered)}")
    witness.check_marks(world.store, world.workspace_id)
    witness.raise_if_broken()


def _writers(world: World) -> list[Page]:
    return [page for page in world.pages if not page.is_viewer]


async def _close(world: World, witness: Witness) -> None:
    """All leave: the room goes from memory, and what it left is what it held."""
    world.set_rejoining(False)
    for member in world.everybody:
        member.leave()
    await asyncio.sleep(_SILENCE_S)
    witness.require(not world.server.lobby.rooms, 10, "a room stays in memory though everybody left")
    witness.check_marks(world.store, world.workspace_id)
    witness.raise_if_broken()

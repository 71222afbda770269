"""Seats: who has which file open, told by the member's table and the file's alike."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from carets.errors import Code, Refused
from carets.protocol import messages
from carets.protocol.dialect import STOCK
from tests.stage import Actor, Stage, settled


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = await Stage().set_up("a.py", "b.py")
    for file_id in (1, 2):
        await stage.room.shelf.load(file_id)
    yield stage
    stage.room.delivery.stop()


def take(actor: Actor, file_id: int = 1, client_id: int = 7, epoch: str = "") -> None:
    actor.stage.room.seats.take(actor.member, messages.OpenFile(file_id, client_id, epoch))


def agree(stage: Stage) -> bool:
    """Whether both tables tell the same."""
    by_member = {(member.id, file_id) for member in stage.room.members.values() for file_id in member.seats}
    return by_member == {(member_id, file.id) for file in stage.room.open_files.values() for member_id in file.seats}


async def test_a_seat_is_taken_and_given_up_in_both_tables(stage: Stage) -> None:
    ann, bob = stage.join(), stage.join()
    take(ann, 1)
    take(ann, 2)
    take(bob, 1, 8)
    assert (sorted(ann.member.seats), agree(stage)) == ([1, 2], True)
    before = ann.member.seats[1]
    take(ann, 1)
    assert (ann.member.seats[1] is before, agree(stage)) == (False, True), "opened anew, it begins anew"
    for _ in range(2):
        stage.room.seats.give_up(ann.member, 1)
    assert (sorted(ann.member.seats), agree(stage)) == ([2], True)
    stage.room.leave(ann.member)
    assert agree(stage)
    assert list(stage.room.open_files[1].seats) == [bob.member.id]


async def test_a_seat_that_is_refused_leaves_the_one_that_there_was(stage: Stage) -> None:
    ann, bob = stage.join(), stage.join()
    take(ann, 1, 7, "epoch-1")
    seat = ann.member.seats[1]
    with pytest.raises(Refused) as caught:
        take(ann, 1, 7, "another epoch")
    assert caught.value.code is Code.EPOCH_CHANGED
    take(bob, 1, 8)
    with pytest.raises(Refused) as caught:
        take(ann, 1, 8)
    assert caught.value.code is Code.CLIENT_ID_TAKEN
    assert ann.member.seats[1] is seat
    stage.room.request(bob.member, messages.DeleteFile(1))
    await settled()
    with pytest.raises(Refused) as caught:
        take(ann, 1)
    assert caught.value.code is Code.FILE_DELETED


async def test_a_viewer_reserves_no_client_id(stage: Stage) -> None:
    viewer, ann = stage.join("viewer"), stage.join()
    take(viewer, 1, 7)
    take(ann, 1, 7)
    assert agree(stage)


async def test_a_stock_client_looks_at_the_file_that_it_has_open(stage: Stage) -> None:
    stock, ann = stage.join(dialect=STOCK), stage.join()
    take(stock, 2)
    take(ann, 2)
    assert (stock.member.place, ann.member.place) == (2, None), "a page says itself where it looks"

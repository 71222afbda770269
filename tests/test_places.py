"""Where members look, and pages that come back before anybody noticed that they were gone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from carets import limits
from carets.errors import Unavailable
from carets.protocol import messages
from carets.protocol.dialect import STOCK
from tests.stage import Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = await Stage().set_up("a.py")
    yield stage
    stage.room.delivery.stop()


async def test_everybody_is_told_where_a_member_looks(stage: Stage) -> None:
    ann, bob = stage.join(), stage.join()
    stock = stage.join(dialect=STOCK)
    await stage.room.open_stock_file(stock.member, 1)
    for place in (1, 999, None, 1):
        stage.room.request(ann.member, messages.Place(place))
        stage.room.delivery._send_presence()
    known: list[object] = []
    for told in bob.told("members"):
        known += [each.get("file_id", "none") for each in told["members"] if each["member_id"] == ann.member.id]
    assert known[-4:] == [1, "none", "none", 1]
    there = {each["member_id"]: each.get("file_id") for each in stage.join().told("welcome")[0]["members"]}
    assert (there[ann.member.id], there[bob.member.id], there[stock.member.id]) == (1, None, 1)


async def test_a_page_that_comes_back_leaves_no_ghost_of_itself(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = stage.join(page="page-1")
    token = ann.told("welcome")[0]["person"]
    others = [
        stage.join(page="page-1"),  # another person who says the same
        stage.join(page="page-2", person=token),  # another tab
        stage.join(person=token),
        stage.join(person=token),  # clients that name no page
    ]
    monkeypatch.setattr(limits, "MEMBERS_MAX", len(others) + 1)
    again = stage.join(page="page-1", person=token)
    assert isinstance(ann.line.closed_with, Unavailable)
    assert [other.line.closed_with for other in others] == [None] * 4
    assert set(stage.room.members) == {other.member.id for other in others} | {again.member.id}
    stage.join(page="page-1", person=token)
    assert again.line.closed_with is not None

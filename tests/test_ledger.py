"""How much of the disk a workspace may take: counted with what is kept, refused above it, and what goes on then."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest

from carets import limits
from carets.errors import Code, Refused
from carets.protocol import messages, wire
from carets.protocol.dialect import STOCK
from carets.rooms.ledger import Ledger
from tests.stage import ROOM_ID, Stage, settled


async def stage_of(bytes_max: int) -> Stage:
    stage = Stage()
    stage.around = stage.around._replace(quotas=limits.Quotas(workspace_bytes_max=bytes_max))
    stage.lobby.around = stage.around
    return await stage.set_up("a.py", "b.py")


@pytest.fixture
async def full() -> AsyncIterator[Stage]:
    """A workspace that has 12 KB of its 16, and takes no large edit."""
    stage = await stage_of(16_000)
    ann = await stage.editor(1)
    ann.type(1, "x" * 12_000)
    await settled()
    yield stage
    stage.room.delivery.stop()


def kept(stage: Stage) -> int:
    return stage.store.workspaces[ROOM_ID].log_bytes


async def test_the_room_counts_as_its_store_does(full: Stage) -> None:
    ann = await full.editor(1, 2)
    assert full.room.ledger.log_bytes == kept(full) > 12_000
    for text in ("y", "ü" * 500):
        ann.type(2, text)
    full.room.request(ann.member, messages.CreateFile("c/ü.py"))
    full.room.request(ann.member, messages.Chat("hällo", "1"))
    await settled()
    assert full.room.ledger.log_bytes == kept(full) > 13_000
    full.store.fails = True
    ann.type(2, "lost")
    await settled()
    full.store.fails = False
    assert full.room.ledger.log_bytes == kept(full), "what is not kept does not count"


async def test_an_edit_too_many_is_refused_with_its_frame_and_the_room_goes_on(full: Stage) -> None:
    ann, bob = await full.editor(1), await full.editor(1, 2)
    bob.type(2, "z" * 8_000)
    await settled()
    (refused,) = bob.told("refused")
    assert (refused["code"], refused["file_id"], refused["frame"]) == (Code.WORKSPACE_FULL, 2, bob.member.received)
    assert bob.saved == bob.member.received, "it is counted, so that the page knows what was not taken"
    assert bob.member.gone is None
    assert (await full.room.shelf.read_text(2), kept(full) < 14_000) == ("", True)
    ann.type(1, "small")
    await settled()
    assert bob.text(1).endswith("small"), "what still fits is taken"


async def test_what_waits_for_its_commit_counts(full: Stage) -> None:
    ann = await full.editor(1)
    full.store.gate.clear()
    for _ in range(6):
        ann.type(1, "y" * 1_000)
        await settled(3)
    full.store.gate.set()
    await settled()
    assert len(ann.told("refused")) == 1
    assert kept(full) <= 16_000 + limits.KIB


async def test_who_comes_back_to_a_full_workspace_with_nothing_new_is_taken(full: Stage) -> None:
    # Its step 2 names every deletion there ever was: refused, the page would set aside what is saved already.
    ann = await full.editor(1)
    del ann.doc(1)["text"][0:5_000]
    ann.send(1, wire.encode_update(ann._unsent.pop()[1]))
    await settled()
    full.room.ledger.log_bytes = 16_000
    bob = full.join()
    await bob.open(1)
    await settled()
    assert bob.answer_step_1(1) == 1
    await settled()
    assert bob.told("refused") == []
    assert (bob.saved, bob.text(1)) == (1, ann.text(1))


async def test_deletions_free_nothing_and_are_refused_too(full: Stage) -> None:
    ann = await full.editor(1)
    full.room.ledger.log_bytes = 16_000
    del ann.doc(1)["text"][0:5_000]
    ann.send(1, wire.encode_update(ann._unsent.pop()[1]))
    await settled()
    assert [each["code"] for each in ann.told("refused")] == [Code.WORKSPACE_FULL]


async def test_files_chat_and_imports_are_refused_and_all_that_keeps_nothing_goes_on(full: Stage) -> None:
    ann, bob = full.join("owner"), full.join()
    full.room.ledger.log_bytes = 16_001
    requests: list[messages.CreateFile | messages.DeleteFile | messages.Chat] = [
        messages.CreateFile("c", request=1),
        messages.DeleteFile(1, request=2),
        messages.Chat("hello", "1", request=3),
    ]
    for number, request in enumerate(requests, start=1):
        full.room.request(ann.member, request)
        assert (ann.told("refused")[-1]["code"], ann.told("refused")[-1]["request"]) == (Code.WORKSPACE_FULL, number)
    with pytest.raises(Refused) as caught:
        await full.room.import_files("link:a", {"d": "text"})
    assert caught.value.code is Code.WORKSPACE_FULL
    full.room.request(ann.member, messages.Signal("a", msgspec.Raw(b"1")))
    await full.room.rename("Another")
    await full.room.put_link(full.lobby.new_link("viewer", "", None).record)
    await settled()
    assert [each["type"] for each in bob.notices if each["type"] in ("signal", "workspace")] == []
    assert (len(bob.told("signal")), bob.told("workspace")[0]["title"]) == (1, "Another")


async def test_a_stock_client_is_closed_with_the_number(full: Stage) -> None:
    stock = full.join(dialect=STOCK)
    await full.room.open_stock_file(stock.member, 1)
    full.room.ledger.log_bytes = 16_001
    with pytest.raises(Refused) as caught:
        full.room.receive_stock(stock.member, 1, wire.encode_update(stock.edit(1, 0, "a")))
    assert caught.value.code is Code.WORKSPACE_FULL


async def test_a_new_workspace_must_fit(full: Stage) -> None:
    with pytest.raises(Refused) as caught:
        await full.lobby.create("", {"a": "x" * 20_000})
    assert caught.value.code is Code.WORKSPACE_FULL


def test_the_last_byte_fits_and_none_more() -> None:
    ledger = Ledger(50, 100)
    ledger.seal(30)
    ledger.check(20)
    with pytest.raises(Refused):
        ledger.check(21)
    ledger.fall_back()
    ledger.check(50)
    ledger.seal(30)
    ledger.commit()
    assert (ledger.log_bytes, ledger.has_room(20), ledger.has_room(21)) == (80, True, False)

"""Files that come with their texts: all in one commit, or none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from carets import limits
from carets.errors import Code, Refused, Unavailable
from carets.protocol import messages
from carets.rooms import imports
from carets.rooms.document import Document
from carets.rooms.store import Batch, StoreFailed
from tests.stage import ROOM_ID, Stage, settled

ANN = "person:ann"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = await Stage().set_up("a.py")
    yield stage
    stage.room.delivery.stop()


async def test_a_text_becomes_one_update_and_its_line_ends_are_remembered() -> None:
    numbers = iter(range(1, 9))
    drafts = await imports.draft_all(
        {"a": "x\r\ny\n", "b": "", "c": "é😀"}, lambda count: bytes([next(numbers)] * count)
    )
    assert [(draft.path, draft.eol, draft.client_id) for draft in drafts] == [
        ("a", "crlf", 0x01010101),
        ("b", "lf", 0x02020202),
        ("c", "lf", 0x03030303),
    ]
    assert [Document([draft.update]).text() for draft in drafts if draft.update] == ["x\ny\n", "é😀"]
    assert drafts[1].update == b""


async def test_many_small_files_leave_others_their_turns_and_too_many_take_no_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(turn)

    turn()
    files = {str(number): "" for number in range(limits.FILES_MAX)}
    before = turns
    assert len(await imports.draft_all(files, bytes)) == limits.FILES_MAX
    assert turns - before > 10
    monkeypatch.setattr(limits, "FILES_MAX", limits.FILES_MAX - 1)
    monkeypatch.setattr(imports, "draft", None)
    with pytest.raises(Refused) as caught:
        await imports.draft_all(files, bytes)
    assert caught.value.code is Code.FILES_TOO_MANY


async def test_imported_files_are_one_durable_commit_and_all_are_told(stage: Stage) -> None:
    ann, bob = stage.join(), stage.join("viewer")
    stage.store.gate.clear()
    task = asyncio.create_task(stage.room.import_files(ANN, {"d/b.py": "b\r\n", "c.py": "", "d/e.py": "😀"}))
    await settled()
    assert not task.done()
    assert ann.told("files") == []
    stage.store.gate.set()
    records = await task
    assert [(record.file_id, record.path, record.eol) for record in records] == [
        (2, "d/b.py", "crlf"),
        (3, "c.py", "lf"),
        (4, "d/e.py", "lf"),
    ]
    (batch,) = stage.store.batches
    assert (batch.files, [append.file_id for append in batch.appends]) == (records, [2, 4])
    assert {entry.author for append in batch.appends for entry in append.entries} == {ANN}
    assert {owner for append in batch.appends for _, owner in append.claims} == {imports.SERVER}
    for actor in (ann, bob):
        assert [file["file_id"] for told in actor.told("files") for file in told["files"]] == [2, 3, 4]
    assert [await stage.room.shelf.read_text(file_id) for file_id in (1, 2, 3, 4)] == ["", "b\n", "", "😀"]
    assert stage.room.open_files == {}, "reading does not keep a document in memory"
    eve = await stage.editor(2)
    eve.type(2, "more")
    await settled()
    assert eve.text(2) == await stage.room.shelf.read_text(2) == "b\nmore"


@pytest.mark.parametrize(
    "files,code",
    [
        ({"b.py": "", "a.py": ""}, Code.PATH_TAKEN),
        ({"b.py": "", "b.py/c": ""}, Code.PATH_TAKEN),
        ({"b.py": "", "../c": ""}, Code.PATH_INVALID),
        ({"b.py": "x", "c.py": "\ud800"}, Code.TEXT_INVALID),
        ({f"{number}.py": "" for number in range(6)}, Code.FILES_TOO_MANY),
    ],
)
async def test_one_file_that_cannot_be_made_makes_none(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], code: Code
) -> None:
    monkeypatch.setattr(limits, "FILES_MAX", 5)
    with pytest.raises(Refused) as caught:
        await stage.room.import_files(ANN, files)
    assert caught.value.code is code
    assert (stage.store.batches, stage.room.is_clean) == ([], True)
    assert [record.file_id for record in await stage.room.import_files(ANN, {"b.py": "x"})] == [2], "no id is lost"


async def test_a_file_that_came_meanwhile_is_in_the_way(stage: Stage) -> None:
    ann = stage.join()
    texts = {f"{number}.py": "x" * 100_000 for number in range(20)}
    task = asyncio.create_task(stage.room.import_files(ANN, texts))
    await asyncio.sleep(0)
    stage.room.request(ann.member, messages.CreateFile("19.py"))
    with pytest.raises(Refused) as caught:
        await task
    assert caught.value.code is Code.PATH_TAKEN
    assert len(stage.room.files.committed) == 2


async def test_an_import_whose_commit_fails_is_told_so_and_leaves_nothing(stage: Stage) -> None:
    async def fail(_: Batch) -> None:
        raise StoreFailed(Code.UNAVAILABLE, "the disk is full")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage.store, "append", fail)
        for _ in range(2):
            with pytest.raises(StoreFailed):
                await stage.room.import_files(ANN, {"b.py": "x"})
    assert stage.room.failed is None
    assert [record.file_id for record in await stage.room.import_files(ANN, {"b.py": "x"})] == [2]


async def test_an_import_that_waits_behind_a_commit_whose_answer_was_lost_is_told_so(stage: Stage) -> None:
    append = stage.store.append

    async def keep_and_fail(batch: Batch) -> None:
        await append(batch)
        raise StoreFailed(Code.UNAVAILABLE, "the answer was lost")

    stage.store.gate.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage.store, "append", keep_and_fail)
        tasks = []
        for name in "bc":
            tasks.append(asyncio.create_task(stage.room.import_files(ANN, {f"{name}.py": "x"})))
            await settled()
        stage.store.gate.set()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [Unavailable, Unavailable]
    with pytest.raises(Unavailable):
        await stage.room.import_files(ANN, {"d.py": ""})
    room = await stage.lobby.enter(ROOM_ID)
    assert [record.path for record in room.files.listed()] == ["a.py", "b.py"]


async def test_a_room_stays_in_memory_while_an_import_is_prepared(stage: Stage) -> None:
    texts = {f"{number}.py": "x" * 200_000 for number in range(5)}
    task = asyncio.create_task(stage.room.import_files(ANN, texts))
    await asyncio.sleep(0)
    stage.now_ms += 10**9
    stage.lobby.sweep()
    assert stage.lobby.rooms == {ROOM_ID: stage.room}, "a second room would give the same file ids"
    assert len(await task) == 5
    stage.lobby.sweep()
    assert stage.lobby.rooms == {}


async def test_a_caller_that_gives_up_leaves_its_import_whole(stage: Stage) -> None:
    stage.store.gate.clear()
    task = asyncio.create_task(stage.room.import_files(ANN, {"b.py": "x"}))
    await settled()
    task.cancel()
    stage.store.gate.set()
    await settled()
    assert stage.room.failed is None
    assert [record.path for record in stage.room.files.listed()] == ["a.py", "b.py"]


async def test_a_draining_room_takes_none(stage: Stage) -> None:
    stage.room.drain()
    with pytest.raises(Unavailable) as caught:
        await stage.room.import_files(ANN, {"b.py": "x"})
    assert caught.value.code is Code.DRAINING


async def test_what_is_deleted_or_was_never_there_cannot_be_read(stage: Stage) -> None:
    ann = stage.join()
    stage.room.request(ann.member, messages.DeleteFile(1))
    await settled()
    for file_id, code in ((1, Code.FILE_DELETED), (9, Code.FILE_UNKNOWN)):
        with pytest.raises(Refused) as caught:
            await stage.room.shelf.read_text(file_id)
        assert caught.value.code is code


async def test_what_is_read_is_committed(stage: Stage) -> None:
    ann = await stage.editor(1)
    ann.type(1, "kept")
    await settled()
    stage.store.gate.clear()
    ann.type(1, " and not yet")
    await settled()
    assert await stage.room.shelf.read_text(1) == "kept"
    stage.store.gate.set()

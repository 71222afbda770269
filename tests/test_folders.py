"""Folders: all that is below one changes in one commit, or nothing does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from carets import limits
from carets.errors import Code
from carets.protocol import messages
from tests.stage import Stage, settled


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = await Stage().set_up("a.py")
    yield stage
    stage.room.delivery.stop()


async def test_a_folder_changes_in_one_commit_and_its_asker_is_answered_with_all(stage: Stage) -> None:
    ann, bob = await stage.editor(1), stage.join()
    for path in ("d/x.py", "d/e/y.py"):
        stage.room.request(ann.member, messages.CreateFile(path))
    await settled()
    batches, told = len(stage.store.batches), len(bob.told("files"))
    stage.room.request(ann.member, messages.RenameFolder("d", "f", 5))
    await settled()
    assert [[record.path for record in batch.files] for batch in stage.store.batches[batches:]] == [
        ["f/x.py", "f/e/y.py"]
    ]
    (answer,) = [each for each in ann.told("files") if each.get("request") == 5]
    (notice,) = bob.told("files")[told:]
    assert answer["files"] == notice["files"]
    assert [file["path"] for file in notice["files"]] == ["f/x.py", "f/e/y.py"]


async def test_folders_that_wait_for_their_commit_count_by_their_files(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame of some bytes queues a record of each file: edges must read no further before memory is full of them."""
    monkeypatch.setattr(limits, "BATCH_BYTES_MAX", 20_000)
    ann = stage.join()
    for number in range(10):
        stage.room.request(ann.member, messages.CreateFile(f"d/{number}"))
    await settled()
    stage.store.gate.clear()
    stage.room.request(ann.member, messages.RenameFolder("d", "e"))
    await settled()
    for _ in range(2):
        assert not stage.room.is_full
        stage.room.request(ann.member, messages.RenameFolder("e", "d"))
        stage.room.request(ann.member, messages.RenameFolder("d", "e"))
    assert stage.room.is_full
    stage.store.gate.set()
    await settled()
    assert not stage.room.is_full


async def test_a_folder_that_cannot_change_whole_changes_nothing(stage: Stage) -> None:
    ann, viewer = stage.join(), stage.join("viewer")
    for path in ("d/x.py", "f/x.py"):
        stage.room.request(ann.member, messages.CreateFile(path))
    await settled()
    batches = len(stage.store.batches)
    stage.room.request(ann.member, messages.RenameFolder("d", "f", 1))
    stage.room.request(ann.member, messages.DeleteFolder("gone", 2))
    stage.room.request(viewer.member, messages.DeleteFolder("d", 3))
    await settled()
    assert [(each["code"], each["request"]) for each in ann.told("refused")] == [
        (Code.PATH_TAKEN, 1),
        (Code.FILE_UNKNOWN, 2),
    ]
    assert [(each["code"], each["request"]) for each in viewer.told("refused")] == [(Code.ROLE_TOO_LOW, 3)]
    assert len(stage.store.batches) == batches


async def test_a_deleted_folder_takes_no_more_edits_from_the_moment_it_is_asked_for(stage: Stage) -> None:
    ann = stage.join()
    stage.room.request(ann.member, messages.CreateFile("d/x.py"))
    await settled()
    file_id = max(stage.room.files.committed)
    await ann.open(file_id)
    await settled()
    ann.answer_step_1(file_id)
    stage.room.request(ann.member, messages.DeleteFolder("d"))
    ann.type(file_id, "late")
    await settled()
    assert [each["code"] for each in ann.told("refused")] == [Code.FILE_DELETED]
    assert stage.room.files.committed[file_id].deleted_at_ms is not None

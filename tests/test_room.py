"""The room: the order of commits and acknowledgements, failing stores, roles, links, file operations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from carets import limits
from carets.errors import Code, Refused, Unavailable, WireError
from carets.protocol import messages, wire
from carets.protocol.dialect import STOCK
from carets.protocol.updates import encode_state_vector
from carets.rooms.document import DocumentFailed
from carets.rooms.store import Checkpoint
from tests.sessions import block, item, update
from tests.stage import ROOM_ID, Actor, Stage, StageLine, settled

HERE = Path(__file__).parent


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = await Stage().set_up("a.py", "b.py")
    yield stage
    stage.room.delivery.stop()


# -- commits and acknowledgements


async def test_nobody_sees_or_is_told_of_an_edit_before_the_store_returned(stage: Stage) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1)
    saved = ann.saved
    stage.store.gate.clear()
    ann.type(1, "hello")
    await settled()
    assert bob.text(1) == ""
    assert ann.saved == saved
    stage.store.gate.set()
    await settled()
    assert bob.text(1) == "hello"
    assert ann.saved == ann.member.received == saved + 1


async def test_what_comes_during_a_commit_is_one_commit_after_it(stage: Stage) -> None:
    ann, bob = await stage.editor(1, 2), await stage.editor(1)
    stage.store.gate.clear()
    ann.type(1, "a")
    await settled()
    for letter in "bcd":
        ann.type(1, letter)
        ann.type(2, letter)
    bob.send(1, wire.encode_update(bob.edit(1, 0, "X")))
    before = len(stage.store.batches)
    stage.store.gate.set()
    await settled()
    assert [[(append.file_id, len(append.entries)) for append in b.appends] for b in stage.store.batches[before:]] == [
        [(1, 1)],
        [(1, 4), (2, 3)],
    ]
    assert sorted(bob.text(1)) == sorted(ann.text(1)) == sorted("abcdX")
    assert ann.text(1) == bob.text(1)


async def test_a_frame_without_news_is_acked_but_neither_logged_nor_told(stage: Stage) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1)
    first = ann.edit(1, 0, "x")
    ann.send(1, wire.encode_update(first))
    await settled()
    bob.read()
    batches, heard = len(stage.store.batches), len(bob.messages)
    ann.send(1, wire.encode_update(first))
    ann.send(1, wire.encode_step_2(b"\0\0"))
    await settled()
    bob.read()
    assert (len(stage.store.batches), len(bob.messages)) == (batches, heard)
    assert ann.saved == ann.member.received


async def test_a_frame_without_news_waits_for_the_commit_of_what_it_repeats(stage: Stage) -> None:
    ann = await stage.editor(1)
    saved = ann.saved
    stage.store.gate.clear()
    first = ann.edit(1, 0, "x")
    ann.send(1, wire.encode_update(first))
    await settled()
    ann.send(1, wire.encode_update(first))
    await settled()
    assert ann.saved == saved
    stage.store.fails = True
    stage.store.gate.set()
    await settled()
    assert ann.saved == saved, "neither is on disk"


async def test_a_gap_counts_once_it_is_repaired(stage: Stage) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1)
    saved = ann.saved
    ann.edit(1, 0, "lost ")
    ann.send(1, wire.encode_update(ann.edit(1, 5, "kept")))
    ann.send(1, wire.encode_update(ann.edit(1, 9, "!")))
    await settled()
    assert (ann.saved, bob.text(1)) == (saved, "")
    assert ann.answer_step_1(1) == 1, "it is asked once, however many frames have the gap"
    await settled()
    assert (ann.saved, bob.text(1)) == (ann.member.received, "lost kept!")


async def test_a_gap_in_one_file_holds_back_the_count_and_nothing_else(stage: Stage) -> None:
    ann, bob = await stage.editor(1, 2), await stage.editor(1, 2)
    saved = ann.saved
    ann.edit(1, 0, "lost ")
    ann.send(1, wire.encode_update(ann.edit(1, 5, "kept")))
    ann.type(2, "other")
    await settled()
    assert (ann.saved, bob.text(2)) == (saved, "other")


async def test_a_refusal_after_a_gap_names_the_first_frame_that_was_not_taken(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The frame with the gap was once counted as saved when a later one was refused: it was lost in silence.
    ann = await stage.editor(1)
    ann.edit(1, 0, "lost ")
    ann.send(1, wire.encode_update(ann.edit(1, 5, "gap")))
    first = ann.member.received
    stage.room.open_files[1].deleted = True
    ann.send(1, wire.encode_update(ann.edit(1, 8, "refused")))
    await settled()
    assert [notice["frame"] for notice in ann.told("refused")] == [first]
    assert ann.saved == ann.member.received
    kinds = [notice["type"] for notice in ann.notices]
    assert kinds.index("refused") < len(kinds) - 1 - kinds[::-1].index("saved"), "refused comes before its saved"


async def test_closing_a_file_with_a_gap_says_which_frame_was_not_taken(stage: Stage) -> None:
    # Closing once made the count pass over the frame, which nobody had.
    ann = await stage.editor(1)
    ann.edit(1, 0, "lost ")
    ann.send(1, wire.encode_update(ann.edit(1, 5, "gap")))
    stage.room.request(ann.member, messages.CloseFile(1))
    await settled()
    assert [(each["file_id"], each["frame"]) for each in ann.told("refused")] == [(1, ann.member.received)]
    assert ann.saved == ann.member.received


async def test_losing_a_file_with_a_gap_holds_back_no_other_file(stage: Stage) -> None:
    """A step 1 of another history takes the member out of the file; its gap stayed, and nothing was saved any more."""
    ann = await stage.editor(1, 2)
    ann.edit(1, 0, "lost ")
    ann.send(1, wire.encode_update(ann.edit(1, 5, "gap")))
    first = ann.member.received
    stage.room.open_files[1].former_client_ids = frozenset([99])
    ann.send(1, wire.encode_step_1(encode_state_vector({99: 1})))
    ann.type(2, "other")
    await settled()
    assert [(each["code"], each.get("frame")) for each in ann.told("refused")] == [(Code.EPOCH_CHANGED, first)]
    assert ann.saved == ann.member.received


# -- failing stores


async def test_a_failed_commit_closes_only_members_with_unsaved_frames(stage: Stage) -> None:
    ann, bob, eve = await stage.editor(1), await stage.editor(1), await stage.editor(2)
    stage.store.fails = True
    ann.type(1, "lost")
    await settled()
    assert ann.line.closed_with is not None
    assert ann.line.closed_with.code is Code.UNAVAILABLE
    assert (bob.line.closed_with, eve.line.closed_with) == (None, None)
    stage.store.fails = False
    bob.type(1, "kept")
    await settled()
    again = await stage.editor(1)
    assert bob.text(1) == again.text(1) == "kept"
    assert stage.room.open_files[1].agrees()


async def test_what_was_queued_behind_a_failed_commit_is_dropped_with_it(stage: Stage) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1, 2)
    stage.store.gate.clear()
    ann.type(1, "first")
    await settled()
    bob.type(2, "second")
    stage.room.request(bob.member, messages.CreateFile("c.py", request=1))
    stage.store.fails = True
    stage.store.gate.set()
    await settled()
    assert ann.line.closed_with is not None
    assert bob.line.closed_with is not None
    stage.store.fails = False
    eve = await stage.editor(1, 2)
    assert (eve.text(1), eve.text(2)) == ("", "")
    assert [file["path"] for file in eve.told("welcome")[0]["files"]] == ["a.py", "b.py"]
    stage.room.request(eve.member, messages.CreateFile("c.py", request=2))
    await settled()
    assert [file["path"] for notice in eve.told("files") if "request" in notice for file in notice["files"]] == ["c.py"]


async def test_members_who_only_watch_outlive_any_number_of_failed_commits(stage: Stage) -> None:
    # Each failure once used up one of the eight client ids of everybody in the file; the ninth closed the room.
    watcher = await stage.editor(1, client_id=77)
    for _ in range(limits.CLIENT_IDS_NEW_MAX + 2):
        ann = await stage.editor(1)
        stage.store.fails = True
        ann.type(1, "lost")
        await settled()
        stage.store.fails = False
    assert stage.room.failed is None
    assert watcher.line.closed_with is None
    thief = stage.join()
    await thief.open(1, client_id=77)
    await settled()
    assert [each["code"] for each in thief.told("refused")] == [Code.CLIENT_ID_TAKEN]
    watcher.type(1, "here")
    await settled()
    assert watcher.saved == watcher.member.received


async def test_a_client_id_whose_first_edit_was_not_saved_stays_its_persons(stage: Stage) -> None:
    ann = await stage.editor(1, client_id=500)
    person = ann.told("welcome")[0]["person"]
    stage.store.fails = True
    ann.type(1, "lost")
    await settled()
    stage.store.fails = False
    thief, back = stage.join(), stage.join(person=person)
    await thief.open(1, client_id=500)
    await back.open(1, client_id=500)
    await settled()
    assert [each["code"] for each in thief.told("refused")] == [Code.CLIENT_ID_TAKEN]
    assert back.told("refused") == []


async def test_a_mistake_of_ours_closes_the_room_and_the_log_makes_it_anew(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1)
    ann.type(1, "kept")
    await settled()

    def fail(_: object) -> None:
        raise DocumentFailed("a panic")

    monkeypatch.setattr(stage.room.open_files[1].document, "apply", fail)
    ann.type(1, " and logged")
    await settled()
    for actor in (ann, bob):
        assert isinstance(actor.line.closed_with, Unavailable)
        assert actor.line.closed_with.code is Code.INTERNAL
    stage.room = await stage.lobby.enter(ROOM_ID)
    eve = await stage.editor(1)
    assert eve.text(1) == "kept and logged"


async def test_a_mistake_in_a_catch_up_closes_the_room_too(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    # It once went to the event loop's handler, and whoever waited for an answer waited for ever.
    ann = await stage.editor(1)

    def fail(_: object) -> bytes:
        raise DocumentFailed("a panic")

    monkeypatch.setattr(stage.room.open_files[1].document, "encode_since", fail)
    ann.send(1, wire.encode_step_1(b"\0"))
    await settled()
    assert ann.line.closed_with is not None
    assert ann.line.closed_with.code is Code.INTERNAL


# -- who may do what


async def test_a_viewer_changes_nothing_by_any_road(stage: Stage) -> None:
    ann, viewer = await stage.editor(1), stage.join("viewer")
    await viewer.open(1)
    await settled()
    assert viewer.answer_step_1(1) == 0, "a viewer is not asked"
    batches = len(stage.store.batches)
    viewer.send(1, wire.encode_step_2(b"\0\0"))
    await settled()
    assert viewer.told("refused") == []
    for message in (wire.encode_step_2, wire.encode_update):
        viewer.send(1, message(update(block(9, 0, item("forged")))))
    for request in (
        messages.CreateFile("c.py"),
        messages.RenameFile(1, "c.py"),
        messages.DeleteFile(1),
        messages.RestoreFile(1),
    ):
        stage.room.request(viewer.member, request)
    await settled()
    assert {each["code"] for each in viewer.told("refused")} == {Code.ROLE_TOO_LOW}
    assert len(viewer.told("refused")) == 5, "the second edit came after a refused one"
    assert (ann.text(1), len(stage.store.batches)) == ("", batches)
    assert viewer.saved == viewer.member.received == 3


async def test_after_a_refused_edit_nothing_is_taken_until_the_file_is_opened_anew(stage: Stage) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1)
    file = stage.room.open_files[1]
    file.deleted = True
    first = ann.edit(1, 0, "refused")
    ann.send(1, wire.encode_update(first))
    file.deleted = False
    ann.send(1, wire.encode_update(update(block(5, 0, item("later")))))
    await settled()
    assert (len(ann.told("refused")), bob.text(1)) == (1, "")
    await ann.open(1)
    await settled()
    ann.answer_step_1(1)
    await settled()
    assert bob.text(1) == "refused"


async def test_a_revoked_link_closes_its_members_at_once_and_nobody_else(stage: Stage) -> None:
    owner, ann = stage.join("owner"), await stage.editor(1)
    await stage.room.put_link(stage.room.links["link-editor"]._replace(revoked_at_ms=5))
    assert ann.line.closed_with is not None
    assert ann.line.closed_with.code is Code.LINK_REVOKED
    assert owner.line.closed_with is None
    with pytest.raises(Refused) as caught:
        stage.join()
    assert caught.value.code is Code.LINK_REVOKED


async def test_an_expired_link_and_a_wrong_key_let_nobody_in(stage: Stage) -> None:
    await stage.room.put_link(stage.room.links["link-editor"]._replace(expires_at_ms=stage.now_ms + 1))
    stage.join()
    stage.now_ms += 1
    for key, code in (("editor-key", Code.LINK_EXPIRED), ("", Code.KEY_WRONG), ("\udcff", Code.KEY_WRONG)):
        with pytest.raises(Refused) as caught:
            stage.room.join(messages.Hello(key=key), STOCK, StageLine())
        assert caught.value.code is code


async def test_a_room_has_an_end(stage: Stage) -> None:
    stage.room._around = stage.around._replace(quotas=limits.Quotas(members_max=2))
    stage.join()
    stage.join()
    with pytest.raises(Unavailable) as caught:
        stage.join()
    assert caught.value.code is Code.ROOM_FULL


async def test_links_have_an_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LINKS_MAX", 3)
    with pytest.raises(Refused) as caught:
        await stage.room.put_link(stage.lobby.new_link("viewer", "", None).record)
    assert caught.value.code is Code.LINKS_TOO_MANY


async def test_a_person_keeps_its_client_id_with_its_token_and_nobody_else_gets_it(stage: Stage) -> None:
    ann = await stage.editor(1, client_id=500)
    ann.type(1, "mine")
    await settled()
    stage.room.leave(ann.member)
    thief = stage.join()
    await thief.open(1, client_id=500)
    back = stage.join(person=ann.told("welcome")[0]["person"])
    await back.open(1, client_id=500)
    await settled()
    assert [each["code"] for each in thief.told("refused")] == [Code.CLIENT_ID_TAKEN]
    assert back.told("refused") == []


async def test_another_epoch_is_not_opened(stage: Stage) -> None:
    ann = stage.join()
    await ann.open(1, epoch="epoch-2")
    await settled()
    assert [each["code"] for each in ann.told("refused")] == [Code.EPOCH_CHANGED]
    assert 1 not in ann.member.seats


# -- files


async def test_file_operations_are_told_when_they_are_committed_and_the_asker_knows_the_answer(stage: Stage) -> None:
    ann, bob = stage.join(), stage.join()
    stage.store.gate.clear()
    stage.room.request(ann.member, messages.CreateFile("new.py", "crlf", request=7))
    await settled()
    assert (ann.told("files"), bob.told("files")) == ([], [])
    stage.store.gate.set()
    await settled()
    assert [each.get("request") for each in ann.told("files")] == [7, None]
    (notice,) = bob.told("files")
    assert notice["files"][0] | {"epoch": ""} == {"file_id": 3, "path": "new.py", "epoch": "", "eol": "crlf"}
    assert "full" not in notice


async def test_a_deleted_file_takes_no_edits_and_a_restored_one_does(stage: Stage) -> None:
    ann = await stage.editor(1)
    ann.type(1, "text")
    stage.room.request(ann.member, messages.DeleteFile(1))
    ann.type(1, " more")
    await settled()
    assert [each["code"] for each in ann.told("refused")] == [Code.FILE_DELETED]
    stage.room.request(ann.member, messages.RestoreFile(1))
    await settled()
    await ann.open(1)
    await settled()
    ann.answer_step_1(1)
    await settled()
    assert (await stage.editor(1)).text(1) == "text more"


async def test_a_deletion_during_a_load_counts(stage: Stage) -> None:
    # The document that came into memory meanwhile once took edits for ever.
    ann = stage.join()
    stage.store.loading.clear()
    stage.store.gate.clear()
    opening = asyncio.create_task(stage.room.open_file(ann.member, messages.OpenFile(1, 900)))
    await settled()
    stage.room.request(ann.member, messages.DeleteFile(1))
    stage.store.loading.set()
    await opening
    stage.store.gate.set()
    await settled()
    ann.doc(1, 900)
    ann.type(1, "into nowhere")
    await settled()
    assert [each["code"] for each in ann.told("refused")] == [Code.FILE_DELETED]
    assert stage.store.logs.get((ROOM_ID, 1), []) == []


async def test_a_refused_operation_says_which_and_keeps_the_member(stage: Stage) -> None:
    ann = stage.join()
    requests: list[tuple[messages.Request, Code]] = [
        (messages.CreateFile("a.py", request=0), Code.PATH_TAKEN),
        (messages.CreateFile("../x", request=1), Code.PATH_INVALID),
        (messages.RenameFile(9, "x", request=2), Code.FILE_UNKNOWN),
        (messages.DeleteFile(9, request=3), Code.FILE_UNKNOWN),
        (messages.RestoreFile(9, request=4), Code.FILE_UNKNOWN),
    ]
    for number, (request, code) in enumerate(requests):
        stage.room.request(ann.member, request)
        refused = ann.told("refused")[-1]
        assert (refused["request"], refused["code"]) == (number, code)
    assert ann.line.closed_with is None


# -- frames that cannot be taken


async def test_a_broken_frame_changes_nothing(stage: Stage) -> None:
    ann = await stage.editor(1)
    for data in (b"", b"\x00", b"\x01\x63", b"\x01\x00\x02\x05a", b"\x01\x00\x00\x02\xff\xff", b"\x01\x01\x01\x05"):
        with pytest.raises(WireError):
            stage.room.receive(ann.member, data)
    with pytest.raises(WireError):
        stage.room.request(ann.member, messages.Hello())
    part = wire.encode_varuint(1) + b"\x64\x05ab"
    stage.room.receive(ann.member, part)
    with pytest.raises(WireError, match="under way"):
        ann.send(1, wire.encode_update(b"\0\0"))
    assert stage.room.open_files[1].agrees()


async def test_illegal_updates_are_the_members_own_end(stage: Stage) -> None:
    ann = await stage.editor(1)
    for vector in msgspec.json.decode((HERE / "vectors" / "hostile_updates.json").read_bytes())[:6]:
        data = b"".join(bytes.fromhex(piece) * count for piece, count in vector["hex"])
        with pytest.raises(WireError):
            ann.send(1, wire.encode_update(data))
    assert ann.text(1) == ""


async def test_frames_for_a_file_that_is_not_open_are_refused_and_counted(stage: Stage) -> None:
    ann = stage.join()
    ann.send(1, wire.encode_step_1(b"\0"))
    ann.send(1, wire.encode_awareness([]))
    ann.send(1, wire.encode_update(b"\0\0"))
    await settled()
    assert [(each["code"], each["frame"]) for each in ann.told("refused")] == [(Code.FILE_NOT_OPEN, 1)]
    assert ann.saved == 1


# -- coming and going


async def test_a_file_that_nobody_has_open_is_put_away_with_a_checkpoint_and_comes_back(stage: Stage) -> None:
    ann = await stage.editor(1)
    ann.type(1, "kept")
    await settled()
    stage.room.leave(ann.member)
    for _ in range(3):
        stage.room.sweep()
        await settled()
    assert stage.room.open_files == {}
    assert stage.store.checkpoints[ROOM_ID, 1].seq == 1
    assert (await stage.editor(1)).text(1) == "kept"


async def test_a_broken_checkpoint_costs_nothing_that_is_in_the_log(stage: Stage) -> None:
    ann = await stage.editor(1)
    ann.type(1, "first ")
    ann.type(1, "second")
    await settled()
    stage.room.leave(ann.member)
    for _ in range(3):
        stage.room.sweep()
        await settled()
    stage.store.checkpoints[ROOM_ID, 1] = Checkpoint(2, bytes.fromhex("01011601000000"))
    bob = await stage.editor(1)
    assert bob.text(1) == "first second"


async def test_a_draining_room_takes_nothing_new_and_says_so(stage: Stage) -> None:
    ann = await stage.editor(1)
    saved = ann.saved
    stage.room.drain()
    ann.type(1, "to be sent again")
    stage.room.request(ann.member, messages.CreateFile("c.py"))
    await settled()
    assert ann.told("draining")
    assert (ann.saved, stage.room.is_clean) == (saved, True)


async def test_a_member_is_described_for_the_operator(stage: Stage) -> None:
    ann: Actor = await stage.editor(1)
    told: dict[str, Any] = stage.room.describe()
    assert (told["members"]["count"], told["members"]["lagging"], told["clean"]) == (1, 0, True)
    assert ann.member.record.name == "Guest 1"
    msgspec.json.encode([told, stage.lobby.describe(), ann.member.outbox.describe()])


async def test_a_viewers_long_step_2_is_not_even_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "VIEWER_UPDATE_BYTES_MAX", 1)
    viewer = stage.join("viewer")
    await viewer.open(1)
    viewer.send(1, wire.encode_step_2(b"\0\0"))
    await settled()
    assert [each["code"] for each in viewer.told("refused")] == [Code.ROLE_TOO_LOW]


async def test_what_a_room_has_begun_in_parts_has_an_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ROOM_PARTS_BYTES_MAX", 200_000)
    ann, bob, eve = stage.join(), stage.join(), stage.join()
    part = wire.Part(150_000, b"x" * 60_000)

    def begin(actor: Actor, file_id: int) -> None:
        head = wire.encode_varuint(file_id) + wire.encode_varuint(wire.PART)
        stage.room.receive(actor.member, head + wire.encode_varuint(part.bytes_left) + part.chunk)

    begin(ann, 1)
    begin(ann, 2)
    begin(bob, 1)
    with pytest.raises(Unavailable) as caught:
        begin(eve, 1)
    assert (caught.value.code, caught.value.retry_after_s) == (Code.RATE_LIMITED, 10)
    stage.room.expel(eve.member, caught.value)
    stage.room.request(ann.member, messages.CloseFile(1))
    assert [actor.member.parts.held_bytes for actor in (ann, bob)] == [60_000, 60_000]
    begin(bob, 2)
    stage.room.receive(bob.member, wire.abandon_parts(2))
    assert bob.member.parts.held_bytes == 60_000


async def test_the_name_of_a_hello_is_as_long_as_a_name_may_be(stage: Stage) -> None:
    assert stage.join(name="x" * (limits.NAME_UNITS_MAX + 1)).member.name == "x" * limits.NAME_UNITS_MAX


async def test_a_viewer_begins_nothing_large(stage: Stage) -> None:
    viewer, ann = stage.join("viewer"), stage.join()
    head = wire.encode_varuint(1) + wire.encode_varuint(wire.PART)
    frame = head + wire.encode_varuint(limits.VIEWER_UPDATE_BYTES_MAX + 16) + b"x"
    with pytest.raises(WireError) as caught:
        stage.room.receive(viewer.member, frame)
    assert caught.value.code is Code.MESSAGE_TOO_LARGE
    stage.room.receive(ann.member, frame)

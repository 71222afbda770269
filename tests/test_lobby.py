"""The lobby: one room a workspace, nothing lost when rooms come and go, and an orderly end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from carets import limits
from carets.errors import CaretsError, Code, Refused, Unavailable
from carets.protocol import access
from carets.rooms.steward import Steward
from carets.rooms.store import Batch, LinkRecord, StoreFailed, WorkspaceRecord
from tests.stage import KEYS, ROOM_ID, Stage, settled


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = await Stage().set_up("a.py")
    yield stage
    for room in stage.lobby.rooms.values():
        room.delivery.stop()


async def test_all_who_come_at_once_are_in_the_same_room(stage: Stage) -> None:
    stage.lobby.rooms.clear()
    rooms = await asyncio.gather(*(stage.lobby.enter(ROOM_ID) for _ in range(5)))
    assert len({id(room) for room in rooms}) == 1
    assert await stage.lobby.enter(ROOM_ID) is rooms[0]


@pytest.mark.parametrize(
    "workspace_id", ["", "short", "a" * 65, "../../etc", "workspace/1", "workspace-9", "workspace\n1"]
)
async def test_what_is_no_workspace_is_unknown(stage: Stage, workspace_id: str) -> None:
    with pytest.raises(Refused) as caught:
        await stage.lobby.enter(workspace_id)
    assert caught.value.code is Code.WORKSPACE_UNKNOWN
    assert list(stage.lobby.rooms) == [ROOM_ID]


async def test_a_store_that_fails_is_tried_again_by_the_next_who_comes(stage: Stage) -> None:
    stage.lobby.rooms.clear()
    stage.store.fails = True
    with pytest.raises(StoreFailed):
        await stage.lobby.enter(ROOM_ID)
    stage.store.fails = False
    assert (await stage.lobby.enter(ROOM_ID)).id == ROOM_ID


async def test_one_who_stops_waiting_takes_nobody_with_it(stage: Stage) -> None:
    stage.lobby.rooms.clear()
    first = asyncio.create_task(stage.lobby.enter(ROOM_ID))
    second = asyncio.create_task(stage.lobby.enter(ROOM_ID))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).id == ROOM_ID


async def test_an_empty_room_goes_after_a_while_and_not_before(stage: Stage) -> None:
    ann = await stage.editor(1)
    stage.now_ms += 10**9
    stage.lobby.sweep()
    assert ROOM_ID in stage.lobby.rooms, "somebody is in it"
    ann.type(1, "kept")
    await settled()
    stage.room.leave(ann.member)
    for _ in range(5):
        stage.lobby.sweep()
        await settled()
    assert ROOM_ID in stage.lobby.rooms, "a reload finds it warm"
    stage.now_ms += int(limits.ROOM_IDLE_S * 1000)
    stage.lobby.sweep()
    assert stage.lobby.rooms == {}
    stage.room = await stage.lobby.enter(ROOM_ID)
    assert (await stage.editor(1)).text(1) == "kept"


async def test_where_no_more_rooms_may_be_open_idle_ones_go_first(stage: Stage) -> None:
    stage.lobby.around = stage.around._replace(quotas=limits.Quotas(rooms_max=2))
    for number in (2, 3):
        await stage.store.create_workspace(WorkspaceRecord(f"workspace-{number}", "", 0), Batch(f"workspace-{number}"))
    ann = stage.join()
    await stage.lobby.enter("workspace-2")
    with pytest.raises(Unavailable) as caught:
        await stage.lobby.enter("workspace-3")
    assert (caught.value.code, caught.value.retry_after_s) == (Code.ROOMS_TOO_MANY, limits.ROOM_HURRIED_S)
    with pytest.raises(Refused):
        await stage.lobby.enter("workspace-unknown")
    assert set(stage.lobby.rooms) == {ROOM_ID, "workspace-2"}, "one who just came is not put out, nor is one in use"
    stage.now_ms += int(limits.ROOM_HURRIED_S * 1000)
    stage.lobby._hurried_at_s = -limits.ROOM_HURRIED_S
    await stage.lobby.enter("workspace-3")
    assert set(stage.lobby.rooms) == {ROOM_ID, "workspace-3"}
    assert ann.member.gone is None


async def test_where_no_more_rooms_may_be_open_idle_ones_are_looked_for_now_and_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    stage.lobby.around = stage.around._replace(quotas=limits.Quotas(rooms_max=1), clock_s=lambda: clock[-1])
    swept: list[tuple[float, float]] = []
    monkeypatch.setattr(stage.lobby, "sweep", lambda idle_s: swept.append((clock[-1], idle_s)))
    for _ in range(5):
        for part in (0.0, 0.5, 0.99):
            clock.append((len(clock) - 1) // 3 * limits.ROOM_HURRIED_S + part * limits.ROOM_HURRIED_S)
            with pytest.raises(Unavailable):
                stage.lobby._make_place()
    assert swept == [(number * limits.ROOM_HURRIED_S, limits.ROOM_HURRIED_S) for number in range(5)]


async def test_links_are_looked_at_often_and_rooms_are_put_away_less_often(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LINK_LOOK_S", 2.0**-10)
    monkeypatch.setattr("carets.rooms.lobby._SWEEP_S", 7 * 2.0**-10)
    done: list[str] = []
    enough = asyncio.Event()

    def sweep() -> None:
        done.append("sweep")
        if done.count("sweep") == 3:
            enough.set()

    monkeypatch.setattr(stage.lobby, "expel_expired", lambda: done.append("look"))
    monkeypatch.setattr(stage.lobby, "sweep", sweep)
    running = asyncio.create_task(stage.lobby.run())
    async with asyncio.timeout(10):
        await enough.wait()
    running.cancel()
    assert done[:24] == [*["look"] * 7, "sweep"] * 3


async def test_ids_that_are_made_up_are_read_so_many_at_a_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OPENINGS_MAX", 5)
    outcomes = await asyncio.gather(
        *(stage.lobby.enter(f"workspace-x{number}") for number in range(50)), return_exceptions=True
    )
    codes = Counter(outcome.code for outcome in outcomes if isinstance(outcome, CaretsError))
    assert codes == {Code.WORKSPACE_UNKNOWN: 5, Code.ROOMS_TOO_MANY: 45}
    assert (await stage.lobby.enter(ROOM_ID), list(stage.lobby.rooms)) == (stage.room, [ROOM_ID])
    assert stage.lobby._opening == {}


async def test_ids_that_one_address_makes_up_keep_nobody_else_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One address with 490 connections made ids up, and 18 of 100 others were told that no room was left."""
    stage.lobby.rooms.clear()
    flood = [asyncio.create_task(stage.lobby.enter(f"workspace-x{number}", "203.0.113.9")) for number in range(490)]
    await asyncio.sleep(0)
    assert (await stage.lobby.enter(ROOM_ID, "198.51.100.1")).id == ROOM_ID
    outcomes = await asyncio.gather(*flood, return_exceptions=True)
    codes = Counter(outcome.code for outcome in outcomes if isinstance(outcome, CaretsError))
    few = limits.ADDRESS_OPENINGS_MAX
    assert codes == {Code.WORKSPACE_UNKNOWN: few, Code.ROOMS_TOO_MANY: 490 - few}
    assert (stage.lobby._opening, stage.lobby._opening_for) == ({}, {}), "nothing is kept of who asked"


async def test_a_room_whose_commit_runs_is_not_put_away(stage: Stage) -> None:
    ann = await stage.editor(1)
    stage.store.gate.clear()
    ann.type(1, "on its way")
    await settled()
    stage.room.leave(ann.member)
    stage.now_ms += 10**9
    for _ in range(3):
        stage.lobby.sweep()
        await settled()
    assert stage.lobby.rooms == {ROOM_ID: stage.room}
    stage.store.gate.set()
    await settled()
    for _ in range(4):
        stage.lobby.sweep()
        await settled()
    assert stage.lobby.rooms == {}


async def test_a_failed_room_gives_way_only_when_its_commit_has_returned(stage: Stage) -> None:
    ann = await stage.editor(1)
    stage.store.gate.clear()
    ann.type(1, "on its way")
    await settled()
    stage.room.fail(AssertionError("a mistake"))
    stage.lobby.sweep()
    entering = asyncio.create_task(stage.lobby.enter(ROOM_ID))
    await settled()
    assert not entering.done(), "two rooms of one workspace would write the same numbers"
    stage.store.gate.set()
    stage.room = await entering
    assert (await stage.editor(1)).text(1) == "on its way"


async def test_a_new_workspace_has_its_files_and_three_links_whose_keys_are_nowhere(stage: Stage) -> None:
    record, links = await stage.lobby.create("  My\u202e title\n", {"a.py": "x = 1\r\n", "empty": ""})
    assert (record.title, set(links)) == ("My title", {"viewer", "editor", "owner"})
    assert [(file.path, file.eol) for file in record.files] == [("a.py", "crlf"), ("empty", "lf")]
    kept = repr(stage.store.workspaces[record.workspace_id])
    for role, link in links.items():
        assert access.key_matches(link.key, link.record.key_hash)
        assert (link.record.role, link.key in kept) == (role, False)
    room = await stage.lobby.enter(record.workspace_id)
    assert (await room.shelf.load(1)).document.text() == "x = 1\n"


async def test_titles_names_of_links_and_keys_have_the_length_that_they_may(stage: Stage) -> None:
    stage.lobby.around = stage.around._replace(entropy=bytes)
    record, links = await stage.lobby.create("x" * (limits.TITLE_UNITS_MAX + 1), {})
    assert record.title == "x" * limits.TITLE_UNITS_MAX
    assert links["owner"].key == access.encode_token(bytes(limits.KEY_BYTES))
    named = stage.lobby.new_link("viewer", "n" * (limits.TITLE_UNITS_MAX + 1), None)
    assert named.record.name == "n" * limits.TITLE_UNITS_MAX


async def test_a_workspace_that_cannot_be_kept_is_not_made(stage: Stage) -> None:
    for files, code in (({"a": "\ud800"}, Code.TEXT_INVALID), ({"..": ""}, Code.PATH_INVALID)):
        with pytest.raises(Refused) as caught:
            await stage.lobby.create("", files)
        assert caught.value.code is code
    stage.store.fails = True
    with pytest.raises(StoreFailed):
        await stage.lobby.create("", {})
    assert list(stage.store.workspaces) == [ROOM_ID]


async def test_draining_saves_all_tells_all_and_lets_nobody_in(stage: Stage) -> None:
    ann, bob = await stage.editor(1), await stage.editor(1)
    stage.store.gate.clear()
    ann.type(1, "last words")
    draining = asyncio.create_task(stage.lobby.drain())
    await settled()
    assert ann.told("draining")
    assert ann.line.closed_with is None, "its words are on their way"
    with pytest.raises(Unavailable) as caught:
        await stage.lobby.enter(ROOM_ID)
    assert caught.value.code is Code.DRAINING
    with pytest.raises(Unavailable):
        await stage.lobby.create("", {})
    stage.store.gate.set()
    await draining
    assert ann.saved == ann.member.received
    for actor in (ann, bob):
        assert actor.line.closed_with is not None
        assert actor.line.closed_with.code is Code.DRAINING
    assert stage.lobby.unready_reasons() == ["draining"]


async def test_draining_ends_even_when_the_store_does_not_answer(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DRAIN_S", 0.05)
    ann = await stage.editor(1)
    saved = ann.saved
    stage.store.gate.clear()
    ann.type(1, "lost")
    await settled()
    async with asyncio.timeout(5):
        await stage.lobby.drain()
    assert ann.line.closed_with is not None
    assert ann.saved == saved


async def test_a_room_that_opens_during_the_drain_lets_nobody_in(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, load = asyncio.Event(), stage.store.load_workspace

    async def load_late(workspace_id: str) -> WorkspaceRecord | None:
        await loaded.wait()
        return await load(workspace_id)

    monkeypatch.setattr(stage.store, "load_workspace", load_late)
    stage.lobby.rooms.clear()
    coming = asyncio.create_task(stage.lobby.enter(ROOM_ID))
    await settled()
    await stage.lobby.drain()
    loaded.set()
    with pytest.raises(Unavailable):
        await coming


async def test_links_that_are_made_at_once_keep_to_their_limit(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    put = stage.store.put_link

    async def put_late(workspace_id: str, link: LinkRecord) -> None:
        await settled()
        await put(workspace_id, link)

    monkeypatch.setattr(stage.store, "put_link", put_late)
    monkeypatch.setattr(limits, "LINKS_MAX", len(stage.room.links) + 1)
    new = [stage.lobby.new_link("viewer", str(number), None).record for number in range(3)]
    ends = await asyncio.gather(*(stage.room.put_link(link) for link in new), return_exceptions=True)
    assert [type(end) for end in ends] == [type(None), Refused, Refused]


async def test_refusals_are_counted(stage: Stage) -> None:
    ann = stage.join()
    for _ in range(2):
        stage.room.refuse(ann.member, Refused(Code.ROLE_TOO_LOW), None, None)
    assert stage.lobby.describe()["refusals"] == {4424: 2}


# -- deleted workspaces


async def refused_to_enter(stage: Stage) -> bool:
    try:
        await stage.lobby.enter(ROOM_ID)
    except Refused as refused:
        return refused.code is Code.WORKSPACE_DELETED
    return False


async def test_a_deleted_workspace_closes_all_and_lets_nobody_in_until_an_owner_restores_it(stage: Stage) -> None:
    ann, viewer = await stage.editor(1), stage.join("viewer")
    ann.type(1, "kept")
    await settled()
    with capture_logs() as logs:
        await stage.room.delete()
    assert [line["event"] for line in logs] == ["workspace_deleted"], "operators will be asked"
    for actor in (ann, viewer):
        assert actor.line.closed_with is not None
        assert actor.line.closed_with.code is Code.WORKSPACE_DELETED
        assert actor.told("refused")[-1]["code"] == Code.WORKSPACE_DELETED
    for is_in_memory in (True, False):
        for _ in range(2):
            assert (ROOM_ID in stage.lobby.rooms) is is_in_memory, "who knocks does not bring it back into memory"
            assert await refused_to_enter(stage)
        for key, code in (("editor-key", Code.ROLE_TOO_LOW), ("wrong", Code.KEY_WRONG), ("", Code.KEY_WRONG)):
            with pytest.raises(Refused) as caught:
                await stage.lobby.restore(ROOM_ID, key)
            assert caught.value.code is code
        assert await stage.lobby.restore(ROOM_ID, "owner-key") == "Title"
        assert await stage.lobby.restore(ROOM_ID, "owner-key") == "Title", "it is there already"
        stage.room = await stage.lobby.enter(ROOM_ID)
        assert (await stage.editor(1)).text(1) == "kept"
        await stage.room.delete()
        for _ in range(5):
            stage.now_ms += int(limits.ROOM_IDLE_S * 1000)
            stage.lobby.sweep()
            await settled()


async def test_a_deletion_that_races_with_a_commit_loses_nothing_that_was_said_to_be_saved(stage: Stage) -> None:
    ann = await stage.editor(1)
    stage.store.gate.clear()
    ann.type(1, "one")
    await settled()
    deleting = asyncio.create_task(stage.room.delete())
    ann.type(1, " two")
    await settled()
    stage.store.gate.set()
    await deleting
    await settled()
    assert stage.room.is_clean
    await stage.lobby.restore(ROOM_ID, "owner-key")
    stage.room = await stage.lobby.enter(ROOM_ID)
    text = (await stage.editor(1)).text(1)
    assert text.startswith("one")
    assert text == "one two", "what was admitted before everybody was closed is kept, too"


async def test_after_thirty_days_a_workspace_stays_deleted(stage: Stage) -> None:
    await stage.room.delete()
    stage.now_ms += limits.TOMBSTONE_DAYS * 24 * 3600 * 1000
    assert await stage.lobby.restore(ROOM_ID, "owner-key")
    await stage.room.delete()
    stage.now_ms += limits.TOMBSTONE_DAYS * 24 * 3600 * 1000 + 1
    with pytest.raises(Refused) as caught:
        await stage.lobby.restore(ROOM_ID, "owner-key")
    assert caught.value.code is Code.WORKSPACE_DELETED
    assert await refused_to_enter(stage)


async def test_what_was_never_there_cannot_be_restored(stage: Stage) -> None:
    for workspace_id in ("workspace-9", "../x", ""):
        with pytest.raises(Refused) as caught:
            await stage.lobby.restore(workspace_id, "owner-key")
        assert caught.value.code is Code.WORKSPACE_UNKNOWN


async def test_a_deletion_that_cannot_be_kept_changes_nothing(stage: Stage) -> None:
    ann = stage.join()
    stage.store.fails = True
    for change in (stage.room.delete(), stage.room.rename("Other")):
        with pytest.raises(StoreFailed):
            await change
    stage.store.fails = False
    assert (ann.line.closed_with, ann.told("workspace"), stage.room.title) == (None, [], "Title")
    assert await stage.lobby.enter(ROOM_ID) is stage.room


async def test_a_new_title_is_told_and_kept_and_who_lags_hears_it_later(stage: Stage) -> None:
    ann, slow = stage.join(), stage.join()
    slow.line.is_stuck = slow.member.outbox.lagging = True
    await stage.room.rename("Other")
    assert ann.told("workspace") == [{"type": "workspace", "title": "Other"}]
    assert slow.told("workspace") == []
    await stage.room.rename("Third")
    slow.line.is_stuck = False
    slow.drain()
    await settled()
    assert slow.told("workspace") == [{"type": "workspace", "title": "Third"}]
    assert stage.join().told("welcome")[0]["title"] == stage.store.workspaces[ROOM_ID].title == "Third"


async def test_titles_and_deletions_that_are_asked_for_at_once_come_one_by_one(stage: Stage) -> None:
    # A title that was written with what was read before a deletion would have taken the deletion back.
    stage.store.gate.clear()
    tasks = [
        asyncio.create_task(stage.room.rename("Second")),
        asyncio.create_task(stage.room.delete()),
        asyncio.create_task(stage.room.rename("Third")),
        asyncio.create_task(stage.room.delete()),
    ]
    await settled()
    stage.now_ms += 10**9
    stage.lobby.sweep()
    assert ROOM_ID in stage.lobby.rooms, "what waits must not write beside another room"
    stage.store.gate.set()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [type(None), type(None), Refused, Refused]
    kept = stage.store.workspaces[ROOM_ID]
    assert (kept.title, kept.deleted_at_ms is not None) == ("Second", True)
    with pytest.raises(Refused) as caught:
        await stage.room.import_files("person:ann", {"b.py": ""})
    assert caught.value.code is Code.WORKSPACE_DELETED


async def test_a_restore_that_came_late_does_not_take_back_a_newer_deletion(stage: Stage) -> None:
    await stage.room.delete()
    stage.lobby.rooms.clear()
    stage.store.gate.clear()
    restoring = [asyncio.create_task(stage.lobby.restore(ROOM_ID, "owner-key")) for _ in range(2)]
    await settled()
    stage.store.gate.set()
    await asyncio.gather(*restoring)
    stage.room = await stage.lobby.enter(ROOM_ID)
    await stage.room.delete()
    assert await refused_to_enter(stage)


async def test_links_that_are_revoked_while_the_room_comes_and_goes_open_nothing(stage: Stage) -> None:
    """Its room had left memory between two of the revocations, and the next one had the leaked link still."""
    steward = Steward(stage.lobby, None)  # type: ignore[arg-type]
    stage.store.gate.clear()
    making = asyncio.create_task(steward.new_links(ROOM_ID, revoke_old=True))
    await settled()
    while not making.done():
        stage.lobby.sweep(0.0)
        await stage.lobby.enter(ROOM_ID)
        stage.store.gate.set()
        stage.store.gate.clear()
        await settled()
    stage.store.gate.set()
    room = await stage.lobby.enter(ROOM_ID)
    for key in KEYS.values():
        with pytest.raises(Refused) as caught:
            room.find_link(key)
        assert caught.value.code is Code.LINK_REVOKED
    assert {role: room.find_link(link.key).role for role, link in (await making).items()} == {  # type: ignore[union-attr]
        role: role for role in KEYS
    }


async def test_a_room_stays_in_memory_while_a_link_of_it_is_being_kept(stage: Stage) -> None:
    stage.store.gate.clear()
    revoking = asyncio.create_task(stage.room.put_link(stage.room.links["link-editor"]._replace(revoked_at_ms=1)))
    await settled()
    stage.lobby.sweep(0.0)
    assert await stage.lobby.enter(ROOM_ID) is stage.room
    stage.store.gate.set()
    await revoking
    stage.lobby.sweep(0.0)
    assert stage.lobby.rooms == {}


async def test_a_link_that_was_kept_beside_a_new_room_is_not_told_as_done(stage: Stage) -> None:
    stage.store.gate.clear()
    revoking = asyncio.create_task(stage.room.put_link(stage.room.links["link-editor"]._replace(revoked_at_ms=1)))
    await settled()
    stage.room.fail(RuntimeError("a mistake of ours"))
    await stage.lobby.enter(ROOM_ID)
    stage.store.gate.set()
    with pytest.raises(Unavailable):
        await revoking

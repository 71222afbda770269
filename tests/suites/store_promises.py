"""The promises of ``rooms.store``, stated once for every engine.

An engine's test module makes a `StoreUnderTest`, gives it by a fixture named `engine`, and subclasses `StorePromises`.
Every read is asked twice: of the store that wrote, and of one that was opened anew, as after a restart.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Protocol

import pytest

from carets import limits
from carets.protocol.messages import FileRecord
from carets.rooms.store import (
    Batch,
    ChatEntry,
    Checkpoint,
    FileAppend,
    LinkRecord,
    LogEntry,
    Store,
    StoreFailed,
    WorkspaceRecord,
)

ROOM = "workspace-1"
ANN = "person:ann"
BOB = "person:bob"


class StoreUnderTest(Protocol):
    """One place to keep things, as a server sees it over its life."""

    @property
    def store(self) -> Store:
        """The store, open."""

    async def restart(self) -> None:
        """Let go of the store in an orderly way, and open it anew at the same place."""


class Keeper:
    """A store whose reads may each come after a restart."""

    def __init__(self, engine: StoreUnderTest, restarts: bool) -> None:
        self.engine = engine
        self.restarts = restarts

    @property
    def store(self) -> Store:
        return self.engine.store

    async def reader(self) -> Store:
        if self.restarts:
            await self.engine.restart()
        return self.engine.store


def entry(number: int, author: str = ANN) -> LogEntry:
    return LogEntry(1_700_000_000_000 + number, author, b"update %d" % number)


def updates(seq: int, count: int = 1, file_id: int = 1, claims: list[tuple[int, str]] | None = None) -> Batch:
    entries = [entry(number) for number in range(seq, seq + count)]
    return Batch(ROOM, [FileAppend(file_id, seq, entries, claims or [])])


def bytes_of(first: int, last: int) -> list[bytes]:
    return [b"update %d" % number for number in range(first, last + 1)]


def record(*files: FileRecord, workspace_id: str = ROOM) -> WorkspaceRecord:
    return WorkspaceRecord(workspace_id, "A title", 1_700_000_000_000, list(files or (FileRecord(1, "a.py", "e1"),)))


def link(link_id: str, name: str = "", revoked_at_ms: int | None = None) -> LinkRecord:
    return LinkRecord(link_id, "editor", b"\0hash of " + link_id.encode(), name, 5, None, revoked_at_ms)


def said(number: int, text: str = "") -> ChatEntry:
    at_ms = 1_700_000_000_000 + number
    return ChatEntry(number, at_ms, ANN, "Änn", "#aabbcc", text or f"{number}\n😀", f"nonce {number}")


def chat(first: int, count: int = 1) -> Batch:
    return Batch(ROOM, chat=[said(number) for number in range(first, first + count)])


class StorePromises:
    @pytest.fixture(params=[False, True], ids=["at once", "after a restart"])
    async def keeper(self, engine: StoreUnderTest, request: pytest.FixtureRequest) -> Keeper:
        await engine.store.create_workspace(record(), Batch(ROOM))
        return Keeper(engine, request.param)

    # -- workspaces and links

    async def test_a_workspace_is_kept_with_its_links_files_and_first_updates(self, keeper: Keeper) -> None:
        files = [FileRecord(1, "a.py", "e1"), FileRecord(2, "b/ü.md", "e2", eol="crlf", deleted_at_ms=9)]
        links = [link("z-first"), LinkRecord("a-second", "owner", b"\xff\x00", "näme", 5, 7, 8)]
        workspace = WorkspaceRecord("workspace-2", "Tïtle", 12, files, links)
        first = Batch("workspace-2", [FileAppend(1, 1, [entry(1), entry(2)], [(77, ANN)])])
        await keeper.store.create_workspace(workspace, first)
        store = await keeper.reader()
        assert await store.load_workspace("workspace-2") == workspace
        log = await store.load_file("workspace-2", 1)
        assert log.updates == bytes_of(1, 2)
        assert log.owners == {77: ANN}

    async def test_a_workspace_that_is_not_there_is_none(self, keeper: Keeper) -> None:
        assert await (await keeper.reader()).load_workspace("workspace-9") is None

    async def test_a_workspace_id_is_given_once(self, keeper: Keeper) -> None:
        with pytest.raises(StoreFailed):
            await keeper.store.create_workspace(replace(record(FileRecord(9, "x", "e")), title="Other"), Batch(ROOM))
        assert await (await keeper.reader()).load_workspace(ROOM) == record()

    async def test_a_workspace_whose_first_updates_are_wrong_is_not_made(self, keeper: Keeper) -> None:
        first = Batch("workspace-2", [FileAppend(1, 2, [entry(2)])])
        with pytest.raises(StoreFailed):
            await keeper.store.create_workspace(record(workspace_id="workspace-2"), first)
        assert await (await keeper.reader()).load_workspace("workspace-2") is None

    async def test_links_come_in_the_order_of_their_making(self, keeper: Keeper) -> None:
        for name in ("c", "a", "b"):
            await keeper.store.put_link(ROOM, link(f"link-{name}"))
        await keeper.store.put_link(ROOM, link("link-c", "changed", 99))
        workspace = await (await keeper.reader()).load_workspace(ROOM)
        assert workspace is not None
        assert workspace.links == [link("link-c", "changed", 99), link("link-a"), link("link-b")]

    async def test_a_link_needs_its_workspace(self, keeper: Keeper) -> None:
        with pytest.raises(StoreFailed):
            await keeper.store.put_link("workspace-9", link("link-a"))

    async def test_another_title_and_a_deletion_are_kept_and_taken_back(self, keeper: Keeper) -> None:
        await keeper.store.append(updates(1))
        await keeper.store.append(chat(1))
        for title, deleted_at_ms in (("Tïtle 2", None), ("Tïtle 2", 2**45), ("Back", None)):
            await keeper.store.put_workspace(ROOM, title, deleted_at_ms)
            workspace = await (await keeper.reader()).load_workspace(ROOM)
            assert workspace == replace(record(), title=title, deleted_at_ms=deleted_at_ms, chat=[said(1)])
        await keeper.store.put_workspace(ROOM, "Gone", 5)
        await keeper.store.append(updates(2))
        assert (await (await keeper.reader()).load_file(ROOM, 1)).seq == 2, "the log of a deleted workspace goes on"

    async def test_a_title_needs_its_workspace_and_leaves_others_alone(self, keeper: Keeper) -> None:
        with pytest.raises(StoreFailed):
            await keeper.store.put_workspace("workspace-9", "Other", None)
        await keeper.store.create_workspace(record(workspace_id="workspace-2"), Batch("workspace-2"))
        await keeper.store.put_workspace("workspace-2", "Other", 7)
        assert await (await keeper.reader()).load_workspace(ROOM) == record()

    # -- chat

    async def test_the_chat_is_kept_in_order_and_any_page_of_it_can_be_read(self, keeper: Keeper) -> None:
        for first, count in ((1, 1), (2, 5), (7, 3)):
            await keeper.store.append(chat(first, count))
        store = await keeper.reader()
        for before in (*range(12), 2**53):
            for count_max in range(11):
                expected = [said(number) for number in range(1, 10) if number < before]
                assert await store.read_chat(ROOM, before, count_max) == expected[max(0, len(expected) - count_max) :]
        workspace = await store.load_workspace(ROOM)
        assert workspace is not None
        assert workspace.chat == [said(number) for number in range(1, 10)]

    async def test_a_workspace_comes_with_the_latest_of_its_chat_only(self, keeper: Keeper) -> None:
        count = limits.CHAT_TAIL_ENTRIES + 7
        await keeper.store.append(chat(1, count))
        workspace = await (await keeper.reader()).load_workspace(ROOM)
        assert workspace is not None
        assert workspace.chat == [said(number) for number in range(8, count + 1)]

    @pytest.mark.parametrize("numbers", [[3], [1], [0], [2, 4], [2, 2], [2, 1]])
    async def test_chat_with_a_gap_or_a_number_that_is_taken_leaves_nothing(
        self, keeper: Keeper, numbers: list[int]
    ) -> None:
        await keeper.store.append(chat(1))
        new = FileRecord(2, "new.py", "e2")
        with pytest.raises(StoreFailed):
            await keeper.store.append(replace(updates(1), files=[new], chat=[said(number) for number in numbers]))
        store = await keeper.reader()
        assert await store.load_workspace(ROOM) == replace(record(), chat=[said(1)])
        assert (await store.load_file(ROOM, 1)).seq == 0
        await store.append(replace(updates(1), chat=[said(2)]))
        assert await (await keeper.reader()).read_chat(ROOM, 9, 9) == [said(1), said(2)]

    async def test_each_workspace_has_a_chat_of_its_own(self, keeper: Keeper) -> None:
        await keeper.store.create_workspace(record(workspace_id="workspace-2"), Batch("workspace-2"))
        await keeper.store.append(chat(1, 2))
        await keeper.store.append(Batch("workspace-2", chat=[said(1, "other")]))
        store = await keeper.reader()
        assert await store.read_chat("workspace-2", 9, 9) == [said(1, "other")]
        assert await store.read_chat(ROOM, 9, 9) == [said(1), said(2)]
        with pytest.raises(StoreFailed):
            await store.read_chat("workspace-9", 9, 9)
        with pytest.raises(StoreFailed):
            await store.append(Batch("workspace-9", chat=[said(1)]))

    async def test_chat_is_kept_as_it_was_when_it_was_given(self, keeper: Keeper) -> None:
        batch = chat(1, 2)
        task = asyncio.ensure_future(keeper.store.append(batch))
        await asyncio.sleep(0)
        batch.chat.clear()
        await task
        assert await (await keeper.reader()).read_chat(ROOM, 9, 9) == [said(1), said(2)]

    # -- how much there is of it

    async def test_the_bytes_of_all_that_is_kept_are_counted_with_it(self, keeper: Keeper) -> None:
        async def told() -> int:
            workspace = await (await keeper.reader()).load_workspace(ROOM)
            assert workspace is not None
            return workspace.log_bytes

        bytes_kept = Batch(ROOM, files=record().files).log_bytes
        assert await told() == bytes_kept > len("a.py")
        both = replace(updates(1, 3, claims=[(7, ANN)]), chat=[said(1, "ü" * 1000)])
        for batch in (both, updates(4), chat(2, 2), Batch(ROOM, files=[FileRecord(2, "b/ü.md", "e2")]), Batch(ROOM)):
            await keeper.store.append(batch)
            bytes_kept += batch.log_bytes
            assert await told() == bytes_kept
        assert both.log_bytes > 3 * len(b"update 1") + 2000, "an umlaut is two bytes"
        with pytest.raises(StoreFailed):
            await keeper.store.append(replace(updates(9), chat=[said(4)]))
        assert await told() == bytes_kept, "what is not kept does not count"
        await keeper.store.put_workspace(ROOM, "Other", 5)
        await keeper.store.put_checkpoint(ROOM, 1, Checkpoint(2, b"state"))
        assert await told() == bytes_kept, "nor does what can be made anew"

    async def test_the_bytes_of_a_new_workspace_are_those_of_its_files(self, keeper: Keeper) -> None:
        first = Batch("workspace-2", [FileAppend(1, 1, [entry(1)], [(77, ANN)])])
        await keeper.store.create_workspace(record(workspace_id="workspace-2"), first)
        workspace = await (await keeper.reader()).load_workspace("workspace-2")
        assert workspace is not None
        assert workspace.log_bytes == replace(first, files=record().files).log_bytes

    # -- the log

    async def test_a_file_without_updates_has_an_empty_log(self, keeper: Keeper) -> None:
        log = await (await keeper.reader()).load_file(ROOM, 1)
        assert (log.checkpoint, log.updates, log.owners, log.former_client_ids) == (None, [], {}, frozenset())
        assert log.seq == 0

    async def test_what_append_returned_for_is_loaded(self, keeper: Keeper) -> None:
        await keeper.store.append(updates(1, 3, claims=[(2**53 - 1, ANN)]))
        await keeper.store.append(updates(4, 1))
        await keeper.store.append(updates(5, 2, claims=[(0, BOB)]))
        log = await (await keeper.reader()).load_file(ROOM, 1)
        assert log.updates == bytes_of(1, 6)
        assert log.owners == {2**53 - 1: ANN, 0: BOB}
        assert log.seq == 6

    async def test_files_of_a_batch_count_before_its_updates(self, keeper: Keeper) -> None:
        renamed, new = FileRecord(1, "z.py", "e1", deleted_at_ms=4), FileRecord(2, "new.py", "e2", "crlf")
        await keeper.store.append(Batch(ROOM, updates(1, file_id=2).appends, [new, renamed], 5))
        store = await keeper.reader()
        assert await store.load_workspace(ROOM) == record(renamed, new)
        assert (await store.load_file(ROOM, 2)).updates == bytes_of(1, 1)

    @pytest.mark.parametrize(
        "wrong",
        [
            pytest.param(FileAppend(1, 3, [entry(3)]), id="a gap"),
            pytest.param(FileAppend(1, 1, [entry(9)]), id="a number that is taken"),
            pytest.param(FileAppend(1, 0, [entry(0)]), id="number 0"),
            pytest.param(FileAppend(9, 1, [entry(1)]), id="an unknown file"),
            pytest.param(FileAppend(1, 2, [entry(2)], [(7, BOB)]), id="a client id that is somebody else's"),
        ],
    )
    async def test_a_batch_with_one_wrong_part_leaves_nothing(self, keeper: Keeper, wrong: FileAppend) -> None:
        await keeper.store.append(updates(1, claims=[(7, ANN)]))
        new = FileRecord(2, "new.py", "e2")
        bad = Batch(ROOM, [FileAppend(2, 1, [entry(1)], [(8, ANN)]), wrong], [new])
        with pytest.raises(StoreFailed):
            await keeper.store.append(bad)
        store = await keeper.reader()
        assert await store.load_workspace(ROOM) == record()
        assert (await store.load_file(ROOM, 1)).updates == bytes_of(1, 1)
        assert (await store.load_file(ROOM, 1)).owners == {7: ANN}
        await store.append(updates(2, claims=[(7, ANN)]))
        assert (await (await keeper.reader()).load_file(ROOM, 1)).seq == 2

    async def test_an_unknown_workspace_takes_nothing(self, keeper: Keeper) -> None:
        with pytest.raises(StoreFailed):
            await keeper.store.append(Batch("workspace-9", [FileAppend(1, 1, [entry(1)])]))
        with pytest.raises(StoreFailed):
            await keeper.store.append(Batch("workspace-9", [], [FileRecord(1, "a.py", "e1")]))
        with pytest.raises(StoreFailed):
            await keeper.store.load_file(ROOM, 9)

    async def test_batches_become_durable_in_the_order_of_their_calls(self, keeper: Keeper) -> None:
        await asyncio.gather(*(keeper.store.append(updates(seq)) for seq in range(1, 41)))
        assert (await (await keeper.reader()).load_file(ROOM, 1)).updates == bytes_of(1, 40)

    async def test_a_batch_is_kept_as_it_was_when_it_was_given(self, keeper: Keeper) -> None:
        batch = updates(1, 2, claims=[(7, ANN)])
        task = asyncio.ensure_future(keeper.store.append(batch))
        await asyncio.sleep(0)
        batch.appends[0].claims.clear()
        batch.appends[0].entries.clear()
        batch.appends.clear()
        await task
        log = await (await keeper.reader()).load_file(ROOM, 1)
        assert (log.updates, log.owners) == (bytes_of(1, 2), {7: ANN})

    async def test_a_cancelled_append_is_there_whole_or_not_at_all(self, keeper: Keeper) -> None:
        task = asyncio.ensure_future(keeper.store.append(updates(1, 2, claims=[(7, ANN)])))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        log = await (await keeper.reader()).load_file(ROOM, 1)
        assert (log.updates, log.owners) in ((bytes_of(1, 2), {7: ANN}), ([], {}))
        await keeper.store.append(updates(log.seq + 1))
        assert (await keeper.store.load_file(ROOM, 1)).seq == log.seq + 1

    async def test_the_log_tells_who_and_when(self, keeper: Keeper) -> None:
        entries = [LogEntry(50, ANN, b"\x00\xff"), LogEntry(40, BOB, b""), LogEntry(2**45, "link:ü", b"x" * 70_000)]
        await keeper.store.append(Batch(ROOM, [FileAppend(1, 1, entries)]))
        assert await (await keeper.reader()).read_log(ROOM, 1, 0, 10) == entries

    async def test_any_range_of_the_log_can_be_read(self, keeper: Keeper) -> None:
        for seq, count in ((1, 1), (2, 5), (7, 3)):
            await keeper.store.append(updates(seq, count))
        store = await keeper.reader()
        for after in range(11):
            for count_max in range(11):
                expected = [entry(number) for number in range(after + 1, min(9, after + count_max) + 1)]
                assert await store.read_log(ROOM, 1, after, count_max) == expected

    # -- checkpoints

    @pytest.mark.parametrize("seq", range(6))
    async def test_a_checkpoint_stands_for_the_log_before_it(self, keeper: Keeper, seq: int) -> None:
        await keeper.store.append(updates(1, 3, claims=[(7, ANN)]))
        await keeper.store.append(updates(4, 2))
        await keeper.store.put_checkpoint(ROOM, 1, Checkpoint(seq, b"\x00state"))
        store = await keeper.reader()
        log = await store.load_file(ROOM, 1)
        assert (log.checkpoint, log.updates, log.owners) == ((seq, b"\x00state"), bytes_of(seq + 1, 5), {7: ANN})
        assert log.seq == 5
        assert await store.read_log(ROOM, 1, 0, 10) == [entry(number) for number in range(1, 6)]

    async def test_the_newest_checkpoint_stays(self, keeper: Keeper) -> None:
        await keeper.store.append(updates(1, 5))
        for seq in (2, 4, 3):
            await keeper.store.put_checkpoint(ROOM, 1, Checkpoint(seq, b"state %d" % seq))
        assert (await (await keeper.reader()).load_file(ROOM, 1)).checkpoint == (4, b"state 4")

    async def test_a_checkpoint_beyond_the_log_is_not_taken(self, keeper: Keeper) -> None:
        await keeper.store.append(updates(1, 2))
        with pytest.raises(StoreFailed):
            await keeper.store.put_checkpoint(ROOM, 1, Checkpoint(3, b"state"))
        with pytest.raises(StoreFailed):
            await keeper.store.put_checkpoint(ROOM, 9, Checkpoint(0, b"state"))
        assert (await (await keeper.reader()).load_file(ROOM, 1)).updates == bytes_of(1, 2)

    # -- quarantine

    async def test_a_quarantined_update_is_loaded_as_empty_bytes(self, keeper: Keeper) -> None:
        await keeper.store.append(updates(1, 4))
        await keeper.store.put_checkpoint(ROOM, 1, Checkpoint(1, b"state"))
        for _ in range(2):
            await keeper.store.quarantine(ROOM, 1, 3)
        store = await keeper.reader()
        log = await store.load_file(ROOM, 1)
        assert (log.checkpoint, log.updates) == ((1, b"state"), [b"update 2", b"", b"update 4"])
        assert await store.read_log(ROOM, 1, 2, 1) == [entry(3)]

    async def test_a_checkpoint_that_covers_a_quarantined_update_is_gone(self, keeper: Keeper) -> None:
        await keeper.store.append(updates(1, 3))
        await keeper.store.put_checkpoint(ROOM, 1, Checkpoint(3, b"state"))
        await keeper.store.quarantine(ROOM, 1, 2)
        log = await (await keeper.reader()).load_file(ROOM, 1)
        assert (log.checkpoint, log.updates) == (None, [b"update 1", b"", b"update 3"])

    async def test_only_what_is_in_the_log_can_be_quarantined(self, keeper: Keeper) -> None:
        await keeper.store.append(updates(1))
        for file_id, seq in ((1, 0), (1, 2), (9, 1)):
            with pytest.raises(StoreFailed):
                await keeper.store.quarantine(ROOM, file_id, seq)
        await keeper.store.append(updates(2))
        assert (await (await keeper.reader()).load_file(ROOM, 1)).updates == bytes_of(1, 2)

    # -- probes

    async def test_a_probe_leaves_everything_as_it_was(self, keeper: Keeper) -> None:
        await keeper.store.append(updates(1, 3))
        for bytes_count in (1, 1 << 20, 1):
            await keeper.store.probe(bytes_count)
        store = await keeper.reader()
        assert await store.load_workspace(ROOM) == record()
        assert (await store.load_file(ROOM, 1)).updates == bytes_of(1, 3)

    # -- earlier lives of a path

    async def test_client_ids_of_a_deleted_file_at_the_same_path_are_former(self, keeper: Keeper) -> None:
        await keeper.store.append(updates(1, claims=[(7, ANN)]))
        gone = FileRecord(1, "a.py", "e1", deleted_at_ms=5)
        await keeper.store.append(
            Batch(ROOM, updates(1, 1, 2, [(8, ANN)]).appends, [gone, FileRecord(2, "a.py", "e2")])
        )
        store = await keeper.reader()
        assert (await store.load_file(ROOM, 2)).former_client_ids == {7}
        assert (await store.load_file(ROOM, 2)).owners == {8: ANN}
        assert (await store.load_file(ROOM, 1)).former_client_ids == {8}

    async def test_client_ids_of_a_file_that_was_renamed_away_are_former(self, keeper: Keeper) -> None:
        await keeper.store.append(updates(1, claims=[(7, ANN)]))
        files = [FileRecord(1, "old.py", "e1"), FileRecord(2, "a.py", "e2"), FileRecord(3, "c.py", "e3")]
        await keeper.store.append(Batch(ROOM, [], files))
        store = await keeper.reader()
        assert (await store.load_file(ROOM, 2)).former_client_ids == {7}
        assert (await store.load_file(ROOM, 3)).former_client_ids == frozenset()
        assert (await store.load_file(ROOM, 1)).former_client_ids == frozenset()

    async def test_a_new_epoch_is_a_new_log_and_the_old_client_ids_are_former(self, keeper: Keeper) -> None:
        await keeper.store.append(updates(1, 3, claims=[(7, ANN)]))
        await keeper.store.put_checkpoint(ROOM, 1, Checkpoint(3, b"state"))
        await keeper.store.append(Batch(ROOM, updates(1, 2, 1, [(8, BOB)]).appends, [FileRecord(1, "a.py", "e9")]))
        log = await (await keeper.reader()).load_file(ROOM, 1)
        assert (log.checkpoint, log.updates, log.owners) == (None, bytes_of(1, 2), {8: BOB})
        assert log.former_client_ids == {7}

    async def test_other_workspaces_are_none_of_its_business(self, keeper: Keeper) -> None:
        other = record(workspace_id="workspace-2")
        claims = [(7, BOB)]
        await keeper.store.create_workspace(other, Batch("workspace-2", [FileAppend(1, 1, [entry(1, BOB)], claims)]))
        await keeper.store.append(Batch(ROOM, [], [FileRecord(1, "a.py", "e1", deleted_at_ms=1)]))
        store = await keeper.reader()
        log = await store.load_file(ROOM, 1)
        assert (log.updates, log.owners, log.former_client_ids) == ([], {}, frozenset())
        assert await store.load_workspace("workspace-2") == other

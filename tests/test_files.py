"""The list of files: unique paths, ids that are never given twice, tombstones."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carets import limits
from carets.errors import Code, Refused
from carets.protocol.messages import FileRecord
from carets.rooms.files import FileTable

DAY_MS = 24 * 3600 * 1000


def refused(call: object, *arguments: object) -> Code:
    with pytest.raises(Refused) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.code


def table_of(*paths: str) -> FileTable:
    return FileTable([FileRecord(number, path, "e") for number, path in enumerate(paths, 1)])


def test_what_is_admitted_counts_against_what_comes_next_but_is_not_there_yet() -> None:
    table = table_of()
    record = table.create("a.py", "lf", "e1")
    assert refused(table.create, "a.py", "lf", "e2") is Code.PATH_TAKEN
    assert refused(table.live, record.file_id) is Code.FILE_UNKNOWN
    table.commit([record])
    assert table.live(1) is table.at_path("a.py") is table.at_path("~1") is record


def test_a_failed_commit_leaves_the_committed_list() -> None:
    table = table_of("a.py", "d/b.py")
    table.create("c.py", "lf", "e")
    table.rename(1, "z.py")
    table.delete(2, 5)
    table.fall_back()
    assert refused(table.rename, 2, "a.py") is Code.PATH_TAKEN
    assert refused(table.create, "d", "lf", "e") is Code.PATH_TAKEN
    assert table.create("c.py", "lf", "e").file_id == 3
    assert table.create("z.py", "lf", "e").path == "z.py"
    assert [record.path for record in table.listed()] == ["a.py", "d/b.py"]


@pytest.mark.parametrize("first,second", [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("é", "e\u0301"), ("a/b/c", "a")])
def test_two_files_never_stand_in_each_others_way(first: str, second: str) -> None:
    table = table_of()
    table.create(first, "lf", "e")
    assert refused(table.create, second, "lf", "e") is Code.PATH_TAKEN
    table.delete(1, 0)
    assert table.create(second, "lf", "e").file_id == 2
    assert refused(table.restore, 1, None, 1) is Code.PATH_TAKEN
    assert table.restore(1, "elsewhere", 1).path == "elsewhere"


def test_a_file_may_move_into_a_folder_of_its_own_name_and_back() -> None:
    table = table_of("a")
    assert table.rename(1, "a/b").path == "a/b"
    assert table.rename(1, "a").path == "a"
    assert table.rename(1, "a").path == "a"
    table.create("b/c", "lf", "e")
    assert refused(table.rename, 1, "b") is Code.PATH_TAKEN


def test_tombstones_can_be_restored_for_thirty_days() -> None:
    table = table_of("a")
    assert table.delete(1, 1000).deleted_at_ms == 1000
    assert (refused(table.delete, 1, 0), refused(table.rename, 1, "b")) == (Code.FILE_DELETED, Code.FILE_DELETED)
    assert table.is_deleted(1)
    assert table.is_deleted(9)
    late = 1000 + limits.TOMBSTONE_DAYS * DAY_MS + 1
    assert refused(table.restore, 1, None, late) is Code.FILE_DELETED
    assert table.restore(1, None, late - 1).deleted_at_ms is None
    assert table.restore(1, None, late).path == "a"


def test_what_is_not_there_is_said() -> None:
    table = table_of("a")
    table.commit([table.delete(1, 5)])
    assert refused(table.live, 1) is refused(table.at_path, "~1") is Code.FILE_DELETED
    for path in ("a", "~2", "~", "~-1", "~1.0", "~" + "9" * 11, "~٣"):
        assert refused(table.at_path, path) is Code.FILE_UNKNOWN
    assert refused(table.at_path, "../a") is Code.PATH_INVALID
    for call, arguments in ((table.rename, (9, "b")), (table.delete, (9, 0)), (table.restore, (9, None, 0))):
        assert refused(call, *arguments) is Code.FILE_UNKNOWN


def test_the_list_has_an_end_and_tombstones_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FILES_MAX", 2)
    table = table_of("a", "b")
    table.delete(1, 0)
    assert refused(table.create, "c", "lf", "e") is Code.FILES_TOO_MANY


def test_as_many_files_as_there_may_be_are_made_in_no_time() -> None:
    # Each new path was once held against all others: 2,500 files stopped the server for three seconds.
    table = table_of()
    began = time.perf_counter()
    for number in range(limits.FILES_MAX):
        table.create(f"folder/{number % 50}/{number}.py", "lf", "e")
    assert time.perf_counter() - began < 2


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["create", "rename", "delete", "restore", "commit", "fall_back"]),
        st.integers(1, 6),
        st.sampled_from(["a", "b", "a/b", "a/c", "a/b/c", "b/a", "é"]),
    ),
    max_size=40,
)


@given(OPERATIONS)
def test_whatever_is_done_paths_stay_unique_and_ids_are_never_reused(operations: list[tuple[str, int, str]]) -> None:
    table = table_of()
    pending: list[FileRecord] = []
    for what, file_id, path in operations:
        try:
            match what:
                case "create":
                    pending.append(table.create(path, "lf", "e"))
                case "rename":
                    pending.append(table.rename(file_id, path))
                case "delete":
                    pending.append(table.delete(file_id, 0))
                case "restore":
                    pending.append(table.restore(file_id, path, 0))
                case "commit":
                    before = set(table.committed)
                    table.commit(pending)
                    assert set(table.committed) - before == {r.file_id for r in pending} - before
                    pending = []
                case _:
                    table.fall_back()
                    pending = []
        except Refused:
            continue
        for records in (table.committed.values(), table._admitted.values()):
            live = [record.path for record in records if record.deleted_at_ms is None]
            assert len(live) == len(set(live))
            assert not [(one, two) for one in live for two in live if two.startswith(one + "/")]
        by_path = {record.path: record.file_id for record in table._admitted.values() if record.deleted_at_ms is None}
        assert table._paths == by_path
        assert +table._folders == FileTable(list(table._admitted.values()))._folders


# -- folders


def paths_of(table: FileTable) -> list[str]:
    """The admitted paths, tombstones left out."""
    return [record.path for record in table._admitted.values() if record.deleted_at_ms is None]


def test_a_folder_moves_with_all_that_is_below_it_and_nothing_else() -> None:
    table = table_of("src/a", "src/lib/b", "srcx/c", "src.py", "z")
    assert [(record.file_id, record.path) for record in table.rename_folder("src", "d/e")] == [
        (1, "d/e/a"),
        (2, "d/e/lib/b"),
    ]
    assert paths_of(table) == ["d/e/a", "d/e/lib/b", "srcx/c", "src.py", "z"]
    assert table.create("src", "lf", "e").path == "src", "the old folder is gone"
    assert refused(table.create, "d/e", "lf", "e") is Code.PATH_TAKEN


def test_a_folder_may_move_up_into_its_own_name_and_to_where_it_is() -> None:
    table = table_of("a/b/x", "a/b/b/y")
    assert [record.path for record in table.rename_folder("a/b", "a")] == ["a/x", "a/b/y"]
    assert [record.path for record in table.rename_folder("a", "a")] == ["a/x", "a/b/y"]


@pytest.mark.parametrize(
    "path,to,code",
    [
        ("a", "a/b/c", Code.PATH_INVALID),
        ("a", "../a", Code.PATH_INVALID),
        ("a", "x" * 507, Code.PATH_INVALID),
        ("a", "b", Code.PATH_TAKEN),
        ("a", "c.py", Code.PATH_TAKEN),
        ("a", "c.py/d", Code.PATH_TAKEN),
        ("gone", "d", Code.FILE_UNKNOWN),
        ("c.py", "d", Code.FILE_UNKNOWN),
        ("", "d", Code.PATH_INVALID),
    ],
)
def test_a_folder_that_cannot_move_whole_does_not_move_at_all(path: str, to: str, code: Code) -> None:
    table = table_of("a/x", "a/b/y.py", "a/long.py", "b/z", "c.py", "gone/w")
    table.delete(6, 1)
    before = paths_of(table)
    assert refused(table.rename_folder, path, to) is code
    assert paths_of(table) == before
    for each in before:
        assert refused(table.create, each, "lf", "e") is Code.PATH_TAKEN
    assert [record.path for record in table.rename_folder("a", "d")] == ["d/x", "d/b/y.py", "d/long.py"]


def test_folders_that_are_gone_leave_nothing_behind() -> None:
    table = table_of("d/e/x.py", "y.py")
    for number in range(50):
        table.rename_folder(f"d{number - 1}" if number else "d", f"d{number}")
    assert set(table._folders) == {"d49", "d49/e"}


def test_a_folder_is_deleted_at_once_and_its_files_can_come_back_one_by_one() -> None:
    table = table_of("a/x", "a/b/y", "ab/z")
    assert [(record.file_id, record.deleted_at_ms) for record in table.delete_folder("a", 7)] == [(1, 7), (2, 7)]
    assert refused(table.delete_folder, "a", 8) is Code.FILE_UNKNOWN
    assert paths_of(table) == ["ab/z"]
    assert table.restore(2, None, 8).path == "a/b/y"


def test_what_is_admitted_as_a_whole_is_taken_back_as_a_whole() -> None:
    table = table_of("a")

    def change() -> None:
        with table.whole():
            table.create("b", "lf", "e")
            table.rename(1, "c")
            table.create("c", "lf", "e")

    assert refused(change) is Code.PATH_TAKEN
    assert paths_of(table) == ["a"]
    assert table.create("b", "lf", "e").file_id == 2

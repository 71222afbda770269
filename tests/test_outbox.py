"""One member's outbox: one write a turn, parts in turns, and an end to what waits."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from carets import limits
from carets.errors import Code, Refused
from carets.rooms.outbox import Outbox
from tests.stage import StageLine


def pieces(name: str, count: int, size: int = 10) -> Iterator[bytes]:
    return (f"{name}{number}".ljust(size).encode() for number in range(count))


def test_a_turn_is_one_write() -> None:
    line = StageLine()
    outbox = Outbox(line)
    outbox.flush()
    outbox.put(b"a")
    outbox.put(b"b")
    assert outbox.flush() == []
    assert line.writes == [b"ab"]
    assert outbox.flush() == []
    assert line.writes == [b"ab"]


def test_parts_of_several_files_take_turns_and_ordinary_pieces_go_first() -> None:
    line = StageLine()
    outbox = Outbox(line)
    outbox.put_bulk(1, pieces("x", 2, 2))
    outbox.put_bulk(2, pieces("y", 3, 2))
    outbox.put(b"now")
    assert outbox.flush() == [1, 2]
    assert line.writes == [b"now", b"x0", b"y0", b"x1", b"y1", b"y2"]
    assert not outbox.has_bulk(2)


def test_parts_are_cut_only_while_there_is_room() -> None:
    line = StageLine()
    line.is_stuck = True
    outbox = Outbox(line)
    outbox.put_bulk(1, pieces("x", 100, limits.PART_BYTES_MAX))
    for drained in range(1, 50):
        assert outbox.flush() == []
        assert len(line.writes) == 2 * drained
        assert not outbox.lagging, "a member that only takes long to read a large file does not lag"
        outbox.flush()
        line.waiting = 0
        outbox.drained()


def test_a_member_lags_until_its_line_took_everything() -> None:
    line = StageLine()
    line.is_stuck = True
    outbox = Outbox(line)
    outbox.put(b"x" * limits.OUTBOX_BYTES_LAGGING)
    outbox.flush()
    assert outbox.describe()["lagging"] is False
    outbox.put(b"x")
    outbox.flush()
    assert outbox.describe()["lagging"] is True
    line.waiting = 0
    outbox.put(b"x")
    outbox.flush()
    assert outbox.describe()["lagging"] is True, "only the line says when it has drained"
    outbox.drained()
    assert outbox.describe()["lagging"] is False


def test_a_close_comes_after_what_was_put_and_drops_what_goes_in_parts() -> None:
    line = StageLine()
    outbox = Outbox(line)
    outbox.put_bulk(1, pieces("x", 9))
    outbox.put(b"last")
    outbox.close(Refused(Code.FILE_DELETED))
    assert line.writes == [b"last"]
    assert line.closed_with is not None
    assert outbox.describe() == {"lagging": False, "bulk_files": []}


def test_a_closed_file_is_forgotten_and_the_others_are_not() -> None:
    line = StageLine()
    outbox = Outbox(line)
    outbox.put_bulk(1, pieces("x", 2))
    outbox.put_bulk(2, pieces("y", 1))
    outbox.forget(1)
    assert (outbox.has_bulk(1), outbox.flush()) == (False, [2])


@given(st.lists(st.tuples(st.sampled_from(["put", "bulk", "flush", "drain"]), st.integers(1, 3)), max_size=60))
def test_everything_leaves_once_and_in_the_order_of_its_file(steps: list[tuple[str, int]]) -> None:
    line = StageLine()
    line.is_stuck = True
    outbox = Outbox(line)
    expected: dict[int, list[bytes]] = {}
    for step, file_id in [*steps, ("flush", 0), *[("drain", 0), ("flush", 0)] * 60]:
        if step == "bulk" and not outbox.has_bulk(file_id):
            frames = [bytes((file_id, len(expected.get(file_id, ())))) * 20_000 for _ in range(3)]
            expected.setdefault(file_id, []).extend(frames)
            outbox.put_bulk(file_id, iter(frames))
        elif step == "flush":
            outbox.flush()
        elif step == "drain":
            line.waiting = 0
            outbox.drained()
        assert line.waiting <= limits.OUTBOX_BYTES_FULL + 40_000
    for file_id, frames in expected.items():
        assert [data for data in line.writes if data[0] == file_id] == frames

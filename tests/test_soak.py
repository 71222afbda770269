"""A short soak, and whether its judges would notice what they are there for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.ledger import Ledger, new_piece, pieces_of
from tests.soak.run import Plan, Result, soak
from tests.soak.table import table
from tests.soak.watch import Sample, memory_of

PLACE = "room/1"
NOTHING = Sample(*[0] * len(Sample._fields))


@pytest.mark.slow
async def test_a_crowd_that_comes_and_goes_loses_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    plan = Plan(
        folder=tmp_path,
        seconds=6,
        rooms=3,
        members=25,
        processes=1,
        seed=1,
        csv=tmp_path / "samples.csv",
        pace_s=0.2,
        slot_s=3,
        life_s=4,
        idle_s=0.5,
        sweep_s=0.2,
        every_s=1,
    )
    result = await soak(plan)
    assert result.is_right, table(plan, result)
    assert result.texts_compared > 5
    assert len(result.verdicts) == 3 * 3 * 3
    assert sum(verdict.acked for verdict in result.verdicts.values()) > 50
    for what in ("joins", "stock joins", "edits"):
        assert result.counts[what], f"the crowd did without {what}"
    assert max(sample.members for sample in result.samples) > 10
    assert max(sample.tasks for sample in result.samples) > result.baseline.tasks + 10
    assert (tmp_path / "samples.csv").read_text().startswith(",".join(Sample._fields))


def right() -> Result:
    ledger = ledger_of(typed=[1], acked=[1])
    return Result(NOTHING, [], None, end=NOTHING, verdicts={PLACE: ledger.judge(PLACE, new_piece(0, 1))}, status=0)


def ledger_of(**kinds: list[int]) -> Ledger:
    """Pieces of member 0, by what happened to them."""
    ledger = Ledger()
    for kind, ids in kinds.items():
        getattr(ledger, kind)[PLACE].update(ids)
    return ledger


@pytest.mark.parametrize(
    "text,kinds,wrong",
    [
        ("<0.1><0.2:xx>", {"typed": [1, 2], "acked": [1, 2]}, {}),
        ("<0.1>", {"typed": [1, 2], "acked": [1]}, {}),
        ("<0.1>", {"typed": [1, 2], "acked": [1, 2]}, {"lost": 1}),
        ("", {"typed": [1], "seen": [1]}, {"lost": 1}),
        ("", {"typed": [1], "acked": [1], "deleted": [1]}, {}),
        ("<0.1>", {"typed": [1], "acked": [1], "deleted": [1]}, {}),
        ("<0.1>", {"typed": [1], "acked": [1], "deleted": [1], "gone": [1]}, {"undead": 1}),
        ("<0.1><0.1>", {"typed": [1], "acked": [1]}, {"doubled": 1}),
        ("<0.1><0.2>", {"typed": [1], "acked": [1]}, {"strange": 1}),
        ("<0.1>0.2>", {"typed": [1], "acked": [1]}, {"strange": 4}),
    ],
)
def test_a_text_is_held_to_what_was_typed_seen_and_told(
    text: str, kinds: dict[str, list[int]], wrong: dict[str, int]
) -> None:
    verdict = ledger_of(**kinds).judge(PLACE, text)
    names = ("lost", "doubled", "undead", "strange")
    assert {name: getattr(verdict, name) for name in names} == dict.fromkeys(names, 0) | wrong
    assert verdict.is_right == (not wrong)


def test_ledgers_of_several_generators_are_one(tmp_path: Path) -> None:
    merged = ledger_of(typed=[1])
    ledger_of(typed=[2], gone=[1]).write(tmp_path / "other.json")
    merged.add(tmp_path / "other.json")
    assert (merged.typed[PLACE], merged.gone[PLACE]) == ({1, 2}, {1})
    assert pieces_of(new_piece(3, 7) + new_piece(3, 8, "xx")) == [3_000_007, 3_000_008]


@pytest.mark.parametrize("growth,is_flat", [(0.0, True), (0.09, True), (0.11, False), (-0.11, False)])
def test_memory_is_flat_when_its_medians_hardly_differ(growth: float, is_flat: bool) -> None:
    late = 30
    samples = [
        NOTHING._replace(at_s=at, rss_bytes=int(1e8 * (1 + (growth if at >= late else 0))) if at != 32 else 10**9)
        for at in range(40)
    ]
    memory = memory_of(samples, warm_up_s=10)
    assert memory is not None
    assert memory.is_flat == is_flat
    assert memory_of(samples[:12], warm_up_s=10) is None


@pytest.mark.parametrize(
    "change,words",
    [
        ({}, ""),
        ({"end": None}, "were left"),
        ({"end": NOTHING._replace(rooms=1)}, "were left"),
        ({"end": NOTHING._replace(tasks=1)}, "tasks, file"),
        ({"end": NOTHING._replace(fds=1)}, "tasks, file"),
        ({"texts_different": ["room/1"]}, "differ"),
        ({"changed_by_reload": ["room/1"]}, "differ"),
        ({"verdicts": {}}, "pieces"),
        ({"errors": ["x"]}, "failed"),
        ({"status": 1}, "status"),
    ],
)
def test_a_soak_is_wrong_when_any_of_it_is(change: dict[str, object], words: str) -> None:
    result = right()
    for name, value in change.items():
        setattr(result, name, value)
    assert words in "; ".join(result.wrong)
    assert result.is_right == (not change)

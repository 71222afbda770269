"""The fuzzer in small, and that it sees what it is there to see. At length it is ``make fuzz``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from carets.protocol.admission import Gate
from carets.protocol.origins import Origins
from tests.fuzz import supervisor
from tests.fuzz.session import Failure, Session, Tally
from tests.fuzz.worker import PULSE, run_case


def test_hostile_updates_do_no_harm_and_yjs_sees_the_same() -> None:
    totals = supervisor.run(7, 0, 3_000)
    assert totals.failures == []
    assert totals.sums["compared"] > 0
    verdicts = {verdict for row in totals.counts.values() for verdict in row}
    refusals = {"MALFORMED_UPDATE", "ILLEGAL_UPDATE", "SPLIT_CHARACTER", "CLIENT_ID_TAKEN", "CLIENT_IDS_TOO_MANY"}
    assert verdicts >= {"admitted", "gap", "no-op", "DOCUMENT_TOO_LARGE", *refusals}


def first_failure(sessions: int) -> str:
    for number in range(sessions):
        try:
            Session(f"broken/{number}", Tally()).run()
        except Failure as failure:
            return str(failure)
    return "none"


def test_it_sees_a_gate_that_admits_what_makes_two_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Origins, "may_meet", lambda *_: True)
    assert "another text" in first_failure(20)


def test_it_sees_a_gate_that_refuses_honest_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Origins, "may_meet", lambda _, left, right: left is not None and left[0] == right[0])
    assert "honest" in first_failure(5)


def test_it_sees_an_error_that_is_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gate, "_admit_any", lambda _, update, author: update[len(update)])
    assert "IndexError" in first_failure(1)


@pytest.mark.parametrize(
    "program,words",
    [
        ("import os; os.abort()", "crash, exit status -6 at step 5"),
        ("import signal; signal.pause()", "hang, exit status -9 at step 5"),
    ],
)
def test_a_worker_that_dies_or_hangs_is_named_by_its_step(
    program: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = f"import sys; open(sys.argv[sys.argv.index('--pulse') + 1], 'wb').write({PULSE.pack(40, 5)!r})"
    monkeypatch.setattr(supervisor, "WORKER", [sys.executable, "-c", f"{write}.bit_length(); {program}"])
    monkeypatch.setattr(supervisor, "HANG_S", 1.5)
    totals = supervisor.run(1, 40, 10, sessions=1)
    assert [(number, failure) for number, failure, _ in totals.failures] == [(40, words)]


def test_a_failing_case_becomes_small_and_can_be_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert supervisor.reduce(list(range(60)), lambda kept: {7, 41} <= set(kept), 2.0**40) == [7, 41]
    case = tmp_path / "case"
    ops = [("update", "00" * 3, "person:eve"), ("update", "010103000401047465787402626300", "person:eve")]
    case.write_text("\n".join(map(json.dumps, ({"units_max": 9, "judged": True}, *ops, ("restart", "", "")))))
    assert run_case(case) == 1, "a restart before the commit loses what was admitted"
    assert capsys.readouterr().out == "Failure: a restart changed the file\n"

"""``python -m tests.fuzz.worker``: sessions one after the other, in a process that may die of them.

Owns: nothing but the loop. Before each step it writes into a shared page where it is, so that whoever watches knows
which session and step a crash or a hang belongs to. Prints one line of JSON a session.
"""

from __future__ import annotations

import argparse
import json
import mmap
import struct
import sys
from pathlib import Path

from tests.fuzz.session import Judge, Op, Session, Tally, replay

PULSE = struct.Struct("<QQ")
"""Session and step."""


def session_seed(seed: int, number: int) -> str:
    return f"{seed}/{number}"


def is_judged(number: int) -> bool:
    """Whether real Yjs looks on: in every fourth session."""
    return number % 4 == 0


def run_session(seed: int, number: int, judge: Judge | None, pulse: mmap.mmap, dump: Path | None) -> dict[str, object]:
    """One session; what it counted, and how it failed, if it did."""
    tally, file = Tally(), None if dump is None else dump.open("w")

    def note(op: Op) -> None:
        if file is not None:
            print(json.dumps(op), file=file, flush=True)

    failure = None
    session = Session(
        session_seed(seed, number),
        tally,
        judge=judge if is_judged(number) else None,
        pulse=lambda step: PULSE.pack_into(pulse, 0, number, step),
        note=note,
    )
    try:
        session.run()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, this session failed
        failure = f"{type(error).__name__}: {error}"
    if file is not None:
        file.close()
    return {"session": number, "units_max": session.line.units_max, "failure": failure, **vars(tally)}


def run_case(path: Path) -> int:
    """Replay a case file: its first line is the largest size of the document and whether Yjs looks on."""
    head, *ops = (json.loads(line) for line in path.read_text().splitlines())
    judge = Judge() if head["judged"] else None
    try:
        replay([tuple(op) for op in ops], head["units_max"], judge)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, the case still fails
        print(f"{type(error).__name__}: {error}")
        return 1
    finally:
        if judge is not None:
            judge.close()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.worker", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--sessions", type=int, default=1)
    parser.add_argument("--pulse", type=Path)
    parser.add_argument("--dump", type=Path)
    parser.add_argument("--case", type=Path)
    parser.add_argument("--without-yjs", action="store_true")
    options = parser.parse_args()
    if options.case is not None:
        return run_case(options.case)
    judge = None if options.without_yjs else Judge()
    with options.pulse.open("r+b") as page, mmap.mmap(page.fileno(), PULSE.size) as pulse:
        for number in range(options.first, options.first + options.sessions):
            print(json.dumps(run_session(options.seed, number, judge, pulse, options.dump)), flush=True)
    if judge is not None:
        judge.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

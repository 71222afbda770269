"""``python -m tests.fuzz``: hostile Yjs updates through the gate and the engine, in sessions, from one seed."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.fuzz import supervisor
from tests.fuzz.worker import run_case


def main() -> int:
    """Returns 1 when a session failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--updates", type=int, default=100_000, help="how many, at least (100000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--session", type=int, help="this session only")
    parser.add_argument("--case", type=Path, help="replay a case that was made small")
    parser.add_argument("--without-yjs", action="store_true", help="do not ask Yjs what it sees")
    parser.add_argument("--failing", type=Path, default=Path("fuzz-case.jsonl"), help="where to write a failing case")
    options = parser.parse_args()
    if options.case is not None:
        return run_case(options.case)
    begin = time.monotonic()
    first, sessions = (0, None) if options.session is None else (options.session, 1)
    totals = supervisor.run(options.seed, first, options.updates, sessions=sessions, without_yjs=options.without_yjs)
    took_s = time.monotonic() - begin
    print(totals.table())
    told = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in totals.sums.items())
    print(f"seed {options.seed}: {totals.updates} updates in {took_s:.0f} s; {told}; {len(totals.failures)} failures")
    for number, failure, _ in totals.failures:
        print(f"session {number}: {failure[:2000]}")
        print(f"  replay: python -m tests.fuzz --seed {options.seed} --session {number}", flush=True)
    if totals.failures:
        number, failure, units_max = totals.failures[0]
        steps = supervisor.shrink(options.seed, number, failure, units_max, options.failing)
        print(
            f"{steps} steps are left of it: python -m tests.fuzz --case {options.failing}"
            if steps
            else "seen once only"
        )
    return min(len(totals.failures), 1)


if __name__ == "__main__":
    sys.exit(main())

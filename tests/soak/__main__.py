"""``python -m tests.soak --minutes 20 --rooms 50 --members 200``: run, and say what came of it.

Owns: the order of a run, the server and the generators, which it ends by their process ids, and the report.
Everything is on loopback. It returns 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.soak.crowd import LIFE_S
from tests.soak.run import Plan, soak
from tests.soak.table import table


def main() -> int:
    """Run, print the table, judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rooms", type=int, default=50)
    parser.add_argument("--members", type=int, default=200)
    parser.add_argument("--processes", type=int, default=1, help="generators (1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--life-s", type=float, default=LIFE_S, help=f"how long a workspace is used ({LIFE_S:.0f})")
    parser.add_argument("--csv", type=Path, help="where the samples go (beside the data, which go away)")
    parser.add_argument("--log", type=Path, help="where the server's log goes (beside the data)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="carets-soak-") as folder:
        plan = Plan(
            folder=Path(folder),
            seconds=options.minutes * 60,
            rooms=options.rooms,
            members=options.members,
            processes=options.processes,
            seed=options.seed,
            life_s=options.life_s,
            csv=options.csv or Path(folder) / "samples.csv",
            log=options.log,
        )
        result = asyncio.run(soak(plan))
    print(table(plan, result))
    return 0 if result.is_right else 1


if __name__ == "__main__":
    sys.exit(main())

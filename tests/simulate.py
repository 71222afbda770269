"""``python -m tests.simulate``: replay one seed, or run many until one breaks an invariant."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import fields

from tests.simulation.run import STEPS, Verdict, simulate
from tests.simulation.world import Faults

FAULTS = [field.name for field in fields(Faults)]


def replay_command(seed: int, steps: int) -> str:
    """What shows the same failure again."""
    return f"python -m tests.simulate --seed {seed} --steps {steps}"


def report(verdict: Verdict, steps: int) -> str:
    """A failure, and how to see it again."""
    return f"seed {verdict.seed}: {verdict.violation}\n  replay: {replay_command(verdict.seed, steps)} --verbose"


def main() -> int:
    """Returns 1 when a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulate", description=__doc__)
    parser.add_argument("--seed", type=int, help="this seed only")
    parser.add_argument("--seeds", default="0-199", help="these, as FIRST-LAST (0-199)")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"things that happen in one run ({STEPS})")
    parser.add_argument("--verbose", action="store_true", help="tell every event")
    parser.add_argument("--without", action="append", default=[], choices=FAULTS, help="leave this kind of trouble out")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first failure")
    options = parser.parse_args()
    first, last = (int(seed) for seed in options.seeds.split("-"))
    seeds = range(first, last + 1) if options.seed is None else range(options.seed, options.seed + 1)
    faults = Faults(**dict.fromkeys(options.without, False))
    failed = 0
    begin = time.perf_counter()
    for seed in seeds:
        verdict = simulate(seed, options.steps, faults, verbose=options.verbose)
        if verdict.violation is not None:
            failed += 1
            print(report(verdict, options.steps), flush=True)
            if not options.keep_going:
                break
        elif len(seeds) == 1:
            told = f"{verdict.events} events, {verdict.edits} insertions, {verdict.seconds:.0f} s of virtual time"
            print(f"seed {seed} holds: {told}, trace {verdict.trace[:16]}")
    print(f"{failed} of {len(seeds)} seeds failed, {time.perf_counter() - begin:.1f} s")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())

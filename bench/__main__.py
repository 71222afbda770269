"""``python -m bench``: Carets beside other servers, on the same work, in one run. bench/README.md has the method.

Every case is measured in rounds, one server after the other in each: A B C A B C. A round that fails is told as such,
the run goes on, and what there is at its end is kept; the exit status says whether all of Carets went well.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from bench import floor, report, saturated, storms
from bench.machine import Machine
from bench.programme import SLOW_SYNCS_US, Alone, Measurement, Together, measurements
from bench.pump import BenchFailed
from bench.rows import Row
from bench.targets import CARETS, Running, Target, pin_generator

ROUNDS, QUICK_ROUNDS = 5, 1
RESULTS = Path(__file__).parent / "results"
WARM_UPS, WARM_UP_S = 4, 1.0
"""Of full load, before anything is measured."""

COMPILED_LATE = ("hocuspocus", "y-websocket-server")
"""Node compiles what it runs often (decision 0020). What starts its servers anew measures them as they start."""


def main() -> None:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few cases, one round: about a minute; kept nowhere")
    parser.add_argument("--rounds", type=int, help=f"rounds of each case ({ROUNDS})")
    parser.add_argument("--only", default="", help="cases whose workload and name hold this")
    parser.add_argument("--targets", default="", help="only these, by commas")
    parser.add_argument("--out", type=Path, help="directory of the report (bench/results)")
    options = parser.parse_args()
    chosen = [
        each
        for each in measurements(quick=options.quick)
        if options.only in f"{each.workload} {each.case}" and (each.is_quick or not options.quick or options.only)
    ]
    names = set(filter(None, options.targets.split(",")))
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    pin_generator()
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(Path(directory), rounds, names)
        bench.rows += floor.rows(quick=options.quick)
        try:
            bench.run(chosen)
        finally:
            is_whole = not (options.quick or options.only or names)
            _tell(bench, options.out or (RESULTS if is_whole else None))
    sys.exit(bench.has_failed)


def _tell(bench: Bench, out: Path | None) -> None:
    """Print the report, and keep it there."""
    machine = Machine.here()
    if not storms.TRACE.exists():
        bench.notes.append("Left out: what needs the real editing traces (bench/README.md).")
    print(report.markdown(bench.rows, machine, bench.notes))
    if out is not None:
        report.write(out, bench.rows, machine, bench.notes)


class Bench:
    """One run: its servers, and what was measured."""

    def __init__(self, directory: Path, rounds: int, names: set[str]) -> None:
        self.rows: list[Row] = []
        self.notes: list[str] = []
        """What failed, and why."""
        self.has_failed = False
        """Whether a round of Carets did."""
        self._directory = directory
        self._rounds = rounds
        self._names = names
        self._began_s = time.monotonic()

    def run(self, chosen: list[Measurement]) -> None:
        """Measure these: first what shares its servers, then what starts its own."""
        together = [each for each in chosen if isinstance(each, Together)]
        with contextlib.ExitStack() as stack:
            targets = {target.name: target for each in together for target in self._of(each)}
            servers = {name: stack.enter_context(self._start(target)) for name, target in targets.items()}
            for running in [each for each in servers.values() if each.name in COMPILED_LATE] * WARM_UPS:
                list(saturated.measure(running, saturated.CASES[0], WARM_UP_S))
            for each in together:
                for number in range(min(self._rounds, each.rounds)):
                    for target in self._of(each):
                        self._measure(each, target, number, partial(each.measure, servers[target.name]))
        for case in chosen:
            if isinstance(case, Alone):
                for number in range(min(self._rounds, case.rounds)):
                    for target in self._of(case):
                        self._measure(case, target, number, partial(case.measure, target))

    def _of(self, measurement: Measurement) -> Iterator[Target]:
        return (each for each in measurement.targets if not self._names or each.name in self._names)

    def _start(self, target: Target) -> contextlib.AbstractContextManager[Running]:
        return target.start(self._directory / target.name, SLOW_SYNCS_US.get(target.name, 0))

    def _measure(self, of: Measurement, target: Target, number: int, measure: Callable[[], Iterable[Row]]) -> None:
        seconds = time.monotonic() - self._began_s
        print(f"{seconds:5.0f} s  {of.workload}: {of.case}, round {number + 1}, {target.name}", file=sys.stderr)
        try:
            self.rows += list(measure())
        except (BenchFailed, OSError, RuntimeError) as error:
            self.has_failed |= target.name.startswith(CARETS.name)
            self.rows.append(Row(of.workload, of.case, target.name, "failed", "", math.nan))
            self.notes.append(f"{target.name} at {of.workload}, {of.case}: {error}")


if __name__ == "__main__":
    main()

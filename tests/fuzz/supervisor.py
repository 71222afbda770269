"""Workers, watched: what they count is added up; one that dies or hangs is named by its session and step.

Owns: starting workers, one after the other, and ending a hung one, by its process id; making a failing case small.
Does not know: what a session does.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from tests.fuzz.session import ROOT
from tests.fuzz.worker import PULSE, is_judged

HANG_S = 90.0
"""Without a step for so long, a worker hangs: the machine may be busy, but not that busy."""

SESSIONS_PER_WORKER = 200
SHRINK_S = 180.0
WORKER = [sys.executable, "-m", "tests.fuzz.worker"]


class Totals:
    """What all sessions counted."""

    def __init__(self) -> None:
        self.counts: dict[str, dict[str, int]] = {}
        self.worst: dict[str, float] = {}
        self.sums = dict.fromkeys(("sessions", "commits", "restarts", "fall_backs", "judged", "compared"), 0)
        self.failures: list[tuple[int, str, int]] = []
        """Session, what is wrong, and the session's largest document."""

    @property
    def updates(self) -> int:
        return sum(sum(row.values()) for row in self.counts.values())

    def add(self, told: dict[str, Any]) -> None:
        for kind, row in told["counts"].items():
            mine = self.counts.setdefault(kind, {})
            for verdict, count in row.items():
                mine[verdict] = mine.get(verdict, 0) + count
        for kind, took_s in told["worst"].items():
            self.worst[kind] = max(took_s, self.worst.get(kind, 0.0))
        self.sums["sessions"] += 1
        for name in self.sums.keys() & told.keys():
            self.sums[name] += told[name]
        if told["failure"] is not None:
            self.failures.append((told["session"], told["failure"], told["units_max"]))

    def table(self) -> str:
        """By kind: how many, which verdicts, the longest time."""
        out = [f"{'kind':<14} {'updates':>8} {'worst ms':>9}  verdicts"]
        for kind, row in sorted(self.counts.items(), key=lambda item: -sum(item[1].values())):
            count = sum(row.values())
            shares = sorted(row.items(), key=lambda item: -item[1])
            verdicts = ", ".join(f"{verdict.lower()} {100 * times / count:.1f} %" for verdict, times in shares)
            out.append(f"{kind:<14} {count:>8} {1000 * self.worst[kind]:>9.1f}  {verdicts}")
        return "\n".join(out)


def run(seed: int, first: int, updates: int, *, sessions: int | None = None, without_yjs: bool = False) -> Totals:
    """Sessions from number `first` on, until there were so many updates, or so many sessions."""
    totals, number, told_at = Totals(), first, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        pulse = Path(folder, "pulse")
        while totals.updates < updates and (sessions is None or number < first + sessions):
            count = SESSIONS_PER_WORKER if sessions is None else first + sessions - number
            pulse.write_bytes(PULSE.pack(number, 0))
            command = [*WORKER, "--seed", str(seed), "--first", str(number), "--sessions", str(count)]
            command += ["--pulse", str(pulse), *(["--without-yjs"] if without_yjs else [])]
            done = number
            with contextlib.closing(_lines(command, pulse)) as lines:
                for line in lines:
                    if line.startswith("!"):
                        at, step = PULSE.unpack(pulse.read_bytes())
                        totals.failures.append((at, f"{line[1:]} at step {step}", 20_000))
                        done = at + 1
                        break
                    told = json.loads(line)
                    totals.add(told)
                    if told["failure"] is not None:
                        print(f"session {told['session']} fails: {told['failure'][:300]}", flush=True)
                    done = told["session"] + 1
                    if time.monotonic() - told_at > 30:
                        told_at = time.monotonic()
                        print(f"... {totals.updates} updates, {len(totals.failures)} failures", flush=True)
                    if totals.updates >= updates:
                        break
            number = done
    return totals


def _lines(command: Sequence[str], pulse: Path) -> Generator[str, None, None]:
    """The lines of a worker; one with ``!`` in front when it dies or hangs."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    output = process.stdout
    watch = subprocess.Popen([sys.executable, "-c", _WATCH, str(process.pid), str(pulse), str(HANG_S)])
    try:
        yield from output
        status = process.wait()
        if status:
            # The watcher ends when it has ended the worker, or sees that there is none any more.
            yield f"!{'hang' if watch.wait() == HUNG else 'crash'}, exit status {status}"
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if watch.poll() is None:
            watch.kill()
        watch.wait()
        output.close()


HUNG = 3
_WATCH = """
import os, sys, time
pid, pulse, hang_s = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
seen, since = b"", time.monotonic()
while True:
    time.sleep(1)
    now = open(pulse, "rb").read()
    if now != seen:
        seen, since = now, time.monotonic()
    elif time.monotonic() - since > hang_s:
        os.kill(pid, 9)
        sys.exit(3)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        sys.exit()
"""
"""A process of its own: it watches while this one waits for a line."""


def shrink(seed: int, number: int, failure: str, units_max: int, out: Path) -> int:
    """Write the smallest case that fails in the same way to `out`; how many steps it has; 0: it did not fail."""
    with tempfile.TemporaryDirectory() as folder:
        dump, pulse, case = Path(folder, "dump"), Path(folder, "pulse"), Path(folder, "case")
        pulse.write_bytes(PULSE.pack(number, 0))
        command = [*WORKER, "--seed", str(seed), "--first", str(number), "--pulse", str(pulse), "--dump", str(dump)]
        subprocess.run(command, stdout=subprocess.DEVNULL, timeout=600, check=False, cwd=ROOT)
        ops = [json.loads(line) for line in dump.read_text().splitlines()]
        head = {"units_max": units_max, "judged": is_judged(number) and "yjs" in failure}

        def write(path: Path, kept: Sequence[object]) -> None:
            path.write_text("\n".join(map(json.dumps, (head, *kept))) + "\n")

        def fails(kept: Sequence[object]) -> bool:
            write(case, kept)
            found = subprocess.run(
                [*WORKER, "--case", str(case)], stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT
            )
            if found.returncode < 0:
                return "crash" in failure
            return found.returncode == 1 and found.stdout[:40] == failure[:40]

        if not fails(ops):
            return 0
        ops = reduce(ops, fails, time.monotonic() + SHRINK_S)
        write(out, ops)
        return len(ops)


def reduce(ops: list[Any], fails: Callable[[Sequence[Any]], bool], until: float) -> list[Any]:
    """Leave out ever smaller pieces, as long as it still fails (Zeller's delta debugging)."""
    size = max(1, len(ops) // 2)
    while time.monotonic() < until:
        at, is_smaller = 0, False
        while at < len(ops) and time.monotonic() < until:
            kept = ops[:at] + ops[at + size :]
            if fails(kept):
                ops, is_smaller = kept, True
            else:
                at += size
        if size == 1 and not is_smaller:
            break
        size = max(1, size // 2)
    return ops

"""``python -m tests.fuzz.follow``: atheris at every target for some minutes altogether, and what that has covered.

Owns: the time of each target, what libFuzzer says, the lines of our modules that the inputs it found run through.
Does not know: what a target does.
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import re
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.fuzz.session import ROOT
from tests.fuzz.targets import TARGETS

MODULES = {
    "wire": ("protocol/wire.py",),
    "update": ("protocol/updates.py",),
    "admission": ("protocol/admission.py", "protocol/updates.py", "protocol/intervals.py", "protocol/origins.py"),
    "message": ("protocol/messages.py",),
    "presence": ("rooms/presence.py",),
    "hello": ("protocol/access.py",),
    "http": ("edges/listener.py", "edges/call.py", "edges/rest.py", "edges/origin.py", "edges/site.py"),
}
"""Whose lines are counted for each target."""


def lines_of(code: CodeType) -> set[int]:
    """The lines of functions, not of what runs at import: modules and classes."""
    own = {line for _, _, line in code.co_lines() if line} if code.co_flags & inspect.CO_OPTIMIZED else set()
    inner = [lines_of(const) for const in code.co_consts if isinstance(const, CodeType)]
    return own.union(*inner)


def coverage(name: str, corpus: Path) -> str:
    """How many lines of the target's modules its inputs run through."""
    files = {str(ROOT / "src/carets" / path): path for path in MODULES[name]}
    seen: dict[str, set[int]] = {file: set() for file in files}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        lines = seen.get(frame.f_code.co_filename)
        if lines is None:
            return None
        if event == "line":
            lines.add(frame.f_lineno)
        return trace

    inputs = sorted(corpus.iterdir())
    threading.settrace(trace)
    sys.settrace(trace)
    try:
        for each in inputs:
            with contextlib.suppress(Exception):
                TARGETS[name][0](each.read_bytes())
    finally:
        sys.settrace(None)
        threading.settrace(None)
    told = []
    for file, path in files.items():
        all_lines = lines_of(compile(Path(file).read_text(), file, "exec"))
        told.append(f"{path} {len(seen[file] & all_lines)} of {len(all_lines)} lines")
    return "; ".join(told)


def follow(name: str, seconds: float, artifacts: Path) -> bool:
    """Run one target; whether it found nothing."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, name)
        corpus.mkdir()
        words = [sys.executable, "-m", "tests.fuzz.atheris_target", name, str(corpus), str(int(seconds))]
        done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        told = done.stdout.decode(errors="replace")
        count = re.search(r"stat::number_of_executed_units: (\d+)", told)
        edges = re.findall(r"cov: (\d+)", told)
        inputs = len(list(corpus.iterdir()))
        print(f"{name}: {count[1] if count else '?'} executions in {seconds:.0f} s, {edges[-1] if edges else 0} edges,")
        print(f"  {inputs} inputs; {coverage(name, corpus)}", flush=True)
        if done.returncode == 0:
            return True
        for found in Path(folder).glob(f"{name}.*"):
            kept = artifacts / f"fuzz-{found.name}"
            kept.write_bytes(found.read_bytes())
            print(f"  FOUND: {kept}", flush=True)
        print(told[-3000:], flush=True)
        return False


def main() -> int:
    """Returns 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.follow", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="altogether (10)")
    parser.add_argument("--target", action="append", choices=list(TARGETS), help="this only")
    parser.add_argument("--replay", type=Path, help="give the bytes of this file to the target")
    options = parser.parse_args()
    names = options.target or list(TARGETS)
    if options.replay is not None:
        TARGETS[names[0]][0](options.replay.read_bytes())
        return 0
    found = [name for name in names if not follow(name, options.minutes * 60 / len(names), Path())]
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main())

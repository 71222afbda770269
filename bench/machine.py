"""What was measured on: the machine, its disk, the versions of the targets, the commit."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import re
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import carets
from bench.targets import CORES, ROOT, node

SYNCS = 200
SYNC_BYTES = 4096
"""One page of SQLite's log."""


class Machine(NamedTuple):
    """As much of a machine as others need to judge figures, and nothing that tells whose it is."""

    cpu: str
    cores: int
    """That we may use."""
    memory_gb: float
    kernel: str
    python: str
    node: str
    targets: dict[str, str]
    """The version of each, by name."""
    sync_ms: float
    """Median of 4 KiB written and synced, where the servers keep their files."""
    date: str
    commit: str

    @classmethod
    def here(cls, directory: Path | None = None) -> Machine:
        """Look at this machine, and measure its disk for about a second.

        Args:
            directory: Where the servers keep their files, for the disk; without one, where temporary files are.
        """
        return cls(
            cpu=_cpu(),
            cores=len(CORES),
            memory_gb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
            # The version only: what builders append says who built it.
            kernel=f"{platform.system()} {platform.release().partition('-')[0]}",
            python=platform.python_version(),
            node=_said([node(), "--version"]).removeprefix("v"),
            targets=_versions(),
            sync_ms=sync_ms(directory or Path(tempfile.gettempdir())),
            date=dt.datetime.now(dt.UTC).date().isoformat(),
            commit=_commit(),
        )


def sync_ms(directory: Path) -> float:
    """The median time of `SYNCS` times 4 KiB appended and synced."""
    taken_s = []
    with tempfile.NamedTemporaryFile(dir=directory, buffering=0) as file:
        page = os.urandom(SYNC_BYTES)
        for _ in range(SYNCS):
            began_s = time.perf_counter()
            file.write(page)
            os.fdatasync(file.fileno())
            taken_s.append(time.perf_counter() - began_s)
    return median(taken_s) * 1000


def table(machine: Machine) -> str:
    """As Markdown."""
    lines = [
        ("CPU", f"{machine.cpu}, {machine.cores} cores: one for the server, one for the load generator"),
        ("memory", f"{machine.memory_gb:.0f} GB"),
        ("kernel", machine.kernel),
        ("disk", f"4 KiB written and synced in {machine.sync_ms:.2f} ms (median of {SYNCS})"),
        ("Python", machine.python),
        ("Node of the peers", machine.node),
        *machine.targets.items(),
        ("date", machine.date),
        ("commit", machine.commit),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in lines)])


def _cpu() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return re.sub(r"\((R|TM)\)", "", found[1]) if found else platform.machine()


def _versions() -> dict[str, str]:
    peers = ROOT / "bench" / "peers"
    npm = json.loads((peers / "package.json").read_text())["dependencies"]
    pip = dict(re.findall(r"^([\w-]+)==(\S+)", (peers / "requirements.txt").read_text(), re.MULTILINE))
    return {
        "carets": carets.__version__,
        "hocuspocus": f"@hocuspocus/server {npm['@hocuspocus/server']}, yjs {npm['yjs']}",
        "y-websocket-server": f"@y/websocket-server {npm['@y/websocket-server']}, yjs {npm['yjs']}",
        "pycrdt-websocket": f"{pip['pycrdt-websocket']}, pycrdt {pip['pycrdt']}, uvicorn {pip['uvicorn']}",
    }


def _commit() -> str:
    commit = _said(["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"])
    changes = _said(["git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no"])
    return f"{commit}, with changes" if commit and changes else commit or "unknown"


def _said(command: list[str]) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""

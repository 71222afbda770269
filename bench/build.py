"""C sources of the benchmarks, compiled when first needed.

Owns: which compiler, and when to compile again. The result's name holds a hash of source and command, so that a
changed source is another file, and two trees that share an environment do not take each other's.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BUILT = HERE.parent / ".venv" / "bench"
SHARED = frozenset({"pump", "slow_sync"})
"""What is loaded into a process; anything else is a program."""


def compiler() -> list[str]:
    """The C compiler of this machine, or the one that `make bench` installs where there is none."""
    if found := shutil.which("cc"):
        return [found]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    raise SystemExit("there is no C compiler: 'make bench' installs one into .venv")


def build(name: str) -> Path:
    """Compile ``bench/{name}.c``, if that has not been done; the path of the program or library.

    Raises:
        subprocess.CalledProcessError: it does not compile; the compiler has said why.
    """
    source = HERE / f"{name}.c"
    command = [*compiler(), "-O2", "-g", "-Wall", "-Wextra", *(["-shared", "-fPIC"] if name in SHARED else [])]
    digest = hashlib.sha256(repr(command).encode() + source.read_bytes()).hexdigest()[:12]
    built = BUILT / f"{name}-{digest}{'.so' if name in SHARED else ''}"
    if not built.exists():
        BUILT.mkdir(parents=True, exist_ok=True)
        unfinished = built.with_name(f"{built.name}.{os.getpid()}")
        subprocess.run([*command, "-o", unfinished, source, "-ldl", "-lpthread"], check=True)
        unfinished.replace(built)  # whole or not there, also when two build at once
    return built

"""The operator's commands as processes of their own, as a shell runs them."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import NamedTuple


class Ended(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


async def carets(*arguments: object) -> Ended:
    """Run ``carets`` with these arguments to its end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "carets", *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())

"""Carets as a process of its own, for tests that kill it, starve it or look at it from outside.

It ends only what it started, by its process id.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

START_S = 30.0
"""How long a start may take on a busy machine, before a test says that it failed."""

_ADDRESS = re.compile(r"Carets is at (http\S+?)/(?:#create=(\S+))?$", re.MULTILINE)


class ServerProcess:
    """``carets serve`` on loopback. `port` stays the same over restarts, as do the data."""

    def __init__(
        self,
        data: Path,
        *options: str,
        prefix: Sequence[str] = (),
        port: int = 0,
        program: Sequence[str] = ("carets", "serve"),
    ) -> None:
        self.data = data
        self.port = port
        self.url = ""
        self.create_token = ""
        self._options = options
        self._prefix = list(prefix)
        self._program = list(program)
        self._process: asyncio.subprocess.Process | None = None
        self._log = data.with_name(data.name + ".log")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has written to standard error in all its lives."""
        return self._log.read_text()

    async def start(self) -> None:
        """Start it and wait until it says where it is."""
        command = [*self._prefix, sys.executable, "-m", *self._program, "--port", str(self.port)]
        command += ["--data", str(self.data), "--log", "json", *self._options]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=log)
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                line = (await self._process.stdout.readline()).decode()
        except TimeoutError:
            raise AssertionError(f"the server did not start:\n{self.log}") from None
        found = _ADDRESS.search(line)
        assert found, f"the server did not start: {line!r}\n{self.log}"
        self.url, self.create_token = found[1], found[2] or ""
        self.port = int(self.url.split(":")[2].partition("/")[0])

    def signal(self, number: Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    async def kill(self) -> None:
        """``kill -9``."""
        await self._end(SIGKILL)

    async def stop(self) -> int:
        """SIGTERM, and wait; its exit status."""
        return await self._end(SIGTERM)

    async def ended(self) -> int:
        """Wait until it has ended by itself; its exit status."""
        process, self._process = self._process, None
        assert process is not None
        async with asyncio.timeout(START_S):
            return await process.wait()

    async def _end(self, number: Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        async with asyncio.timeout(START_S):
            return await process.wait()


@contextlib.asynccontextmanager
async def serving(data: Path, *options: str, prefix: Sequence[str] = (), port: int = 0) -> AsyncIterator[ServerProcess]:
    """A server for the time of a test."""
    server = ServerProcess(data, *options, prefix=prefix, port=port)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()

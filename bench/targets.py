"""The servers that are compared: how each is started, where its rooms are, what its process costs.

Owns: commands, environments, the core of the server, its end. Does not know: what members say (bench/dialects.py).

Every server is one process on one core, on loopback, with the settings that its documentation gives; what differs
is said in bench/peers. It is ended by its own process id, and by the kernel if we end first.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import platform
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bench.build import build

Dialect = Literal["carets", "y-websocket", "hocuspocus"]

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
PEERS = ENVIRONMENT / "peers"
MODULES = PEERS / "node_modules"
HOST = "127.0.0.1"
START_S = 30.0
STOP_S = 30.0
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, GENERATOR_CORE = CORES[0], CORES[-1]
# Below the ports that the kernel gives to the members' ends of connections, so that a restart finds its own free.
PORTS = range(20_000, 32_000)
PR_SET_PDEATHSIG = 1

# Everybody comes from one address, and benchmarks make many workspaces; nothing else is changed.
CROWD = {
    "--connections-max": "20000",
    "--address-connections-max": "20000",
    "--address-workspaces-per-hour": "100000",
    "--members-max": "20000",
}


@dataclass(frozen=True)
class Place:
    """Where a room is, as far as any dialect needs to know."""

    path: str
    """Of the WebSocket, such as ``/ws/abc`` or ``/room-1``."""
    key: str
    """Of the editors' link; empty where there are none."""
    room: str
    """The name that a peer's dialect puts into messages; for Carets the id of the workspace."""
    file_id: int = 1
    """For Carets: the file of the workspace that is edited."""


@dataclass(frozen=True)
class Running:
    """One server while it runs."""

    target: Target
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def dialect(self) -> Dialect:
        return self.target.dialect

    @property
    def pid(self) -> int:
        return self.process.pid

    def cpu_s(self) -> float:
        """Seconds of CPU that it has had since its start."""
        return cpu_s(self.pid)

    def rss_bytes(self) -> int:
        """Memory in use now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024

    def room(self, name: str, text: str = "") -> Place:
        """A new room. Only Carets can be given a text by HTTP; elsewhere a first member must bring it."""
        if self.dialect == "carets":
            return self._workspace(name, text)
        assert not text, f"a member must bring the text to {self.name}"
        return Place("/" if self.dialect == "hocuspocus" else f"/{name}", "", name)

    def _workspace(self, name: str, text: str) -> Place:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        body = json.dumps({"title": name, "files": {f"{name}.txt": text}})
        connection.request("POST", "/api/workspaces", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        told = json.loads(response.read())
        connection.close()
        assert response.status == 201, told
        return Place(f"/ws/{told['workspace_id']}", told["links"]["editor"].split("#key=")[1], told["workspace_id"])

    def stop(self) -> None:
        """SIGTERM, and wait until it has ended by itself."""
        self.process.terminate()
        self.process.wait(STOP_S)

    def kill(self) -> None:
        """``kill -9``; also when it has ended already."""
        self.process.kill()
        self.process.wait(STOP_S)

    def said(self) -> str:
        """The end of what it has written to its log."""
        return self.log.read_text(errors="replace")[-2_000:]


@dataclass(frozen=True)
class Target:
    """A server that can be started."""

    name: str
    dialect: Dialect
    command: Callable[[Path, int], list[str]]
    """From a directory of its own and a port."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """``{port}`` stands for the port."""
    keeps_documents: bool = True
    """Whether who comes later gets what was written before."""

    @contextlib.contextmanager
    def start(self, directory: Path, slow_sync_us: int = 0, port: int = 0) -> Iterator[Running]:
        """Run it until the end of the block.

        Args:
            directory: Where it may keep its files. The same one again with the same port is a restart.
            slow_sync_us: Added to each sync of the disk, in microseconds.
            port: The port to listen on; 0 for a free one.
        """
        directory.mkdir(parents=True, exist_ok=True)
        port = port or free_port()
        environment = os.environ | {name: value.format(port=port) for name, value in self.environment.items()}
        if slow_sync_us:
            environment |= {"LD_PRELOAD": str(build("slow_sync")), "SLOW_SYNC_US": str(slow_sync_us)}
        log = directory / f"{self.name}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                self.command(directory, port),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment,
                cwd=directory,
                preexec_fn=_prepare_child,  # noqa: PLW1509 - it calls the kernel three times and takes no lock
            )
        running = Running(self, port, process, log)
        try:
            _wait_until_it_answers(running)
            yield running
        finally:
            running.kill()


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a whole process has had since its start, threads that have ended included."""
    return time.clock_gettime(cpu_clock(pid))


def cpu_clock(pid: int) -> int:
    """The number of the clock that a process's CPU runs by, for clock_gettime(2)."""
    # What clock_getcpuclockid(3) gives for a process: its id inverted, three bits for the kind of clock.
    return (~pid << 3) | 2


def _prepare_child() -> None:
    os.sched_setaffinity(0, {SERVER_CORE})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _PRCTL(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


_PRCTL = ctypes.CDLL(None).prctl


def _wait_until_it_answers(running: Running) -> None:
    deadline = time.monotonic() + START_S
    while running.process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((HOST, running.port), 1) as probe:
            probe.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            if probe.recv(1):
                return
        time.sleep(0.02)
    raise RuntimeError(f"{running.name} did not start:\n{running.said()}")


def free_port() -> int:
    """A port on which nobody listens."""
    for port in random.sample(PORTS, 100):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((HOST, port))
            return port
    raise RuntimeError("no free port")


def pin_generator() -> None:
    """Put this thread, and the threads that it starts, on the core that the servers leave free."""
    os.sched_setaffinity(0, {GENERATOR_CORE})


def node() -> str:
    """Node 22, which Hocuspocus asks for; where its package has no binary, the one that builds our page."""
    machine = {"aarch64": "arm64", "x86_64": "x64"}.get(platform.machine(), "")
    own = MODULES / f"node-linux-{machine}" / "bin" / "node"
    return str(own if own.exists() else ENVIRONMENT / "bin" / "node")


def _carets(directory: Path, port: int) -> list[str]:
    options = [word for option in CROWD.items() for word in option]
    return [sys.executable, "-m", "carets", "serve", "--port", str(port), "--data", str(directory / "data"), *options]


def _hocuspocus(_directory: Path, port: int) -> list[str]:
    return [node(), str(ROOT / "bench" / "peers" / "hocuspocus.mjs"), str(MODULES), HOST, str(port)]


def _y_websocket_server(_directory: Path, _port: int) -> list[str]:
    # Its own program, and its defaults. Persistence: none without YPERSISTENCE; then documents stay in memory for good.
    # Heartbeats: a ping every 30 s; who has not answered by the next one is closed. Nothing is merged or held back.
    # An update goes back to its sender, too.
    return [node(), str(MODULES / "@y" / "websocket-server" / "src" / "server.js")]


def _pycrdt_websocket(_directory: Path, port: int) -> list[str]:
    python = PEERS / "python" / "bin" / "python"
    return [str(python), str(ROOT / "bench" / "peers" / "pycrdt_websocket.py"), HOST, str(port)]


def _relay(_directory: Path, port: int) -> list[str]:
    return [str(build("floor")), "relay", HOST, str(port)]


CARETS = Target("carets", "carets", _carets, {"PYTHONPATH": str(ROOT / "src")})
HOCUSPOCUS = Target("hocuspocus", "hocuspocus", _hocuspocus)
Y_WEBSOCKET_SERVER = Target("y-websocket-server", "y-websocket", _y_websocket_server, {"HOST": HOST, "PORT": "{port}"})
PYCRDT_WEBSOCKET = Target("pycrdt-websocket", "y-websocket", _pycrdt_websocket)
RELAY = Target("relay in C", "y-websocket", _relay, keeps_documents=False)
"""No server: what the machine allows."""

SERVERS = (CARETS, HOCUSPOCUS, Y_WEBSOCKET_SERVER, PYCRDT_WEBSOCKET)
TARGETS = (*SERVERS, RELAY)

"""A member of a room, in Python, for tests: it speaks ``carets.v1`` over a real socket and holds real Yjs documents.

It does what docs/PROTOCOL.md says and nothing more: no reconnecting, no store. It answers step 1 as it must.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
from pycrdt import Doc, Text

from carets import limits
from carets.protocol import wire

WAIT_S = 60.0
"""How long a test waits for what must happen at once; it bounds a failure, not a success."""


class Replica:
    """One file as a peer holds it."""

    def __init__(self, peer: Peer, file_id: int, client_id: int | None = None, doc: Doc[Text] | None = None) -> None:
        self.peer = peer
        self.file_id = file_id
        self.doc: Doc[Text] = doc if doc is not None else Doc(client_id=client_id)
        self.text: Text = self.doc.get("text", type=Text)
        self.synced = False
        self.presence: dict[int, dict[str, Any] | None] = {}
        self._is_remote = False
        self._is_let_go = False
        self._subscription = self.doc.observe(self._changed)

    @property
    def client_id(self) -> int:
        return self.doc.client_id

    def _changed(self, event: Any) -> None:
        if not self._is_remote:
            self.peer.send_update(self.file_id, event.update)

    def apply(self, update: bytes) -> None:
        """Take in what another member wrote."""
        self._is_remote = True
        try:
            self.doc.apply_update(update)
        finally:
            self._is_remote = False

    def let_go(self) -> None:
        """Send nothing any more: another replica of the same document takes over."""
        if not self._is_let_go:
            self._is_let_go = True
            self.doc.unobserve(self._subscription)

    def insert(self, index: int, content: str) -> None:
        """Type at an index in UTF-8 bytes, which for ASCII is one in characters."""
        self.text.insert(index, content)

    def append(self, content: str) -> None:
        """Type at the end."""
        self.text += content

    def delete(self, index: int, length: int) -> None:
        """Delete bytes of the UTF-8 text."""
        del self.text[index : index + length]

    def __str__(self) -> str:
        return str(self.text)


class Peer:
    """One connection. Edits go out as made; `count` is how many frames were sent, `saved` how many are on disk."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.welcome: dict[str, Any] = {}
        self.files: dict[int, dict[str, Any]] = {}
        self.members: dict[int, dict[str, Any]] = {}
        self.replicas: dict[int, Replica] = {}
        self.refusals: list[dict[str, Any]] = []
        self.notices: list[dict[str, Any]] = []
        self.count = 0
        self.saved = 0
        self.close_code: int | None = None
        self.answers_step_1 = True
        self.replica_class = Replica
        # The bound on messages begun at once is the server's; it sends one for each open file.
        self._parts = wire.PartsInbox(limits.FILES_MAX)
        self._outgoing: asyncio.Queue[bytes | str] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._requests = 0
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]

    # -- sending

    def send_json(self, **message: Any) -> None:
        """Send one text frame."""
        self._outgoing.put_nowait(json.dumps(message))

    def send_frame(self, file_id: int, message: bytes) -> None:
        """Send one message, in parts when it is large."""
        if len(message) > 64 * 1024:
            for frame in wire.cut_in_parts(file_id, message):
                self._outgoing.put_nowait(frame)
        else:
            self._outgoing.put_nowait(wire.encode_varuint(file_id) + message)

    def send_raw(self, data: bytes) -> None:
        """Send one binary frame as it is."""
        self._outgoing.put_nowait(data)

    def send_update(self, file_id: int, update: bytes) -> None:
        """Send an update, and count it."""
        self.count += 1
        self.send_frame(file_id, wire.encode_update(update))

    def send_step_2(self, file_id: int, update: bytes) -> None:
        """Answer a step 1, and count it."""
        self.count += 1
        self.send_frame(file_id, wire.encode_step_2(update))

    def send_presence(self, file_id: int, state: Any) -> None:
        """Send one's caret."""
        entry = wire.Presence(self.welcome["member_id"], 1, json.dumps(state))
        self.send_frame(file_id, wire.encode_awareness([entry]))

    # -- files

    async def open_file(
        self, file_id: int, client_id: int | None = None, doc: Doc[Text] | None = None, epoch: str = ""
    ) -> Replica:
        """Open a file and wait until it is synced."""
        replica = self.start_opening(file_id, client_id, doc, epoch)
        await self.until(lambda: replica.synced)
        return replica

    def start_opening(
        self, file_id: int, client_id: int | None = None, doc: Doc[Text] | None = None, epoch: str = ""
    ) -> Replica:
        """Open a file without waiting."""
        replica = self.replicas[file_id] = self.replica_class(self, file_id, client_id, doc)
        self.send_json(type="open_file", file_id=file_id, client_id=replica.client_id, epoch=epoch)
        self.send_frame(file_id, wire.encode_step_1(replica.doc.get_state()))
        return replica

    async def ask(self, **message: Any) -> dict[str, Any]:
        """Send a file operation and wait for its answer: a `files` or a `refused`."""
        self._requests += 1
        number = self._requests
        self.send_json(**message, request=number)
        answer: list[dict[str, Any]] = []

        def is_there() -> bool:
            answer.extend(notice for notice in self.notices if notice.get("request") == number)
            return bool(answer)

        await self.until(is_there)
        return answer[0]

    async def create_file(self, path: str, **more: Any) -> int:
        """Create a file; its id."""
        answer = await self.ask(type="create_file", path=path, **more)
        assert answer["type"] == "files", answer
        return int(answer["files"][0]["file_id"])

    def file_id(self, path: str) -> int:
        """The id of the live file at a path."""
        return next(id_ for id_, file in self.files.items() if file["path"] == path and "deleted_at_ms" not in file)

    # -- waiting

    async def until(self, is_so: Callable[[], bool], what: str = "") -> None:
        """Wait until something is so; it is looked at after each message that comes."""
        try:
            async with asyncio.timeout(WAIT_S), self._changed:
                await self._changed.wait_for(lambda: is_so() or self.close_code is not None)
        except TimeoutError:
            raise AssertionError(f"waited {WAIT_S} s in vain {what}: saved {self.saved} of {self.count}") from None
        assert is_so(), f"closed with {self.close_code} before it was so {what}: {self.refusals}"

    async def until_saved(self) -> None:
        """Wait until every frame that was sent is on disk."""
        await self.until(lambda: self.saved >= self.count, "for saved")

    async def until_closed(self) -> int:
        """Wait for the end of the connection; its close code."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(lambda: self.close_code is not None)
        assert self.close_code is not None
        return self.close_code

    async def close(self) -> None:
        """Leave. Raises what reading has found wrong."""
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(ConnectionError):
            await self.socket.close()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception) and not isinstance(ended, ConnectionError):
                raise ended

    # -- the two tasks

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                frame = await self._outgoing.get()
                if isinstance(frame, str):
                    await self.socket.send_str(frame)
                else:
                    await self.socket.send_bytes(frame)

    async def _read(self) -> None:
        try:
            async for message in self.socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._take_notice(json.loads(message.data))
                elif message.type is aiohttp.WSMsgType.BINARY:
                    self._take_frame(message.data)
                async with self._changed:
                    self._changed.notify_all()
        finally:
            self.close_code = self.socket.close_code or 1006
            async with self._changed:
                self._changed.notify_all()

    def _take_notice(self, notice: dict[str, Any]) -> None:
        self.notices.append(notice)
        match notice["type"]:
            case "welcome":
                self.welcome = notice
                self.files = {file["file_id"]: file for file in notice["files"]}
                self.members = {member["member_id"]: member for member in notice["members"]}
            case "files":
                if notice.get("full"):
                    self.files = {}
                self.files.update((file["file_id"], file) for file in notice["files"])
            case "members":
                if notice.get("full"):
                    self.members = {}
                self.members.update((member["member_id"], member) for member in notice["members"])
                for left in notice.get("left", []):
                    self.members.pop(left, None)
            case "saved":
                assert notice["count"] > self.saved, "saved never goes back"
                self.saved = notice["count"]
            case "refused":
                self.refusals.append(notice)

    def _take_frame(self, data: bytes) -> None:
        file_id, message = wire.decode_frame(data)
        if isinstance(message, wire.Part):
            whole = self._parts.take(file_id, message)
            if whole is None:
                return
            message = whole
        replica = self.replicas.get(file_id)
        if replica is None:
            return
        match message:
            case wire.Step1(state_vector):
                if self.answers_step_1:
                    self.send_step_2(file_id, replica.doc.get_update(state_vector))
            case wire.Step2(update):
                replica.apply(update)
                replica.synced = True
            case wire.Update(update):
                assert replica.synced, "an update before the first step 2"
                replica.apply(update)
            case wire.Awareness(payload):
                for entry in wire.decode_awareness(payload, 10_000):
                    replica.presence[entry.id] = json.loads(entry.state)


@contextlib.asynccontextmanager
async def connect(base_url: str, workspace_id: str, key: str, **hello: str) -> AsyncIterator[Peer]:
    """A peer that said hello and was welcomed."""
    async with aiohttp.ClientSession() as http:
        peer = await join(http, base_url, workspace_id, key, **hello)
        try:
            yield peer
        finally:
            await peer.close()


async def join(http: aiohttp.ClientSession, base_url: str, workspace_id: str, key: str, **hello: str) -> Peer:
    """Connect, say hello and wait for the welcome."""
    socket = await http.ws_connect(f"{base_url}/ws/{workspace_id}", protocols=("carets.v1",), max_msg_size=0)
    peer = Peer(socket)
    peer.send_json(type="hello", key=key, **hello)
    await peer.until(lambda: bool(peer.welcome), "for welcome")
    return peer


async def create_workspace(
    http: aiohttp.ClientSession, base_url: str, files: dict[str, str] | None = None, title: str = ""
) -> tuple[str, dict[str, str]]:
    """A new workspace: its id and the keys of its links by role."""
    body = {"files": files or {}, "title": title}
    async with http.post(f"{base_url}/api/workspaces", json=body) as response:
        assert response.status == 201, await response.text()
        told = await response.json()
    return told["workspace_id"], {role: url.split("#key=")[1] for role, url in told["links"].items()}

"""Members who go on typing whatever happens to the server, its disk and the line, and hold it to its word.

Owns: typists that come back by themselves with the document that they kept, and the record of what each was promised.
Does not know: what goes wrong, and when.

Invariants that `check_kept` and `until_level` hold the server to:
  1. What an author was told is saved, or anybody else has seen, is there.
  2. Whatever was typed is there once at most, and once exactly when all have come to rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from random import Random
from typing import Any

import aiohttp
from pycrdt import Doc, Text

from tests.peer import Peer, connect, create_workspace

PACE_S = 0.01
"""Mean seconds between two edits of one typist: a crowd of fast ones."""

BACKOFF_S = 0.2
"""At most so many seconds until a typist who lost its line tries again."""

ANSWER_S = 15.0
"""Seconds after which a typist gives up on a line on which it was not welcomed."""

REST_S = 60.0
"""Seconds in which all must have come to rest once nothing goes wrong any more; it bounds a failure, not a success."""

TOKEN = re.compile(r"<(\w+\.\d+)>")


class News:
    """Rings when anything came to any typist, or was typed."""

    def __init__(self) -> None:
        self._bell = asyncio.Event()

    def ring(self) -> None:
        self._bell.set()

    async def until(self, is_so: Callable[[], bool], what: Callable[[], str]) -> None:
        """Wait until something is so; it is looked at whenever anything came."""
        try:
            async with asyncio.timeout(REST_S):
                while not is_so():
                    self._bell.clear()
                    await self._bell.wait()
        except TimeoutError:
            raise AssertionError(f"waited {REST_S} s in vain: {what()}") from None


class _Line(Peer):
    """One connection of a writer: it knows which frame carried which tokens."""

    writer: Writer

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.carried: list[tuple[int, list[str]]] = []
        super().__init__(socket)

    def send_update(self, file_id: int, update: bytes) -> None:
        super().send_update(file_id, update)
        self.carried.append((self.count, self.writer.typed[-1:]))

    def send_step_2(self, file_id: int, update: bytes) -> None:
        super().send_step_2(file_id, update)
        self.carried.append((self.count, list(self.writer.typed)))

    def _take_notice(self, notice: dict[str, Any]) -> None:
        super()._take_notice(notice)
        if notice["type"] == "welcome":
            self.writer.person = notice["person"]
            self.writer.fault = notice.get("fault")
        if notice["type"] == "storage":
            self.writer.fault = notice["fault"]
        if notice["type"] == "saved":
            for number, tokens in self.carried:
                if number <= self.saved:
                    self.writer.acked.update(tokens)
            self.carried = [each for each in self.carried if each[0] > self.saved]
        self.writer.news.ring()

    def _take_frame(self, data: bytes) -> None:
        super()._take_frame(data)
        self.writer.news.ring()


class Writer:
    """One person with one document, over all its connections."""

    def __init__(self, name: str, door: Callable[[], str], workspace: tuple[str, str], chance: Random) -> None:
        """`door` gives the address of the moment; `workspace` is its id and a key."""
        self.name = name
        self.doc: Doc[Text] = Doc()
        self.text: Text = self.doc.get("text", type=Text)
        self.news = News()
        self.person = ""
        self.fault: str | None = None
        self.typed: list[str] = []
        self.acked: set[str] = set()
        self.is_typing = False
        self.peer: _Line | None = None
        self.connections = 0
        self._door = door
        self._workspace = workspace
        self._chance = chance
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def seen(self) -> set[str]:
        """What others typed, as far as it came here."""
        return set(TOKEN.findall(str(self.text))) - set(self.typed)

    def type(self) -> None:
        """Insert one token between two others."""
        text = str(self.text)
        token = f"{self.name}.{len(self.typed)}"
        self.typed.append(token)
        ends = [0, *(match.end() for match in TOKEN.finditer(text))]
        self.text.insert(self._chance.choice(ends[-40:]), f"<{token}>")
        self.news.ring()

    def begin(self) -> None:
        """Connect, and come back whenever the line is lost; type while `is_typing`."""
        self._tasks = [asyncio.create_task(self._live()), asyncio.create_task(self._write())]

    async def leave(self) -> None:
        """Hang up for good."""
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / PACE_S))
            if self.is_typing:
                self.type()

    async def _live(self) -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                    await self._connect(http)
                self.peer = None
                self.news.ring()
                await asyncio.sleep(self._chance.uniform(0, BACKOFF_S))

    async def _connect(self, http: aiohttp.ClientSession) -> None:
        """One connection, from hello to its end."""
        workspace_id, key = self._workspace
        async with asyncio.timeout(ANSWER_S):
            url = f"{self._door()}/ws/{workspace_id}"
            socket = await http.ws_connect(url, protocols=("carets.v1",), max_msg_size=0)
        line = _Line(socket)
        line.writer = self
        replica = None
        try:
            line.send_json(type="hello", key=key, person=self.person, name=self.name, page=self.name)
            async with asyncio.timeout(ANSWER_S):
                await line.until(lambda: bool(line.welcome) or line.close_code is not None)
            if line.close_code is not None:
                return
            self.peer, self.connections = line, self.connections + 1
            replica = line.start_opening(1, doc=self.doc)
            assert await line.until_closed() >= 4500 or line.close_code in {1000, 1001, 1006}, line.refusals
        finally:
            if replica is not None:
                self.doc.unobserve(replica._subscription)
            with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                await line.close()

    @property
    def is_level(self) -> bool:
        """Whether it is connected, and all that it typed is saved."""
        line = self.peer
        is_open = line is not None and 1 in line.replicas and line.replicas[1].synced
        return is_open and line is not None and 0 < line.count <= line.saved and self.acked >= set(self.typed)


class Writers:
    """All of them, in one file of one workspace."""

    def __init__(self, url: str, workspace_id: str, keys: dict[str, str]) -> None:
        self.url, self.workspace_id, self.keys = url, workspace_id, keys
        self.all: list[Writer] = []

    def add(self, count: int, seed: int, doors: Iterable[Callable[[], str]] = ()) -> None:
        """So many more, each by its own door, or straight to the server."""
        ways = list(doors) or [lambda: self.url] * count
        news = self.all[0].news if self.all else None
        for number in range(count):
            name = f"w{len(self.all)}"
            writer = Writer(name, ways[number], (self.workspace_id, self.keys["editor"]), Random(f"{seed} {name}"))
            writer.news = news = news or writer.news
            self.all.append(writer)
            writer.begin()

    def set_typing(self, is_typing: bool) -> None:
        for writer in self.all:
            writer.is_typing = is_typing

    async def until(self, is_so: Callable[[], bool], what: str = "") -> None:
        """Wait until something is so of them."""
        await self.all[0].news.until(is_so, lambda: f"{what} {self.describe()}")

    async def until_more(self, acked: int) -> None:
        """Wait until each was promised so many more tokens."""
        before = [len(writer.acked) for writer in self.all]
        await self.until(
            lambda: all(len(writer.acked) >= count + acked for writer, count in zip(self.all, before, strict=True)),
            f"for {acked} more saved edits of each",
        )

    async def check_kept(self) -> None:
        """What was promised or shown until now is what a stranger finds, once each (1, 2)."""
        promised = {token for writer in self.all for token in writer.acked | writer.seen}
        counts = Counter(TOKEN.findall(await self.read()))
        lost = promised - counts.keys()
        assert not lost, f"promised and lost: {sorted(lost)[:10]} of {len(promised)}"
        twice = [token for token, count in counts.items() if count > 1]
        assert not twice, f"there more than once: {twice[:10]}"

    async def read(self) -> str:
        """The text as a stranger is told it, straight by the server."""
        async with connect(self.url, self.workspace_id, self.keys["viewer"]) as stranger:
            return str(await stranger.open_file(1))

    async def until_level(self) -> None:
        """Nobody types, nothing goes wrong: wait until all have the same text, with every token once."""
        self.set_typing(False)
        await self.until(lambda: all(writer.is_level for writer in self.all), "for everything to be saved")
        typed = Counter(token for writer in self.all for token in writer.typed)
        await self.until(lambda: len({str(writer.text) for writer in self.all}) == 1, "for the same text")
        found = Counter(TOKEN.findall(str(self.all[0].text)))
        assert found == typed, f"missing {list(typed - found)[:10]}, doubled {list(found - typed)[:10]}"
        assert await self.read() == str(self.all[0].text)

    def describe(self) -> str:
        return "; ".join(
            f"{each.name} typed {len(each.typed)}, saved {len(each.acked)}, {'on' if each.peer else 'off'}line"
            f" by connection {each.connections}, fault {each.fault}, {len(str(each.text))} characters"
            for each in self.all
        )


@contextlib.asynccontextmanager
async def writers(url: str) -> AsyncIterator[Writers]:
    """A new workspace with one file, and nobody there yet; all leave at the end."""
    async with aiohttp.ClientSession() as http:
        workspace_id, keys = await create_workspace(http, url, {"a.txt": ""})
    crowd = Writers(url, workspace_id, keys)
    try:
        yield crowd
    finally:
        for writer in crowd.all:
            await writer.leave()

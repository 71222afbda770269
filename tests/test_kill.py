"""P1 and P2 under `kill -9`: a server that is killed again and again, by the writers whose words it holds.

Owns: typists who make edits that can be told apart, the ledger of what was acked or seen, the moments of death.
Moments are counted in frames, never in seconds. After each death a stranger reads what is on disk, before anybody
who still has the text can heal it; then the typists come back with their documents and send again what they hold.

Invariants that are checked:
  1. What an author was told is saved, or anyone else has seen, is there: insertions, deletions, files made and deleted.
  2. When all are back, every edit is there exactly once, for everybody.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from pycrdt import Doc, Text

from carets.protocol import wire
from tests.peer import Peer, Replica, connect, create_workspace
from tests.serving import ServerProcess, serving

ROUNDS = 50
TYPISTS = 3
FILES_MAX = 6
"""Live files that the typists keep: enough for commits of several files, few enough to open anew each round."""

LARGE_MAX = 4
"""Large insertions that are live at once; each goes in parts of 64 KiB."""

SEED_VARIABLE = "CARETS_SEED"

# What a death waits for, and up to how many of it.
MOMENTS = {
    "sent": 400,
    "saved": 60,
    "received": 300,
    "part sent": 8,
    "part received": 8,
    "asked": 4,
    "told of files": 6,
}

_TOKEN = re.compile(r"<[\w.]+[^<>]*>")
_TOKEN_BYTES = re.compile(rb"<([\w.]+)")


def tokens_of(text: str) -> list[tuple[str, int, int]]:
    """The tokens in a text: name, start and end. There is nothing between them."""
    found = [(match[0][1:-1].split(":")[0], match.start(), match.end()) for match in _TOKEN.finditer(text)]
    assert sum(end - start for _, start, end in found) == len(text), "a token was torn"
    return found


class Edit(NamedTuple):
    """A token typed or deleted in a file."""

    file_id: int
    kind: str
    token: str


@dataclass
class Ledger:
    """What was typed by whom, and what nobody may take back."""

    inserted: dict[str, int] = field(default_factory=dict)
    deleted: dict[str, int] = field(default_factory=dict)
    authors: dict[Edit, str] = field(default_factory=dict)
    certain: dict[Edit, str] = field(default_factory=dict)
    """Each with how it became so."""
    files: dict[int, dict[str, Any]] = field(default_factory=dict)
    """The newest record of each file that anybody was told."""
    deletions_asked: set[int] = field(default_factory=set)

    def note(self, edit: Edit, author: str) -> None:
        (self.inserted if edit.kind == "typed" else self.deleted)[edit.token] = edit.file_id
        self.authors[edit] = author

    def expected(self, file_id: int) -> set[str]:
        """The tokens of a file when everything that was typed is there."""
        return {token for token, at in self.inserted.items() if at == file_id} - self.deleted.keys()

    def count_large(self, file_ids: Iterable[int]) -> int:
        """How many large insertions are live in these files."""
        among = set(file_ids)
        large = {token for token, at in self.inserted.items() if token.endswith("L") and at in among}
        return len(large - self.deleted.keys())

    def losses(self, file_id: int, text: str) -> list[str]:
        """What is not as it must be in a text that the server has by itself."""
        counts = Counter(token for token, _, _ in tokens_of(text))
        lost = [f"{token} is there {count} times" for token, count in counts.items() if count > 1]
        for edit, how in self.certain.items():
            if edit.file_id != file_id:
                continue
            if edit.kind == "typed" and edit.token not in counts and edit.token not in self.deleted:
                lost.append(f"{edit.token}, {how}, is lost from file {file_id}")
            if edit.kind == "deleted" and edit.token in counts:
                lost.append(f"{edit.token}, whose deletion was {how}, is back in file {file_id}")
        return lost


class Fuse:
    """Kills the server in the very moment when a count is reached."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._moment = ""
        self._left = 0
        self.is_blown = True
        self.blown_in_parts = 0

    def set(self, moment: str, count: int) -> None:
        self._moment, self._left, self.is_blown = moment, count, False

    def note(self, moment: str, is_in_parts: bool = False) -> None:
        if self.is_blown or moment != self._moment:
            return
        self._left -= 1
        if self._left <= 0:
            self.is_blown = True
            self.blown_in_parts += is_in_parts
            self._server.signal(signal.SIGKILL)


class Witness(Peer):
    """A member that remembers which of its own edits were acked, and counts for the fuse."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, owner: Typist, fuse: Fuse) -> None:
        self.owner = owner
        self.fuse = fuse
        self.numbers: list[tuple[int, Edit]] = []
        self.refused_from: dict[int, int] = {}
        super().__init__(socket)
        self.replica_class = SeenReplica

    async def _write(self) -> None:
        with suppress(ConnectionError, aiohttp.ClientError):
            while True:
                frame = await self._outgoing.get()
                if isinstance(frame, str):
                    await self.socket.send_str(frame)
                    self.fuse.note("asked" if '"request"' in frame else "")
                    continue
                await self.socket.send_bytes(frame)
                self.fuse.note("sent")
                _, message = wire.decode_frame(frame)
                if isinstance(message, wire.Part):
                    self.fuse.note("part sent", is_in_parts=message.bytes_left > 0)

    def _take_notice(self, notice: dict[str, Any]) -> None:
        super()._take_notice(notice)
        match notice["type"]:
            case "refused" if notice.get("frame"):
                self.refused_from.setdefault(notice["file_id"], notice["frame"])
            case "saved":
                self._note_saved()
                self.fuse.note("saved")
            case "welcome" | "files":
                self.owner.ledger.files.update((file["file_id"], file) for file in notice["files"])
                self.fuse.note("told of files" if notice["type"] == "files" else "")

    def _note_saved(self) -> None:
        for number, edit in self.numbers:
            if number <= self.saved and number < self.refused_from.get(edit.file_id, self.count + 1):
                self.owner.unsaved.pop(edit, None)
                self.owner.ledger.certain.setdefault(edit, f"acked to {self.owner.name}")
        self.numbers = [(number, edit) for number, edit in self.numbers if number > self.saved]

    def _take_frame(self, data: bytes) -> None:
        file_id, message = wire.decode_frame(data)
        super()._take_frame(data)
        if isinstance(message, wire.Step1) and file_id in self.replicas:
            # The answer carries all that is unsaved in this file.
            self.numbers += [(self.count, edit) for edit in self.owner.unsaved if edit.file_id == file_id]
        if isinstance(message, wire.Part):
            self.fuse.note("part received", is_in_parts=message.bytes_left > 0)
        self.fuse.note("received")


class SeenReplica(Replica):
    """A file whose every arriving insertion is on record as seen."""

    def apply(self, update: bytes) -> None:
        super().apply(update)
        assert isinstance(self.peer, Witness)
        self.peer.owner.see(self.file_id, {name.decode() for name in _TOKEN_BYTES.findall(update)})


class Typist:
    """Somebody who types, and keeps documents over all deaths of the server. A viewer only looks."""

    def __init__(self, name: str, key: str, ledger: Ledger, fuse: Fuse, chance: random.Random) -> None:
        self.name = name
        self.key = key
        self.ledger = ledger
        self.fuse = fuse
        self.chance = chance
        self.person = ""
        self.docs: dict[int, Doc[Text]] = {}
        self.seen: set[str] = set()
        self.unsaved: dict[Edit, None] = {}
        self.peer: Witness | None = None
        self._made = 0

    def see(self, file_id: int, tokens: set[str]) -> None:
        self.seen |= tokens
        for token in tokens:
            edit = Edit(file_id, "typed", token)
            if self.ledger.authors.get(edit, self.name) != self.name:
                self.ledger.certain.setdefault(edit, f"seen by {self.name}")

    def see_deletions(self) -> None:
        """Put on record which of the others' deletions are in the documents here."""
        texts = {file_id: str(doc.get("text", type=Text)) for file_id, doc in self.docs.items()}
        for token, file_id in self.ledger.deleted.items():
            edit = Edit(file_id, "deleted", token)
            if (
                token in self.seen
                and self.ledger.authors[edit] != self.name
                and edit not in self.ledger.certain
                and file_id in texts
                and not re.search(rf"<{re.escape(token)}[:>]", texts[file_id])
            ):
                self.ledger.certain[edit] = f"seen by {self.name}"

    # -- coming and going

    async def join(self, http: aiohttp.ClientSession, url: str, workspace_id: str) -> bool:
        """Connect, open all live files with the documents kept, send what is unsaved. False: the server died."""
        try:
            socket = await http.ws_connect(f"{url}/ws/{workspace_id}", protocols=("carets.v1",), max_msg_size=0)
        except (aiohttp.ClientError, ConnectionError):
            return False
        peer = self.peer = Witness(socket, self, self.fuse)
        peer.send_json(type="hello", key=self.key, person=self.person, name=self.name)
        if not await self.until(lambda: bool(peer.welcome)):
            return False
        self.person = peer.welcome["person"]
        self.open_files()
        return await self.until(lambda: all(replica.synced for replica in peer.replicas.values()))

    def open_files(self) -> None:
        """Open the live files that are not open yet. A document is loaded anew, as a page does from its store."""
        assert self.peer is not None
        for file_id in self._openable():
            doc, before = Doc[Text](), self.docs.get(file_id)
            if before is not None:
                doc = Doc(client_id=before.client_id)
                doc.apply_update(before.get_update())
            self.docs[file_id] = doc
            self.peer.start_opening(file_id, doc=doc, epoch=self.peer.files[file_id]["epoch"])

    def _openable(self) -> list[int]:
        assert self.peer is not None
        files, opened = self.peer.files, self.peer.replicas
        return [file_id for file_id, file in files.items() if "deleted_at_ms" not in file and file_id not in opened]

    def _writable(self) -> list[Replica]:
        assert self.peer is not None
        closed = self.peer.refused_from.keys() | self.ledger.deletions_asked
        return [each for file_id, each in self.peer.replicas.items() if each.synced and file_id not in closed]

    async def until(self, is_so: Callable[[], bool]) -> bool:
        """Wait until something is so. False: the server died first."""
        peer = self.peer
        assert peer is not None
        await peer.until(lambda: is_so() or peer.close_code is not None, f"({self.name})")
        return peer.close_code is None

    async def until_unsaved_are(self, most: int) -> bool:
        """Wait until at most so many frames are unsaved. False: the server died first."""
        peer = self.peer
        assert peer is not None
        return await self.until(lambda: peer.count - peer.saved <= most)

    async def leave(self) -> None:
        if self.peer is not None:
            with suppress(TimeoutError):
                if self.fuse.is_blown:
                    await self.peer.until_closed()
            await self.peer.close()
            self.peer = None
        self.see_deletions()

    # -- typing

    async def type_until_death(self, round_name: str) -> None:
        """Make edits in bursts of random size until the server is gone."""
        peer = self.peer
        assert peer is not None
        while peer.close_code is None:
            self.open_files()
            if not self._writable():
                self._create_file(f"{self.name}.{round_name}.{self._made}")
                await self.until(lambda: bool(self._openable()) or bool(self._writable()))
            for _ in range(self.chance.randint(1, 30)):
                self._do_something(f"{self.name}.{round_name}.{self._made}")
                self._made += 1
            await self.until_unsaved_are(self.chance.randint(0, 40))

    def _do_something(self, token: str) -> None:
        replicas = self._writable()
        if not replicas:
            return
        replica = self.chance.choice(replicas)
        dice = self.chance.random()
        if dice < 0.02:
            self._change_files(replica.file_id, token)
        elif dice < 0.2:
            self._delete(replica)
        elif dice < 0.25 and self.ledger.count_large(each.file_id for each in replicas) < LARGE_MAX:
            self._insert(replica, token + "L", "x" * self.chance.randint(100_000, 300_000))
        else:
            self._insert(replica, token, "é😀"[: self.chance.randint(0, 2)])

    def _insert(self, replica: Replica, token: str, more: str) -> None:
        text = str(replica)
        places = [0, *(end for _, _, end in tokens_of(text))]
        self.ledger.note(edit := Edit(replica.file_id, "typed", token), self.name)
        content = f"<{token}:{more}>" if more else f"<{token}>"
        replica.insert(len(text[: self.chance.choice(places)].encode()), content)
        self._sent(edit)

    def _delete(self, replica: Replica) -> None:
        text = str(replica)
        found = [entry for entry in tokens_of(text) if entry[0] not in self.ledger.deleted]
        if not found:
            return
        large = [entry for entry in found if entry[0].endswith("L")]
        token, start, end = self.chance.choice(large or found)
        self.ledger.note(edit := Edit(replica.file_id, "deleted", token), self.name)
        replica.delete(len(text[:start].encode()), len(text[start:end].encode()))
        self._sent(edit)

    def _sent(self, edit: Edit) -> None:
        assert self.peer is not None
        self.unsaved[edit] = None
        self.peer.numbers.append((self.peer.count, edit))

    def _change_files(self, file_id: int, token: str) -> None:
        assert self.peer is not None
        live = [file for file in self.peer.files.values() if "deleted_at_ms" not in file]
        if len(live) >= FILES_MAX:
            self.ledger.deletions_asked.add(file_id)
            self.peer.send_json(type="delete_file", file_id=file_id, request=1)
        else:
            self._create_file(token)

    def _create_file(self, token: str) -> None:
        assert self.peer is not None
        self.peer.send_json(type="create_file", path=f"{token}.py", eol="lf", request=1)


class Siege:
    """All rounds, on one data directory."""

    def __init__(self, server: ServerProcess, http: aiohttp.ClientSession, seed: int) -> None:
        self.server = server
        self.http = http
        self.chance = random.Random(seed)
        self.ledger = Ledger()
        self.fuse = Fuse(server)
        self.deaths: Counter[str] = Counter()
        self.reunions = 0
        self.workspace_id = ""
        self.viewer_key = ""
        self.typists: list[Typist] = []

    async def begin(self) -> None:
        files = {f"start{number}.py": "" for number in range(3)}
        self.workspace_id, keys = await create_workspace(self.http, self.server.url, files)
        self.viewer_key = keys["viewer"]
        for number in range(TYPISTS + 1):
            name, key = (f"t{number}", keys["editor"]) if number < TYPISTS else ("watcher", keys["viewer"])
            chance = random.Random(self.chance.random())
            self.typists.append(Typist(name, key, self.ledger, self.fuse, chance))

    async def round(self, number: int) -> None:
        """Everybody comes back, agrees, types; the server dies; a stranger looks at what is left."""
        moment = self.chance.choice(list(MOMENTS))
        count = self.chance.randint(1, MOMENTS[moment])
        is_early = self.chance.random() < 0.3
        self.deaths[moment] += 1
        self.ledger.deletions_asked &= {id_ for id_, file in self.ledger.files.items() if "deleted_at_ms" in file}
        if is_early:  # death may come while they are still coming back
            self.fuse.set(moment, 1 + count // 10)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._visit(typist)) for typist in self.typists]
        if all(task.result() for task in tasks):
            await self._agree()
        if not is_early:
            self.fuse.set(moment, count)
        async with asyncio.TaskGroup() as group:
            for typist in self.typists[:TYPISTS]:
                if typist.peer is not None:
                    group.create_task(typist.type_until_death(f"r{number}"))
        assert self.fuse.is_blown, "the server died by itself"
        await self.server.kill()
        for typist in self.typists:
            await typist.leave()
        await self.server.start()
        await self.look()

    async def _visit(self, typist: Typist) -> bool:
        return await typist.join(self.http, self.server.url, self.workspace_id)

    async def _agree(self) -> None:
        """With everybody back, every edit is there exactly once, for all. Not judged when the server dies meanwhile."""
        for typist in self.typists:
            if not await typist.until_unsaved_are(0):
                return
        for typist in self.typists:
            assert typist.peer is not None
            for file_id, replica in typist.peer.replicas.items():
                expected = sorted(self.ledger.expected(file_id))

                def is_whole(replica: Replica = replica, expected: list[str] = expected) -> bool:
                    return sorted(token for token, _, _ in tokens_of(str(replica))) == expected

                if not await typist.until(is_whole):
                    return
                assert str(replica) == str(self.typists[0].docs[file_id].get("text", type=Text))
        self.reunions += 1

    async def look(self) -> None:
        """A stranger reads what the server has by itself, before anybody who still has the text comes back."""
        lost: list[str] = []
        async with connect(self.server.url, self.workspace_id, self.viewer_key) as stranger:
            for file_id, told in self.ledger.files.items():
                there = stranger.files.get(file_id, {})
                if (there.get("path"), there.get("epoch")) != (told["path"], told["epoch"]):
                    lost.append(f"file {told} is {there or 'lost'}")
                elif "deleted_at_ms" in told and "deleted_at_ms" not in there:
                    lost.append(f"file {file_id}, whose deletion was told, is back")
                elif "deleted_at_ms" not in there:
                    replica = await stranger.open_file(file_id)
                    lost += self.ledger.losses(file_id, str(replica))
        assert not lost, "\n".join(lost)

    async def end(self, owner_key: str) -> None:
        """Bring deleted files back, look into them too, and let everybody agree once more."""
        async with connect(self.server.url, self.workspace_id, owner_key) as owner:
            for file_id, file in list(owner.files.items()):
                if "deleted_at_ms" in file:
                    answer = await owner.ask(type="restore_file", file_id=file_id)
                    assert answer["type"] == "files", answer
                    self.ledger.files[file_id] = answer["files"][0]
        await self.look()
        reunions = self.reunions
        for typist in self.typists:
            assert await self._visit(typist)
        await self._agree()
        assert self.reunions == reunions + 1
        for typist in self.typists:
            assert typist.peer is not None
            assert not typist.peer.refusals
            assert not typist.unsaved
            await typist.peer.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_killed_at_any_moment_the_server_loses_nothing_that_was_saved_or_seen(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    seed = int(os.environ.get(SEED_VARIABLE, random.randrange(1_000_000)))
    print(f"replay: {SEED_VARIABLE}={seed} python -m pytest tests/test_kill.py")
    async with serving(tmp_path / "data") as server:
        siege = Siege(server, http, seed)
        await siege.begin()
        for number in range(ROUNDS):
            await siege.round(number)
        await siege.end(siege.typists[0].key)
    ledger = siege.ledger
    print(
        f"{ROUNDS} deaths {dict(siege.deaths)}, {siege.fuse.blown_in_parts} inside a message in parts;"
        f" {len(ledger.inserted)} typed, {len(ledger.deleted)} deleted, {len(ledger.files)} files;"
        f" {len(ledger.certain)} edits saved or seen, none lost; all agreed {siege.reunions} times"
    )
    assert len(ledger.certain) > 10 * ROUNDS
    assert siege.fuse.blown_in_parts
    assert siege.reunions > ROUNDS // 3

"""Everything that takes part in one simulation, and all that can happen to it.

Owns: server, store, lines, members; what the director may do next. Does not know: in which order, and what must be so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from carets import limits
from carets.errors import Code, Unavailable
from carets.protocol.updates import decode_state_vector
from carets.rooms.file import OpenFile
from carets.rooms.room import Room
from carets.rooms.store import Batch
from tests.simulation.checks import Witness
from tests.simulation.client import Page, Person
from tests.simulation.clock import VirtualLoop, tasks_in_order
from tests.simulation.door import Server
from tests.simulation.network import Line
from tests.simulation.store import Fate, MemoryStore
from tests.simulation.strangers import Hostile, StockClient

_PATHS = ("a.py", "b.py", "src/c.py", "src/d/e.py", "src", "Ünï.md")
_RELOADS_MAX = 5
_CRASH = Unavailable(Code.UNAVAILABLE)
_SEEN_MAX = 200
_FLOOD_EDITS = 100
"""Edits at once, each below the size of a part: together more than a line may have waiting."""


class Mistake(Exception):
    """What a room is told that failed inside it."""


@dataclass(frozen=True)
class Faults:
    """Which kinds of trouble there are."""

    store_fails: bool = True
    disk_fills: bool = True
    answers_get_lost: bool = True
    server_crashes: bool = True
    has_hostile: bool = True


class World:
    """A workspace, its members, its server."""

    def __init__(self, loop: VirtualLoop, seed: int, witness: Witness, faults: Faults) -> None:
        self.loop = loop
        self.seed = seed
        self.witness = witness
        self.faults = faults
        self.chance = Random(f"{seed} director")
        self.store = MemoryStore(Random(f"{seed} store"))
        self.store.on_kept = self._kept
        self.store.append_fate = self._append_fate
        self.store.other_fate = self._other_fate
        self.store.is_full = lambda: self.loop.time() < self.disk_full_until_s
        self._store_chance = Random(f"{seed} faults")
        self._network_chance = Random(f"{seed} network")
        self.director: object = None
        """The one task that is not the server's and survives its crashes."""
        self._lives = 0
        self.store_down_until_s = self.disk_full_until_s = 0.0
        self.unlucky_appends = 0
        self.is_up = False
        self.seen: list[bytes] = []
        self.lines: list[Line] = []
        self.pages: list[Page] = []
        self.stocks: list[StockClient] = []
        self.hostile: Hostile | None = None
        self.workspace_id = ""
        self.keys: dict[str, str] = {}
        self.start_server()

    # -- the server

    def start_server(self) -> None:
        """A new process over the same store."""
        self._lives += 1
        self.server = Server(self.loop, Random(f"{self.seed} server {self._lives}"), self.store, self.witness)
        self.is_up = True
        self.witness.note("server", "starts")

    def crash(self) -> None:
        """The process is gone between two instructions: its tasks, timers and lines with it."""
        self.is_up = False
        self.witness.note("server", "crashes")
        for line in list(self.server.lines):
            line.cut()
        for room in self.server.lobby.rooms.values():
            room.delivery.stop()
            for member in list(room.members.values()):
                member.gone = member.gone or _CRASH
        for task in tasks_in_order(self.loop):
            if task is not self.director:
                task.cancel()

    async def create(self) -> None:
        """The workspace and those who come to it."""
        files = dict.fromkeys(_PATHS[: self.chance.randint(1, 3)], "")
        record, links = await self.server.lobby.create("simulated", files)
        self.workspace_id = record.workspace_id
        self.keys = {role: link.key for role, link in links.items()}
        for number in range(self.chance.randint(2, 4)):
            person = Person(f"person {number}", self.keys["editor"])
            for tab in range(self.chance.choice((1, 1, 2))):
                self._add_page(Page, f"page {number}.{tab}", person)
        if self.chance.random() < 0.5:
            viewer = self._add_page(Page, "viewer", Person("viewer", self.keys["viewer"]))
            viewer.is_viewer = True
        for number in range(self.chance.choice((0, 1, 1, 2))):
            self._add_stock(f"stock {number}", self.chance.random() < 0.25)
        if self.faults.has_hostile and self.chance.random() < 0.4:
            chance = Random(f"{self.seed} hostile")
            person = Person("hostile", self.keys["editor"])
            self.hostile = Hostile("hostile", person, self.witness, chance, self._connect_page)

    def _add_page(self, kind: type[Page], name: str, person: Person) -> Page:
        page = kind(name, person, self.witness, Random(f"{self.seed} {name}"), self._connect_page)
        self.pages.append(page)
        return page

    def _add_stock(self, name: str, is_viewer: bool) -> None:
        key = self.keys["viewer" if is_viewer else "editor"]
        chance = Random(f"{self.seed} {name}")

        def connect(file_id: int) -> Line | None:
            return self._connect(lambda line: self.server.accept(line, self.workspace_id, file_id, key))

        self.stocks.append(StockClient(name, self.witness, chance, connect, is_viewer=is_viewer))

    def _connect_page(self) -> Line | None:
        return self._connect(lambda line: self.server.accept(line, self.workspace_id))

    def _connect(self, accept: Callable[[Line], None]) -> Line | None:
        line = Line(self.loop, self._network_chance)
        self.lines = [old for old in self.lines if not old.is_dead]
        if not self.is_up:
            line.is_dead = True
            self.loop.call_later(0.2, line._lose, 1006)
            return line
        self.lines.append(line)
        accept(line)
        return line

    # -- the store

    def _kept(self, batch: Batch) -> None:
        self.witness.keep(batch)
        self.seen += [entry.update for append in batch.appends for entry in append.entries]
        del self.seen[:-_SEEN_MAX]

    def _append_fate(self) -> Fate:
        if self.loop.time() < self.store_down_until_s:
            return Fate.REFUSED
        if self.unlucky_appends > 0:
            self.unlucky_appends -= 1
            if self.faults.answers_get_lost and self._store_chance.random() < 0.4:
                return Fate.UNANSWERED
            return Fate.REFUSED
        return Fate.DONE

    def _other_fate(self) -> Fate:
        return Fate.REFUSED if self.loop.time() < self.store_down_until_s else Fate.DONE

    # -- what may happen

    def act(self) -> None:
        """One thing, chosen by chance."""
        names = list(_ACTIONS)
        name = self.chance.choices(names, [_ACTIONS[name] for name in names])[0]
        getattr(self, f"_{name}")()

    def _any_page(self) -> Page:
        return self.chance.choice(self.pages)

    def _type(self) -> None:
        page = self._any_page()
        if page.replicas:
            replica = page.replicas[self.chance.choice(list(page.replicas))]
            for _ in range(self.chance.choice((1, 1, 2, 8))):
                self.chance.choice((replica.type, replica.type, replica.delete, replica.replace))(page.chance)

    def _type_in_stock(self) -> None:
        if self.stocks and (replica := (stock := self.chance.choice(self.stocks)).replica):
            self.chance.choice((replica.type, replica.delete))(stock.chance)
            if self.chance.random() < 0.2:
                stock.send_presence()

    def _paste(self) -> None:
        page = self._any_page()
        if page.replicas:
            replica = page.replicas[self.chance.choice(list(page.replicas))]
            replica.type(page.chance, int(self.chance.uniform(0.3, 5) * limits.PART_BYTES_MAX))

    def _flood(self) -> None:
        page = self._any_page()
        if page.replicas:
            replica = page.replicas[self.chance.choice(list(page.replicas))]
            for _ in range(_FLOOD_EDITS):
                replica.type(page.chance, 40)

    def _open(self) -> None:
        page = self._any_page()
        if page.files:
            page.open_file(self.chance.choice(list(page.files)))

    def _close(self) -> None:
        page = self._any_page()
        if page.session and page.session.seats:
            page.close_file(self.chance.choice(list(page.session.seats)))

    def _reopen(self) -> None:
        page = self._any_page()
        if page.session and page.session.seats:
            file_id = self.chance.choice(list(page.session.seats))
            page.close_file(file_id)
            page.open_file(file_id)

    def _change_files(self) -> None:
        page, path = self._any_page(), self.chance.choice(_PATHS)
        if page.is_viewer or not page.files:
            return
        file_id = self.chance.choice(list(page.files))
        match self.chance.randrange(8):
            case 6:
                page.ask("rename_folder", path="src", to=self.chance.choice(("lib", "src/d", "lib/src")))
            case 7:
                page.ask("delete_folder", path=self.chance.choice(("src", "lib")))
            case 0 | 1:
                page.ask("create_file", path=path)
            case 2:
                page.ask("rename_file", file_id=file_id, path=path)
            case 3:
                page.ask("delete_file", file_id=file_id)
            case 4:
                page.ask("restore_file", file_id=file_id)
            case _:
                page.ask("restore_file", file_id=file_id, path=path)

    def _chat(self) -> None:
        page = self._any_page()
        if not page.is_viewer:
            for _ in range(self.chance.choice((1, 1, 4))):
                page.say(self.chance.choice((0, 5, 200)))

    def _presence(self) -> None:
        page = self._any_page()
        if page.session and page.session.seats:
            page.send_presence(self.chance.choice(list(page.session.seats)))

    def _cut(self) -> None:
        if self.lines:
            self.chance.choice(self.lines).cut()

    def _leave(self) -> None:
        members: list[Page | StockClient] = [*self.pages, *self.stocks]
        self.chance.choice(members).leave()

    def _stall(self) -> None:
        if self.lines:
            line = self.chance.choice(self.lines)
            self.chance.choice((line.down, line.down, line.up)).set_stalled(True)

    def _be_slow(self) -> None:
        """Somebody stops reading while others write much, the lists change, and its own edits are saved."""
        page, other = self._any_page(), self._any_page()
        shared = sorted(page.replicas.keys() & other.replicas.keys())
        if page.session is None or not shared or page.is_viewer or other.is_viewer:
            return
        page.session.line.down.set_stalled(True)
        for number in range(_FLOOD_EDITS):
            # Not at once: a large batch goes in parts, which keep a line from lagging.
            self.loop.call_later(number * 0.01, other.type_in, shared[0], 60)
        path = f"new/{len(other.files)}.py"
        self.loop.call_later(1.1, page.type_in, shared[0])
        self.loop.call_later(1.1, lambda: other.ask("create_file", path=path))
        if (leaving := self._any_page()) is not page:
            self.loop.call_later(1.2, leaving.leave)
        self.loop.call_later(self.chance.uniform(1, 5), page.session.line.down.set_stalled, False)

    def _be_hasty(self) -> None:
        """Somebody types without a line, comes back, types on and closes the file at once."""
        page = self._any_page()
        if page.replicas and not page.is_viewer:
            file_id = self.chance.choice(list(page.replicas))
            page.leave()
            page.replicas[file_id].type(page.chance)
            page.is_eager, page.hasty_file = True, file_id

    def _open_and_delete(self) -> None:
        """A file is deleted while its document is being loaded for somebody."""
        page, other = self._any_page(), self._any_page()
        if page.files and not other.is_viewer:
            file_id = self.chance.choice(list(page.files))
            page.open_file(file_id)
            other.ask("delete_file", file_id=file_id)
            self.loop.call_later(1.0, page.type_in, file_id)

    def _mistake(self) -> None:
        """The room finds that something inside it is wrong."""
        if self.room is not None and self.room.failed is None and self.is_up:
            self.witness.mistakes += 1
            self.room.fail(Mistake())

    def _unstall(self) -> None:
        for line in self.lines:
            if line.down.is_stalled or line.up.is_stalled:
                line.down.set_stalled(False)
                line.up.set_stalled(False)
                return

    def _reload(self) -> None:
        page = self._any_page()
        if page.reloads < _RELOADS_MAX and not page.is_viewer:
            page.reload()

    def _fail_appends(self) -> None:
        if self.faults.store_fails:
            self.unlucky_appends = self.chance.choice((1, 1, 2, 5))

    def _fail_store(self) -> None:
        if self.faults.store_fails:
            self.store_down_until_s = self.loop.time() + self.chance.uniform(0.1, 4.0)

    def _fill_disk(self) -> None:
        """All can be read and nothing can be saved, for longer than a probe waits."""
        if self.faults.disk_fills:
            self.disk_full_until_s = self.loop.time() + self.chance.uniform(0.5, 12.0)

    def _slow_store(self) -> None:
        self.store.delay_s = self.chance.choice((0.0, 0.002, 0.002, 0.05, 0.3, 3.0))

    def _restart(self) -> None:
        if not self.faults.server_crashes:
            return
        if self.is_up:
            self.crash()
        self.loop.call_later(self.chance.uniform(0.0, 1.0), self._start_again)

    def _start_again(self) -> None:
        if not self.is_up:
            self.start_server()

    def _sweep(self) -> None:
        before = dict(self.server.lobby.rooms)
        self.server.lobby.sweep()
        self.witness.check_sweep(before, self.server.lobby)

    def _harm(self) -> None:
        if self.hostile is not None:
            self.hostile.join()
            known = {client for file in self._open_files() for client in _clients(file.document.state_vector())}
            self.hostile.harm(self.seen, sorted(known))
            for file in self._open_files()[:1]:
                state = file.document.encode()
                if (ids := _clients(file.document.state_vector())) and self.hostile.is_ready:
                    self.hostile.open_file(file.id)
                    self.hostile.forge(file.id, state, self.chance.choice(sorted(ids)))

    def _open_files(self) -> list[OpenFile]:
        return [] if self.room is None else list(self.room.open_files.values())

    # -- states

    @property
    def room(self) -> Room | None:
        """The workspace's room, if it is in memory."""
        return self.server.lobby.rooms.get(self.workspace_id)

    @property
    def everybody(self) -> list[Page | StockClient]:
        """All members, the hostile one too."""
        return [*self.pages, *self.stocks, *([self.hostile] if self.hostile else [])]

    def heal(self) -> None:
        """No more trouble: the store works, lines flow, the server is up."""
        self.store_down_until_s = self.disk_full_until_s = 0.0
        self.unlucky_appends = 0
        self.store.delay_s = 0.002
        for line in self.lines:
            line.down.set_stalled(False)
            line.up.set_stalled(False)
        self._start_again()

    def set_rejoining(self, may_rejoin: bool) -> None:
        """Whether those who were cut come back by themselves."""
        for member in self.everybody:
            member.may_rejoin = may_rejoin

    def begin(self) -> None:
        """Whoever is away comes, stock clients take files, everybody opens one."""
        newcomers: list[Person] = []
        for page in self.pages:
            # Two tabs that say their first hello at once would be two persons.
            if page.person.token or page.person not in newcomers:
                newcomers.append(page.person)
                page.join()
            if page.files:
                page.open_file(self.chance.choice(list(page.files)))
        for stock in self.stocks:
            live = [file for file in self.store.files(self.workspace_id).values() if file.deleted_at_ms is None]
            if stock.replica is None and live:
                stock.take(self.chance.choice(live).file_id)
            stock.join()


def _clients(state_vector: bytes) -> list[int]:
    return list(decode_state_vector(state_vector))


_ACTIONS = {
    "type": 40,
    "type_in_stock": 8,
    "paste": 3,
    "flood": 1,
    "open": 8,
    "close": 2,
    "reopen": 2,
    "change_files": 4,
    "presence": 3,
    "chat": 4,
    "cut": 3,
    "leave": 1,
    "stall": 4,
    "be_slow": 1.5,
    "be_hasty": 1,
    "open_and_delete": 1,
    "mistake": 0.5,
    "unstall": 2,
    "reload": 1,
    "fail_appends": 2,
    "fail_store": 0.7,
    "fill_disk": 0.7,
    "slow_store": 2,
    "restart": 0.7,
    "sweep": 1,
    "harm": 4,
}
"""What may happen, and how often."""

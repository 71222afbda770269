"""``carets admin``: the same commands and answers whether a server runs on the data directory or not."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs

from carets.checkup import check
from carets.cli import main
from carets.config import Config
from carets.engines.lock import DataDirectory, DirectoryInUseError
from carets.engines.sqlite_file import DATA_FILE
from carets.errors import Code
from carets.server import running
from tests.operator import Ended, carets
from tests.peer import connect, create_workspace
from tests.serving import serving

LISTED = "`carets admin workspaces` lists them."
DAY_MS = 24 * 3600 * 1000


class Place:
    """A data directory with a workspace in it, and the command on it."""

    def __init__(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data = data
        self.workspace_id = ""
        self.keys: dict[str, str] = {}
        self._capsys = capsys

    async def admin(self, *words: str) -> Ended:
        """Run ``carets admin`` in a thread, since it waits for the server, which is in this process, too."""
        self._capsys.readouterr()
        status = await asyncio.to_thread(main, ["admin", *words, "--data", str(self.data)])
        return Ended(status, *self._capsys.readouterr())

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """The address of a server on it."""
        async with running(Config(port=0, data=self.data)) as server:
            yield server.address.rstrip("/")


@pytest.fixture(autouse=True)
def _unheard() -> Iterator[None]:
    """What the server in this process logs is not what the command prints."""
    with capture_logs():
        yield


@pytest.fixture
async def place(tmp_path: Path, http: aiohttp.ClientSession, capsys: pytest.CaptureFixture[str]) -> Place:
    place = Place(tmp_path / "data", capsys)
    async with place.served() as url:
        place.workspace_id, place.keys = await create_workspace(http, url, {"a.py": "x"}, title="Ours")
    return place


@pytest.fixture(params=["a server runs", "no server runs"])
async def either(request: pytest.FixtureRequest, place: Place) -> AsyncIterator[Place]:
    """The same place, with a server on it or without one."""
    if request.param == "no server runs":
        yield place
    else:
        async with place.served():
            yield place


async def test_workspaces_and_usage_are_told(either: Place) -> None:
    ended = await either.admin("workspaces")
    assert (ended.status, ended.err) == (0, "")
    first, second = ended.out.splitlines()
    assert first == f"{either.workspace_id}  Ours"
    assert "1 file, " in second
    assert " kept, 0 members" in second
    told = json.loads((await either.admin("workspaces", "--json")).out)
    assert (told["workspace_id"], told["members"], told["deleted_at_ms"]) == (either.workspace_id, 0, None)
    usage = json.loads((await either.admin("usage", "--json")).out)
    assert (usage["workspaces"], usage["files"], usage["rooms"]) == (1, 1, 0)
    words = (await either.admin("usage")).out
    assert "workspaces: 1\n" in words
    assert "of that free for what comes: " in words


async def test_links_made_anew_open_the_workspace(either: Place) -> None:
    ended = await either.admin("links", either.workspace_id, "--revoke-old")
    assert ended.status == 0
    links = dict(line.split(": ") for line in ended.out.splitlines())
    assert list(links) == ["viewer", "editor", "owner"]
    assert all(f"/w/{either.workspace_id}#key=" in link for link in links.values())
    keys = {role: link.split("#key=")[1] for role, link in links.items()}
    async with reopened(either) as url:
        for role, key in keys.items():
            async with connect(url, either.workspace_id, key) as peer:
                assert peer.welcome["role"] == role
        with pytest.raises(AssertionError, match=str(int(Code.LINK_REVOKED))):
            async with connect(url, either.workspace_id, either.keys["owner"]):
                pass


async def test_links_that_begin_with_a_guess_are_told_to(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without options is at 127.0.0.1; `localhost` is another site, where a browser has nothing kept."""
    ended = await place.admin("links", place.workspace_id)
    assert ended.out.count(": http://127.0.0.1:8040/w/") == 3
    assert ended.err == "No server runs here, so http://127.0.0.1:8040 is a guess: name another with --public-url.\n"
    monkeypatch.setenv("CARETS_PUBLIC_URL", "https://code.example.org")
    ended = await place.admin("links", place.workspace_id)
    assert (ended.out.count(": https://code.example.org/w/"), ended.err) == (3, "")
    monkeypatch.delenv("CARETS_PUBLIC_URL")
    async with place.served() as url:
        ended = await place.admin("links", place.workspace_id)
        assert (ended.out.count(f": {url}/w/"), ended.err) == (3, "")


@contextlib.asynccontextmanager
async def reopened(place: Place) -> AsyncIterator[str]:
    """The address of the server that runs, or of one that is started for it."""
    try:
        DataDirectory.lock(place.data).release()
    except DirectoryInUseError as error:
        yield error.holder.address
        return
    async with place.served() as url:
        yield url


async def test_delete_and_restore(either: Place) -> None:
    assert (await either.admin("delete", either.workspace_id)).status == 0
    assert json.loads((await either.admin("workspaces", "--json")).out)["deleted_at_ms"] is not None
    again = await either.admin("delete", either.workspace_id)
    assert (again.status, again.out, again.err.count("\n")) == (2, "", 1)
    assert again.err == "carets: The workspace was deleted. For 30 days `carets admin restore` takes that back.\n"
    assert (await either.admin("restore", either.workspace_id)).out == f"{either.workspace_id} is back: Ours\n"
    assert json.loads((await either.admin("workspaces", "--json")).out)["deleted_at_ms"] is None


@pytest.mark.parametrize("unknown", ["nix-nix-nix", "../../../etc", "a b", "ü?#"])
async def test_what_is_no_workspace_is_one_line_and_status_2(either: Place, unknown: str) -> None:
    for words in (["links"], ["delete"], ["restore"]):
        ended = await either.admin(*words, unknown)
        assert (ended.status, ended.out, ended.err) == (2, "", f"carets: There is no such workspace. {LISTED}\n")


@pytest.mark.parametrize("workspace_id", ["-7MPKGQlNwGOabcd", "--MPKGQlNwGOabcd", "-d------------at"])
async def test_an_id_that_begins_with_a_hyphen_is_no_option(place: Place, workspace_id: str) -> None:
    """Ids are random letters; one in 64 could be neither deleted nor restored, nor get links, at the command line."""
    with contextlib.closing(sqlite3.connect(place.data / DATA_FILE)) as connection:
        connection.execute("UPDATE workspaces SET workspace_id = ?", (workspace_id,))
        connection.commit()
    assert (await place.admin("delete", workspace_id)).status == 0
    assert (await place.admin("restore", workspace_id)).out == f"{workspace_id} is back: Ours\n"
    ended = await place.admin("links", workspace_id, "--revoke-old", "--public-url", "https://code.example.org")
    assert (ended.out.count(f"/w/{workspace_id}#key="), ended.err) == (3, "")


async def test_the_admin_token_is_printed_and_made_anew(either: Place, http: aiohttp.ClientSession) -> None:
    old = (await either.admin("token")).out.strip()
    new = (await either.admin("token", "--new")).out.strip()
    assert old != new == (await either.admin("token")).out.strip()
    assert (await either.admin("token", "create")).out.strip() not in ("", old, new)
    async with reopened(either) as url:
        for token, status in ((old, 401), (new, 200)):
            async with http.get(url + "/api/admin/usage", headers={"Authorization": f"Bearer {token}"}) as response:
                assert response.status == status


async def test_what_was_deleted_long_ago_is_purged_and_nothing_else(
    either: Place, place: Place, http: aiohttp.ClientSession
) -> None:
    """A file's row stays, so that its id is never given twice; its text goes."""
    async with reopened(either) as url:
        old, _ = await create_workspace(http, url, {f"{n}.py": "y" * 1000 for n in range(3)}, title="Old")
        recent, _ = await create_workspace(http, url, {"a.py": "z" * 1000}, title="Recent")
        async with connect(url, either.workspace_id, either.keys["editor"]) as peer:
            gone = await peer.create_file("gone.py")
            (await peer.open_file(gone)).append("g" * 1000)
            await peer.until_saved()
            await peer.ask(type="delete_file", file_id=gone)
            await peer.ask(type="chat", text="hello", nonce="n")
    with contextlib.closing(sqlite3.connect(either.data / DATA_FILE, timeout=5)) as connection:
        long_ago = 1_000
        connection.execute("UPDATE workspaces SET deleted_at_ms = ? WHERE workspace_id = ?", (long_ago, old))
        connection.execute("UPDATE workspaces SET deleted_at_ms = unixepoch() * 1000 WHERE workspace_id = ?", (recent,))
        connection.execute("UPDATE files SET deleted_at_ms = ? WHERE path = 'gone.py'", (long_ago,))
        connection.commit()
    ended = await either.admin("purge")
    assert ended.status == 0, ended
    assert ended.out.startswith("Removed 1 workspace and ")
    listed = [
        json.loads(line)["workspace_id"] for line in (await either.admin("workspaces", "--json")).out.splitlines()
    ]
    assert sorted(listed) == sorted([either.workspace_id, recent])
    assert check(either.data / DATA_FILE).problems == []
    with contextlib.closing(sqlite3.connect(either.data / DATA_FILE)) as connection:
        counts = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("workspaces", "documents", "files", "log", "chat", "links", "paths")
        }
        assert counts == {
            "workspaces": 2, "documents": 3, "files": 3, "log": 2, "chat": 1, "links": 6, "paths": 3
        }  # fmt: skip
    assert (await either.admin("purge")).out == "Removed 0 workspaces and 0 rows.\n"
    assert (await either.admin("restore", recent)).status == 0
    async with reopened(either) as url, connect(url, either.workspace_id, either.keys["editor"]) as peer:
        assert str(await peer.open_file(1)) == "x"
        assert await peer.create_file("new.py") == gone + 1


async def test_a_purge_without_a_server_gives_the_space_back(place: Place, http: aiohttp.ClientSession) -> None:
    async with place.served() as url:
        large, _ = await create_workspace(http, url, {"a.py": "y" * 900_000})
    with contextlib.closing(sqlite3.connect(place.data / DATA_FILE)) as connection:
        connection.execute("UPDATE workspaces SET deleted_at_ms = 1000 WHERE workspace_id = ?", (large,))
        connection.commit()
    before = size_of(place)
    assert before > 900_000
    assert (await place.admin("purge")).status == 0
    assert size_of(place) < 300_000


def size_of(place: Place) -> int:
    return (place.data / DATA_FILE).stat().st_size


async def test_as_a_process_beside_a_server_with_a_certificate_of_its_own(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with serving(tmp_path / "data", "--tls", "self-signed", "--host", "0.0.0.0") as server:
        ended = await carets("admin", "usage", "--data", tmp_path / "data", "--json")
        assert (ended.status, ended.err) == (0, "")
        assert json.loads(ended.out)["workspaces"] == 0
        token = (await carets("admin", "token", "--data", tmp_path / "data")).out.strip()
        assert token
        assert token not in server.log


async def test_where_there_is_nothing_it_says_so_and_makes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["admin", "usage", "--data", str(tmp_path / "nothing")]) == 2
    assert "there is no data file" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()


async def test_a_holder_that_does_not_serve_or_answer_is_named(place: Place) -> None:
    directory = DataDirectory.lock(place.data)
    try:
        ended = await place.admin("usage")
        assert ended.status == 2
        assert "does not serve at this moment" in ended.err
        directory.tell("http://127.0.0.1:1")
        ended = await place.admin("usage")
        assert (ended.status, ended.err.count("\n")) == (2, 1)
        assert "does not answer at http://127.0.0.1:1" in ended.err
    finally:
        directory.release()

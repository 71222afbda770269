"""Chat, signals, folders, places, titles and deletion, over real sockets and plain HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from carets import limits
from carets.errors import Code
from carets.protocol import messages
from carets.rooms.delivery import Delivery
from carets.rooms.member import Member
from carets.server import Running
from tests.peer import Peer, connect, create_workspace
from tests.serving import ServerProcess

KILLS = 6


class Place:
    """One workspace on a running server, and those who come to it."""

    def __init__(self, url: str, http: aiohttp.ClientSession, stack: AsyncExitStack) -> None:
        self.url, self.http, self._stack = url, http, stack
        self.id = ""
        self.keys: dict[str, str] = {}

    async def set_up(self, *paths: str) -> Place:
        self.id, self.keys = await create_workspace(self.http, self.url, dict.fromkeys(paths, ""), "Ours")
        return self

    async def join(self, role: str = "editor", **hello: str) -> Peer:
        """A new member, who leaves with the test."""
        return await self._stack.enter_async_context(connect(self.url, self.id, self.keys[role], **hello))

    async def call(self, method: str, path: str = "", role: str = "owner", **more: Any) -> tuple[int, Any]:
        """Status and body of a call of the API."""
        headers = {"Authorization": f"Bearer {self.keys[role]}"} if role else {}
        address = f"{self.url}/api/workspaces/{self.id}{path}"
        async with self.http.request(method, address, headers=headers, **more) as response:
            return response.status, await response.json() if response.content_type == "application/json" else None


@pytest.fixture
async def place(server: Running, http: aiohttp.ClientSession) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        yield await Place(server.address.rstrip("/"), http, stack).set_up("a.py")


def entries_of(peer: Peer) -> list[dict[str, Any]]:
    """The chat as a client has it: by its ids, whatever order and however often it was told."""
    told = [each for notice in peer.notices if notice["type"] == "chat" for each in notice["entries"]]
    return [entry for _, entry in sorted({each["chat_id"]: each for each in told}.items())]


def told(peer: Peer, kind: str) -> list[dict[str, Any]]:
    return [notice for notice in peer.notices if notice["type"] == kind]


# -- chat


async def test_everybody_has_the_same_chat_in_the_same_order(place: Place) -> None:
    peers = [await place.join(name=f"P{number}") for number in range(4)]
    viewer = await place.join("viewer")
    for number in range(25):
        for peer in peers:
            peer.send_json(type="chat", text=f"{number}", nonce=f"{number}")
    for peer in (*peers, viewer):
        await peer.until(lambda peer=peer: len(entries_of(peer)) == 100)  # type: ignore[misc]
    logs = [[(each["chat_id"], each["author"], each["text"]) for each in entries_of(peer)] for peer in (*peers, viewer)]
    assert all(log == logs[0] for log in logs)
    assert [chat_id for chat_id, _, _ in logs[0]] == list(range(1, 101))
    for peer in peers:
        own = [text for _, author, text in logs[0] if author == peer.welcome["author"]]
        assert own == [str(number) for number in range(25)]


async def test_a_message_that_is_sent_again_after_a_reconnect_is_there_once(place: Place) -> None:
    ann = await place.join(name="Ann")
    answer = await ann.ask(type="chat", text="hello", nonce="n-1")
    assert answer["entries"][0]["name"] == "Ann"
    again = await place.join(person=ann.welcome["person"])
    assert (await again.ask(type="chat", text="hello", nonce="n-1"))["entries"] == answer["entries"]
    assert (await again.ask(type="chat", text="again", nonce="n-2"))["entries"][0]["chat_id"] == 2


async def test_chat_that_is_refused_keeps_the_connection(place: Place) -> None:
    viewer, ann = await place.join("viewer"), await place.join()
    assert (await viewer.ask(type="chat", text="hello", nonce="n"))["code"] == Code.ROLE_TOO_LOW
    long = "\U0001f600" * limits.CHAT_UNITS_MAX
    assert (await ann.ask(type="chat", text=long + "x", nonce="n"))["code"] == Code.TEXT_INVALID
    assert (await ann.ask(type="chat", text=long, nonce="n"))["entries"][0]["text"] == long, "escaped, and one frame"
    ann.send_json(type="chat", text="x", nonce="")
    assert await ann.until_closed() == Code.MALFORMED_MESSAGE


async def test_earlier_chat_is_read_in_pages(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMBER_REQUESTS_BURST", 10_000)
    ann = await place.join()
    count = limits.CHAT_PAGE_ENTRIES + 30
    for number in range(1, count + 1):
        ann.send_json(type="chat", text=f"{number}", nonce=f"{number}")
    await ann.until(lambda: bool(entries_of(ann)) and entries_of(ann)[-1]["chat_id"] == count)
    late = await place.join("viewer")
    await late.until(lambda: bool(told(late, "chat")))
    (tail,) = told(late, "chat")
    assert (tail["full"], len(tail["entries"])) == (True, limits.CHAT_TAIL_ENTRIES)
    status, page = await place.call("GET", f"/chat?before={tail['entries'][0]['chat_id']}&count=7", "viewer")
    first = count - limits.CHAT_TAIL_ENTRIES + 1
    assert (status, [each["text"] for each in page["entries"]]) == (200, [f"{n}" for n in range(first - 7, first)])
    assert set(page["entries"][0]) == {"chat_id", "at_ms", "author", "name", "color", "text"}, "nobody's nonce is told"
    status, page = await place.call("GET", "/chat?count=999", "editor")
    assert (status, len(page["entries"]), page["entries"][-1]["chat_id"]) == (200, limits.CHAT_PAGE_ENTRIES, count)
    assert (await place.call("GET", "/chat?before=1"))[1] == {"entries": []}
    for query in ("before=-1", "count=x", "before=%F0%9D%9F%8F", f"count={'9' * 30}"):
        status, body = await place.call("GET", f"/chat?{query}")
        assert (status, body["error"]["code"]) == (400, Code.BODY_MALFORMED)
    assert (await place.call("GET", "/chat", ""))[0] == 403


async def test_what_was_told_survives_kill_9(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    server = ServerProcess(tmp_path / "data")
    await server.start()
    workspace_id, keys = await create_workspace(http, server.url)
    heard: dict[int, dict[str, Any]] = {}
    person, said = "", 0
    for death in range(KILLS):
        async with (
            connect(server.url, workspace_id, keys["editor"], person=person) as ann,
            connect(server.url, workspace_id, keys["viewer"]) as viewer,
        ):
            person = ann.welcome["person"]
            before = len(heard)
            for _ in range(40):
                ann.send_json(type="chat", text=f"{said}", nonce=f"{said}")
                said += 1
            reader = (ann, viewer)[death % 2]
            await reader.until(lambda reader=reader, before=before: len(entries_of(reader)) > before % 7)  # type: ignore[misc]
            await server.kill()
            for peer in (ann, viewer):
                await peer.until_closed()
                for entry in entries_of(peer):
                    assert heard.setdefault(entry["chat_id"], entry) == entry, "an id names one entry for ever"
        await server.start()
        async with http.get(
            f"{server.url}/api/workspaces/{workspace_id}/chat", headers={"Authorization": f"Bearer {keys['viewer']}"}
        ) as response:
            kept = {entry["chat_id"]: entry for entry in (await response.json())["entries"]}
        first = min(kept, default=1)
        assert list(kept) == list(range(first, first + len(kept)))
        lost = [entry for chat_id, entry in heard.items() if chat_id >= first and kept.get(chat_id) != entry]
        assert heard
        assert not lost
    await server.stop()


# -- signals, places, pages


async def test_signals_reach_all_others_or_one(place: Place) -> None:
    ann, bob, viewer = await place.join(), await place.join(), await place.join("viewer")
    ann.send_json(type="signal", kind="run.out", data={"text": "é\n"})
    ann.send_json(type="signal", kind="look", data=[1], to=viewer.welcome["member_id"])
    ann.send_json(type="signal", kind="look", data=None, to=12345)
    ann.send_json(type="signal", kind="end", data=0)
    sender = ann.welcome["member_id"]
    for peer, kinds in ((bob, ["run.out", "end"]), (viewer, ["run.out", "look", "end"])):
        await peer.until(lambda peer=peer: any(each["kind"] == "end" for each in told(peer, "signal")))  # type: ignore[misc]
        assert [each["kind"] for each in told(peer, "signal")] == kinds
        assert {each["member_id"] for each in told(peer, "signal")} == {sender}
    assert told(bob, "signal")[0]["data"] == {"text": "é\n"}
    ann.send_json(type="signal", kind="big", data="x" * limits.SIGNAL_BYTES_MAX)
    viewer.send_json(type="signal", kind="v", data=1)
    await ann.until(lambda: bool(ann.refusals))
    await viewer.until(lambda: bool(viewer.refusals))
    codes = [peer.refusals[0]["code"] for peer in (ann, viewer)]
    assert codes == [Code.MESSAGE_TOO_LARGE, Code.ROLE_TOO_LOW]
    assert told(ann, "signal") == []


async def test_frames_that_come_together_leave_others_their_turns(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each may cost by all members or all files: one editor's burst held the server for half a minute."""
    ann, order = await place.join(), []
    signal = Delivery.signal

    def noted(delivery: Delivery, sender: Member, request: messages.Signal) -> None:
        order.append("signal")
        asyncio.get_running_loop().call_soon(order.append, "turn")
        signal(delivery, sender, request)

    monkeypatch.setattr(Delivery, "signal", noted)
    for _ in range(20):
        ann.send_json(type="signal", kind="run.out", data=1)
    ann.send_json(type="ping")
    await ann.until(lambda: bool(told(ann, "pong")))
    assert order == ["signal", "turn"] * 20


async def test_places_are_told_and_a_page_that_comes_back_has_no_ghost(place: Place) -> None:
    bob = await place.join()
    ann = await place.join(page="p-1", name="Ann")
    ann_id = ann.welcome["member_id"]
    ann.send_json(type="place", file_id=1)
    await bob.until(lambda: bob.members.get(ann_id, {}).get("file_id") == 1)
    again = await place.join(page="p-1", name="Ann", person=ann.welcome["person"])
    assert await ann.until_closed() == Code.SILENT
    await bob.until(lambda: set(bob.members) == {bob.welcome["member_id"], again.welcome["member_id"]})
    assert ann_id not in again.members


async def test_a_folder_moves_for_everybody_or_for_nobody(place: Place) -> None:
    ann, bob = await place.join(), await place.join()
    ids = [await ann.create_file(path) for path in ("d/x.py", "d/e/y.py", "f/z.py")]
    replica = await bob.open_file(ids[0])
    assert (await ann.ask(type="rename_folder", path="d", to="f"))["code"] == Code.PATH_TAKEN
    assert (await ann.ask(type="rename_folder", path="d", to="d/e"))["code"] == Code.PATH_INVALID
    answer = await ann.ask(type="rename_folder", path="d", to="g/h")
    assert [file["path"] for file in answer["files"]] == ["g/h/x.py", "g/h/e/y.py"]
    await bob.until(lambda: [bob.files[id_]["path"] for id_ in ids] == ["g/h/x.py", "g/h/e/y.py", "f/z.py"])
    replica.append("still open")
    await bob.until_saved()
    answer = await bob.ask(type="delete_folder", path="g")
    assert all("deleted_at_ms" in file for file in answer["files"])
    assert (await bob.ask(type="delete_folder", path="g"))["code"] == Code.FILE_UNKNOWN


# -- the workspace itself


async def test_an_owner_renames_the_workspace_and_members_hear_it(place: Place) -> None:
    ann = await place.join("viewer")
    status, body = await place.call("PATCH", json={"title": "  New\u202e name "})
    assert (status, body) == (200, {"workspace_id": place.id, "title": "New name"})
    await ann.until(lambda: told(ann, "workspace") == [{"type": "workspace", "title": "New name"}])
    for role, title, code in (
        ("editor", "x", Code.ROLE_TOO_LOW),
        ("", "x", Code.KEY_WRONG),
        ("owner", " \u200b", Code.TEXT_INVALID),
    ):
        _, body = await place.call("PATCH", role=role, json={"title": title})
        assert body["error"]["code"] == code
    assert (await place.join()).welcome["title"] == "New name"


async def test_a_workspace_is_deleted_for_every_road_and_restored_with_all_that_was_saved(place: Place) -> None:
    ann, owner = await place.join(), await place.join("owner")
    replica = await ann.open_file(1)
    replica.append("kept")
    await ann.until_saved()
    await ann.ask(type="chat", text="kept too", nonce="n")
    assert (await place.call("DELETE", role="editor"))[0] == 403
    assert await place.call("DELETE") == (204, None)
    for peer in (ann, owner):
        assert await peer.until_closed() == Code.WORKSPACE_DELETED
    socket = await place.http.ws_connect(f"{place.url}/ws/{place.id}", protocols=("carets.v1",))
    await socket.send_json({"type": "hello", "key": place.keys["owner"]})
    assert (await socket.receive_json())["code"] == Code.WORKSPACE_DELETED
    await socket.receive()
    assert socket.close_code == Code.WORKSPACE_DELETED
    stock = await place.http.ws_connect(f"{place.url}/yjs/{place.id}/a.py?key={place.keys['editor']}")
    await stock.receive()
    assert stock.close_code == Code.WORKSPACE_DELETED
    for method, path in (("GET", "/links"), ("GET", "/chat"), ("PATCH", ""), ("DELETE", "")):
        status, body = await place.call(method, path, json={"title": "x"})
        assert (status, body["error"]["code"]) == (410, Code.WORKSPACE_DELETED)
    status, body = await place.call("POST", "/restore", "editor")
    assert (status, body["error"]["code"]) == (403, Code.ROLE_TOO_LOW)
    assert await place.call("POST", "/restore") == (200, {"workspace_id": place.id, "title": "Ours"})
    back = await place.join()
    assert str(await back.open_file(1)) == "kept"
    await back.until(lambda: [each["text"] for each in entries_of(back)] == ["kept too"])


async def test_a_deleted_workspace_stays_deleted_over_a_restart(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    server = ServerProcess(tmp_path / "data")
    await server.start()
    async with AsyncExitStack() as stack:
        place = await Place(server.url, http, stack).set_up("a.py")
        await place.call("DELETE")
        await server.kill()
        await server.start()
        assert (await place.call("GET", "/links"))[0] == 410
        assert (await place.call("POST", "/restore"))[0] == 200
        assert (await place.call("GET", "/links"))[0] == 200
    await server.stop()


async def test_links_say_who_is_on_them(place: Place) -> None:
    ann = await place.join(name="Ann", color="#aabbcc")
    ids = [ann.welcome["member_id"], (await place.join(name="Bob")).welcome["member_id"]]
    _, body = await place.call("GET", "/links")
    on = {link["role"]: link["members"] for link in body["links"]}
    assert on["editor"][0] == {"member_id": ids[0], "name": "Ann", "color": "#aabbcc"}
    assert ([each["member_id"] for each in on["editor"]], on["viewer"], on["owner"]) == (ids, [], [])


async def test_a_reader_that_lags_gets_the_latest_chat_whole(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MEMBER_REQUESTS_BURST", 10_000)
    ann = await place.join()
    slow = await place.http.ws_connect(f"{place.url}/ws/{place.id}", protocols=("carets.v1",), max_msg_size=0)
    await slow.send_json({"type": "hello", "key": place.keys["viewer"]})
    assert (await slow.receive_json())["type"] == "welcome"
    connection = slow._response.connection  # the way to a socket that reads nothing
    assert connection is not None
    assert connection.transport is not None
    connection.transport.pause_reading()
    count, last = 0, ""
    while count < 1_500:
        for _ in range(100):
            count += 1
            last = f"{count} " + "x" * 3_900
            ann.send_json(type="chat", text=last, nonce=f"{count}")
        await ann.until(lambda count=count: bool(entries_of(ann)) and entries_of(ann)[-1]["chat_id"] == count)  # type: ignore[misc]
    connection.transport.resume_reading()
    seen: list[dict[str, Any]] = []
    async with asyncio.timeout(20):
        while not seen or seen[-1]["entries"][-1]["text"] != last:
            notice = await slow.receive_json()
            if notice["type"] == "chat":
                seen.append(notice)
    assert any(notice.get("full") for notice in seen)
    assert sum(len(notice["entries"]) for notice in seen) < count, "it was sent the newest, not everything late"
    await slow.close()

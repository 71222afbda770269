"""Acting above one's role: a viewer who writes, an editor who owns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pycrdt import Doc, Text

from carets.errors import Code
from carets.protocol import wire
from tests.attacks.scene import ANSWER_S, Scene, http_answer, settled
from tests.peer import Peer
from tests.sessions import block, item, update

FORGED = update(block(9, 0, item("forged")))

REQUESTS: list[dict[str, Any]] = [
    {"type": "create_file", "path": "c.py"},
    {"type": "rename_file", "file_id": 1, "path": "c.py"},
    {"type": "delete_file", "file_id": 1},
    {"type": "restore_file", "file_id": 1},
    {"type": "restore_file", "file_id": 1, "path": "c.py"},
    {"type": "rename_folder", "path": "a", "to": "b"},
    {"type": "delete_folder", "path": "a"},
    {"type": "chat", "text": "words", "nonce": "n"},
]
"""Every request of `carets.v1` that changes a workspace, or says something in it."""


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda each: f"{each['type']}{'-to' * ('path' in each)}")
async def test_a_viewer_is_refused_every_request_that_changes_something(scene: Scene, request_: dict[str, Any]) -> None:
    """Somebody with a viewer's link skips the page, whose buttons are hidden, and sends the messages themselves.

    Hidden buttons would be all that keeps a viewer from deleting the workspace's files. The room refuses each (4424),
    and the list of files and the chat stay as they are.
    """
    viewer = await scene.join("viewer")
    assert (await viewer.ask(**request_))["code"] == Code.ROLE_TOO_LOW
    await settled(scene.peer)
    assert not [notice for notice in scene.peer.notices if notice["type"] in ("files", "chat")]
    await viewer.close()


async def test_a_viewers_signal_reaches_nobody(scene: Scene) -> None:
    """A viewer sends signals: the output of a program that never ran, to all and to one.

    The others' pages would show it as a run. Viewers send none.
    """
    viewer = await scene.join("viewer")
    for to in ({}, {"to": scene.peer.welcome["member_id"]}):
        viewer.send_json(type="signal", kind="run.out", data={"run": "a", "seq": 0}, **to)
    await settled(viewer)
    await settled(scene.peer)
    assert [refusal["code"] for refusal in viewer.refusals] == [Code.ROLE_TOO_LOW] * 2
    assert not [notice for notice in scene.peer.notices if notice["type"] == "signal"]
    await viewer.close()


def _by_update(viewer: Peer) -> None:
    viewer.send_frame(1, wire.encode_update(FORGED))


def _by_step_2(viewer: Peer) -> None:
    viewer.send_frame(1, wire.encode_step_2(FORGED))


def _by_parts(viewer: Peer) -> None:
    for frame in wire.cut_in_parts(1, wire.encode_update(update(block(9, 0, item("forged" * 20_000))))):
        viewer.send_raw(frame)


def _by_large_step_2(viewer: Peer) -> None:
    for frame in wire.cut_in_parts(1, wire.encode_step_2(update(block(9, 0, item("forged" * 200_000))))):
        viewer.send_raw(frame)


def _by_deleting(viewer: Peer) -> None:
    doc: Doc[Text] = viewer.replicas[1].doc
    before = doc.get_state()
    with doc.transaction():
        del doc["text"][0:3]
    viewer.send_frame(1, wire.encode_step_2(doc.get_update(before)))


ROADS: dict[Callable[[Peer], None], Code] = {
    _by_update: Code.ROLE_TOO_LOW,
    _by_step_2: Code.ROLE_TOO_LOW,
    _by_parts: Code.ROLE_TOO_LOW,
    _by_large_step_2: Code.MESSAGE_TOO_LARGE,
    _by_deleting: Code.ROLE_TOO_LOW,
}


@pytest.mark.parametrize("road", ROADS, ids=lambda road: road.__name__.removeprefix("_by_"))
async def test_a_viewers_edit_is_in_no_message(scene: Scene, road: Callable[[Peer], None]) -> None:
    """A viewer sends text as an update, inside of a step 2, in parts, above all bounds, or deletes.

    The server cannot refuse step 2 as such, since stock clients send one by themselves: a viewer's text would slip in
    there. One with any news is refused (4424) and reaches nobody, and so is one that is larger than all that a viewer
    can have to say (4405), before it is held.
    """
    viewer = await scene.join("viewer")
    await viewer.open_file(1)
    road(viewer)
    await viewer.until(lambda: bool(viewer.refusals))
    assert {refusal["code"] for refusal in viewer.refusals} == {ROADS[road]}
    await scene.type()
    await viewer.close()


async def test_a_viewer_declares_no_client_id(scene: Scene) -> None:
    """A viewer opens a file under the Yjs client id that an editor is about to use, and reserves it.

    Editors would be refused their own ids by somebody who may not even write. A viewer's declaration reserves nothing.
    """
    viewer, grace = await scene.join("viewer"), await scene.join(name="Grace")
    await viewer.open_file(2, client_id=4711)
    replica = await grace.open_file(2, client_id=4711)
    replica.append("!")
    await grace.until_saved()
    assert (str(replica), grace.refusals) == ("other!", [])
    await viewer.close()
    await grace.close()


@pytest.mark.parametrize("encode", [wire.encode_update, wire.encode_step_2])
async def test_a_stock_viewer_writes_by_neither_message(scene: Scene, encode: Callable[[bytes], bytes]) -> None:
    """The same by the stock door, whose clients know no roles and believe that they may write.

    Their text is dropped and answered with y-protocols' `permissionDenied`; the connection stays: they may read.
    """
    socket = await scene.stock("viewer")
    await socket.send_bytes(encode(FORGED))
    async with asyncio.timeout(ANSWER_S):
        assert (await socket.receive_bytes()).startswith(b"\x02\x00")
    await scene.type()
    await socket.close()


CALLS: list[tuple[str, str, str, dict[str, Any] | None]] = [
    ("viewer", "POST", "/files", {"files": {"c.py": "text"}}),
    ("viewer", "PATCH", "", {"title": "Mine"}),
    ("viewer", "DELETE", "", None),
    ("viewer", "POST", "/restore", None),
    ("viewer", "GET", "/links", None),
    ("viewer", "POST", "/links", {"role": "owner"}),
    ("viewer", "DELETE", "/links/LINK", None),
    ("editor", "PATCH", "", {"title": "Mine"}),
    ("editor", "DELETE", "", None),
    ("editor", "POST", "/restore", None),
    ("editor", "GET", "/links", None),
    ("editor", "POST", "/links", {"role": "owner"}),
    ("editor", "POST", "/links", {"role": "viewer"}),
    ("editor", "DELETE", "/links/LINK", None),
]


@pytest.mark.parametrize("role,method,path,body", CALLS)
async def test_no_http_call_lifts_a_role(
    scene: Scene, role: str, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """Somebody takes the key of a lower role to the calls of a higher one: imports, titles, links, deleting.

    A viewer would write; an editor would make themselves an owner's link, and revoke the owner's. Each call asks for
    the role of the key: 4424, nothing done.
    """
    room = scene.server.lobby.rooms[scene.workspace_id]
    owners = next(link_id for link_id, link in room.links.items() if link.role == "owner")
    before = (room.title, dict(room.links))
    answer = await scene.call(method, scene.api + path.replace("LINK", owners), role, json=body)
    assert answer == http_answer(Code.ROLE_TOO_LOW)
    assert (room.title, dict(room.links), room.deleted_at_ms) == (*before, None)


async def test_a_role_is_not_chosen_in_the_hello(scene: Scene) -> None:
    """A viewer says in hello that they are an owner, and what a link's record holds.

    The role is the link's of the key, whatever else is said.
    """
    socket = await scene.socket()
    hello = {"type": "hello", "key": scene.keys["viewer"], "role": "owner", "link_id": "open", "is_open": True}
    await socket.send_json(hello)
    async with asyncio.timeout(ANSWER_S):
        assert (await socket.receive_json())["role"] == "viewer"
    await socket.close()


async def test_a_revoked_editor_gets_no_last_word(scene: Scene) -> None:
    """An editor whose link is revoked has a message in parts half sent, and sends the rest as the connection ends.

    What was begun with rights must not be finished without. The connection is closed at once (4422), and nothing of it
    is in the file.
    """
    owner = scene.bearing("owner")
    async with scene.http.post(f"{scene.api}/links", json={"role": "editor"}, headers=owner) as response:
        made = await response.json()
    guest = await scene.newcomer(made["url"].split("#key=")[1])
    replica = await guest.open_file(1)
    frames = list(wire.cut_in_parts(1, wire.encode_update(update(block(replica.client_id, 0, item("x" * 200_000))))))
    for frame in frames[:-1]:
        guest.send_raw(frame)
    await settled(guest)
    status, _ = await scene.call("DELETE", f"{scene.api}/links/{made['link_id']}", "owner")
    assert status == 204
    guest.send_raw(frames[-1])
    assert await guest.until_closed() == Code.LINK_REVOKED
    await guest.close()

"""Speaking as somebody else: authorship, Yjs client ids, person tokens, presence, keys."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
from pycrdt import Doc, Text

from carets.errors import Code
from carets.protocol import access, wire
from carets.protocol.wire import Presence
from tests.attacks.scene import ANSWER_S, Scene, http_answer, settled
from tests.peer import Peer, connect, create_workspace
from tests.sessions import block, item, update
from tests.test_bad_input import refusal_of

# -- authorship


async def told_of_chat(peer: Peer) -> list[dict[str, Any]]:
    """The entries that a peer was told of, once there are any."""
    await peer.until(lambda: any(notice["type"] == "chat" for notice in peer.notices))
    return [entry for notice in peer.notices if notice["type"] == "chat" for entry in notice["entries"]]


async def test_the_author_of_a_message_is_not_for_its_sender_to_choose(scene: Scene) -> None:
    """Mallory, an editor, writes the bystander's person, name, colour and member id into her chat message.

    She would put words into the bystander's mouth, kept for ever. The server reads text and nonce only, and writes the
    author of the connection itself.
    """
    victim = scene.peer.welcome
    mallory = await scene.join(name="Mallory")
    forged = {"author": victim["author"], "name": "Ada", "color": victim["color"], "member_id": victim["member_id"]}
    mallory.send_json(type="chat", nonce="n", text="words", at_ms=0, chat_id=99, person=victim["author"], **forged)
    (entry,) = await told_of_chat(scene.peer)
    own = mallory.welcome
    assert (entry["author"], entry["name"], entry["color"]) == (own["author"], "Mallory", own["color"])
    assert (entry["chat_id"], entry["at_ms"] > 0) == (1, True)
    await mallory.close()


async def test_the_author_of_an_import_is_who_can_prove_it(scene: Scene) -> None:
    """Mallory imports files and names the bystander as their author: by the name that chat shows, by tokens of her own.

    Blame would point at the bystander. A person counts only by a token that this server signed for this workspace;
    else the author is the link by which the files came.
    """
    public = scene.peer.welcome["author"]
    person_id = bytes.fromhex(public.removeprefix("person:"))
    for_elsewhere = scene.peer.welcome["person"]
    workspace_id, keys = await create_workspace(scene.http, scene.url)
    api, headers = f"{scene.url}/api/workspaces/{workspace_id}/files", {"Authorization": f"Bearer {keys['editor']}"}
    guesses = [public, person_id.hex(), access.encode_token(person_id + bytes(16)), for_elsewhere]
    guesses.append(access.sign_person(b"a secret of her own", workspace_id, person_id))
    for count, person in enumerate(guesses):
        body = {"files": {f"{count}.py": "text"}, "person": person}
        async with scene.http.post(api, json=body, headers=headers) as response:
            assert response.status == 201
            file_id = (await response.json())["files"][0]["file_id"]
        (entry,) = await scene.server.lobby.around.store.read_log(workspace_id, file_id, 0, 10)
        assert entry.author.startswith("link:"), person


# -- Yjs client ids


async def test_nobody_types_on_under_the_client_id_of_somebody_else(scene: Scene) -> None:
    """Mallory reads the bystander's Yjs client id off their edits and sends edits under it.

    Her text would be the bystander's in blame, and the bystander's next honest edit would collide with it and be lost.
    The id belongs to the person who used it first: declared (4431) or used, it is refused, by update and by step 2.
    """
    victim = scene.replica.client_id
    clock = len(str(scene.replica))
    for encode in (wire.encode_update, wire.encode_step_2):
        mallory = await scene.join()
        clock = len(str(scene.replica))
        mallory.start_opening(1, client_id=victim)
        refusals = mallory.refusals
        await mallory.until(lambda refusals=refusals: len(refusals) == 1)  # type: ignore[misc]
        await mallory.open_file(1)
        mallory.send_frame(1, encode(update(block(victim, clock, item("forged")))))
        await mallory.until(lambda refusals=refusals: len(refusals) == 2)  # type: ignore[misc]
        assert [refusal["code"] for refusal in mallory.refusals] == [Code.CLIENT_ID_TAKEN] * 2
        await mallory.close()


async def test_nobody_hides_behind_a_client_id_inside_of_a_larger_update(scene: Scene) -> None:
    """Mallory sends one update with an honest block of her own and one under the bystander's id behind it.

    If blocks were judged one by one as they are applied, hers would be in and the forged one perhaps, too. An update is
    admitted whole or not at all.
    """
    mallory = await scene.join()
    own = await mallory.open_file(1)
    clock = len(str(scene.replica))
    honest, forged = block(own.client_id, 0, item("mine")), block(scene.replica.client_id, clock, item("forged"))
    mallory.send_frame(1, wire.encode_update(update(honest, forged)))
    await mallory.until(lambda: bool(mallory.refusals))
    assert [refusal["code"] for refusal in mallory.refusals] == [Code.CLIENT_ID_TAKEN]
    await mallory.close()


async def test_a_client_id_is_its_owners_before_they_type(scene: Scene) -> None:
    """Grace opens a file and has not typed yet; Mallory knows her client id and is the first to use it.

    Grace's first word would be refused, and her text be Mallory's. Declaring an id with `open_file` reserves it, before
    anybody else can learn it; Mallory is refused by declaration and by use, and Grace types.
    """
    grace, mallory = await scene.join(name="Grace"), await scene.join()
    replica = await grace.open_file(2)
    mallory.start_opening(2, client_id=replica.client_id)
    await mallory.until(lambda: bool(mallory.refusals))
    await mallory.open_file(2)
    mallory.send_frame(2, wire.encode_update(update(block(replica.client_id, 0, item("forged")))))
    await mallory.until(lambda: len(mallory.refusals) == 2)
    assert [refusal["code"] for refusal in mallory.refusals] == [Code.CLIENT_ID_TAKEN] * 2
    replica.append(", typed")
    await grace.until_saved()
    assert (str(replica), grace.refusals) == ("other, typed", [])
    await grace.close()
    await mallory.close()


async def test_a_stock_client_takes_no_id_of_somebody_else_either(scene: Scene) -> None:
    """Mallory comes by the stock door, where ids are not declared, and types under the bystander's id.

    The stock door must not be the way around ownership: 4431, and the connection ends.
    """
    socket = await scene.stock()
    clock = len(str(scene.replica))
    await socket.send_bytes(wire.encode_update(update(block(scene.replica.client_id, clock, item("forged")))))
    async with asyncio.timeout(ANSWER_S):
        async for _ in socket:
            pass
    assert socket.close_code == Code.CLIENT_ID_TAKEN


async def test_the_deletion_of_what_is_not_there_yet_waits_for_nobodys_text(scene: Scene) -> None:
    """Mallory deletes characters that the bystander has not typed: the clocks that they will have.

    Were it kept, every further word of the bystander would vanish as it is typed. A deletion of what does not exist is
    a gap: nothing is applied, and it is never counted as done.
    """
    mallory = await scene.join()
    mallory.answers_step_1 = False
    await mallory.open_file(1)
    victim, clock = scene.replica.client_id, len(str(scene.replica))
    mallory.send_update(1, update(gone={victim: [(clock, clock + 1000)]}))
    await settled(mallory)
    await scene.type()
    assert mallory.saved == 0
    await mallory.close()


# -- person tokens


async def test_a_stolen_token_opens_no_workspace(scene: Scene) -> None:
    """A thief has the bystander's person token (a backup of their browser, a log of a proxy) and no link.

    The token says who somebody is, never that they may come in: at every door it is a wrong key.
    """
    token = scene.peer.welcome["person"]
    for hello in ({"key": token}, {"key": "", "person": token}, {"person": token}):
        socket = await scene.socket()
        await socket.send_json({"type": "hello", **hello})
        assert await refusal_of(socket) == (Code.KEY_WRONG, Code.KEY_WRONG)
    stock = await scene.socket(f"/yjs/{scene.workspace_id}/a.py", protocols=("yjs", token))
    assert await refusal_of(stock) == (0, Code.KEY_WRONG)
    for path in ("chat", "links", "export.zip"):
        headers = {"Authorization": f"Bearer {token}"}
        assert await scene.call("GET", f"{scene.api}/{path}", headers=headers) == http_answer(Code.KEY_WRONG)


async def test_a_stolen_token_lifts_nobody_above_their_link(scene: Scene) -> None:
    """A viewer has stolen an editor's token and says hello with both.

    If the person decided, a viewer could write. The link alone decides the role.
    """
    thief = await scene.join("viewer", person=scene.peer.welcome["person"])
    assert (thief.welcome["role"], thief.welcome["author"]) == ("viewer", scene.peer.welcome["author"])
    thief.send_json(type="chat", nonce="n", text="words")
    replica = await thief.open_file(1)
    replica.append("x")
    await thief.until(lambda: len(thief.refusals) == 2)
    assert [refusal["code"] for refusal in thief.refusals] == [Code.ROLE_TOO_LOW] * 2
    await thief.close()


async def test_a_token_is_good_in_its_own_workspace_only(scene: Scene) -> None:
    """Mallory owns a workspace, has lured the bystander into it, and replays the token of there here, or changes hers.

    She would be the bystander here. A token is signed for one workspace; any other makes a new person.
    """
    workspace_id, keys = await create_workspace(scene.http, scene.url)
    async with connect(scene.url, workspace_id, keys["editor"]) as lured:
        replayed = lured.welcome["person"]
    changed = scene.peer.welcome["person"][:-2] + "AA"
    victim = scene.peer.welcome["author"]
    for token in (replayed, changed, victim, victim.removeprefix("person:"), "A" * 38, ""):
        mallory = await scene.join(person=token)
        assert mallory.welcome["author"] != victim
        assert mallory.welcome["person"] != token
        await mallory.close()


async def test_a_replayed_token_with_a_link_is_that_person_and_puts_nobody_out(scene: Scene) -> None:
    """A thief with an editor's link of their own *and* the bystander's token says hello as the bystander.

    This is what a token is: who has it is that person, for authorship and Yjs ids, and SECURITY.md says to keep it.
    What the thief does not get is the bystander's place: a page's connection gives way only to one that knows its
    random page id, which nobody else is told. Guessing it with the token puts nobody out.
    """
    victim = scene.peer.welcome
    for page in ("", "0", "page", victim["author"]):
        thief = await scene.join(person=victim["person"], page=page, name="Ada")
        assert thief.welcome["author"] == victim["author"]
        assert thief.welcome["member_id"] != victim["member_id"]
        await scene.type()
        await thief.close()


# -- presence


async def test_a_member_of_the_page_cannot_put_words_over_somebody_elses_caret(scene: Scene) -> None:
    """Mallory sends awareness in the name of the bystander's member id: with another name and role, then as gone.

    The others would see a caret "Boss (owner)", or lose the bystander's. An entry's id and `user` are ignored: what
    arrives is her own caret, by the server's word, and two entries at once are no message.
    """
    victim = scene.peer.welcome["member_id"]
    scene.peer.send_presence(1, {"cursor": None})
    mallory = await scene.join(name="Mallory")
    mine = mallory.welcome["member_id"]
    seen = await mallory.open_file(1)
    await mallory.until(lambda: victim in seen.presence)
    user = {"id": victim, "name": "Boss", "color": "#000000", "role": "owner"}
    for state in (json.dumps({"user": user, "cursor": None}), "null", json.dumps({"cursor": None, "user": user})):
        mallory.send_frame(1, wire.encode_awareness([Presence(victim, 2**31 - 1, state)]))
    await scene.peer.until(lambda: mine in scene.replica.presence)
    told = scene.replica.presence[mine]
    assert told is not None
    assert (told["user"]["name"], told["user"]["role"], told["user"]["id"]) == ("Mallory", "editor", mine)
    witness = await scene.join("viewer")
    fresh = await witness.open_file(1)
    await witness.until(lambda: victim in fresh.presence)
    theirs = fresh.presence[victim]
    assert theirs is not None
    assert theirs["user"]["name"] == "Ada"
    mallory.send_frame(1, wire.encode_awareness([Presence(mine, 1, "null"), Presence(victim, 1, "null")]))
    assert await mallory.until_closed() == Code.MALFORMED_PRESENCE
    await witness.close()
    await mallory.close()


async def test_a_caret_in_a_root_that_nobody_has_is_told_to_nobody(scene: Scene) -> None:
    """Mallory says that her caret is in the root ``a1``, then in ``a2``, and so on, twenty times a second.

    Yjs makes a root of each name that a position asks for: the documents of all who are told grow until they reload,
    those of stock clients too. Positions are in the one root that a file has: 4407; a stock client's caret is left out.
    """
    stock = await scene.stock()
    await stock.send_bytes(wire.encode_step_1(b"\0"))
    anchor = {"type": None, "tname": "a1", "item": None, "assoc": 0}
    state = json.dumps({"user": {"name": "Mallory"}, "cursor": {"anchor": anchor, "head": anchor}})
    await stock.send_bytes(wire.encode_awareness([Presence(1 << 20, 1, state)]))
    told = (await states_until(stock, 1 << 20))[1 << 20][0]
    assert told is not None
    assert told["cursor"] is None
    await stock.close()
    mallory = await scene.join()
    await mallory.open_file(1)
    mallory.send_presence(1, {"cursor": {"anchor": anchor, "head": anchor}})
    assert await mallory.until_closed() == Code.MALFORMED_PRESENCE
    await mallory.close()


async def states_until(socket: aiohttp.ClientWebSocketResponse, last_id: int) -> dict[int, list[dict[str, Any] | None]]:
    """All states that a stock client is told, until it is told of an id."""
    states: dict[int, list[dict[str, Any] | None]] = {}
    async with asyncio.timeout(ANSWER_S):
        while last_id not in states:
            message = wire.decode_message(await socket.receive_bytes())
            if isinstance(message, wire.Awareness):
                for entry in wire.decode_awareness(message.payload, 10_000):
                    states.setdefault(entry.id, []).append(json.loads(entry.state))
    return states


async def test_a_stock_client_cannot_speak_for_another_stock_client(scene: Scene) -> None:
    """At the stock door presence goes by Yjs client ids that clients choose. Mallory sends states for another's id.

    y-websocket's own server takes any of them: carets are moved, renamed and removed at will. Here a connection has the
    one id of its first message, if it is free and none of a member's; entries under other ids are not taken.
    """
    grace, mallory, witness = await scene.stock(), await scene.stock(), await scene.stock("viewer")
    for socket in (grace, mallory, witness):
        await socket.send_bytes(wire.encode_step_1(b"\0"))
    grace_id, mallory_id = 1 << 20, 1 << 21
    named = {"user": {"name": "Grace", "color": "#123456"}}
    await grace.send_bytes(wire.encode_awareness([Presence(grace_id, 1, json.dumps(named))]))
    await states_until(mallory, grace_id)
    forged = json.dumps({"user": {"name": "Boss", "color": "#000000"}})
    for victim in (grace_id, scene.peer.welcome["member_id"], mallory_id, grace_id):
        await mallory.send_bytes(wire.encode_awareness([Presence(victim, 2**30, forged)]))
    await mallory.send_bytes(wire.encode_awareness([Presence(grace_id, 2**31 - 1, "null"), Presence(1, 1, "null")]))
    await mallory.send_bytes(b"\x03")
    await states_until(mallory, mallory_id)
    await witness.send_bytes(b"\x03")
    states = await states_until(witness, mallory_id)
    assert {state["user"]["name"] for state in states.pop(grace_id) if state} == {"Grace"}
    assert [state and state["user"]["name"] for state in states.pop(mallory_id)] == ["Boss"]
    assert states == {}, "nobody else was spoken for"
    for socket in (grace, mallory, witness):
        await socket.close()


# -- keys


async def test_a_key_is_not_guessed_from_parts_of_it(scene: Scene) -> None:
    """Mallory has a screenshot with most of an owner's key and tries what is missing; or hopes for a loose comparison.

    Keys are 128 random bits, kept and compared as hashes: no prefix, no other case, no padding, no other encoding of
    the same bytes is the key, and every wrong one is answered alike.
    """
    key = scene.keys["owner"]
    guesses = [key[:-1], key + "=", key + "%00", key[0] + key, key.swapcase(), key[::-1], "", "*", key * 2]
    told = set()
    for guess in guesses:
        socket = await scene.socket()
        await socket.send_json({"type": "hello", "key": guess})
        async with asyncio.timeout(ANSWER_S):
            told.add((await socket.receive()).data)
            await socket.close()
        answer = await scene.call("DELETE", scene.api, headers={"Authorization": f"Bearer {guess}x"})
        assert answer == http_answer(Code.KEY_WRONG)
    assert len(told) == 1, told


async def test_a_key_opens_its_own_workspace_only(scene: Scene) -> None:
    """Mallory owns a workspace and brings its owner's key to the bystander's.

    If keys were looked up without their workspace, every owner would own all. It is a wrong key.
    """
    _, keys = await create_workspace(scene.http, scene.url)
    headers = {"Authorization": f"Bearer {keys['owner']}"}
    for method, path in (("DELETE", ""), ("GET", "/links"), ("GET", "/export.zip"), ("POST", "/restore")):
        assert await scene.call(method, scene.api + path, headers=headers) == http_answer(Code.KEY_WRONG)
    socket = await scene.socket()
    await socket.send_json({"type": "hello", "key": keys["owner"]})
    assert await refusal_of(socket) == (Code.KEY_WRONG, Code.KEY_WRONG)


async def test_edits_of_an_offline_life_are_taken_from_their_own_person_only(scene: Scene) -> None:
    """Grace types offline and comes back; Mallory has copied her unsent update and sends it first, as herself.

    Her text would be Grace's by its ids and Mallory's in the log. The id was declared by Grace's earlier life, so
    Mallory is refused, and Grace's later life, by her token, brings it in.
    """
    grace = await scene.join(name="Grace")
    offline = await grace.open_file(2)
    token = grace.welcome["person"]
    doc: Doc[Text] = Doc(client_id=offline.client_id)
    doc["text"] = text = Text()
    doc.apply_update(offline.doc.get_update())
    await grace.close()
    before = doc.get_state()
    text += ", typed offline"
    unsent = doc.get_update(before)
    mallory = await scene.join()
    await mallory.open_file(2)
    mallory.send_update(2, unsent)
    await mallory.until(lambda: bool(mallory.refusals))
    assert [refusal["code"] for refusal in mallory.refusals] == [Code.CLIENT_ID_TAKEN]
    await mallory.close()
    again = await scene.join(person=token)
    replica = await again.open_file(2, doc=doc)
    await again.until_saved()
    assert (str(replica), again.refusals) == ("other, typed offline", [])
    await again.close()

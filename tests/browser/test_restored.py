"""After an older backup was restored, a browser brings back what the server lost: its own text and that of others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import expect

from carets.backups import back_up, restore
from tests import peer
from tests.browser.chromium import People
from tests.serving import ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

LOOKED_AT, CLOSED = "looked at.txt", "closed.txt"
WHOLE = "one two three four "


async def test_one_page_that_is_still_open_brings_what_all_had_typed_and_nothing_is_there_twice(
    people: People, tmp_path: Path
) -> None:
    """Ada and Ben type; a backup; they type on, and are told that it is saved; the server is lost, and Ada is away.

    Ben's page looks at one of the files; the other he has closed, and his browser remembers it.
    """
    data, backup = tmp_path / "data", tmp_path / "backup"
    server = ServerProcess(data)
    await server.start()
    try:
        async with aiohttp.ClientSession() as http:
            workspace_id, keys = await peer.create_workspace(http, server.url, {CLOSED: "", LOOKED_AT: ""})
        async with peer.connect(server.url, workspace_id, keys["editor"], name="Ada") as ada:
            typed = {path: await ada.open_file(ada.file_id(path)) for path in (CLOSED, LOOKED_AT)}
            ben = await people.tab("Ben", f"{server.url}/w/{workspace_id}#key={keys['editor']}")
            for hers, his in (("one ", "two "), ("three ", "four ")):
                for path, replica in typed.items():
                    replica.append(hers)
                    await ben.open_file(path)
                    await ben.until_text(path, str(replica))
                    await ben.type(path, his)
                    await ada.until(lambda replica=replica, his=his: str(replica).endswith(his))  # type: ignore[misc]
                await ben.until_saved()
                if hers == "one ":
                    await asyncio.to_thread(back_up, data, backup, replace=False)
            await ada.until_saved()
            person = ada.welcome["person"]
        await ben.open_tab(CLOSED).press("Delete")
        await expect(ben.open_tab(CLOSED)).to_have_count(0)
        await server.kill()
        await asyncio.to_thread(restore, backup, data, None, anyway=False, tell=lambda report: None)
        await server.start()
        await ben.page.evaluate("() => window.dispatchEvent(new Event('online'))")
        for path in typed:
            await until_on(server, workspace_id, keys["viewer"], path, WHOLE)
        async with peer.connect(server.url, workspace_id, keys["editor"], name="Ada", person=person) as ada:
            for path, before in typed.items():
                replica = await ada.open_file(before.file_id, doc=before.doc)
                assert str(replica) == WHOLE
                replica.append("five")
                await ada.until_saved()
                await ben.open_file(path)
                await ben.until_text(path, WHOLE + "five")
                await until_on(server, workspace_id, keys["viewer"], path, WHOLE + "five")
            assert ada.refusals == []
        await ben.until_saved()
    finally:
        await server.kill()


async def until_on(server: ServerProcess, workspace_id: str, key: str, path: str, text: str) -> None:
    """Wait until the server has this text of a file."""
    async with peer.connect(server.url, workspace_id, key, name="Witness") as witness:
        replica = await witness.open_file(witness.file_id(path))
        await witness.until(lambda: str(replica) == text, f"in {path}")

"""A large file on a slow line is in nobody's way (DESIGN.md, section 4: messages in parts)."""

from __future__ import annotations

import asyncio
import random
import string

import pytest
from playwright.async_api import expect

from tests.browser.chromium import People
from tests.browser.conftest import Workspace, Workspaces
from tests.browser.line import line_to

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

LINE_BITS_PER_S = 1_000_000
FILE_BYTES = 5_000_000
TRANSFER_S = FILE_BYTES * 8 / LINE_BITS_PER_S
"""40 s: what the line takes for the file, at best."""
EDIT_S_MAX = TRANSFER_S / 5
"""An edit waits for the part that is on its way, half a second of this line, there and back, on a busy machine."""
SMALL, COMING, GOING = "notes.txt", "coming.txt", "going.txt"


def large_text(seed: int) -> str:
    """Lines that no compression would make small."""
    chance = random.Random(seed)
    letters = string.ascii_letters + string.digits
    return "".join("".join(chance.choices(letters, k=99)) + "\n" for _ in range(FILE_BYTES // 100))


async def ada_pastes(people: People, workspace: Workspace) -> None:
    """Up goes a file of 5 MB, while she types in another one."""
    async with line_to(workspace.server.port) as line:
        ada = await people.tab("Ada", workspace.link(line=line))
        await ada.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        witness, received = await workspace.witness(GOING)
        small = await witness.open_file(witness.file_id(SMALL))
        await ada.open_file(SMALL)
        await ada.open_file(GOING)
        await ada.until_saved()
        going = large_text(1)

        line.slow_down(LINE_BITS_PER_S)
        clock = asyncio.get_running_loop()
        begun_s = clock.time()
        await ada.paste(GOING, going)
        await ada.open_tab(SMALL).click()
        for key in "ab":
            typed_s = clock.time()
            await ada.type(SMALL, key)
            await witness.until(lambda key=key: key in str(small))  # type: ignore[misc]
            await expect(ada.open_tab(SMALL)).to_have_accessible_name(SMALL, timeout=EDIT_S_MAX * 1000)
            assert clock.time() - typed_s < EDIT_S_MAX
            assert str(received) == "", "the small edit came after the large file"
        await witness.until(lambda: len(str(received)) == len(going), "for the file that was pasted")
        assert clock.time() - begun_s > TRANSFER_S * 0.8, "the line was not slow"
        assert str(received) == going
        await ada.until_saved()
        assert line.sockets == 1, "the line was slow, not dead: nobody had to reconnect"


async def bob_opens(people: People, workspace: Workspace) -> None:
    """Down comes a file of 5 MB, while what others type in another one, and he himself, goes on."""
    async with line_to(workspace.server.port) as line:
        coming = large_text(2)
        author, written = await workspace.witness(COMING)
        small = await author.open_file(author.file_id(SMALL))
        written.append(coming)
        await author.until_saved()
        bob = await people.tab("Bob", workspace.link(line=line))
        await bob.open_file(SMALL)
        await bob.until_saved()

        line.slow_down(LINE_BITS_PER_S)
        clock = asyncio.get_running_loop()
        begun_s = clock.time()
        await bob.row(COMING).click()
        await expect(bob.page.get_by_text("Loading…")).to_be_visible()
        await bob.open_tab(SMALL).click()
        small.append("Z")
        await expect(bob.editor(SMALL)).to_contain_text("Z", timeout=EDIT_S_MAX * 1000)
        await bob.type(SMALL, "B")
        await author.until(lambda: "B" in str(small))
        await bob.until_saved(EDIT_S_MAX)
        assert clock.time() - begun_s < TRANSFER_S * 0.75
        await bob.open_tab(COMING).click()
        await expect(bob.page.get_by_text("Loading…")).to_be_visible()
        await expect(bob.editor(COMING)).to_be_visible(timeout=TRANSFER_S * 1500)
        assert clock.time() - begun_s > TRANSFER_S * 0.8, "the line was not slow"
        await bob.until_text(COMING, coming)
        assert line.sockets == 1, "the line was slow, not dead: nobody had to reconnect"


async def test_five_megabytes_over_one_megabit_a_second_hold_up_no_typing(
    people: People, workspaces: Workspaces
) -> None:
    """Each on a line of their own, at the same time."""
    async with asyncio.TaskGroup() as both:
        for person in (ada_pastes, bob_opens):
            both.create_task(person(people, await workspaces.make({SMALL: "", COMING: "", GOING: ""})))

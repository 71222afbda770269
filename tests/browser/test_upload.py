"""Files that come in by dropping and choosing, and go out as a zip."""

from __future__ import annotations

import asyncio
import base64
import io
import zipfile
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.chromium import People
from tests.browser.conftest import Workspace, Workspaces
from tests.browser.page import WorkspacePage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"

_DRAG = """([files, selector, types]) => {
    const transfer = new DataTransfer();
    for (const [name, content] of files) {
        const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
        transfer.items.add(new File([bytes], name));
    }
    const target = document.querySelector(selector);
    for (const type of types) {
        target.dispatchEvent(new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }
}"""


async def drag(tab: WorkspacePage, files: dict[str, bytes], onto: str, *types: str) -> None:
    """Files are dragged to a place of the page, as far as these events go."""
    encoded = [[name, base64.b64encode(content).decode()] for name, content in files.items()]
    await tab.page.evaluate(_DRAG, [encoded, onto, types])


async def drop(tab: WorkspacePage, files: dict[str, bytes], onto: str = "main") -> None:
    """Drop files on a place of the page."""
    await drag(tab, files, onto, "dragenter", "dragover", "drop")


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return buffer.getvalue()


async def downloaded(tab: WorkspacePage) -> dict[str, bytes]:
    """What is in the zip that the page offers."""
    await tab.page.get_by_role("button", name="More for files").click()
    async with tab.page.expect_download() as download:
        await tab.page.get_by_role("menuitem", name="Download the workspace as zip").click()
    path = await (await download.value).path()
    with zipfile.ZipFile(io.BytesIO(await asyncio.to_thread(Path(path).read_bytes))) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


async def test_one_dropped_file_is_there_for_everybody_and_open(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await drop(ada, {"hello.py": b"print('hello')\n"})
    await ada.until_text("hello.py", "print('hello')\n")
    await expect(ada.page.get_by_text("Added 1 file.")).to_be_visible()
    await bob.open_file("hello.py")
    await bob.until_text("hello.py", "print('hello')\n")


async def test_a_file_dropped_on_a_folder_goes_into_it_and_not_into_the_text(
    people: People, workspaces: Workspaces
) -> None:
    workspace = await workspaces.make({"docs/a.txt": "a", "b.txt": "b"})
    ada = await people.tab("Ada", workspace.link())
    await ada.open_file("b.txt")
    await drop(ada, {"c.txt": b"c"}, '[data-row="folder:docs"]')
    await expect(ada.row("docs/c.txt")).to_be_visible()
    await drop(ada, {"d.txt": b"d"}, ".cm-content")
    await expect(ada.row("d.txt")).to_be_visible()
    await ada.open_file("b.txt")
    await ada.until_text("b.txt", "b")


async def test_what_is_dragged_over_the_page_is_told_where_it_would_go(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({"docs/a.txt": "a"})
    ada = await people.tab("Ada", workspace.link())
    zone = ada.page.locator(".zone")
    files = {"x.txt": b"x"}
    await drag(ada, files, "main", "dragenter", "dragover")
    await expect(zone).to_have_text("Drop to add to the top of the workspace")
    await drag(ada, files, '[data-row="folder:docs"]', "dragenter", "dragover")
    await expect(zone).to_have_text("Drop to add to docs/")
    await drag(ada, files, "main", "dragleave")
    await expect(zone).to_have_count(0)
    await expect(ada.row("x.txt")).to_have_count(0)


async def test_text_dragged_into_the_editor_is_the_editors(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link())
    await ada.editor("notes.txt").evaluate(
        """(content) => {
            const transfer = new DataTransfer();
            transfer.setData("text/plain", "dropped ");
            const { left, top } = content.querySelector(".cm-line").getBoundingClientRect();
            const at = { bubbles: true, cancelable: true, dataTransfer: transfer, clientX: left, clientY: top + 4 };
            for (const type of ["dragenter", "dragover", "drop"]) content.dispatchEvent(new DragEvent(type, at));
        }"""
    )
    await ada.until_text("notes.txt", "dropped begin ")


async def test_a_folder_comes_without_what_tools_made_until_that_is_wanted_too(
    people: People, workspaces: Workspaces, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    for path, content in {
        "README.md": b"# Project",
        "src/main.py": b"main",
        "src/logo.png": PNG,
        "node_modules/left/index.js": b"left",
        ".git/HEAD": b"ref",
        ".gitignore": b"*.pyc",
    }.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_bytes(content)
    workspace = await workspaces.make()
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await ada.page.get_by_label("Folder to upload").set_input_files(project)
    dialog = ada.page.get_by_role("dialog", name="Upload")
    await expect(dialog).to_contain_text("Added 3 files.")
    await expect(dialog).to_contain_text("Not added (1): images")
    await expect(dialog).to_contain_text("project/src/logo.png")
    await expect(dialog).to_contain_text("project/node_modules/")
    await expect(dialog).to_contain_text("project/.git/")
    await expect(bob.row("project/src/main.py")).to_be_visible()
    await expect(bob.row("project/.gitignore")).to_be_visible()
    await dialog.get_by_role("button", name="Add tools’ files too").click()
    await expect(dialog).to_contain_text("Added 2 files, 3 already there, unchanged.")
    await dialog.get_by_role("button", name="Close").last.click()
    await expect(bob.row("project/node_modules/left/index.js")).to_be_visible()


async def test_a_zip_is_its_files_and_leads_nowhere_else(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make()
    ada = await people.tab("Ada", workspace.link())
    inner = zipped({"x.txt": b"x"})
    archive = zipped(
        {
            "app/ünicode.txt": "ü".encode(),
            "app/dos.txt": b"one\r\ntwo\r\n",
            "app/data.bin": b"\0\1\2",
            "app/latin.txt": b"caf\xe9",
            "../evil.txt": b"evil",
            "/root.txt": b"evil",
            "C:\\evil.txt": b"evil",
            "inner.zip": inner,
        }
    )
    await drop(ada, {"app.zip": archive})
    dialog = ada.page.get_by_role("dialog", name="Upload")
    await expect(dialog).to_contain_text("Added 2 files.")
    await expect(dialog).to_contain_text("../evil.txt")
    await expect(dialog).to_contain_text("Not added (3): paths")
    await expect(dialog).to_contain_text("Not added (1): no text")
    await expect(dialog).to_contain_text("not in UTF-8")
    await expect(dialog).to_contain_text("Not added (1): archives")
    await ada.page.keyboard.press("Escape")
    await expect(ada.page.get_by_role("treeitem")).to_have_count(3)
    assert await downloaded(ada) == {"app/ünicode.txt": "ü".encode(), "app/dos.txt": b"one\r\ntwo\r\n"}


async def test_a_file_that_is_there_is_asked_about_and_replaced_around_the_others_carets(
    people: People, workspaces: Workspaces
) -> None:
    workspace = await workspaces.make({"a.txt": "one two three", "b.txt": "b", "c.txt": "c", "same.txt": "same"})
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    await bob.open_file("a.txt")
    await bob.select("a.txt", 10, 10)
    files = {"a.txt": b"one 2 three", "b.txt": b"B", "c.txt": b"C", "same.txt": b"same", "new.txt": b"new"}
    await drop(ada, files)
    dialog = ada.page.get_by_role("dialog", name="Upload")
    await expect(dialog).to_contain_text("a.txt is there already, with another text.")
    await dialog.get_by_role("button", name="Replace").click()
    await expect(dialog).to_contain_text("b.txt is there already")
    await dialog.get_by_label("The same for 1 other file").check()
    await dialog.get_by_role("button", name="Keep both").click()
    await expect(ada.row("b (2).txt")).to_be_visible()
    await expect(ada.row("c (2).txt")).to_be_visible()
    await expect(ada.row("new.txt")).to_be_visible()
    await expect(dialog).to_have_count(0)
    await bob.until_text("a.txt", "one 2 three")
    # Bob was within "three": there he is still.
    await bob.type("a.txt", "!", at=None)
    await bob.until_text("a.txt", "one 2 th!ree")
    await bob.open_file("b.txt")
    await bob.until_text("b.txt", "b")


async def test_three_hundred_files_come_in_one_go(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make()
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link())
    posts: list[str] = []
    ada.page.on("request", lambda request: posts.append(request.url) if request.method == "POST" else None)
    await drop(ada, {"many.zip": zipped({f"d{n % 7}/f{n:03}.txt": f"text {n}".encode() for n in range(300)})})
    await expect(ada.page.get_by_text("Added 300 files.")).to_be_visible()
    assert len(posts) == 1
    # So many begin folded.
    await bob.row("d6").click()
    await bob.open_file("d6/f006.txt")
    await bob.until_text("d6/f006.txt", "text 6")


async def test_the_zip_is_what_both_see(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({"a.txt": "a", "d/b.txt": "one\r\ntwo", "gone.txt": "gone"}, title="Our project")
    ada = await people.tab("Ada", workspace.link())
    bob = await people.tab("Bob", workspace.link("viewer"))
    await ada.delete_row("gone.txt")
    await ada.open_file("d/b.txt")
    await ada.type("d/b.txt", "\nthree")
    await bob.open_file("d/b.txt")
    await bob.until_text("d/b.txt", "one\ntwo\nthree")
    seen = {"a.txt": b"a", "d/b.txt": b"one\r\ntwo\r\nthree"}
    assert await downloaded(ada) == seen
    assert await downloaded(bob) == seen


async def test_a_viewer_adds_nothing_and_hears_why(people: People, workspace: Workspace) -> None:
    ada = await people.tab("Ada", workspace.link("viewer"))
    await drop(ada, {"x.txt": b"x"})
    await expect(ada.page.locator(".toast").filter(has_text="not add files to it")).to_be_visible()
    await expect(ada.page.get_by_role("treeitem")).to_have_count(1)


async def test_without_a_connection_the_zip_holds_what_this_browser_has(people: People, workspaces: Workspaces) -> None:
    workspace = await workspaces.make({"seen.txt": "seen", "never.txt": "never"})
    person = await people.person("Ada")
    ada = await person.tab()
    await ada.be_cuttable()
    await ada.open(workspace.link())
    await ada.open_file("seen.txt")
    await ada.type("seen.txt", "!")
    await ada.until_saved()
    await ada.cut()
    await ada.until_light("offline")
    await ada.type("seen.txt", "?")
    assert await downloaded(ada) == {"seen.txt": b"seen!?"}
    await expect(ada.page.get_by_text("1 of 2 files")).to_be_visible()

"""A real piece of work: two people and a third on a phone, from dropping a folder to taking the zip home."""

from __future__ import annotations

import asyncio
import io
import zipfile
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.browser.chromium import People
from tests.browser.conftest import Workspaces
from tests.browser.line import Line
from tests.browser.page import WorkspacePage

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

PROJECT = {
    "README.md": "# Roof\n\nWhat the sensors say.\n",
    "main.py": (
        "from pathlib import Path\n\nfrom roof.report import report\nfrom roof.sensors import read\n\n"
        "print(report(read(Path(__file__).parent / 'data' / 'today.csv')))\n"
    ),
    "roof/__init__.py": "",
    "roof/sensors.py": (
        "import csv\n\n\ndef read(path):\n    with open(path) as lines:\n"
        "        return [float(row['wind']) for row in csv.DictReader(lines)]\n"
    ),
    "roof/report.py": "def report(values):\n    return f'{len(values)} readings, at most {max(values)} m/s'\n",
    "data/today.csv": "time,wind\n10:00,4.5\n10:10,6.0\n",
    "docs/notes.txt": "from a Windows machine\r\nsecond line\r\n",
    "web/app.ts": "export const unit = 'm/s';\n",
}
OURS = ("README.md", "roof/sensors.py", "roof/report.py", "web/app.ts")
TOP = "roof-station/"
SENSORS = TOP + "roof/sensors.py"
RUN_WAIT_S = 90.0
"""Python's megabytes are fetched and compiled first, on a machine that is busy with tests."""


def project(folder: Path) -> Path:
    """The project as a folder on disk."""
    for path, text in PROJECT.items():
        file = folder / "roof-station" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
    return folder / "roof-station"


async def open_on_phone(tab: WorkspacePage, path: str) -> None:
    await tab.page.get_by_role("button", name="Files", exact=True).click()
    await tab.open_file(path)


async def read(tab: WorkspacePage, path: str) -> str:
    """What somebody sees in a file."""
    await tab.open_file(path)
    return await tab.text(path)


async def zip_of(tab: WorkspacePage) -> dict[str, bytes]:
    """What the page gives as a zip."""
    await tab.page.keyboard.press("F1")
    await tab.page.get_by_role("dialog").get_by_role("combobox").fill("zip")
    async with tab.page.expect_download() as waiting:
        await tab.page.keyboard.press("Enter")
    download = await waiting.value
    content = await asyncio.to_thread(Path(await download.path()).read_bytes)
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


async def share_a_folder(ada: WorkspacePage, folder: Path, bob: WorkspacePage) -> None:
    await ada.page.locator("input[type=file][webkitdirectory]").set_input_files(folder)
    for path in OURS:
        await expect(bob.row(TOP + path)).to_be_attached()


async def write_in_four_files(ada: WorkspacePage, bob: WorkspacePage, cem: WorkspacePage) -> None:
    await ada.open_file(TOP + "README.md")
    await bob.open_file(TOP + "roof/report.py")
    await open_on_phone(cem, TOP + "web/app.ts")
    await asyncio.gather(
        ada.type(TOP + "README.md", "\nAda was here.\n"),
        bob.type(TOP + "roof/report.py", "\n# Bob was here\n"),
        cem.type(TOP + "web/app.ts", "// Cem was here\n"),
    )
    await ada.open_file(SENSORS)
    await ada.type(SENSORS, "\n# read once a day\n")
    for tab in (ada, bob, cem):
        await tab.until_saved()


async def talk_and_follow(ada: WorkspacePage, bob: WorkspacePage, cem: WorkspacePage) -> None:
    await ada.page.get_by_role("button", name="Chat").click()
    await ada.page.get_by_label("Message").fill(f"Bob, look at {SENSORS}:4")
    await ada.page.get_by_label("Message").press("Enter")
    await bob.page.get_by_role("button", name="Chat: 1 unread").click()
    await bob.page.get_by_role("button", name=f"{SENSORS}:4").click()
    await expect(bob.editor(SENSORS)).to_be_visible()
    await bob.page.get_by_role("button", name="Close the chat").click()
    await ada.page.get_by_role("button", name="Close the chat").click()
    await cem.people().click()
    await cem.page.get_by_role("button", name="Follow Ada").click()
    await expect(cem.editor(SENSORS)).to_be_visible()


async def run_it(ada: WorkspacePage, bob: WorkspacePage) -> None:
    """Ada runs it, and Bob watches what it says."""
    await ada.open_file(TOP + "main.py")
    await ada.page.keyboard.press("ControlOrMeta+Enter")
    says = "2 readings, at most 6.0 m/s"
    await expect(ada.page.get_by_role("log").filter(has_text=says)).to_be_visible(timeout=RUN_WAIT_S * 1000)
    await bob.page.keyboard.press("Alt+o")
    await expect(bob.page.get_by_role("log").filter(has_text=says)).to_be_visible()


async def write_without_a_line(ada: WorkspacePage, bob: WorkspacePage, line: Line) -> None:
    line.cut()
    await bob.type(SENSORS, "# typed on the train\n")
    await bob.until_light("offline", "edit")
    await ada.open_file(SENSORS)
    await ada.type(SENSORS, "# meanwhile, at the desk\n", at=0)
    line.mend()
    await bob.until_saved()
    await ada.until_saved()


async def test_a_team_gets_its_work_done(people: People, workspaces: Workspaces, line: Line, tmp_path: Path) -> None:
    workspace = await workspaces.make({}, "Roof")
    ada = await people.tab("Ada", workspace.link("owner"))
    bob = await people.tab("Bob", workspace.link("editor", line))
    cem = await (
        await people.person("Cem", viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    ).tab(workspace.link())
    await share_a_folder(ada, project(tmp_path), bob)
    await write_in_four_files(ada, bob, cem)
    await talk_and_follow(ada, bob, cem)
    await run_it(ada, bob)
    await write_without_a_line(ada, bob, line)

    packed = await zip_of(ada)
    seen = {path: await read(ada, TOP + path) for path in OURS}
    assert seen == {path: await read(bob, TOP + path) for path in OURS}
    # Cem still follows Ada, whose last file this was.
    assert seen["web/app.ts"] == await cem.text(TOP + "web/app.ts")
    assert seen["README.md"] == PROJECT["README.md"] + "\nAda was here.\n"
    assert "# typed on the train" in seen["roof/sensors.py"]
    assert "# meanwhile, at the desk" in seen["roof/sensors.py"]
    # What both see is what is in the zip; what nobody touched is as it was, line ends too.
    assert packed == {TOP + path: seen.get(path, text).encode() for path, text in PROJECT.items()}

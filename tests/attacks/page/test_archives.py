"""Hostile zips, which somebody drops onto the page: names that lead elsewhere, and kilobytes that are gigabytes."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest
from playwright.async_api import expect

from tests.browser.chromium import People
from tests.browser.conftest import Workspace
from tests.browser.page import WorkspacePage
from tests.browser.test_upload import downloaded, drop, zipped

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

MIB = 1024 * 1024

SLIPS = [
    "../evil",
    "a/../../evil",
    "..\\evil",
    "/etc/passwd",
    "\\\\host\\share\\evil",
    "C:/evil",
    "c:evil",
    "file:///evil",
    "a/..",
    "a//evil",
    "~1",
    "CON",
    "aux.txt",
    "safe.txt:hidden",
    "evil.",
    " evil",
    "evil\u202etxt.exe",
    "evil\u200b.txt",
    "evil\nsafe.txt",
    "x" * 300,
]


async def dropper(people: People, workspace: Workspace) -> WorkspacePage:
    """Somebody with a file open, who is about to drop what they were sent."""
    tab = await people.tab("Ada", workspace.link())
    await tab.open_file("notes.txt")
    return tab


async def test_no_name_in_a_zip_leads_out_of_the_workspace(people: People, workspace: Workspace) -> None:
    """Mallory sends a zip to be dropped into a workspace, whose names climb out of it, name drives, devices, streams.

    In the page nothing can be overwritten; but whoever unpacks the workspace later would be. No such name becomes a
    path: each is told as left out, and what goes out again holds none.
    """
    ada = await dropper(people, workspace)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in [*SLIPS, "good/ok.txt"]:
            entry = zipfile.ZipInfo()
            entry.filename = name
            archive.writestr(entry, "evil")
        link = zipfile.ZipInfo("link")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    await drop(ada, {"sent.zip": buffer.getvalue()})
    dialog = ada.page.get_by_role("dialog", name="Upload")
    await expect(dialog).to_contain_text("Added 1 file")
    await expect(dialog).to_contain_text(f"Not added ({len(SLIPS)}): paths")
    await ada.page.keyboard.press("Escape")
    assert await downloaded(ada) == {"notes.txt": b"begin ", "good/ok.txt": b"evil"}


def overlapping(count: int, bytes_each: int, stated: int) -> bytes:
    """A zip of so many files that are all the same packed bytes; each states its size as `stated`."""
    content = bytes(bytes_each)
    packing = zlib.compressobj(9, wbits=-15)
    packed = packing.compress(content) + packing.flush()
    checksum = zlib.crc32(content)
    local = (
        struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 0x21, checksum, len(packed), stated, 1, 0) + b"x" + packed
    )
    directory = b""
    for number in range(count):
        name = f"{number}.txt".encode()
        fields = (0x02014B50, 20, 20, 0, 8, 0, 0x21, checksum, len(packed), stated, len(name), 0, 0, 0, 0, 0, 0)
        directory += struct.pack("<IHHHHHHIIIHHHHHII", *fields) + name
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(directory), len(local), 0)
    return local + directory + end


def nested(levels: int) -> bytes:
    """A zip in which are ten zips, in which are ten zips, and so on."""
    inner = zipped({"zeros.txt": bytes(MIB)})
    for _ in range(levels):
        inner = zipped({f"{number}.zip": inner for number in range(10)})
    return inner


BOMBS = {
    "honest and huge": (overlapping(3, MIB, 0xFFFF_0000), "Not added (3)"),
    "lying": (overlapping(100, 79 * MIB, 10), "Not added (100): damaged"),
    "nested": (nested(5), "Not added (10): archives"),
    "of too many files": (overlapping(20_001, 1, 1), "Not added (1)"),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_a_zip_that_unpacks_to_gigabytes_is_not_unpacked(people: People, workspace: Workspace, name: str) -> None:
    """Mallory sends kilobytes that unpack to gigabytes: huge files, sizes that lie, zips in zips, names without number.

    The tab would die with what its owner typed, or the workspace fill up. What is unpacked is bounded by what a file
    states, and cut as soon as it is more: a hundred lies once took twenty seconds. Archives in archives stay shut. The
    page goes on: its owner types.
    """
    bomb, told = BOMBS[name]
    assert len(bomb) < 2 * MIB
    ada = await dropper(people, workspace)
    await drop(ada, {"bomb.zip": bomb})
    dialog = ada.page.get_by_role("dialog", name="Upload")
    await expect(dialog).to_contain_text("Nothing was added")
    await expect(dialog).to_contain_text(told)
    await ada.page.keyboard.press("Escape")
    await ada.type("notes.txt", "and goes on")
    await ada.until_saved()
    await expect(ada.page.get_by_role("treeitem")).to_have_count(1)


async def test_files_of_a_zip_that_are_all_the_same_bytes_do_not_hold_the_page(
    people: People, workspace: Workspace
) -> None:
    """Mallory sends 40 KB that are four hundred files of 19 MiB, all packed in the same place, each of honest size.

    No size lies, so half a gigabyte, as much as any upload may read, is unpacked before the rest is left out. It is
    unpacked in pieces: Cancel ends it in between, and its owner types on.
    """
    ada = await dropper(people, workspace)
    await drop(ada, {"bomb.zip": overlapping(400, 19 * MIB, 19 * MIB)})
    dialog = ada.page.get_by_role("dialog", name="Upload")
    await expect(dialog).to_contain_text("Reading the files")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog.get_by_role("progressbar")).to_have_count(0)
    await ada.page.keyboard.press("Escape")
    await ada.type("notes.txt", "and goes on")
    await ada.until_saved()
    await expect(ada.page.get_by_role("treeitem")).to_have_count(1)

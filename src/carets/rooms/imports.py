"""Files that come with their texts: those of a new workspace, and those that are imported into one.

Owns: how a text becomes the first update of a file, and the line end that it had.
Does not know: rooms, commits. Chance is passed in.

Invariant: a text is checked whole before any file is made of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

from carets import limits
from carets.errors import Code, Refused
from carets.protocol import access
from carets.protocol.messages import FileRecord, LineEnd
from carets.rooms import document as documents
from carets.rooms.files import FileTable
from carets.rooms.store import FileAppend, LogEntry

SERVER = "server"
"""The author of the texts with which a workspace was created, and the owner of all client ids that are made here."""

_TURN_CHARACTERS = 200_000
"""Characters after which others get their turn: some milliseconds of encoding."""

_FILE_CHARACTERS = 1_000
"""Characters that take as long as making a file at all."""


class Draft(NamedTuple):
    """A file to be made: its path as it was asked for, and the update that writes its text, if it has any."""

    path: str
    eol: LineEnd
    client_id: int
    update: bytes


def draft(path: str, text: str, entropy: Callable[[int], bytes]) -> Draft:
    """The file that a text will be. Raises: Refused TEXT_INVALID or DOCUMENT_TOO_LARGE."""
    client_id = int.from_bytes(entropy(4), "big")
    clean = access.clean_text(text)
    update = documents.update_of(clean, client_id) if clean else b""
    return Draft(path, "crlf" if "\r\n" in text else "lf", client_id, update)


def check_count(files: Mapping[str, str]) -> None:
    """Refuse more files than any workspace may have, before time is spent on each. Raises: Refused."""
    if len(files) > limits.FILES_MAX:
        raise Refused(Code.FILES_TOO_MANY, f"at most {limits.FILES_MAX}")


async def draft_all(files: Mapping[str, str], entropy: Callable[[int], bytes]) -> list[Draft]:
    """The files that many texts will be; others get their turns meanwhile. Raises: Refused."""
    check_count(files)
    drafts, characters = [], 0
    for path, text in files.items():
        drafts.append(draft(path, text, entropy))
        characters += _FILE_CHARACTERS + len(text)
        if characters >= _TURN_CHARACTERS:
            characters = 0
            await asyncio.sleep(0)
    return drafts


def place(
    drafts: list[Draft], table: FileTable, entropy: Callable[[int], bytes], now_ms: int, author: str
) -> tuple[list[FileRecord], list[FileAppend]]:
    """Admit all of the drafts as files, or none, and tell what their commit must hold. Raises: Refused."""
    records, appends = [], []
    with table.whole():
        for path, eol, client_id, update in drafts:
            record = table.create(path, eol, entropy(8).hex())
            records.append(record)
            if update:
                entry = LogEntry(now_ms, author, update)
                appends.append(FileAppend(record.file_id, 1, [entry], [(client_id, SERVER)]))
    return records, appends
